"""Compute the loss when data are repeated: an epoch beyond the first is worth less than the first.

L = E + A / N'^alpha + B / D'^beta with D' = U_D + U_D R*_D (1 - exp(-R_D / R*_D)), R_D = D / U_D - 1, and
N' likewise over U_N, the size that the unique tokens would call for. U_D is the number of
different tokens among D. Example: with R*_D = 15, reading 100 tokens 4 times (R_D = 3) is worth
100 + 100 x 15 x (1 - exp(-3/15)) = 372 fresh tokens instead of 400.

Source: Muennighoff et al., arXiv 2305.16264, equations 5, 6 and appendix A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lilliput.analysis.laws.parametric import optimum
from lilliput.core.arrays import FloatArray

CONSTANTS = ("E", "A", "B", "alpha", "beta", "repeat_tokens", "repeat_parameters")
# The best split is searched within this many factors of e around the split for fresh data, then more closely.
_REACH, _GRID, _CLOSER = 9.0, 49, 12


@dataclass(frozen=True)
class RepeatedDataLaw:
    """Hold the constants of a law with repetition.

    Attributes:
        E: Irreducible loss in nats.
        A: Coefficient of the parameters.
        B: Coefficient of the tokens.
        alpha: Exponent of the parameters.
        beta: Exponent of the tokens.
        repeat_tokens: R*_D, the number of repetitions that give 1 - 1/e of all they can give.
        repeat_parameters: R*_N, the same for parameters in excess of U_N.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    repeat_tokens: float
    repeat_parameters: float

    @property
    def values(self) -> FloatArray:
        """Return the seven constants in the order of `CONSTANTS`."""
        return np.array([getattr(self, name) for name in CONSTANTS])

    def effective_tokens(self, tokens: ArrayLike, unique_tokens: ArrayLike) -> FloatArray:
        """Return D': the fresh tokens that would be worth as much."""
        return saturating(tokens, unique_tokens, self.repeat_tokens)

    def effective_parameters(self, parameters: ArrayLike, unique_tokens: ArrayLike) -> FloatArray:
        """Return N': the parameters that the unique tokens can use."""
        return saturating(
            parameters, self.matched_parameters(unique_tokens), self.repeat_parameters
        )

    def matched_parameters(self, unique_tokens: ArrayLike) -> FloatArray:
        """Return U_N: the compute-optimal parameters for that many fresh tokens."""
        return _matched(self.A, self.B, self.alpha, self.beta, unique_tokens)

    def predict(
        self, parameters: ArrayLike, tokens: ArrayLike, unique_tokens: ArrayLike
    ) -> FloatArray:
        """Return the loss in nats; `tokens` counts all epochs, `unique_tokens` one epoch."""
        return repeated_loss(self.values, parameters, tokens, unique_tokens)

    def best_split(
        self, flops: ArrayLike, unique_tokens: float, flops_per_parameter_token: float = 6.0
    ) -> tuple[FloatArray, FloatArray]:
        """Return parameters and tokens (all epochs) of lowest loss at a budget with so many unique tokens."""
        return best_split(self.values, flops, unique_tokens, flops_per_parameter_token)


# Constants of arXiv 2305.16264, appendix A: 182 runs of 7 million to 9 billion parameters.
MUENNIGHOFF = RepeatedDataLaw(
    E=float(np.exp(0.6254804)),
    A=float(np.exp(6.255414)),
    B=float(np.exp(7.3049974)),
    alpha=0.3526596,
    beta=0.3526596,
    repeat_tokens=15.387756,
    repeat_parameters=5.309743,
)


def saturating(amount: ArrayLike, unique: ArrayLike, rate: ArrayLike) -> FloatArray:
    """Return the worth of an amount of which only `unique` is fresh: equal up to it, then growing ever more slowly."""
    total, rate = np.asarray(amount, dtype=np.float64), np.asarray(rate, dtype=np.float64)
    fresh = np.minimum(np.asarray(unique, dtype=np.float64), total)
    return fresh + fresh * rate * -np.expm1(-(total / fresh - 1) / rate)


def _matched(
    a: ArrayLike, b: ArrayLike, alpha: ArrayLike, beta: ArrayLike, unique_tokens: ArrayLike
) -> FloatArray:
    a, b, alpha, beta, d = (
        np.asarray(x, dtype=np.float64) for x in (a, b, alpha, beta, unique_tokens)
    )
    ratio = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    return ratio * (d * ratio) ** (beta / alpha)


def repeated_loss(
    values: FloatArray, parameters: ArrayLike, tokens: ArrayLike, unique_tokens: ArrayLike
) -> FloatArray:
    """Return the loss in nats under one or many sets of constants.

    Args:
        values: In the order of `CONSTANTS`, shape (7,) or (draws, 7).
        parameters: Shape (points,) or a number.
        tokens: Tokens of all epochs.
        unique_tokens: Tokens of one epoch.

    Returns:
        Shape (points,) or (draws, points).
    """
    e, a, b, alpha, beta, tokens_rate, size_rate = (
        values if values.ndim == 1 else values.T[..., None]
    )
    unique = np.minimum(unique_tokens, tokens)
    n = saturating(parameters, _matched(a, b, alpha, beta, unique), size_rate)
    d = saturating(tokens, unique, tokens_rate)
    return e + a / n**alpha + b / d**beta


def best_split(
    values: FloatArray,
    flops: ArrayLike,
    unique_tokens: float,
    flops_per_parameter_token: float,
) -> tuple[FloatArray, FloatArray]:
    """Return parameters and tokens of lowest loss under seven constants, by a grid that becomes finer.

    Args:
        values: In the order of `CONSTANTS`, shape (7,).
        flops: Budgets, any shape.
        unique_tokens: Tokens of the corpus.
        flops_per_parameter_token: Cost of one token and parameter.

    Returns:
        Two arrays of the shape of `flops`; tokens count all epochs.
    """
    cost = np.asarray(flops, dtype=np.float64)
    work = cost.reshape(-1) / flops_per_parameter_token
    alpha, beta = values[3:5].tolist()
    centre = math.log(optimum(values[:5], 1.0, 1.0)[0]) + beta / (alpha + beta) * np.log(work)
    steps, reach = np.linspace(-1, 1, _GRID), _REACH
    for _ in range(_CLOSER):
        sizes = np.exp(centre + reach * steps[:, None])
        best = np.argmin(repeated_loss(values, sizes, work / sizes, unique_tokens), axis=0)
        centre, reach = centre + reach * steps[best], reach * (steps[1] - steps[0])
        steps = np.linspace(-1, 1, 9)
    size = np.exp(centre).reshape(cost.shape)
    return size, cost / flops_per_parameter_token / size
