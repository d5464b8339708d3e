"""The forms that a score may have along an axis of ability, and their fits by weighted least squares.

    flat        y = a
    straight    y = a + b x
    threshold   y = a + b max(x - c, 0)                      nothing happens before c
    step        y = a + b [x >= c]                           for axes of few values, such as depth
    logistic    y = a + b / (1 + exp(-k (x - m)))            a gradual rise between two levels

Given c, or k and m, each is a straight line in one function g of x. So all candidates of c, k and m on a fine grid are
fitted at once by sums, for thousands of draws in a second. Only rising forms (b > 0) count.

Axes: J candidates, P points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lilliput.core.arrays import FloatArray

PARAMETERS: Mapping[str, int] = {"flat": 1, "straight": 2, "threshold": 3, "step": 3, "logistic": 4}
_PLACES, _MIDDLES, _STEEPNESSES = 60, 25, 12
_TINY = 1e-12


@dataclass(frozen=True)
class FormFit:
    """The best fit of one form.

    Attributes:
        form: Its name.
        bic: Bayesian information criterion; the lowest is the best.
        place: The threshold c or the middle m; None where the form has none.
        low_level: The fitted score at the least able point.
        high_level: The fitted score at the most able point.
    """

    form: str
    bic: float
    place: float | None
    low_level: float
    high_level: float


@dataclass(frozen=True)
class Candidates:
    """Hold all candidates of one form: functions g at the points, (J, P), and places, (J,)."""

    form: str
    g_JP: FloatArray
    places_J: FloatArray


def candidates(form: str, axis: FloatArray) -> Candidates:
    """Return the candidates of a form for points at `axis`; a threshold lies between the second value and the last but one."""
    values = np.unique(axis)
    low, high = float(values[0]), float(values[-1])
    if form in ("flat", "straight"):
        g = np.zeros((1, len(axis))) if form == "flat" else axis[None].astype(np.float64)
        return Candidates(form, g, np.full(1, np.nan))
    if form == "step":
        places = (values[1:] + values[:-1]) / 2
        return Candidates(form, (axis[None] >= places[:, None]).astype(np.float64), places)
    if form == "threshold":
        places = np.linspace(float(values[1]), float(values[-2]), _PLACES)
        return Candidates(form, np.maximum(axis[None] - places[:, None], 0.0), places)
    reach = high - low
    middles = np.linspace(low - reach / 4, high + reach / 4, _MIDDLES)
    steepness = np.geomspace(2.0, 60.0, _STEEPNESSES) / reach
    middle, steep = (grid.ravel()[:, None] for grid in np.meshgrid(middles, steepness))
    return Candidates(form, 1.0 / (1.0 + np.exp(-steep * (axis[None] - middle))), middle[:, 0])


def fit(known: Candidates, score: FloatArray, weights: FloatArray) -> FormFit:
    """Return the best candidate for a score of shape (P,); a point of weight 2 counts as two points."""
    total = float(weights.sum())
    mean = float(weights @ score) / total
    spread = float(weights @ (score - mean) ** 2)
    g_mean = known.g_JP @ weights / total
    g_spread = (known.g_JP**2) @ weights - total * g_mean**2
    together = known.g_JP @ (weights * (score - mean))
    usable = g_spread > _TINY * np.maximum(1.0, g_mean**2)
    slopes = np.where(usable, np.maximum(together, 0.0) / np.where(usable, g_spread, 1.0), 0.0)
    residuals = spread - slopes * together
    best = int(np.argmin(residuals))
    error = max(float(residuals[best]), _TINY * max(spread, _TINY))
    bic = total * np.log(error / total) + PARAMETERS[known.form] * np.log(total)
    level = mean + slopes[best] * (known.g_JP[best] - g_mean[best])
    place = float(known.places_J[best])
    return FormFit(
        known.form,
        float(bic),
        None if np.isnan(place) else place,
        float(level.min()),
        float(level.max()),
    )


def forms_for(axis: FloatArray) -> Sequence[str]:
    """Return the forms that points at these places can tell apart; none where they are too few."""
    count = len(np.unique(axis))
    if count >= 6:
        return ("flat", "straight", "threshold", "logistic")
    return ("flat", "straight", "step") if count >= 3 else ()


def ranks_first(fits: Sequence[FormFit]) -> FormFit:
    """Return the fit with the lowest criterion; of equal ones that with fewer parameters."""
    return min(fits, key=lambda one: (one.bic, PARAMETERS[one.form]))
