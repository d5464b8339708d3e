"""Assemble the result of a fit from the curve, its rivals, tests and draws."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.choice import LawChoice
from lilliput.analysis.inference.diagnostics import residual_diagnostics
from lilliput.analysis.inference.few_units import draws_residuals, units_behind
from lilliput.analysis.inference.options import FitOptions, Rows, drawn_unit, resampled_facts
from lilliput.analysis.inference.profile_likelihood import profile_interval
from lilliput.analysis.inference.results import BreakEstimate, LawCandidate, LawFit, estimates_of
from lilliput.analysis.inference.sample import FitSample
from lilliput.analysis.inference.slope_change import davies_p, exponent_against_cut
from lilliput.analysis.inference.warnings import fit_warnings
from lilliput.analysis.laws.curve import CurveFit, covariance_of
from lilliput.analysis.laws.registry import cost_law
from lilliput.analysis.table.measurements import Measurements
from lilliput.core.arrays import FloatArray


def assemble(
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
        facts={"verdict": choice.verdict, **_facts(data, rows, options, chosen)},
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
