"""Fitting laws to a table: candidates compared, breaks tested, intervals from resampled runs."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis._verdicts import fit_warnings
from lilliput.analysis.breaks import (
    BreakTest,
    bootstrap_break_test,
    davies_p,
    exponent_against_cut,
    profile_interval,
)
from lilliput.analysis.candidates import Form, Law, fit_form, forms_for
from lilliput.analysis.curves import CurveFit, covariance_of
from lilliput.analysis.diagnostics import residual_diagnostics
from lilliput.analysis.frontier import FrontierMethod, frontier_rows
from lilliput.analysis.measurements import Measurements, measurements_of
from lilliput.analysis.parametric_law import fit_parametric_law
from lilliput.analysis.resampling import Resample, cluster_draws, expanded_bounds, spread
from lilliput.analysis.results import BreakEstimate, Candidate, Estimate, LawFit
from lilliput.analysis.table import Table
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]
Points = Literal["frontier", "final", "all"]
POINTS: tuple[Points, ...] = get_args(Points)
DEFAULT_RESAMPLES = 500
SIMULATIONS = 200
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class FitOptions:
    """How a law is fitted.

    Attributes:
        law: "auto" compares the laws; otherwise the one to fit.
        breaks: Number of breaks; None lets the data decide.
        points: "frontier" (compute-optimal points), "final" (last point of each run) or "all".
        frontier_method: How the frontier is found.
        finished_only: Whether unfinished training is left out of the frontier.
        resamples: Bootstrap draws; zero for no intervals.
        resample: What is drawn: runs, seeds, or both.
        level: Coverage of the intervals.
        seed: Of all draws.
    """

    law: Law = "auto"
    breaks: int | None = None
    points: Points = "frontier"
    frontier_method: FrontierMethod = "paper"
    finished_only: bool = False
    resamples: int = DEFAULT_RESAMPLES
    resample: Resample = "run"
    level: float = 0.95
    seed: int = 0


def analyse_fit(
    table: Table,
    *,
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions | None = None,
    reporter: Reporter = SILENT,
) -> LawFit:
    """The law of loss against cost in a table, with intervals.

    Args:
        table: One row a measurement.
        flops: Cost column or convention; by default the table's.
        loss: Loss column; by default `loss`, else `loss_reference` with a warning.
        options: Law, points, resampling.
        reporter: Where progress goes.

    Raises:
        InputError: The table has no usable columns, or too few points for the law.
    """
    options = options or FitOptions()
    data = measurements_of(table, flops=flops, loss=loss)
    if options.law != "parametric":
        return fit_measurements(data, options, reporter=reporter)
    return fit_parametric_law(
        table,
        data,
        points=options.points,
        resamples=options.resamples,
        resample=options.resample,
        level=options.level,
        seed=options.seed,
        reporter=reporter,
    )


def fit_measurements(
    data: Measurements, options: FitOptions, *, reporter: Reporter = SILENT
) -> LawFit:
    """The law of loss against cost in measurements (every law but "parametric", which needs sizes).

    Raises:
        InputError: Too few points or costs for the law.
    """
    rows = pick_points(data, np.arange(len(data)), options)
    flops, loss, runs = data.flops[rows], data.loss[rows], data.run[rows]
    _refuse_thin_data(flops, data.flops_column)
    forms = forms_for(options.law, options.breaks, np.unique(flops).size)
    fits = [fit for form in forms if (fit := fit_form(form, flops, loss)) is not None]
    if not fits:
        raise InputError(
            f"law {options.law} needs more points in each piece", got=f"{flops.size} points"
        )
    chosen, tests = _choose(fits, flops, loss, runs, options)
    draws = draw_parameters(data, chosen, options, reporter=reporter)
    return _assemble(data, rows, chosen, fits, tests, draws, options)


def pick_points(data: Measurements, rows: Rows, options: FitOptions) -> Rows:
    """The rows that enter the fit, of those given (with repetitions, in a bootstrap draw).

    Raises:
        InputError: No finished run is among them although only those were asked for.
    """
    if options.points == "all":
        return rows
    if options.points == "final" or options.finished_only:
        rows = rows[data.is_final[rows]]
        if rows.size == 0:
            raise InputError("the table must mark finished runs in is_final", got="none")
    if options.points == "final":
        return rows
    return rows[frontier_rows(data.flops[rows], data.loss[rows], options.frontier_method)]


def _refuse_thin_data(flops: FloatArray, column: str) -> None:
    distinct = np.unique(flops).size
    if distinct < 2:
        raise InputError(
            f"a law needs at least two different values of {column}",
            got=f"{distinct} ({float(flops[0]):.6g})",
            remedy="Add runs of other sizes, or take --points all.",
        )
    if distinct < 3:
        raise InputError(
            f"a law needs at least three points with different {column}",
            got=distinct,
            remedy="Add runs, or take --points all.",
        )


def _choose(
    fits: list[CurveFit],
    flops: FloatArray,
    loss: FloatArray,
    runs: NDArray[np.intp],
    options: FitOptions,
) -> tuple[CurveFit, list[BreakTest]]:
    """The fit of lowest BIC whose breaks survive the test against fewer breaks."""
    best = min(fits, key=lambda fit: fit.bic)
    tests: list[BreakTest] = []
    if options.law != "auto" or options.breaks is not None or best.breaks.size == 0:
        return best, tests
    allowed = 0
    while allowed < best.breaks.size:
        null = min((f for f in fits if f.breaks.size == allowed), key=lambda fit: fit.bic)
        test = bootstrap_break_test(
            np.log(flops),
            np.log(loss),
            runs,
            null,
            simulations=SIMULATIONS,
            seed=options.seed,
        )
        tests.append(test)
        if test.p >= SIGNIFICANCE:
            break
        allowed += 1
    return min((f for f in fits if f.breaks.size <= allowed), key=lambda fit: fit.bic), tests


def draw_parameters(
    data: Measurements,
    parent: CurveFit,
    options: FitOptions,
    *,
    share: float = 1.0,
    reporter: Reporter = SILENT,
) -> FloatArray:
    """Parameters and breaks refitted to resampled runs.

    Args:
        data: The measurements.
        parent: The law fitted to all of them; the draws fit the same form.
        options: Points, number of draws, what is drawn.
        share: Share of the runs in each draw.
        reporter: Where progress goes.

    Returns:
        Shape (resamples, parameters + breaks), NaN where a draw cannot carry the law.
    """
    form = Form(parent.law, int(parent.breaks.size))
    draws = np.full((options.resamples, parent.parameter_vector().size), np.nan)
    if np.unique(data.run).size < 2:
        return draws
    every = cluster_draws(
        data.run,
        resamples=options.resamples,
        seed=options.seed,
        way=options.resample,
        groups=data.group,
        share=share,
    )
    with reporter.task("resampling runs", options.resamples, "draws") as task:
        for i, rows in enumerate(every):
            draws[i] = _refit(data, rows, form, parent, options)
            task.advance()
    return draws


def _refit(
    data: Measurements, rows: Rows, form: Form, parent: CurveFit, options: FitOptions
) -> FloatArray:
    nothing = np.full(parent.parameter_vector().size, np.nan)
    if options.points == "final" or options.finished_only:
        rows = rows[data.is_final[rows]]
        if rows.size == 0:
            return nothing
    chosen = pick_points(data, rows, options)
    flops, loss = data.flops[chosen], data.loss[chosen]
    if np.unique(flops).size < max(form.n_free - 1, 2):
        return nothing
    fit = fit_form(form, flops, loss, start=parent)
    return nothing if fit is None else fit.parameter_vector()


def _assemble(
    data: Measurements,
    rows: Rows,
    chosen: CurveFit,
    fits: list[CurveFit],
    tests: list[BreakTest],
    draws: FloatArray,
    options: FitOptions,
) -> LawFit:
    flops, loss, runs = data.flops[rows], data.loss[rows], data.run[rows]
    log_flops, log_loss = np.log(flops), np.log(loss)
    clusters = data.group if options.resample == "both" else data.run
    behind = _clusters_behind(chosen, flops, clusters[rows], int(np.unique(clusters).size))
    low, high = expanded_bounds(draws, behind, options.level)
    se = spread(draws)
    count = chosen.values.size
    parameters = {
        name: Estimate(*_row(chosen.values[i], low[i], high[i], se[i]))
        for i, name in enumerate(chosen.names)
    }
    breaks = tuple(
        BreakEstimate(
            *_row(
                value, *_over_gap(chosen, flops, i, low[count + i], high[count + i]), se[count + i]
            ),
            *_profile(log_flops, log_loss, chosen, i, options.level),
        )
        for i, value in enumerate(chosen.breaks.tolist())
    )
    ranked = sorted(fits, key=lambda fit: fit.bic)
    return LawFit(
        law=chosen.law,
        parameters=parameters,
        breaks=breaks,
        r2=chosen.r2,
        bic=chosen.bic,
        aicc=chosen.aicc,
        n=chosen.n,
        candidates=tuple(Candidate.of(fit) for fit in ranked),
        warnings=(*data.warnings, *fit_warnings(chosen, ranked, tests, flops, runs, draws)),
        curve=chosen,
        flops=flops,
        loss=loss,
        runs=tuple(data.run_names[code] for code in runs.tolist()),
        draws=draws,
        covariance=covariance_of(chosen),
        diagnostics=residual_diagnostics(chosen, log_flops, log_loss, runs),
        break_tests={
            "davies_p": davies_p(log_flops, log_loss),
            "bootstrap": [test.as_record() for test in tests],
        },
        cut_sensitivity=exponent_against_cut(flops, loss),
        facts=_facts(data, rows, options),
    )


def _clusters_behind(
    fit: CurveFit, flops: FloatArray, clusters: NDArray[np.intp], every: int
) -> list[int]:
    """Clusters that inform each parameter and break: those on its piece, or on the thinner side."""
    if fit.law not in ("segmented", "segmented_jumps"):
        return [every] * fit.parameter_vector().size
    piece = np.searchsorted(fit.breaks, flops, side="left")
    on_piece = [int(np.unique(clusters[piece == i]).size) for i in range(fit.breaks.size + 1)]
    both_sides = [min(pair) for pair in itertools.pairwise(on_piece)]
    return [n for count in on_piece for n in (count, count)] + both_sides


def _facts(data: Measurements, rows: Rows, options: FitOptions) -> dict[str, Any]:
    return {
        "flops_column": data.flops_column,
        "loss_column": data.loss_column,
        "points_kind": options.points,
        "frontier_method": options.frontier_method if options.points == "frontier" else None,
        "finished_only": options.finished_only,
        "n_runs": int(np.unique(data.run).size),
        "n_runs_on_points": int(np.unique(data.run[rows]).size),
        "n_measurements": len(data),
        "refused": dict(data.refused),
        "resamples": options.resamples,
        "resample": options.resample,
        "level": options.level,
        "seed": options.seed,
    }


def _over_gap(
    fit: CurveFit, flops: FloatArray, index: int, low: float, high: float
) -> tuple[float, float]:
    """Bounds of a jump stretched over the gap it lies in: nothing tells where inside it happens."""
    if fit.law != "segmented_jumps" or math.isnan(low):
        return low, high
    place = fit.breaks[index]
    return min(low, flops[flops <= place].max()), max(high, flops[flops > place].min())


def _row(
    value: float, low: float, high: float, se: float
) -> tuple[float, float | None, float | None, float | None]:
    """An estimate's numbers, None for those the draws could not give."""
    bounds = (None if math.isnan(bound) else float(bound) for bound in (low, high, se))
    return float(value), next(bounds), next(bounds), next(bounds)


def _profile(
    log_flops: FloatArray, log_loss: FloatArray, fit: CurveFit, index: int, level: float
) -> tuple[float | None, float | None]:
    if fit.law != "segmented":
        return None, None
    return profile_interval(log_flops, log_loss, fit, index, level)
