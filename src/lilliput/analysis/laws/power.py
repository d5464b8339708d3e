"""Fit the power law L = A C^(-alpha), and the same above an irreducible offset."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lilliput.analysis.laws.base import CostLaw
from lilliput.analysis.laws.curve import CurveFit, line_coefficients, total_sum_of_squares
from lilliput.analysis.laws.equation import Equation, power_equation
from lilliput.analysis.laws.levenberg import levenberg
from lilliput.analysis.laws.registry import register_law
from lilliput.core.arrays import FloatArray

_OFFSET_SHARES = np.array([0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98])
_OFFSET_STEPS = 60


def fit_power(flops: FloatArray, loss: FloatArray) -> CurveFit:
    """Return the straight line of ln loss on ln cost, by ordinary least squares.

    Args:
        flops: Above zero, at least two distinct values, shape (points,).
        loss: Above zero, shape (points,).

    Returns:
        Parameters `coefficient` and `exponent` (positive when loss falls).
    """
    x, y = np.log(flops), np.log(loss)
    design = np.stack([np.ones_like(x), x], axis=1)
    solution = line_coefficients(design, y)
    fitted = design @ solution
    with np.errstate(over="ignore"):  # Costs that hardly differ allow any slope.
        coefficient = np.exp(solution[0])
    return CurveFit(
        law="power",
        names=("coefficient", "exponent"),
        values=np.array([coefficient, -solution[1]]),
        breaks=np.empty(0),
        n_free=3,
        rss=float(np.sum((y - fitted) ** 2)),
        tss=total_sum_of_squares(y),
        fitted=fitted,
        free=("ln coefficient", "exponent"),
        tangent=design * [1.0, -1.0],
    )


def fit_power_offset(flops: FloatArray, loss: FloatArray) -> CurveFit:
    """Return L = E + A C^(-alpha) by least squares in ln loss, with E between zero and the lowest loss.

    A grid of offsets gives the points to start from: with E fixed, ln(L - E) is a straight line.

    Returns:
        Parameters `coefficient`, `exponent` and `offset`; an offset of zero is the plain power law.
    """
    x, y = np.log(flops), np.log(loss)
    centre = float(x.mean())
    floor = float(loss.min())
    lower = np.array([-np.inf, -np.inf, 0.0])
    upper = np.array([np.inf, np.inf, floor * (1 - 1e-9)])
    theta, cost = levenberg(
        _offset_residuals(x - centre, y),
        _offset_starts(x - centre, loss, floor),
        iterations=_OFFSET_STEPS,
        lower=lower,
        upper=upper,
    )
    best = int(np.argmin(cost))
    log_a, slope, offset = theta[best].tolist()
    power = np.exp(log_a - slope * (x - centre))
    curve = offset + power
    tangent = np.stack([power / curve, -power * x / curve, 1 / curve], axis=1)
    return CurveFit(
        law="power_offset",
        names=("coefficient", "exponent", "offset"),
        values=np.array([np.exp(log_a + slope * centre), slope, offset]),
        breaks=np.empty(0),
        n_free=4,
        rss=float(cost[best]),
        tss=total_sum_of_squares(y),
        fitted=np.log(curve),
        free=("ln coefficient", "exponent", "offset"),
        tangent=tangent,
    )


def _offset_starts(x: FloatArray, loss: FloatArray, floor: float) -> FloatArray:
    """Return one start (ln A, alpha, E) for each offset of the grid, shape (starts, 3)."""
    offsets = np.concatenate([[0.0], _OFFSET_SHARES * floor])
    excess = np.log(loss[None, :] - offsets[:, None])
    centred = x - x.mean()
    slope = (excess @ centred) / (centred @ centred)
    intercept = excess.mean(axis=1) - slope * x.mean()
    return np.stack([intercept, -slope, offsets], axis=1)


def _offset_residuals(x: FloatArray, y: FloatArray):  # noqa: ANN202
    def residuals(theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        log_a, slope, offset = theta[:, 0:1], theta[:, 1:2], theta[:, 2:3]
        power = np.exp(log_a - slope * x)
        curve = offset + power
        jacobian = np.stack([power / curve, -power * x / curve, 1 / curve], axis=2)
        return np.log(curve) - y, jacobian

    return residuals


class PowerLaw(CostLaw):
    """Fit L = A C^(-alpha)."""

    name = "power"
    label = "power law"
    help = "A C^-alpha"

    def n_free(self, breaks: int) -> int:
        """Return the number of free parameters, the noise included."""
        del breaks
        return 3

    def fit(
        self, flops: FloatArray, loss: FloatArray, breaks: int, start: CurveFit | None = None
    ) -> CurveFit:
        """Fit the law to points."""
        del breaks, start
        return fit_power(flops, loss)

    def log_curve(
        self, log_flops: FloatArray, parameters: Mapping[str, float], log_breaks: FloatArray
    ) -> FloatArray:
        """Return ln loss on the curve."""
        del log_breaks
        return math.log(parameters["coefficient"]) - parameters["exponent"] * log_flops

    def equation(self, parameters: Mapping[str, float], breaks: FloatArray) -> Equation:
        """Return the fit as an equation."""
        del breaks
        return power_equation(parameters["coefficient"], parameters["exponent"])

    def last_slope(self, breaks: int) -> str:
        """Return the name of the exponent at the largest cost."""
        del breaks
        return "exponent"

    def warnings(self, fit: CurveFit) -> list[str]:
        """Return what a reader must know about this fit."""
        if fit.parameters["exponent"] <= 0:
            return ["The loss does not fall with the cost: the exponent is not above zero."]
        return []


class PowerLawAboveFloor(CostLaw):
    """Fit L = E + A C^(-alpha)."""

    name = "power_offset"
    label = "power law above a floor"
    help = "E + A C^-alpha"
    without_floor = "power"

    def n_free(self, breaks: int) -> int:
        """Return the number of free parameters, the noise included."""
        del breaks
        return 4

    def fit(
        self, flops: FloatArray, loss: FloatArray, breaks: int, start: CurveFit | None = None
    ) -> CurveFit:
        """Fit the law to points."""
        del breaks, start
        return fit_power_offset(flops, loss)

    def log_curve(
        self, log_flops: FloatArray, parameters: Mapping[str, float], log_breaks: FloatArray
    ) -> FloatArray:
        """Return ln loss on the curve."""
        del log_breaks
        log_power = math.log(parameters["coefficient"]) - parameters["exponent"] * log_flops
        return np.log(parameters["offset"] + np.exp(log_power))

    def equation(self, parameters: Mapping[str, float], breaks: FloatArray) -> Equation:
        """Return the fit as an equation."""
        del breaks
        p = parameters
        return power_equation(p["coefficient"], p["exponent"], p["offset"])

    def last_exponent(self, breaks: int) -> str:
        """Return the name of the exponent above the floor."""
        del breaks
        return "exponent"

    def reduces_to(self, fit: CurveFit) -> str | None:
        """Say that with an offset of zero this is the plain power law."""
        return "power" if fit.parameters["offset"] == 0 else None

    def warnings(self, fit: CurveFit) -> list[str]:
        """Return what a reader must know about this fit."""
        if fit.parameters["offset"] == 0:
            return ["The best offset is zero: the law is the plain power law."]
        return []


register_law(PowerLaw())
register_law(PowerLawAboveFloor())
