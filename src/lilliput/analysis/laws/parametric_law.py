"""The parametric law L(N, D) fitted to a table, with intervals from resampled runs."""

from __future__ import annotations

import numpy as np

from lilliput.analysis.inference.options import FitOptions
from lilliput.analysis.inference.results import LawFit, estimates_of
from lilliput.analysis.laws.curve import CurveFit, total_sum_of_squares
from lilliput.analysis.laws.parametric import (
    PARAMETER_NAMES,
    ParametricFit,
    draw_parametric,
    fit_parametric,
)
from lilliput.analysis.laws.sized import (
    SizedMeasurements,
    draw_counts,
    drawn_medians,
    sized_measurements,
    sized_result,
)
from lilliput.analysis.table.measurements import Measurements
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.progress import SILENT, Reporter

_NAMES: tuple[str, ...] = (*PARAMETER_NAMES, "flops_per_parameter_token")
_LEAST_OFFSET = 1e-3


def fit_parametric_law(
    table: Table, data: Measurements, options: FitOptions, *, reporter: Reporter = SILENT
) -> LawFit:
    """The five constants of L(N, D) with intervals; the curve is that of optimally split budgets.

    Args:
        table: As `sized_measurements` needs it.
        data: The table's measurements.
        options: Points, resampling.
        reporter: Where progress goes.

    Raises:
        InputError: The table has no parameters, or too few points or sizes.
    """
    sized = sized_measurements(table, data, options.points)
    with reporter.task("fitting L(N, D) from 4,500 starts"):
        fit = fit_parametric(sized.parameters, sized.tokens, sized.data.loss)
    draws = _draws(sized, fit, options)
    curve = _curve(fit, sized)
    # The exponent of the best size follows from the others.
    share = draws[:, 4:5] / (draws[:, 3:4] + draws[:, 4:5])
    found = estimates_of(
        [*curve.values.tolist(), fit.size_exponent],
        np.concatenate([draws, share], axis=1),
        np.unique(sized.data.run).size,
        options.level,
    )
    named = dict(zip((*_NAMES, "size_exponent"), found, strict=True))
    return sized_result(
        sized, curve, named, draws, options, _warnings(fit), objective=fit.objective
    )


def _draws(sized: SizedMeasurements, fit: ParametricFit, options: FitOptions) -> FloatArray:
    """Five constants and the median cost per parameter and token of each draw, shape (draws, 6)."""
    counts = draw_counts(sized.data, options)
    values = draw_parametric(fit, sized.parameters, sized.tokens, sized.data.loss, counts)
    medians = drawn_medians(sized.flops_per_parameter_token, counts)
    return np.concatenate([values, medians], axis=1)


def _curve(fit: ParametricFit, sized: SizedMeasurements) -> CurveFit:
    log_loss = np.log(sized.data.loss)
    return CurveFit(
        law="parametric",
        names=_NAMES,
        values=np.append(fit.values, np.median(sized.flops_per_parameter_token)),
        breaks=np.empty(0),
        n_free=len(PARAMETER_NAMES) + 1,
        rss=float(np.sum(fit.residuals**2)),
        tss=total_sum_of_squares(log_loss),
        fitted=log_loss + fit.residuals,
        free=("ln A", "ln B", "ln E", "alpha", "beta"),
        tangent=fit.jacobian,
    )


def _warnings(fit: ParametricFit) -> list[str]:
    sentences: list[str] = []
    if fit.alpha <= 0 or fit.beta <= 0:
        sentences.append("An exponent is not above zero: no best split of a budget exists.")
    if fit.E < _LEAST_OFFSET:
        sentences.append("The irreducible loss is not told from zero by these points.")
    return sentences
