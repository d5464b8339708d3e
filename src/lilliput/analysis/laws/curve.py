"""Hold a fitted curve of loss against cost: parameters, quality of the fit, prediction. Every law gives one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from lilliput.analysis.laws.registry import curve_law
from lilliput.core.arrays import FloatArray

# A relative error of 1e-8 in a loss is below any measurement: without this floor, the rounding noise
# of perfect data would decide between laws.
_VARIANCE_FLOOR = 1e-16
# Median of the absolute value of a standard normal variate.
_MEDIAN_OF_NORMAL = 0.6745
# Costs searched for a loss: so many times around those of the data, on so many points.
_REACH, _GRID = 1e3, 2000
# Half window of a density at the median, in standard deviations of normal noise, times n^(-1/3):
# 1.96^(2/3) (1.5 phi(0)^2)^(1/3) in shares, divided by phi(0).
_HALL_SHEATHER = 1.96 ** (2 / 3) * (1.5 / (2 * math.pi)) ** (1 / 3) * math.sqrt(2 * math.pi)


@dataclass(frozen=True)
class CurveFit:
    """Hold a law fitted to points by least squares in ln loss.

    Attributes:
        law: Name of a registered law.
        names: Parameter names.
        values: Parameter values in natural units, shape (parameters,).
        breaks: Break locations in units of the cost, ascending, shape (breaks,).
        n_free: Free parameters, the noise variance included.
        rss: Residual sum of squares of ln loss.
        tss: Total sum of squares of ln loss.
        fitted: ln loss on the curve at each point, shape (points,).
        free: Names of the free parameters as a covariance knows them, the noise aside: coefficients and
            break locations by their logarithms.
        tangent: Derivatives of `fitted` by them, shape (points, free). The place of a jump has none.
    """

    law: str
    names: tuple[str, ...]
    values: FloatArray
    breaks: FloatArray
    n_free: int
    rss: float
    tss: float
    fitted: FloatArray
    free: tuple[str, ...]
    tangent: FloatArray

    @property
    def n(self) -> int:
        """Return the number of points."""
        return int(self.fitted.size)

    @property
    def r2(self) -> float:
        """Return the share of the variance of ln loss that the curve explains."""
        return 1.0 - self.rss / self.tss if self.tss > 0 else 1.0

    @property
    def bic(self) -> float:
        """Return BIC = n ln(RSS/n) + k ln n, with the variance counted in k."""
        return self._deviance + self.n_free * math.log(self.n)

    @property
    def aicc(self) -> float:
        """Return AICc = n ln(RSS/n) + 2k + 2k(k+1)/(n-k-1); infinite where n is too small for it."""
        room = self.n - self.n_free - 1
        if room <= 0:
            return math.inf
        return self._deviance + 2 * self.n_free + 2 * self.n_free * (self.n_free + 1) / room

    @property
    def _deviance(self) -> float:
        return self.n * math.log(max(self.rss / self.n, _VARIANCE_FLOOR))

    @property
    def parameters(self) -> dict[str, float]:
        """Return the parameters by name."""
        return dict(zip(self.names, self.values.tolist(), strict=True))

    def predict(self, flops: ArrayLike) -> FloatArray:
        """Return the loss on the curve at the given costs, same shape."""
        return predict(self.law, self.names, self.parameter_vector(), flops)

    def parameter_vector(self) -> FloatArray:
        """Return the parameters followed by the breaks, shape (parameters + breaks,), as a bootstrap collects them."""
        return np.concatenate([self.values, self.breaks])


def predict(law: str, names: tuple[str, ...], vector: FloatArray, flops: ArrayLike) -> FloatArray:
    """Return the loss under a law.

    Args:
        law: As in `CurveFit`.
        names: Parameter names.
        vector: Parameters followed by breaks, as `CurveFit.parameter_vector` or a bootstrap draw.
        flops: Costs, any shape.
    """
    x = np.log(np.asarray(flops, dtype=np.float64))
    values = dict(zip(names, vector[: len(names)].tolist(), strict=True))
    return np.exp(curve_law(law).log_curve(x, values, np.log(vector[len(names) :])))


def cost_of_loss(fit: CurveFit, losses: ArrayLike, costs: ArrayLike) -> FloatArray:
    """Return the lowest cost at which a curve reaches each loss; NaN where it does not within a thousand times.

    The curve is read off a fine grid, straight between its points in log-log (which a power law is).

    Args:
        fit: The curve.
        losses: Losses to reach, shape (losses,).
        costs: Costs around which it is searched, any shape.
    """
    every = np.asarray(costs, dtype=np.float64)
    x = np.linspace(
        math.log(every.min() / _REACH), math.log(every.max() * _REACH), _GRID, dtype=np.float64
    )
    y = np.log(fit.predict(np.exp(x)))
    found: list[float] = []
    for target in np.log(np.asarray(losses, dtype=np.float64)).reshape(-1).tolist():
        below = np.flatnonzero(y <= target)
        if below.size == 0 or below[0] == 0:
            found.append(math.nan)
            continue
        i = int(below[0])
        share = (target - y[i - 1]) / (y[i] - y[i - 1])
        found.append(math.exp(float(x[i - 1] + share * (x[i] - x[i - 1]))))
    return np.array(found)


def line_coefficients(design: FloatArray, y: FloatArray) -> FloatArray:
    """Solve ordinary least squares: shapes (points, columns) and (points,) to (columns,)."""
    return np.asarray(np.linalg.lstsq(design, y, rcond=None)[0], dtype=np.float64)


def total_sum_of_squares(log_y: FloatArray) -> float:
    """Return the sum of squared deviations from the mean."""
    return float(np.sum((log_y - log_y.mean()) ** 2))


def covariance_of(fit: CurveFit) -> FloatArray | None:
    """Return the model-based covariance of `fit.free`, shape (free, free); None where points do not exceed them."""
    room = fit.n - fit.tangent.shape[1]
    if room <= 0:
        return None
    return _inverse_gram(fit.tangent) * (fit.rss / room)


def _inverse_gram(tangent: FloatArray) -> FloatArray:
    """Return the inverse of tangent' tangent, shape (free, free)."""
    # Columns of unit length: exponents and coefficients differ by orders of magnitude.
    length = np.linalg.norm(tangent, axis=0)
    length[length == 0] = 1.0
    columns = tangent / length
    return np.linalg.pinv(columns.T @ columns) / np.outer(length, length)


def huber_covariance_of(fit: CurveFit, residuals: FloatArray, delta: float) -> FloatArray | None:
    """Covariance of `fit.free` where the Huber loss was minimised; None where points do not exceed them.

    The sandwich of an M-estimator with residuals independent and alike: the least-squares form with the variance
    replaced by E[psi^2] / E[psi']^2, where psi clips residuals at delta. E[psi'] is the share of residuals below
    delta. Where delta is far below their spread that share is read off a wider window, as few lie inside and the
    fit pulls some to zero.

    Args:
        fit: The law.
        residuals: Of ln loss, shape (points,).
        delta: Residual from which the loss grows linearly.

    Source: Huber, "Robust Statistics", 1981, section 7.6 (its first covariance), with the bandwidth of Hall and
        Sheather, "On the Distribution of a Studentized Quantile", JRSS B 50(3), 1988.
    """
    n, free = fit.tangent.shape
    if n <= free:
        return None
    size = np.abs(residuals)
    scale = float(np.median(size)) / _MEDIAN_OF_NORMAL
    window = max(delta, scale * _HALL_SHEATHER * n ** (-1 / 3))
    share = float(np.mean(size <= window)) * delta / window
    clipped = float(np.sum(np.minimum(size, delta) ** 2)) / (n - free)
    return _inverse_gram(fit.tangent) * (clipped / share**2)


def plain_number(value: float | None) -> float | None:
    """Return the number for JSON, which cannot write infinite or undefined numbers: None for these."""
    return None if value is None or not math.isfinite(value) else float(value)


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data with undefined numbers as None, one level deep."""
    return {k: plain_number(v) if isinstance(v, float) else v for k, v in values.items()}
