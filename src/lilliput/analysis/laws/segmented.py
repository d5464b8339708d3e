"""Fit broken power laws: straight pieces in log-log that meet at the breaks, or may jump there."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.laws.base import BreakProfile, CostLaw
from lilliput.analysis.laws.curve import CurveFit, line_coefficients, total_sum_of_squares
from lilliput.analysis.laws.equation import Equation, pieces_equation
from lilliput.analysis.laws.piecewise import (
    AggregatedPoints,
    aggregate,
    best_knot,
    best_splits,
    hinge_design,
    knot_candidates,
    refine_knots,
    rss_at,
    rss_of_splits,
    search_knots,
)
from lilliput.analysis.laws.registry import register_law
from lilliput.core.arrays import FloatArray

MAX_BREAKS = 4
MIN_POINTS = 2
FULL_SEARCH = 60_000
QUICK_SEARCH = 8_000
_REFINED, _REFINED_NEAR = 12, 4
_ROUNDS = 4


def fit_segmented(
    flops: FloatArray,
    loss: FloatArray,
    breaks: int,
    *,
    min_points: int = MIN_POINTS,
    search: int = FULL_SEARCH,
    start: FloatArray | None = None,
) -> CurveFit | None:
    """Return a continuous broken power law with a given number of breaks.

    Args:
        flops: Above zero, shape (points,).
        loss: Above zero, shape (points,).
        breaks: Number of breaks, one to `MAX_BREAKS`.
        min_points: Distinct costs that each segment must hold.
        search: Combinations of break locations tried before the best are refined.
        start: Break locations to refine as well, such as those found in the original data.

    Returns:
        Parameters `coefficient_i` and `exponent_i` of each piece; None where the points are too few.
    """
    x, y = np.log(flops), np.log(loss)
    centre = float(x.mean())
    data = aggregate(x - centre, y)
    knots = _best_knots(data, breaks, min_points, search, start, centre)
    if knots is None:
        return None
    design = hinge_design(x - centre, knots)
    solution = line_coefficients(design, y)
    fitted = design @ solution
    slopes = np.cumsum(solution[1:])
    intercepts = solution[0] - np.concatenate([[0.0], np.cumsum(solution[2:] * knots)])
    return CurveFit(
        law="segmented",
        names=_names(breaks),
        values=_values(intercepts - slopes * centre, slopes),
        breaks=np.exp(knots + centre),
        n_free=3 + 2 * breaks,
        rss=float(np.sum((y - fitted) ** 2)),
        tss=total_sum_of_squares(y),
        fitted=fitted,
        free=(*_free_names(1, breaks + 1), *(f"ln break_{i}" for i in range(1, breaks + 1))),
        tangent=_joined_tangent(x, design[:, 2:], solution[2:]),
    )


def _joined_tangent(x: FloatArray, hinges: FloatArray, turns: FloatArray) -> FloatArray:
    """Return derivatives by the first coefficient, the exponents and the break locations.

    Args:
        x: ln cost, shape (points,).
        hinges: How far it lies past each break, zero before it, shape (points, breaks).
        turns: Change of slope at each break, shape (breaks,).
    """
    past = np.concatenate([x[:, None], hinges, np.zeros((x.size, 1))], axis=1)
    return np.concatenate(
        [np.ones((x.size, 1)), np.diff(past, axis=1), -turns * (hinges > 0)], axis=1
    )


def _free_names(coefficients: int, exponents: int) -> tuple[str, ...]:
    return (
        *(f"ln coefficient_{i}" for i in range(1, coefficients + 1)),
        *(f"exponent_{i}" for i in range(1, exponents + 1)),
    )


def _best_knots(
    data: AggregatedPoints,
    breaks: int,
    min_points: int,
    search: int,
    start: FloatArray | None,
    centre: float,
) -> FloatArray | None:
    if data.x.size < min_points * (breaks + 1):
        return None
    if breaks == 1:
        knot, rss = best_knot(data, min_points)
        return np.array([knot]) if math.isfinite(rss) else None
    candidates = knot_candidates(data.x, breaks, search)
    kept = _REFINED if start is None else _REFINED_NEAR
    starts, _ = search_knots(data, candidates, breaks, min_points, kept)
    if start is not None:
        starts = np.concatenate([starts, (np.log(start) - centre)[None, :]])
    if starts.shape[0] == 0:
        return None
    knots, rss = refine_knots(data, starts, min_points)
    return knots if math.isfinite(rss) else None


def fit_jumps(
    flops: FloatArray, loss: FloatArray, breaks: int, *, min_points: int = MIN_POINTS
) -> CurveFit | None:
    """Return a broken power law whose pieces need not meet; the best split is found exactly.

    Args:
        flops: Above zero, shape (points,).
        loss: Above zero, shape (points,).
        breaks: Number of jumps, at least one.
        min_points: Distinct costs that each piece must hold.

    Returns:
        Parameters `coefficient_i` and `exponent_i` of each piece; a break is the geometric middle of
        the gap it lies in. None where the points are too few.
    """
    x, y = np.log(flops), np.log(loss)
    centre = float(x.mean())
    data = aggregate(x - centre, y)
    splits = best_splits(data, breaks, min_points)
    if splits is None:
        return None
    knots = (data.x[splits - 1] + data.x[splits]) / 2
    segment = np.searchsorted(knots, x - centre, side="left")
    member = segment[:, None] == np.arange(breaks + 1)
    design = np.concatenate([member, member * (x - centre)[:, None]], axis=1).astype(np.float64)
    solution = line_coefficients(design, y)
    fitted = design @ solution
    intercepts, slopes = solution[: breaks + 1], solution[breaks + 1 :]
    return CurveFit(
        law="segmented_jumps",
        names=_names(breaks),
        values=_values(intercepts - slopes * centre, slopes),
        breaks=np.exp(knots + centre),
        n_free=3 * (breaks + 1),
        rss=float(np.sum((y - fitted) ** 2)),
        tss=total_sum_of_squares(y),
        fitted=fitted,
        free=_free_names(breaks + 1, breaks + 1),
        tangent=np.concatenate([member, -x[:, None] * member], axis=1),
    )


def _names(breaks: int) -> tuple[str, ...]:
    pairs = [(f"coefficient_{i}", f"exponent_{i}") for i in range(1, breaks + 2)]
    return tuple(name for pair in pairs for name in pair)


def _values(intercepts: FloatArray, slopes: FloatArray) -> FloatArray:
    """Return coefficients and exponents alternately; a coefficient overflows only where a slope is absurd."""
    with np.errstate(over="ignore"):
        return np.stack([np.exp(intercepts), -slopes], axis=1).reshape(-1)


class SegmentedPowerLaw(CostLaw):
    """Fit power laws one after another that meet at the breaks."""

    name = "segmented"
    label = "broken power law, joined"
    help = "Power laws that meet at breaks"
    most_breaks = MAX_BREAKS

    def n_free(self, breaks: int) -> int:
        """Return the number of free parameters, the noise included."""
        return 3 + 2 * breaks

    def fit(
        self, flops: FloatArray, loss: FloatArray, breaks: int, start: CurveFit | None = None
    ) -> CurveFit | None:
        """Fit the law to points."""
        search, near = (FULL_SEARCH, None) if start is None else (QUICK_SEARCH, start.breaks)
        return fit_segmented(flops, loss, breaks, search=search, start=near)

    def log_curve(
        self, log_flops: FloatArray, parameters: Mapping[str, float], log_breaks: FloatArray
    ) -> FloatArray:
        """Return ln loss on the curve."""
        count = log_breaks.size + 1
        intercepts = np.log([parameters[f"coefficient_{i + 1}"] for i in range(count)])
        slopes = np.array([-parameters[f"exponent_{i + 1}"] for i in range(count)])
        piece = np.searchsorted(log_breaks, log_flops, side="left")
        return intercepts[piece] + slopes[piece] * log_flops

    def equation(self, parameters: Mapping[str, float], breaks: FloatArray) -> Equation:
        """Return the fit as an equation."""
        count = breaks.size + 1
        coefficients, exponents = (
            [parameters[f"{name}_{i + 1}"] for i in range(count)]
            for name in ("coefficient", "exponent")
        )
        return pieces_equation(coefficients, exponents, breaks.tolist())

    def profile(
        self, log_flops: FloatArray, log_loss: FloatArray, fit: CurveFit, index: int
    ) -> BreakProfile:
        """Return the fit's quality with one break at other places."""
        centre = float(log_flops.mean())
        data = aggregate(log_flops - centre, log_loss)
        knots = np.log(fit.breaks) - centre
        grid = _grid(data.x, knots[index])
        places = grid + centre
        return BreakProfile(places, places, _profiled_rss(data, knots, index, grid))

    def pieces(self, fit: CurveFit, flops: FloatArray) -> NDArray[np.intp]:
        """Return the index of the piece that each point lies on."""
        return np.searchsorted(fit.breaks, flops, side="left")

    def last_slope(self, breaks: int) -> str:
        """Return the name of the exponent at the largest cost."""
        return f"exponent_{breaks + 1}"


class JumpingPowerLaw(SegmentedPowerLaw):
    """Power laws one after another that need not meet: the loss may jump at a break."""

    name = "segmented_jumps"
    label = "broken power law with jumps"
    help = "Power laws that may jump at breaks"
    breaks_lie_in_gaps = True

    def n_free(self, breaks: int) -> int:
        """Return the number of free parameters, the noise included."""
        return 3 * (breaks + 1)

    def fit(
        self, flops: FloatArray, loss: FloatArray, breaks: int, start: CurveFit | None = None
    ) -> CurveFit | None:
        """Fit the law to points."""
        del start
        return fit_jumps(flops, loss, breaks)

    def profile(
        self, log_flops: FloatArray, log_loss: FloatArray, fit: CurveFit, index: int
    ) -> BreakProfile:
        """Return the gaps between points, and the fit with the jump anywhere in each."""
        data = aggregate(log_flops, log_loss)
        rss = rss_of_splits(data, fit.breaks.size, index, MIN_POINTS) + data.within
        return BreakProfile(data.x[:-1], data.x[1:], rss)


def _grid(x: FloatArray, estimate: float) -> FloatArray:
    """Return locations between the first and last points, closer together near the estimate."""
    inside = x[1:-1]
    coarse = np.linspace(inside[0], inside[-1], 121)
    near = estimate + np.linspace(-0.05, 0.05, 81) * np.ptp(x)
    grid = np.unique(np.concatenate([coarse, near]))
    return grid[(grid >= inside[0]) & (grid <= inside[-1])]


def _profiled_rss(
    data: AggregatedPoints, knots: FloatArray, index: int, grid: FloatArray
) -> FloatArray:
    """Return the residual sum with one knot at each value of the grid, shape (grid,).

    The other knots move one at a time, over ever finer steps.
    """
    trials = np.repeat(knots[None, :], grid.size, axis=0)
    trials[:, index] = grid
    best = _rss(data, trials)
    reach = float(np.ptp(data.x)) / 8
    others = [other for other in range(knots.size) if other != index]
    for _ in range(_ROUNDS):
        for other in others:
            offsets = np.linspace(-reach, reach, 21)
            shifted = np.repeat(trials[:, None, :], offsets.size, axis=1)
            shifted[:, :, other] += offsets
            values = _rss(data, shifted.reshape(-1, knots.size)).reshape(grid.size, -1)
            chosen = np.argmin(values, axis=1)
            rows = np.arange(grid.size)
            better = values[rows, chosen] < best
            best[better] = values[rows, chosen][better]
            trials[better] = shifted[rows, chosen][better]
        reach /= 4
    return best


def _rss(data: AggregatedPoints, knots: FloatArray) -> FloatArray:
    return rss_at(data, np.sort(knots, axis=1), MIN_POINTS) + data.within


register_law(SegmentedPowerLaw())
register_law(JumpingPowerLaw())
