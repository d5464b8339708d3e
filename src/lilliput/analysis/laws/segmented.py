"""Broken power laws: straight pieces in log-log, joined at the breaks or free to jump there."""

from __future__ import annotations

import math

import numpy as np

from lilliput.analysis.laws._aggregate import Aggregated, aggregate
from lilliput.analysis.laws._hinges import hinge_design, knot_candidates, refine_knots, search_knots
from lilliput.analysis.laws._jumps import best_splits
from lilliput.analysis.laws._one_knot import best_knot
from lilliput.analysis.laws.curve import CurveFit, line_coefficients, total_sum_of_squares
from lilliput.core.arrays import FloatArray

MAX_BREAKS = 4
MIN_POINTS = 2
FULL_SEARCH = 60_000
QUICK_SEARCH = 8_000
_REFINED, _REFINED_NEAR = 12, 4


def fit_segmented(
    flops: FloatArray,
    loss: FloatArray,
    breaks: int,
    *,
    min_points: int = MIN_POINTS,
    search: int = FULL_SEARCH,
    start: FloatArray | None = None,
) -> CurveFit | None:
    """A continuous broken power law with a given number of breaks.

    Args:
        flops: Above zero, shape (points,).
        loss: Above zero, shape (points,).
        breaks: Number of breaks, one to `MAX_BREAKS`.
        min_points: Distinct costs that each segment must hold.
        search: Combinations of break locations tried before the best are refined.
        start: Break locations to refine too, such as those of the undisturbed data.

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
    """Derivatives by the first coefficient, the exponents and the break locations.

    Args:
        x: ln cost, shape (points,).
        hinges: What of it lies past each break, shape (points, breaks).
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
    data: Aggregated,
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
    """A broken power law whose pieces need not meet; the best split is found exactly.

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
    """Coefficients and exponents in turns; a coefficient may overflow only where a slope is absurd."""
    with np.errstate(over="ignore"):
        return np.stack([np.exp(intercepts), -slopes], axis=1).reshape(-1)
