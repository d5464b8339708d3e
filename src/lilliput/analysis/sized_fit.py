"""Fit a law of size and tokens to a table, with intervals from resampled units."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lilliput.analysis.inference.diagnostics import influence_of, residual_diagnostics
from lilliput.analysis.inference.draws import draw_counts
from lilliput.analysis.inference.options import FitOptions, drawn_unit, resampled_facts
from lilliput.analysis.inference.results import Estimate, LawCandidate, LawFit, estimates_of
from lilliput.analysis.inference.sample import named_influence
from lilliput.analysis.laws.base import SizedFit, SizedLaw, SizedPoints, SizedSettings
from lilliput.analysis.laws.curve import CurveFit, huber_covariance_of
from lilliput.analysis.laws.parametric import HUBER_DELTA
from lilliput.analysis.laws.registry import curve_law
from lilliput.analysis.table.measurements import Measurements
from lilliput.analysis.table.sized import (
    MANY_RUNS,
    SizedMeasurements,
    collinearity,
    is_ladder,
    require_column,
    sized_measurements,
)
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.progress import SILENT, Reporter


def fit_sized_law(
    table: Table,
    data: Measurements,
    law: SizedLaw,
    options: FitOptions,
    *,
    reporter: Reporter = SILENT,
) -> LawFit:
    """Return the constants of a law of size and tokens with intervals.

    Args:
        table: As `sized_measurements` needs it, with `unique_tokens` where the law needs them.
        data: The table's measurements.
        law: The law.
        options: Points, resampling.
        reporter: Where progress goes.

    Raises:
        InputError: A column is missing, or the points cannot carry the law.
    """
    sized, points = _points(table, data, law, options)
    with reporter.task(f"fitting the {law.label}"):
        fit = law.fit(points)
    counts = draw_counts(sized.data, options)
    with reporter.task("resampling runs"):
        draws = law.draw(points, fit.curve, counts)
    values, drawn = law.derived(fit.curve.values), law.derived(draws)
    found = estimates_of(
        [*fit.curve.values.tolist(), *(float(value) for value in values.values())],
        np.concatenate([draws, *(column[:, None] for column in drawn.values())], axis=1),
        np.unique(drawn_unit(sized.data, options)[1]).size,
        options.level,
    )
    parameters = dict(zip((*fit.curve.names, *values), found, strict=True))
    return _result(sized, points, fit, parameters, draws, options)


def _ladder(sized: SizedMeasurements) -> list[str]:
    """Warn where sizes and tokens move together, so that their exponents cannot be separated."""
    if not is_ladder(sized.parameters, sized.tokens):
        return []
    together = collinearity(sized.parameters, sized.tokens)
    return [
        f"Sizes and tokens move together (correlation of ln N and ln D {together:.3f}): alpha and beta "
        "cannot be separated; add runs of several sizes at one cost."
    ]


def _points(
    table: Table, data: Measurements, law: SizedLaw, options: FitOptions
) -> tuple[SizedMeasurements, SizedPoints]:
    """Return the measurements that the law takes, and the same as arrays."""
    if law.needs_unique_tokens:
        require_column(table, "unique_tokens", f"the {law.label}")
    sized = sized_measurements(table, data, options.points)
    unique = None
    if law.needs_unique_tokens:
        unique = table.number("unique_tokens")[np.searchsorted(table.lines, sized.data.lines)]
        sized, unique = sized.select(unique > 0, "no unique_tokens"), unique[unique > 0]
    found = sized.data
    settings = SizedSettings(options.delta or HUBER_DELTA, options.offset)
    weights = _weights(table, sized) if law.takes_settings else None
    if weights is not None:
        said = "Points were weighted by 1 / loss_se^2 (relative to the loss)."
        sized = replace(sized, warnings=(*sized.warnings, said))
    points = SizedPoints(
        found.flops, found.loss, sized.parameters, sized.tokens, unique, weights, settings
    )
    return sized, points


def _weights(table: Table, sized: SizedMeasurements) -> FloatArray | None:
    """Return the weight of each point by the column `loss_se`, of mean one; None where some point has none."""
    if "loss_se" not in table or sized.data.loss_column != "loss":
        return None
    se = table.number("loss_se")[np.searchsorted(table.lines, sized.data.lines)]
    if not (se > 0).all():
        return None
    weights = (sized.data.loss / se) ** 2
    return weights / weights.mean()


def _result(
    sized: SizedMeasurements,
    points: SizedPoints,
    fit: SizedFit,
    parameters: dict[str, Estimate],
    draws: FloatArray,
    options: FitOptions,
) -> LawFit:
    data, curve = sized.data, fit.curve
    n_runs = int(np.unique(data.run).size)
    few = [f"There are {n_runs} runs only: the intervals are rough."] if n_runs < MANY_RUNS else []
    return LawFit(
        law=curve.law,
        parameters=parameters,
        breaks=(),
        r2=curve.r2,
        bic=curve.bic,
        aicc=curve.aicc,
        n=curve.n,
        candidates=(LawCandidate.of(curve),),
        warnings=(
            *data.warnings,
            *sized.warnings,
            *fit.warnings,
            *_at_bounds(fit.curve, parameters),
            *_ladder(sized),
            *few,
        ),
        curve=curve,
        flops=data.flops,
        loss=data.loss,
        runs=tuple(data.run_names[code] for code in data.run.tolist()),
        draws=draws,
        covariance=huber_covariance_of(
            curve, curve.fitted - np.log(data.loss), points.settings.delta
        ),
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
            **resampled_facts(data, options),
            "collinearity": collinearity(sized.parameters, sized.tokens),
            "level": options.level,
            "seed": options.seed,
            **fit.facts,
            "influence": named_influence(
                influence_of(curve, np.log(data.loss), data.group, points.settings.delta), data
            ),
        },
        sizes=_sizes(points),
    )


def _sizes(points: SizedPoints) -> dict[str, FloatArray]:
    """Return the sizes and tokens of the points by the names of their columns."""
    unique = {} if points.unique_tokens is None else {"unique_tokens": points.unique_tokens}
    return {"num_parameters": points.parameters, "tokens_seen": points.tokens, **unique}


def _at_bounds(curve: CurveFit, parameters: dict[str, Estimate]) -> list[str]:
    """Return a sentence for each parameter that the points do not identify."""
    sentences: list[str] = []
    for name, end in curve_law(curve.law).at_bound(curve.values).items():
        found = parameters[name]
        other = found.low if end == "highest" else found.high
        side = "above" if end == "highest" else "below"
        beyond = "" if other is None else f" It may be any number {side} {other:.3g}."
        sentences.append(
            f"{name} is not identified: its fit ended at the {end} value of its search ({found.value:.3g})."
            f"{beyond}"
        )
    return sentences
