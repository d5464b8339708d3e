"""Refit a law to resampled runs, or to new residuals where units are too few to draw.

Six finished runs drawn with repetition leave about four different ones in a draw, so that intervals were more
than twice as wide as Student's t makes them. With fewer than ten units of one point each the costs therefore
stay: each draw adds normal noise to the fitted curve and is fitted anew. The noise of each draw has a size of
its own, as the six residuals say only roughly how large it is: for a straight line the draws follow Student's t
exactly.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from lilliput.analysis.inference.options import (
    FitOptions,
    Rows,
    drawn_rows,
    drawn_unit,
    pick_points,
)
from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.forms import LawForm, fit_form, floor_pair
from lilliput.analysis.laws.registry import cost_law
from lilliput.analysis.table.measurements import Measurements
from lilliput.core.arrays import FloatArray
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator

FEW_UNITS = 10
# Draws that hold Student's tails themselves are read at the level itself, as from so many units.
_MANY = 10**9


def draws_residuals(data: Measurements, law: CurveFit, options: FitOptions) -> bool:
    """Say whether a law without breaks rests on fewer than ten units of one point each, off a frontier."""
    if options.points == "frontier" or law.breaks.size or options.resample not in ("unit", "run"):
        return False
    rows = _rows(data, options)
    units = drawn_unit(data, options)[1][rows]
    is_single = np.unique(units).size == rows.size
    return is_single and rows.size < FEW_UNITS and rows.size == law.n and _room(law) >= 1


def units_behind(data: Measurements, law: CurveFit, options: FitOptions) -> int:
    """Return as from how many units draws of a law are read; a huge number where residuals were drawn."""
    if draws_residuals(data, law, options):
        return _MANY
    return int(np.unique(drawn_unit(data, options)[1]).size)


def simulated_losses(law: CurveFit, draws: int, seed: int) -> FloatArray:
    """Return losses on the curve with new noise, shape (draws, points).

    The noise has the standard deviation of the residuals, divided in each draw by the root of a chi-squared
    variate over its degrees of freedom. These are spread evenly over their distribution, and all noise is used
    with both signs, so that a few hundred draws reach the tails on both sides alike.
    """
    rng = generator(seed, "few-units", law.law)
    half = -(-draws // 2)
    even = rng.permutation((np.arange(half) + 0.5) / max(half, 1))
    size = np.sqrt(law.rss / stats.chi2.ppf(even, _room(law)))
    noise = size[:, None] * rng.standard_normal((half, law.n))
    return np.exp(law.fitted + np.concatenate([noise, -noise])[:draws])


def _room(law: CurveFit) -> int:
    """Return the degrees of freedom of the residuals; the noise variance counts among `n_free`."""
    return law.n - law.n_free + 1


def _rows(data: Measurements, options: FitOptions) -> Rows:
    return pick_points(data, np.arange(len(data)), options)


def draw_parameters(
    data: Measurements,
    parent: CurveFit,
    options: FitOptions,
    *,
    share: float = 1.0,
    reporter: Reporter = SILENT,
) -> FloatArray:
    """Return parameters and breaks refitted to resampled runs.

    Args:
        data: The measurements.
        parent: The law fitted to all of them; the draws fit the same form.
        options: Points, number of draws, what is drawn.
        share: Share of the runs in each draw.
        reporter: Where progress goes.

    Returns:
        Shape (resamples, parameters + breaks), NaN where a draw cannot carry the law.
    """
    form = LawForm(parent.law, int(parent.breaks.size))
    draws = np.full((options.resamples, parent.parameter_vector().size), np.nan)
    if np.unique(data.run).size < 2:
        return draws
    if share == 1.0 and draws_residuals(data, parent, options):
        return _draw_residuals(data, form, parent, options)
    every = drawn_rows(data, options, share=share)
    with reporter.task("resampling runs", options.resamples, "draws") as task:
        for i, rows in enumerate(every):
            draws[i] = _refit(data, rows, form, parent, options)
            task.advance()
    if cost_law(parent.law).breaks_lie_in_gaps:
        _place_in_gaps(draws[:, parent.values.size :], data, options)
    return draws


def _draw_residuals(
    data: Measurements, form: LawForm, parent: CurveFit, options: FitOptions
) -> FloatArray:
    """Parameters refitted to new residuals on the fitted curve, shape (resamples, parameters)."""
    flops = data.flops[pick_points(data, np.arange(len(data)), options)]
    losses = simulated_losses(parent, options.resamples, options.seed)
    fits = (fit_form(form, flops, loss, start=parent) for loss in losses)
    nothing = np.full(parent.parameter_vector().size, np.nan)
    found = [nothing if fit is None else fit.parameter_vector() for fit in fits]
    return np.array(found).reshape(-1, nothing.size)


def draw_with_and_without_floor(
    data: Measurements, law: str, options: FitOptions
) -> list[CurveFit]:
    """Return a law of each draw of units, above a floor or not; none where it has no such twin.

    Which of the two is drawn with the weights that their BIC gives them in that draw: far beyond the data
    the two laws differ, and where the data allow both, an interval must cover both.

    Source: weights exp(-BIC / 2), Raftery, "Bayesian Model Selection in Social Research", Sociological
        Methodology 25, 1995.
    """
    rng = generator(options.seed, "floor-weights")
    curves: list[CurveFit] = []
    pair = floor_pair(law)
    if pair is None or np.unique(data.group).size < 2:
        return curves
    plain, floored = (LawForm(name) for name in pair)
    for rows in drawn_rows(data, options):
        usable = rows[data.is_final[rows]] if options.points == "final" else rows
        if usable.size == 0:
            continue
        chosen = pick_points(data, usable, options)
        flops, loss = data.flops[chosen], data.loss[chosen]
        if np.unique(flops).size < floored.n_free:
            continue
        without, above = fit_form(plain, flops, loss), fit_form(floored, flops, loss)
        assert without is not None
        assert above is not None
        odds = np.exp(np.clip((without.bic - above.bic) / 2, -50, 50))
        curves.append(above if rng.random() < odds / (1 + odds) else without)
    return curves


def _refit(
    data: Measurements, rows: Rows, form: LawForm, parent: CurveFit, options: FitOptions
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
    if fit is None:
        return nothing
    if not cost_law(fit.law).breaks_lie_in_gaps:
        return fit.parameter_vector()
    return np.concatenate([fit.values, _nearest_to_parent(fit.breaks, parent.breaks, flops)])


def _nearest_to_parent(breaks: FloatArray, parent: FloatArray, flops: FloatArray) -> FloatArray:
    """Return the jumps of a draw, moved to where all the data put them if the gap of the draw holds that place.

    A draw lacks points, so that its gaps are wider than those of the data.
    """
    low = np.array([flops[flops <= place].max() for place in breaks])
    high = np.array([flops[flops > place].min() for place in breaks])
    return np.where((low < parent) & (parent < high), parent, breaks)


def _place_in_gaps(jumps: FloatArray, data: Measurements, options: FitOptions) -> None:
    """Put each draw's jumps anywhere in the gap of the data they lie in, evenly in the logarithm.

    The data do not show where inside its gap a jump happens, and the interval must cover the whole gap.
    """
    every = np.sort(data.flops[pick_points(data, np.arange(len(data)), options)])
    known = np.isfinite(jumps)
    above = np.clip(np.searchsorted(every, jumps[known], side="left"), 1, every.size - 1)
    share = generator(options.seed, "jump-places").random(above.size)
    jumps[known] = every[above - 1] ** (1 - share) * every[above] ** share


def draw_counts(data: Measurements, options: FitOptions) -> FloatArray:
    """Return how often each point is in each draw of runs, shape (draws, points); none for a single run."""
    if options.resamples == 0 or np.unique(data.run).size < 2:
        return np.empty((0, len(data)))
    every = drawn_rows(data, options)
    return np.stack([np.bincount(rows, minlength=len(data)) for rows in every]).astype(np.float64)
