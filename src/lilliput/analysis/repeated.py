"""Loss when data are repeated: what an epoch beyond the first is still worth.

L = E + A / N'^alpha + B / D'^beta with D' = U_D + U_D R*_D (1 - exp(-R_D / R*_D)), R_D = D / U_D - 1, and
N' likewise over U_N, the size that the unique tokens would call for.

Source: Muennighoff et al., arXiv 2305.16264, equations 5, 6 and appendix A.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from lilliput.analysis.parametric import HUBER_DELTA
from lilliput.core.errors import InputError

FloatArray = NDArray[np.float64]
_RATE_STARTS = np.array([1.0, 3.0, 10.0, 30.0, 100.0])


@dataclass(frozen=True)
class RepeatedDataLaw:
    """The constants of a law with repetition.

    Attributes:
        E: Irreducible loss in nats.
        A: Coefficient of the parameters.
        B: Coefficient of the tokens.
        alpha: Exponent of the parameters.
        beta: Exponent of the tokens.
        repeat_tokens: R*_D, the repetitions at which 1 - 1/e of all their worth is had.
        repeat_parameters: R*_N, the same for parameters in excess of U_N.
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    repeat_tokens: float
    repeat_parameters: float

    def effective_tokens(self, tokens: ArrayLike, unique_tokens: ArrayLike) -> FloatArray:
        """D': the fresh tokens that would be worth as much."""
        return saturating(tokens, unique_tokens, self.repeat_tokens)

    def effective_parameters(self, parameters: ArrayLike, unique_tokens: ArrayLike) -> FloatArray:
        """N': the parameters that the unique tokens can use."""
        n = np.asarray(parameters, dtype=np.float64)
        return saturating(
            n, np.minimum(self.matched_parameters(unique_tokens), n), self.repeat_parameters
        )

    def matched_parameters(self, unique_tokens: ArrayLike) -> FloatArray:
        """U_N: the compute-optimal parameters for that many fresh tokens."""
        d = np.asarray(unique_tokens, dtype=np.float64)
        ratio = (self.alpha * self.A / (self.beta * self.B)) ** (1 / (self.alpha + self.beta))
        return ratio * (d * ratio) ** (self.beta / self.alpha)

    def predict(
        self, parameters: ArrayLike, tokens: ArrayLike, unique_tokens: ArrayLike
    ) -> FloatArray:
        """Loss in nats; `tokens` counts every pass, `unique_tokens` one."""
        n = self.effective_parameters(parameters, unique_tokens)
        d = self.effective_tokens(tokens, unique_tokens)
        return self.E + self.A / n**self.alpha + self.B / d**self.beta


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


def saturating(amount: ArrayLike, unique: ArrayLike, rate: float) -> FloatArray:
    """What an amount is worth of which only `unique` is fresh: linear up to it, then saturating."""
    total = np.asarray(amount, dtype=np.float64)
    fresh = np.minimum(np.asarray(unique, dtype=np.float64), total)
    return fresh + fresh * rate * -np.expm1(-(total / fresh - 1) / rate)


def fit_repetition(
    law: RepeatedDataLaw,
    parameters: FloatArray,
    tokens: FloatArray,
    unique_tokens: FloatArray,
    loss: FloatArray,
    *,
    delta: float = HUBER_DELTA,
) -> RepeatedDataLaw:
    """The law with its two repetition rates fitted, the other constants kept from unrepeated runs.

    Args:
        law: E, A, B, alpha, beta fitted to runs without repetition.
        parameters: Above zero, shape (points,).
        tokens: All passes, shape (points,).
        unique_tokens: One pass, shape (points,).
        loss: Above zero, shape (points,).
        delta: Huber threshold of ln L.

    Raises:
        InputError: No point repeats its data, or there are fewer than three points.
    """
    repeats = int(np.sum(tokens > unique_tokens * (1 + 1e-9)))
    if loss.size < 3 or repeats == 0:
        raise InputError(
            "repetition rates need at least three points, some with repeated data",
            got=f"{loss.size} points, {repeats} with repeated data",
        )

    def with_rates(log_rates: FloatArray) -> RepeatedDataLaw:
        tokens_rate, parameters_rate = np.exp(np.clip(log_rates, -5, 12)).tolist()
        constants = (law.E, law.A, law.B, law.alpha, law.beta)
        return RepeatedDataLaw(*constants, tokens_rate, parameters_rate)

    def objective(log_rates: FloatArray) -> float:
        predicted = with_rates(log_rates).predict(parameters, tokens, unique_tokens)
        size = np.abs(np.log(predicted) - np.log(loss))
        each = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
        return float(each.sum()) / delta

    starts = [np.log([d, n]) for d in _RATE_STARTS for n in _RATE_STARTS]
    best = min(starts, key=objective)
    found = minimize(
        objective,
        best,
        method="Nelder-Mead",
        options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 4000},
    )
    return with_rates(found.x)
