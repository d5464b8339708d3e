"""The law of repeated data fitted to a table, with intervals from resampled runs."""

from __future__ import annotations

import numpy as np

from lilliput.analysis.inference.options import FitOptions
from lilliput.analysis.inference.results import LawFit, estimates_of
from lilliput.analysis.laws.curve import CurveFit, total_sum_of_squares
from lilliput.analysis.laws.repeated import CONSTANTS, RepeatedDataLaw
from lilliput.analysis.laws.repeated_fit import (
    RepeatedProblem,
    draw_repeated,
    fit_repeated,
    is_repeated,
)
from lilliput.analysis.laws.sized import (
    draw_counts,
    drawn_medians,
    require_column,
    sized_measurements,
    sized_result,
)
from lilliput.analysis.table.measurements import Measurements
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.progress import SILENT, Reporter

_NAMES = (*CONSTANTS, "flops_per_parameter_token", "unique_tokens")
_FREE = ("ln A", "ln B", "ln E", "alpha", "beta", "ln repeat_tokens", "ln repeat_parameters")


def fit_repeated_law(
    table: Table, data: Measurements, options: FitOptions, *, reporter: Reporter = SILENT
) -> LawFit:
    """Seven constants with intervals; the curve is that of the best split of a budget over one corpus.

    That corpus is the largest of the table, told by the parameter `unique_tokens`.

    Args:
        table: As `sized_measurements` needs it, and `unique_tokens`: those that there were to read.
        data: The table's measurements.
        options: Points, resampling.
        reporter: Where progress goes.

    Raises:
        InputError: A column is missing, too few points are without repetition, or none is with it.
    """
    require_column(table, "unique_tokens", "the law of repeated data")
    sized = sized_measurements(table, data, options.points)
    unique = table.number("unique_tokens")[np.searchsorted(table.lines, sized.data.lines)]
    sized, unique = sized.select(unique > 0, "no unique_tokens"), unique[unique > 0]
    points = sized.parameters, sized.tokens, unique, sized.data.loss
    law = fit_repeated(*points)
    counts = draw_counts(sized.data, options)
    with reporter.task("resampling runs"):
        constants = draw_repeated(law, *points, counts)
    corpus = np.full((counts.shape[0], 1), unique.max())
    costs = sized.flops_per_parameter_token
    draws = np.concatenate([constants, drawn_medians(costs, counts), corpus], axis=1)
    log_loss = np.log(sized.data.loss)
    fitted = np.log(law.predict(*points[:3]))
    curve = CurveFit(
        law="repeated",
        names=_NAMES,
        values=np.array([*law.values, np.median(costs), unique.max()]),
        breaks=np.empty(0),
        n_free=len(CONSTANTS) + 1,
        rss=float(np.sum((fitted - log_loss) ** 2)),
        tss=total_sum_of_squares(log_loss),
        fitted=fitted,
        free=_FREE,
        tangent=RepeatedProblem(*points).tangent(law),
    )
    n_runs = np.unique(sized.data.run).size
    found = estimates_of(curve.values.tolist(), draws, n_runs, options.level)
    return sized_result(
        sized,
        curve,
        dict(zip(_NAMES, found, strict=True)),
        draws,
        options,
        _warnings(law, *points[:3]),
        n_repeated=int(is_repeated(sized.tokens, unique).sum()),
    )


def _warnings(
    law: RepeatedDataLaw, parameters: FloatArray, tokens: FloatArray, unique: FloatArray
) -> list[str]:
    """Which of the two rates the points say nothing about."""
    excess = parameters > law.matched_parameters(np.minimum(unique, tokens))
    if not excess.any():
        return ["No run has more parameters than its data call for: repeat_parameters is a guess."]
    return []
