"""Fit laws to a table: compare candidates, test breaks, find intervals from resampled units, and report them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.choice import (
    LawChoice,
    check_asked_breaks,
    choose_law,
    judge_unbroken,
)
from lilliput.analysis.inference.diagnostics import influence_of, residual_diagnostics
from lilliput.analysis.inference.draws import draw_parameters, draws_residuals, units_behind
from lilliput.analysis.inference.options import FitOptions, Rows, drawn_unit, resampled_facts
from lilliput.analysis.inference.results import BreakEstimate, LawCandidate, LawFit, estimates_of
from lilliput.analysis.inference.sample import FitSample, named_influence
from lilliput.analysis.inference.slope_change import (
    davies_p,
    exponent_against_cut,
    profile_interval,
)
from lilliput.analysis.inference.warnings import fit_warnings, plateau_exits
from lilliput.analysis.laws.base import BestSizeLaw, Law, SizedLaw
from lilliput.analysis.laws.curve import CurveFit, covariance_of
from lilliput.analysis.laws.forms import LawForm, check_breaks, fit_form, forms_for
from lilliput.analysis.laws.registry import AUTO, cost_law, law_named
from lilliput.analysis.sized_fit import fit_sized_law
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.sized import with_flops
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.wording import plural

# From so many runs, and such a share of them, the exits of a plateau are spoken of.
_FEWEST_EXITS, _SHARE_OF_EXITS = 3, 1 / 3


def analyse_fit(
    table: Table,
    *,
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions | None = None,
    reporter: Reporter = SILENT,
) -> LawFit:
    """Return the law of loss against cost in a table, with intervals.

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
    check_breaks(options.law, options.breaks)
    law = None if options.law == AUTO else law_named(options.law)
    if isinstance(law, BestSizeLaw):
        raise InputError(
            "a law of loss is needed here",
            got=f"{options.law}, a law of the best size",
            remedy=f"Take --law auto, or lilliput analyse fit --law {options.law}.",
        )
    _check_settings(law, options)
    if isinstance(law, SizedLaw):
        table = with_flops(table, flops)
    data = measurements_of(
        table, flops=flops, loss=loss, after_step=options.after_step, cluster=options.cluster
    )
    if isinstance(law, SizedLaw):
        return fit_sized_law(table, data, law, options, reporter=reporter)
    return fit_measurements(data, options, reporter=reporter)


def _check_settings(law: Law | None, options: FitOptions) -> None:
    """Raise where a setting of laws of size and tokens is given to a law that does not heed it.

    Raises:
        InputError: It is, or the setting is not above zero.
    """
    given = {"delta": options.delta, "offset": options.offset}
    for name, value in given.items():
        if value is None:
            continue
        if not (isinstance(law, SizedLaw) and law.takes_settings):
            raise InputError(
                f"--{name} is a setting of the laws of size and tokens",
                got=f"--law {options.law}",
                remedy="Take --law parametric or --law parametric_tied.",
            )
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"--{name} must be above zero", got=value)


def fit_measurements(
    data: Measurements, options: FitOptions, *, reporter: Reporter = SILENT
) -> LawFit:
    """Return the law of loss against cost in measurements (no law of size and tokens).

    Raises:
        InputError: Too few points or costs for the law.
    """
    sample = FitSample.of(data, options)
    flops = sample.flops
    _refuse_thin_data(flops, data.flops_column)
    forms = forms_for(options.law, options.breaks, np.unique(flops).size)
    unbroken = _fitted([form for form in forms if not form.n_breaks], sample)
    first, is_excluded = None, True
    if options.law == AUTO and options.breaks is None:
        first, is_excluded = judge_unbroken(unbroken, sample, options.seed)
    fits = unbroken + _fitted(
        [form for form in forms if form.n_breaks and (is_excluded or not form.is_costly)], sample
    )
    if not fits:
        raise InputError(
            f"law {options.law} needs more points in each piece", got=f"{flops.size} points"
        )
    if options.breaks is not None:
        choice = LawChoice(min(fits, key=lambda fit: fit.bic))
    elif first is not None and not is_excluded:
        choice = first
    else:
        choice = choose_law(fits, sample, options.seed, excluded=first)
    if options.law != AUTO or options.breaks:
        choice.tests += check_asked_breaks(choice.law, sample, options.seed)
    draws = draw_parameters(data, choice.law, options, reporter=reporter)
    found = _assemble(sample, choice, fits, draws)
    return replace(found, warnings=(*found.warnings, *_plateau_warning(data, choice, options)))


def _plateau_warning(data: Measurements, choice: LawChoice, options: FitOptions) -> tuple[str, ...]:
    """Warn of a break where many runs leave a plateau, and say whether finished runs show one too."""
    if not choice.law.breaks.size or options.points == "final":
        return ()
    exits, long_runs = plateau_exits(data)
    if len(exits) < _FEWEST_EXITS or len(exits) < _SHARE_OF_EXITS * long_runs:
        return ()
    said = (
        f"{len(exits)} of {plural(long_runs, 'run')} leave a plateau, between {min(exits):.3g} and {max(exits):.3g} FLOPs: "
        "the break may show when runs leave it, and not a change of the law of scale"
    )
    try:
        finals = replace(options, points="final", resamples=0)
        verdict = fit_measurements(data, finals).facts["verdict"]
    except InputError:
        return (f"{said}.",)
    there = "there is a break too" if verdict == "breaks" else "there is no break"
    return (f"{said}; with --points final {there}.",)


def _fitted(forms: list[LawForm], sample: FitSample) -> list[CurveFit]:
    fits = (fit_form(form, sample.flops, sample.loss) for form in forms)
    return [fit for fit in fits if fit is not None]


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


def _assemble(
    sample: FitSample, choice: LawChoice, fits: list[CurveFit], draws: FloatArray
) -> LawFit:
    """Return everything that is known about the chosen law, as one result.

    Args:
        sample: The points that entered the fit.
        choice: The law, and the tests of its breaks.
        fits: All candidates.
        draws: Its parameters and breaks refitted to resampled units.
    """
    data, rows, options = sample.data, sample.rows, sample.options
    chosen = choice.law
    flops, loss, runs = data.flops[rows], data.loss[rows], data.run[rows]
    log_flops, log_loss = np.log(flops), np.log(loss)
    clusters = drawn_unit(data, options)[1]
    behind = _clusters_behind(chosen, flops, clusters[rows], units_behind(data, chosen, options))
    found = estimates_of(chosen.parameter_vector().tolist(), draws, behind, options.level)
    count = chosen.values.size
    profiles = [
        profile_interval(log_flops, log_loss, chosen, i, options.level)
        for i in range(chosen.breaks.size)
    ]
    ranked = sorted(fits, key=lambda fit: fit.bic)
    doubts = fit_warnings(choice, ranked, sample, draws)
    return LawFit(
        law=chosen.law,
        parameters=dict(zip(chosen.names, found[:count], strict=True)),
        breaks=tuple(
            BreakEstimate(place.value, place.low, place.high, place.se, *profile)
            for place, profile in zip(found[count:], profiles, strict=True)
        ),
        r2=chosen.r2,
        bic=chosen.bic,
        aicc=chosen.aicc,
        n=chosen.n,
        candidates=tuple(LawCandidate.of(fit) for fit in ranked),
        warnings=(*data.warnings, *doubts),
        curve=chosen,
        flops=flops,
        loss=loss,
        runs=tuple(data.run_names[code] for code in runs.tolist()),
        draws=draws,
        covariance=covariance_of(chosen),
        diagnostics=residual_diagnostics(chosen, log_flops, log_loss, sample.units),
        break_tests={
            "davies_p": davies_p(log_flops, log_loss),
            "bootstrap": [test.as_record() for test in choice.tests],
            "left_out": [left.as_record() for left in choice.left_out],
        },
        cut_sensitivity=exponent_against_cut(flops, loss),
        facts={
            "verdict": choice.verdict,
            **_facts(data, rows, options, chosen),
            "influence": named_influence(influence_of(chosen, log_loss, sample.units), data),
        },
    )


def _clusters_behind(
    fit: CurveFit, flops: FloatArray, clusters: NDArray[np.intp], every: int
) -> list[int]:
    """Return how many clusters inform each parameter and break.

    For a parameter they are those on its piece; for a break, those on the side that has fewer.
    """
    piece = cost_law(fit.law).pieces(fit, flops)
    if piece is None:
        return [every] * fit.parameter_vector().size
    on_piece = [int(np.unique(clusters[piece == i]).size) for i in range(fit.breaks.size + 1)]
    both_sides = [min(pair) for pair in itertools.pairwise(on_piece)]
    each = fit.values.size // len(on_piece)
    return [count for count in on_piece for _ in range(each)] + both_sides


def _facts(data: Measurements, rows: Rows, options: FitOptions, law: CurveFit) -> dict[str, Any]:
    resampled = resampled_facts(data, options)
    if draws_residuals(data, law, options):
        resampled["resampled"] = "residual"
    return {
        "flops_column": data.flops_column,
        "loss_column": data.loss_column,
        "points_kind": options.points,
        "frontier_method": options.frontier_method if options.points == "frontier" else None,
        "finished_only": options.finished_only,
        "after_step": options.after_step,
        "n_runs": int(np.unique(data.run).size),
        "n_runs_on_points": int(np.unique(data.run[rows]).size),
        "n_measurements": len(data),
        "refused": dict(data.refused),
        "resamples": options.resamples,
        "resample": options.resample,
        **resampled,
        "level": options.level,
        "seed": options.seed,
    }
