"""A power law whose exponent changes smoothly with the cost: quadratic in log-log, without a break.

ln L = ln coefficient - exponent z - curvature z^2 / 2 with z = ln(C / pivot). The local exponent at a cost
is exponent + curvature z: with a curvature of 0.01 it grows by 0.023 a decade. The law bends everywhere and
breaks nowhere; a break is claimed only where this law is excluded too.
"""

from __future__ import annotations

import numpy as np

from lilliput.analysis.laws.curve import CurveFit, line_coefficients, total_sum_of_squares
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
