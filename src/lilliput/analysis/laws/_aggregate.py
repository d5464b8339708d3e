"""Points gathered by their distinct abscissa, which is all that least squares in y needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lilliput.core.arrays import FloatArray


@dataclass(frozen=True)
class Aggregated:
    """Distinct x in ascending order with counts and means of y; `within` is what no curve explains.

    Attributes:
        x: Shape (distinct,).
        y: Mean of y at each x, shape (distinct,).
        weight: Number of points at each x, shape (distinct,).
        within: Sum of squares of y around those means.
    """

    x: FloatArray
    y: FloatArray
    weight: FloatArray
    within: float


def aggregate(x: FloatArray, y: FloatArray) -> Aggregated:
    """Gather points that share an abscissa."""
    distinct, codes = np.unique(x, return_inverse=True)
    weight = np.bincount(codes).astype(np.float64)
    mean = np.bincount(codes, weights=y) / weight
    return Aggregated(distinct, mean, weight, float(np.sum((y - mean[codes]) ** 2)))
