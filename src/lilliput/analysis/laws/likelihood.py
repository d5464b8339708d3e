"""Fit the parametric law by maximum likelihood, with Huber-distributed residuals of free scale.

Where the Huber objective fixes the residual at which the loss turns linear, the likelihood also fits
the scale of the noise, so that two sets of constants can be compared by their likelihood ratio.

Source: Besiroglu et al., arXiv 2404.10102, section 3: density exp(-huber(r / s)) / (s Z).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar

from lilliput.analysis.laws.levenberg import levenberg
from lilliput.analysis.laws.parametric import (
    HUBER_DELTA,
    ParametricFit,
    ParametricProblem,
    fit_parametric,
)
from lilliput.core.arrays import FloatArray

# The threshold in ln L is delta times the scale, far below any residual: it is approached in steps.
_THRESHOLDS = tuple(10.0**-k for k in range(3, 9))
_STEPS = 200


@dataclass(frozen=True)
class LikelihoodFit:
    """Hold the constants of highest likelihood.

    Attributes:
        fit: The constants (its `objective` is the Huber objective at them).
        log_scale: Natural logarithm of the scale of the residuals of ln L.
        log_likelihood: At the constants and the scale.
    """

    fit: ParametricFit
    log_scale: float
    log_likelihood: float


def fit_likelihood(
    parameters: FloatArray,
    tokens: FloatArray,
    loss: FloatArray,
    *,
    delta: float = HUBER_DELTA,
    start: ParametricFit | None = None,
) -> LikelihoodFit:
    """Return the constants and the scale of highest likelihood.

    Args:
        parameters: Above zero, shape (points,).
        tokens: Above zero, shape (points,).
        loss: Above zero, shape (points,).
        delta: Where the density turns exponential, in units of the scale.
        start: A fit to start from; by default the Huber fit from the grid.

    Raises:
        InputError: As for `fit_parametric`.
    """
    start = start or fit_parametric(parameters, tokens, loss)
    problem = ParametricProblem(parameters, tokens, loss)
    theta = problem.centred(start.theta[None, :])
    for threshold in _THRESHOLDS:
        theta, _ = levenberg(problem.residuals, theta, iterations=_STEPS, huber=threshold)
    found = problem.result(theta[0], HUBER_DELTA)
    log_scale, log_likelihood = profile_scale(found.residuals, delta)
    return LikelihoodFit(found, log_scale, log_likelihood)


def log_likelihood_at(
    values: FloatArray,
    parameters: FloatArray,
    tokens: FloatArray,
    loss: FloatArray,
    *,
    delta: float = HUBER_DELTA,
) -> float:
    """Return the log-likelihood of constants (E, A, B, alpha, beta) at their best scale."""
    e, a, b, alpha, beta = np.asarray(values, dtype=np.float64).tolist()
    predicted = e + a / parameters**alpha + b / tokens**beta
    return profile_scale(np.log(predicted) - np.log(loss), delta)[1]


def likelihood_ratio_p(
    best: LikelihoodFit, log_likelihood: float, degrees: int = 5
) -> tuple[float, float]:
    """Return the likelihood-ratio statistic against other constants, and its chi-squared p-value."""
    statistic = 2 * (best.log_likelihood - log_likelihood)
    return statistic, float(stats.chi2.sf(statistic, degrees))


def profile_scale(residuals: FloatArray, delta: float) -> tuple[float, float]:
    """Return the logarithm of the scale of highest likelihood, and the log-likelihood there."""
    guess = math.log(max(delta * float(np.abs(residuals).mean()), 1e-300))

    def negative(log_scale: float) -> float:
        return -_log_likelihood(residuals, log_scale, delta)

    found = minimize_scalar(negative, bracket=(guess - 1, guess, guess + 1))
    return float(found.x), -float(found.fun)


def _log_likelihood(residuals: FloatArray, log_scale: float, delta: float) -> float:
    size = np.abs(residuals) / math.exp(log_scale)
    loss = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
    inner = math.sqrt(2 * math.pi) * (1 - 2 * float(stats.norm.sf(delta)))
    outer = 2 * math.exp(-(delta**2) / 2) / delta
    return -float(loss.sum()) - residuals.size * (math.log(inner + outer) + log_scale)
