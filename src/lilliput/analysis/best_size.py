"""The best size for a budget, from a table: iso-FLOP parabolas or the minimum over training curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.diagnostics import residual_diagnostics
from lilliput.analysis.inference.options import FitOptions, drawn_rows
from lilliput.analysis.inference.results import Estimate, estimates_of
from lilliput.analysis.laws.base import BestSizeLaw
from lilliput.analysis.laws.curve import CurveFit, covariance_of, plain_number
from lilliput.analysis.laws.forms import check_breaks
from lilliput.analysis.laws.isoflop import Allocation
from lilliput.analysis.laws.power import fit_power
from lilliput.analysis.laws.registry import law_named
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.sized import require_column
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class SizeLaw:
    """N_opt = coefficient x C^exponent with intervals from resampled runs.

    Attributes:
        law: Name of the law of the best size.
        allocation: The budgets, the best size at each, and the line through them.
        parameters: `coefficient` (parameters) and `exponent`.
        r2: Share of the variance of ln N_opt explained.
        bic: n ln(RSS/n) + k ln n.
        aicc: Akaike's criterion corrected for few budgets.
        n: Budgets.
        warnings: One sentence each.
        covariance: Model-based covariance of ln coefficient and exponent, budgets taken as independent;
            None with two budgets.
        diagnostics: Residual checks of the line through the best sizes.
        facts: Columns, points used and refused, runs, draws.
    """

    law: str
    allocation: Allocation
    parameters: dict[str, Estimate]
    r2: float
    bic: float
    aicc: float
    n: int
    warnings: tuple[str, ...]
    covariance: FloatArray | None
    diagnostics: dict[str, float | None]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_record(self) -> dict[str, Any]:
        """Plain data for JSON: the keys of a fit, and the best size at each budget."""
        best = zip(self.allocation.budgets, self.allocation.num_parameters, strict=True)
        return {
            "law": self.law,
            "parameters": {name: value.as_record() for name, value in self.parameters.items()},
            "r2": plain_number(self.r2),
            "bic": plain_number(self.bic),
            "aicc": plain_number(self.aicc),
            "n": self.n,
            "breaks": [],
            "candidates": [],
            "warnings": list(self.warnings),
            "covariance": None if self.covariance is None else self.covariance.tolist(),
            "covariance_of": ["ln coefficient", "exponent"],
            "diagnostics": self.diagnostics,
            "best_sizes": [{"flops": float(c), "num_parameters": float(n)} for c, n in best],
            **self.facts,
        }


def analyse_size(
    table: Table,
    *,
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions,
) -> SizeLaw:
    """How the best size grows with the budget.

    Args:
        table: Needs `num_parameters`. For "isoflop", runs of at least four sizes at each of two
            budgets or more; for "minimum", whole training curves.
        flops: Cost column or convention; by default the table's.
        loss: Loss column.
        options: `law`, `points` ("all" lets unfinished points into the parabolas), resampling.

    Raises:
        InputError: There are no sizes, or too few budgets.
    """
    check_breaks(options.law, options.breaks)
    law = law_named(options.law)
    if not isinstance(law, BestSizeLaw):
        raise InputError("a law of the best size is needed here", got=options.law)
    data = measurements_of(table, flops=flops, loss=loss, after_step=options.after_step)
    require_column(table, "num_parameters", f"the law {options.law}")
    sizes = table.number("num_parameters")[np.searchsorted(table.lines, data.lines)]
    rows = np.flatnonzero(sizes > 0)
    if law.takes_finished_runs and options.points != "all":
        rows = rows[data.is_final[rows]]
    found = _allocation(law, data, sizes, rows)
    line = fit_power(found.budgets, found.num_parameters)
    drawn = _drawn(data.select(rows), options)
    draws = np.array([_draw(law, data, sizes, rows[d]) for d in drawn]).reshape(-1, 2)
    n_runs = int(np.unique(data.run[rows]).size)
    estimates = estimates_of((found.coefficient, found.exponent), draws, n_runs, options.level)
    return SizeLaw(
        law=options.law,
        allocation=found,
        parameters=dict(zip(("coefficient", "exponent"), estimates, strict=True)),
        r2=line.r2,
        bic=line.bic,
        aicc=line.aicc,
        n=line.n,
        warnings=(*data.warnings, *found.warnings),
        covariance=_covariance(line),
        diagnostics=residual_diagnostics(
            line, np.log(found.budgets), np.log(found.num_parameters), np.arange(line.n)
        ),
        facts=_facts(data, sizes, rows, options),
    )


def _covariance(line: CurveFit) -> FloatArray | None:
    """Of ln coefficient and exponent; a law of size counts the exponent upwards."""
    covariance = covariance_of(line)
    return None if covariance is None else covariance * [[1.0, -1.0], [-1.0, 1.0]]


def _facts(
    data: Measurements, sizes: FloatArray, rows: Rows, options: FitOptions
) -> dict[str, Any]:
    names = [data.run_names[code] for code in data.run[rows].tolist()]
    used = zip(names, data.flops[rows].tolist(), sizes[rows].tolist(), strict=True)
    missing = len(data) - rows.size
    return {
        "flops_column": data.flops_column,
        "loss_column": data.loss_column,
        "n_runs": int(np.unique(data.run[rows]).size),
        "n_measurements": len(data),
        "points": [{"run": r, "flops": c, "num_parameters": n} for r, c, n in used],
        "refused": {**data.refused, **({"no size or unfinished": missing} if missing else {})},
        "after_step": options.after_step,
        "resamples": options.resamples,
        "resample": options.resample,
        "level": options.level,
        "seed": options.seed,
    }


def _drawn(data: Measurements, options: FitOptions) -> list[Rows]:
    if np.unique(data.run).size < 2:
        return []
    return list(drawn_rows(data, options))


def _draw(
    law: BestSizeLaw, data: Measurements, sizes: FloatArray, rows: Rows
) -> tuple[float, float]:
    """Coefficient and exponent of drawn runs; undefined where they have too few budgets."""
    try:
        found = _allocation(law, data, sizes, rows)
    except InputError:
        return math.nan, math.nan
    return found.coefficient, found.exponent


def _allocation(law: BestSizeLaw, data: Measurements, sizes: FloatArray, rows: Rows) -> Allocation:
    return law.allocation(data.run[rows], data.flops[rows], sizes[rows], data.loss[rows])
