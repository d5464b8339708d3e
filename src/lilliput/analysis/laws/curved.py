"""A power law whose exponent changes smoothly with the cost: quadratic in log-log, without a break.

ln L = ln coefficient - exponent z - curvature z^2 / 2 with z = ln(C / pivot). The local exponent at a cost
is exponent + curvature z: with a curvature of 0.01 it grows by 0.023 a decade. The law bends everywhere and
breaks nowhere; a break is claimed only where this law is excluded too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lilliput.analysis.laws.base import CostLaw
from lilliput.analysis.laws.curve import CurveFit, line_coefficients, total_sum_of_squares
from lilliput.analysis.laws.equation import Equation, function, latex_number, short
from lilliput.analysis.laws.registry import register_law
from lilliput.core.arrays import FloatArray


def fit_log_quadratic(
    flops: FloatArray, loss: FloatArray, *, pivot: float | None = None
) -> CurveFit:
    """Return the quadratic of ln loss in ln cost, by ordinary least squares.

    Args:
        flops: Above zero, at least three distinct values, shape (points,).
        loss: Above zero, shape (points,).
        pivot: Cost at which coefficient and exponent are stated; by default the geometric mean of the costs.

    Returns:
        Parameters `coefficient` (loss at the pivot), `exponent` (at the pivot, positive when loss falls),
        `curvature` (growth of the exponent for each e-fold of cost) and `pivot` (FLOPs, not fitted).
    """
    x, y = np.log(flops), np.log(loss)
    pivot = float(np.exp(x.mean())) if pivot is None else pivot
    z = x - np.log(pivot)
    tangent = np.stack([np.ones_like(z), -z, -(z**2) / 2], axis=1)
    solution = line_coefficients(tangent, y)
    fitted = tangent @ solution
    return CurveFit(
        law="log_quadratic",
        names=("coefficient", "exponent", "curvature", "pivot"),
        values=np.array([np.exp(solution[0]), solution[1], solution[2], pivot]),
        breaks=np.empty(0),
        n_free=4,
        rss=float(np.sum((y - fitted) ** 2)),
        tss=total_sum_of_squares(y),
        fitted=fitted,
        free=("ln coefficient", "exponent", "curvature"),
        tangent=tangent,
    )


class CurvedPowerLaw(CostLaw):
    """A power law whose exponent changes with the cost: it bends everywhere and breaks nowhere."""

    name = "log_quadratic"
    label = "curved power law"
    help = "A power law that bends everywhere"
    fewest_costs = 10
    is_curved = True

    def n_free(self, breaks: int) -> int:
        """Return the number of free parameters, the noise included."""
        del breaks
        return 4

    def fit(
        self, flops: FloatArray, loss: FloatArray, breaks: int, start: CurveFit | None = None
    ) -> CurveFit:
        """Fit the law to points, stated at the pivot of the parent where there is one."""
        del breaks
        pivot = None if start is None else start.parameters["pivot"]
        return fit_log_quadratic(flops, loss, pivot=pivot)

    def log_curve(
        self, log_flops: FloatArray, parameters: Mapping[str, float], log_breaks: FloatArray
    ) -> FloatArray:
        """Return ln loss on the curve."""
        del log_breaks
        p, z = parameters, log_flops - math.log(parameters["pivot"])
        return math.log(p["coefficient"]) - p["exponent"] * z - p["curvature"] * z**2 / 2

    def equation(self, parameters: Mapping[str, float], breaks: FloatArray) -> Equation:
        """Return the fit as an equation."""
        del breaks
        k, a, q, pivot = (
            parameters[name] for name in ("coefficient", "exponent", "curvature", "pivot")
        )
        return Equation(
            f"L = {short(k)} z^-({short(a)} + {short(q / 2)} ln z), z = C / {short(pivot)}",
            f"L = {latex_number(k)}\\,z^{{-({latex_number(a)} + {latex_number(q / 2)} \\ln z)}},\\quad "
            f"z = C / ({latex_number(pivot)})",
            function(
                "C", [f"z = C / {pivot!r}", f"return {k!r} * z ** -({a!r} + {q / 2!r} * np.log(z))"]
            ),
        )

    def grows_flatter(self, fit: CurveFit) -> bool:
        """Say whether the exponent shrinks with the cost."""
        return fit.parameters["curvature"] < 0

    def warnings(self, fit: CurveFit) -> list[str]:
        """Say which way it bends, and that this is no break."""
        way = "steeper" if fit.parameters["curvature"] > 0 else "flatter"
        return [f"The law is curved: it grows {way} everywhere, and no place of a break is shown."]


register_law(CurvedPowerLaw())
