"""Laws of size and tokens: which measurements they take, how they are drawn, what they hand back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.diagnostics import residual_diagnostics
from lilliput.analysis.inference.options import FitOptions, drawn_rows
from lilliput.analysis.inference.results import Candidate, Estimate, LawFit
from lilliput.analysis.laws.curve import CurveFit, covariance_of
from lilliput.analysis.table.measurements import Measurements
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

_FLOPS_PER_PARAMETER_TOKEN = 6.0
_MANY_RUNS = 10


@dataclass(frozen=True)
class SizedMeasurements:
    """Measurements with parameters N and tokens D, shape (points,) each, and warnings about them."""

    data: Measurements
    parameters: FloatArray
    tokens: FloatArray
    warnings: tuple[str, ...]

    def select(self, rows: NDArray[Any], reason: str = "") -> SizedMeasurements:
        """The points chosen by a mask; the others are counted as refused where a reason is given."""
        data = self.data.select(rows)
        if reason and len(data) < len(self.data):
            refused = {**data.refused, reason: len(self.data) - len(data)}
            data = replace(data, refused=refused)
        return SizedMeasurements(data, self.parameters[rows], self.tokens[rows], self.warnings)

    @property
    def flops_per_parameter_token(self) -> FloatArray:
        """Cost of one parameter and token at each point, shape (points,)."""
        return self.data.flops / (self.parameters * self.tokens)


def sized_measurements(table: Table, data: Measurements, points: str) -> SizedMeasurements:
    """The measurements that have parameters and tokens.

    Args:
        table: Needs `num_parameters`, and `tokens_seen` (else positions, else cost / 6N).
        data: The table's measurements.
        points: "all" takes every point; "final" and "frontier" take finished runs where there are ten.

    Raises:
        InputError: The table has no num_parameters.
    """
    require_column(table, "num_parameters", "laws of size and tokens")
    rows = np.searchsorted(table.lines, data.lines)
    parameters = table.number("num_parameters")[rows]
    tokens, warnings = _tokens(table, data, parameters, rows)
    sized = SizedMeasurements(data, parameters, tokens, warnings)
    sized = sized.select((parameters > 0) & (tokens > 0), "no size or tokens")
    finals = sized.data.is_final
    if points == "all" or finals.all():
        return sized
    if np.unique(sized.parameters[finals]).size >= _MANY_RUNS and _vary(sized.tokens[finals]):
        return sized.select(finals, "unfinished")
    said = "Finished runs do not vary in both size and tokens: all points were used."
    return replace(sized, warnings=(*warnings, said))


def require_column(table: Table, name: str, what: str) -> None:
    """Raise where the table lacks a column that `what` needs.

    Raises:
        InputError: It does.
    """
    if name not in table:
        raise InputError(
            f"{table.source} must have a column {name} for {what}",
            got=", ".join(table.columns),
            remedy=table.how_to_name(name),
        )


def _vary(tokens: FloatArray) -> bool:
    return tokens.size > 0 and float(tokens.max() / tokens.min()) > 2


def _tokens(
    table: Table, data: Measurements, parameters: FloatArray, rows: NDArray[np.intp]
) -> tuple[FloatArray, tuple[str, ...]]:
    if "tokens_seen" in table:
        return table.number("tokens_seen")[rows], ()
    if "positions_seen" in table:
        return table.number("positions_seen")[rows], (
            "Tokens are input positions, padding included.",
        )
    return data.flops / (_FLOPS_PER_PARAMETER_TOKEN * parameters), (
        "The table has no tokens_seen: tokens were taken as FLOPs / (6 x parameters).",
    )


def draw_counts(data: Measurements, options: FitOptions) -> FloatArray:
    """How often each point is in each draw of runs, shape (draws, points); no draws of a single run."""
    if options.resamples == 0 or np.unique(data.run).size < 2:
        return np.empty((0, len(data)))
    every = drawn_rows(data, options)
    return np.stack([np.bincount(rows, minlength=len(data)) for rows in every]).astype(np.float64)


def drawn_medians(values: FloatArray, counts: FloatArray) -> FloatArray:
    """Median of the points of each draw: shapes (points,) and (draws, points) to (draws, 1)."""
    times = counts.astype(np.intp)
    return np.array([[np.median(np.repeat(values, row))] for row in times]).reshape(-1, 1)


def sized_result(
    sized: SizedMeasurements,
    curve: CurveFit,
    parameters: Mapping[str, Estimate],
    draws: FloatArray,
    options: FitOptions,
    warnings: list[str],
    **facts: Any,
) -> LawFit:
    """The result of a law of size and tokens; `facts` stand beside those of every law."""
    data = sized.data
    n_runs = int(np.unique(data.run).size)
    few = [f"There are {n_runs} runs only: the intervals are rough."] if n_runs < _MANY_RUNS else []
    return LawFit(
        law=curve.law,
        parameters=parameters,
        breaks=(),
        r2=curve.r2,
        bic=curve.bic,
        aicc=curve.aicc,
        n=curve.n,
        candidates=(Candidate.of(curve),),
        warnings=(*data.warnings, *sized.warnings, *warnings, *few),
        curve=curve,
        flops=data.flops,
        loss=data.loss,
        runs=tuple(data.run_names[code] for code in data.run.tolist()),
        draws=draws,
        covariance=covariance_of(curve),
        diagnostics=residual_diagnostics(curve, np.log(data.flops), np.log(data.loss), data.run),
        facts={
            "flops_column": data.flops_column,
            "loss_column": data.loss_column,
            "n_runs": n_runs,
            "refused": dict(data.refused),
            "points_kind": options.points,
            "after_step": options.after_step,
            "resamples": options.resamples,
            "resample": options.resample,
            "level": options.level,
            "seed": options.seed,
            **facts,
        },
    )
