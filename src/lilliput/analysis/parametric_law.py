"""The parametric law L(N, D) fitted to a table, with intervals from resampled runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.curves import CurveFit, covariance_of, total_sum_of_squares
from lilliput.analysis.diagnostics import residual_diagnostics
from lilliput.analysis.measurements import Measurements
from lilliput.analysis.parametric import (
    PARAMETER_NAMES,
    ParametricFit,
    draw_parametric,
    fit_parametric,
)
from lilliput.analysis.resampling import Resample, cluster_draws, expanded_bounds, spread
from lilliput.analysis.results import Candidate, Estimate, LawFit
from lilliput.analysis.table import Table
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter

FloatArray = NDArray[np.float64]
_NAMES = (*PARAMETER_NAMES, "flops_per_parameter_token")
_FLOPS_PER_PARAMETER_TOKEN = 6.0
_MANY_RUNS = 10


@dataclass(frozen=True)
class SizedMeasurements:
    """Measurements with parameters N and tokens D, shape (points,) each, and warnings about them."""

    data: Measurements
    parameters: FloatArray
    tokens: FloatArray
    warnings: tuple[str, ...]


def fit_parametric_law(
    table: Table,
    data: Measurements,
    *,
    points: str,
    resamples: int,
    resample: Resample,
    level: float,
    seed: int,
    reporter: Reporter = SILENT,
) -> LawFit:
    """The five constants of L(N, D) with intervals; the curve is that of optimally split budgets.

    Args:
        table: Needs `num_parameters`, and `tokens_seen` (else positions, else cost / 6N).
        data: The table's measurements.
        points: "all" takes every point; "final" and "frontier" take finished runs where there are ten.
        resamples: Bootstrap draws.
        resample: What is drawn.
        level: Coverage.
        seed: Of the draws.
        reporter: Where progress goes.

    Raises:
        InputError: The table has no parameters, or too few points or sizes.
    """
    sized = sized_measurements(table, data, points)
    data = sized.data
    with reporter.task("fitting L(N, D) from 4,500 starts"):
        fit = fit_parametric(sized.parameters, sized.tokens, data.loss)
    constants = data.flops / (sized.parameters * sized.tokens)
    draws = _draws(sized, fit, constants, resamples, resample, seed)
    curve = _curve(fit, data, float(np.median(constants)))
    n_runs = int(np.unique(data.run).size)
    options = {"points_kind": points, "resamples": resamples, "resample": resample}
    options |= {"level": level, "seed": seed}
    return LawFit(
        law="parametric",
        parameters=_estimates(fit, curve, draws, n_runs, level),
        breaks=(),
        r2=curve.r2,
        bic=curve.bic,
        aicc=curve.aicc,
        n=curve.n,
        candidates=(Candidate.of(curve),),
        warnings=(*data.warnings, *sized.warnings, *_warnings(fit, n_runs)),
        curve=curve,
        flops=data.flops,
        loss=data.loss,
        runs=tuple(data.run_names[code] for code in data.run.tolist()),
        draws=draws,
        covariance=covariance_of(curve),
        diagnostics=residual_diagnostics(curve, np.log(data.flops), np.log(data.loss), data.run),
        facts=_facts(data, fit, n_runs) | options,
    )


def _facts(data: Measurements, fit: ParametricFit, n_runs: int) -> dict[str, Any]:
    return {
        "flops_column": data.flops_column,
        "loss_column": data.loss_column,
        "objective": fit.objective,
        "n_runs": n_runs,
        "refused": dict(data.refused),
    }


def _estimates(
    fit: ParametricFit, curve: CurveFit, draws: FloatArray, n_runs: int, level: float
) -> dict[str, Estimate]:
    """The constants with their intervals, and the exponent of the best size, beta / (alpha + beta)."""
    share = draws[:, 4:5] / (draws[:, 3:4] + draws[:, 4:5])
    every = np.concatenate([draws, share], axis=1)
    low, high = expanded_bounds(every, n_runs, level)
    se = spread(every)
    values = [*curve.values.tolist(), fit.size_exponent]
    return {
        name: Estimate(value, *_known(low[i], high[i], se[i]))
        for i, (name, value) in enumerate(zip((*_NAMES, "size_exponent"), values, strict=True))
    }


def sized_measurements(table: Table, data: Measurements, points: str) -> SizedMeasurements:
    """The measurements that have parameters and tokens.

    Raises:
        InputError: The table has no num_parameters.
    """
    if "num_parameters" not in table:
        raise InputError(
            f"{table.source} must have a column num_parameters for the parametric law",
            got=", ".join(table.columns),
            remedy="Name the column that holds it: --column num_parameters=HEADER",
        )
    rows = np.searchsorted(table.lines, data.lines)
    parameters = table.number("num_parameters")[rows]
    tokens, warnings = _tokens(table, data, parameters, rows)
    keep = (parameters > 0) & (tokens > 0)
    finals = keep & data.is_final
    if (
        points != "all"
        and np.unique(parameters[finals]).size >= _MANY_RUNS
        and _tokens_vary(tokens[finals])
    ):
        keep = finals
    elif points != "all":
        warnings = (
            *warnings,
            "Finished runs do not vary in both size and tokens: all points were used.",
        )
    return SizedMeasurements(data.select(keep), parameters[keep], tokens[keep], warnings)


def _tokens_vary(tokens: FloatArray) -> bool:
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


def _draws(
    sized: SizedMeasurements,
    fit: ParametricFit,
    constants: FloatArray,
    resamples: int,
    resample: Resample,
    seed: int,
) -> FloatArray:
    """Five constants and the median cost per parameter and token of each draw."""
    data = sized.data
    if resamples == 0 or np.unique(data.run).size < 2:
        return np.full((resamples, len(_NAMES)), np.nan)
    every = list(
        cluster_draws(data.run, resamples=resamples, seed=seed, way=resample, groups=data.group)
    )
    counts = np.stack([np.bincount(rows, minlength=len(data)) for rows in every]).astype(np.float64)
    values = draw_parametric(fit, sized.parameters, sized.tokens, data.loss, counts)
    medians = np.array([[np.median(constants[rows])] for rows in every])
    return np.concatenate([values, medians], axis=1)


def _curve(fit: ParametricFit, data: Measurements, constant: float) -> CurveFit:
    log_loss = np.log(data.loss)
    return CurveFit(
        law="parametric",
        names=_NAMES,
        values=np.append(fit.values, constant),
        breaks=np.empty(0),
        n_free=len(PARAMETER_NAMES) + 1,
        rss=float(np.sum(fit.residuals**2)),
        tss=total_sum_of_squares(log_loss),
        fitted=log_loss + fit.residuals,
        free=("ln A", "ln B", "ln E", "alpha", "beta"),
        tangent=fit.jacobian,
    )


def _known(low: float, high: float, se: float) -> tuple[float | None, float | None, float | None]:
    bounds = (None if math.isnan(x) else float(x) for x in (low, high, se))
    return next(bounds), next(bounds), next(bounds)


def _warnings(fit: ParametricFit, n_runs: int) -> list[str]:
    sentences: list[str] = []
    if fit.alpha <= 0 or fit.beta <= 0:
        sentences.append("An exponent is not above zero: no best split of a budget exists.")
    if fit.E < 1e-3:
        sentences.append("The irreducible loss is not told from zero by these points.")
    if n_runs < _MANY_RUNS:
        sentences.append(f"There are {n_runs} runs only: the intervals are rough.")
    return sentences
