"""Fit a law of size and tokens again under other choices, to show how much of the answer is theirs.

Example, the exponent a of the best size, N_opt proportional to C^a, on one public suite of 22 models: 0.71 with the
threshold 1e-3, 0.66 from the models whose learning rate had decayed, 0.73 from the last tokens alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lilliput.analysis.fit import analyse_fit
from lilliput.analysis.inference.options import FitOptions
from lilliput.analysis.inference.results import LawFit
from lilliput.analysis.laws.curve import plain
from lilliput.analysis.table.measurements import measurements_of
from lilliput.analysis.table.sized import with_flops
from lilliput.analysis.table.tidy import Table
from lilliput.core.errors import InputError

_DELTAS = (1e-2, 1e-3, 1e-4)
_POINTS = ("final", "all")


@dataclass(frozen=True)
class SensitivityRow:
    """Hold the answer under one choice.

    Attributes:
        choice: What was chosen otherwise, such as "delta 0.0001"; "as asked" for the first row.
        n: Points.
        alpha: Exponent of the parameters.
        beta: Exponent of the tokens.
        offset: Irreducible loss in nats.
        size_exponent: The a in N_opt proportional to C^a.
    """

    choice: str
    n: int
    alpha: float
    beta: float
    offset: float
    size_exponent: float

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return plain(vars(self))


@dataclass(frozen=True)
class Sensitivity:
    """Hold the rows, the first as asked, with the choices that could not be fitted and why."""

    rows: tuple[SensitivityRow, ...]
    warnings: tuple[str, ...]

    @property
    def span(self) -> tuple[float, float]:
        """Return the lowest and the highest exponent of the best size; one exponent for both would fix it at 0.5."""
        values = [row.size_exponent for row in self.rows if row.alpha != row.beta] or [0.5]
        return min(values), max(values)

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "rows": [row.as_record() for row in self.rows],
            "span": list(self.span),
            "warnings": list(self.warnings),
        }


def analyse_sensitivity(
    table: Table,
    *,
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions | None = None,
) -> Sensitivity:
    """Return the law of size and tokens under other thresholds, points, halves, and counts of parameters.

    Args:
        table: Needs `num_parameters`; further columns `num_parameters_…` are other counts of them.
        flops: Cost column or convention.
        loss: Loss column.
        options: The fit to begin with; its law must be `parametric` or `parametric_tied`. Nothing is resampled.

    Raises:
        InputError: The fit as asked is not possible.
    """
    options = replace(options or FitOptions(law="parametric"), resamples=0)
    rows = [_row("as asked", analyse_fit(table, flops=flops, loss=loss, options=options))]
    warnings: list[str] = []
    for choice, other, changed in _choices(table, flops, loss, options):
        try:
            rows.append(_row(choice, analyse_fit(other, flops=flops, loss=loss, options=changed)))
        except InputError as error:
            warnings.append(f"{choice}: {error}")
    return Sensitivity(tuple(rows), tuple(warnings))


def _row(choice: str, fit: LawFit) -> SensitivityRow:
    alpha, beta, offset = (fit.parameters[name].value for name in ("alpha", "beta", "E"))
    return SensitivityRow(choice, fit.n, alpha, beta, offset, beta / (alpha + beta))


def _choices(
    table: Table, flops: str | None, loss: str | None, options: FitOptions
) -> Iterator[tuple[str, Table, FitOptions]]:
    """Yield each other choice in words, with the table and the options that it means."""
    for delta in _DELTAS:
        if delta != (options.delta or 1e-3):
            yield f"delta {delta:g}", table, replace(options, delta=delta)
    for points in _POINTS:
        if points != options.points:
            yield f"points {points}", table, replace(options, points=points)
    other = "parametric" if options.law == "parametric_tied" else "parametric_tied"
    yield f"law {other}", table, replace(options, law=other)
    data = measurements_of(with_flops(table, flops), flops=flops, loss=loss)
    middle = float(np.median(data.flops))
    lines = {
        "the cheaper half": data.lines[data.flops <= middle],
        "the dearer half": data.lines[data.flops > middle],
    }
    for name, kept in lines.items():
        yield name, table.select(np.isin(table.lines, kept)), replace(options, points="all")
    for name in table.starting_with("num_parameters_"):
        yield name, table.with_columns({"num_parameters": table.number(name)}), options
