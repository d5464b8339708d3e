"""Fit the law of repeated data: first five constants from runs without repetition, then the two rates, then all."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.optimize import minimize

from lilliput.analysis.laws.base import BoundEnd, SizedFit, SizedLaw, SizedPoints, drawn_medians
from lilliput.analysis.laws.curve import CurveFit, total_sum_of_squares
from lilliput.analysis.laws.equation import Equation, function, latex_number, short
from lilliput.analysis.laws.levenberg import levenberg
from lilliput.analysis.laws.parametric import (
    HUBER_DELTA,
    Constraints,
    ParametricProblem,
    fit_parametric,
    natural,
)
from lilliput.analysis.laws.registry import register_law
from lilliput.analysis.laws.repeated import CONSTANTS, RepeatedDataLaw, best_split, repeated_loss
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

_RATE_STARTS = np.array([0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0])
# Rates (R*_D, R*_N) from which searches start beside those that are found first.
_OTHER_RATES = ((4.0, 20.0), (20.0, 4.0), (100.0, 1.5))
# Rates are kept between e^-5 and e^12 repetitions: beyond, all or none of their worth is lost.
_LOWEST_RATE, _HIGHEST_RATE = -5.0, 12.0
_RATES = CONSTANTS[-2:]
# A rate this near to a bound, in its logarithm, has been stopped by it.
_AT_BOUND = 1e-6
_FOLLOWED_STARTS = 6
_FEWEST_FRESH = 6
_STEPS, _DRAW_STEPS = 300, 60
_DRAWS_AT_ONCE = 50
_DIFFERENCE = 1e-6
_SAME = 1 + 1e-9


def is_repeated(tokens: FloatArray, unique_tokens: FloatArray) -> NDArray[np.bool_]:
    """Return which points read some of their tokens more than once."""
    return tokens > unique_tokens * _SAME


def fit_repetition(
    law: RepeatedDataLaw,
    parameters: FloatArray,
    tokens: FloatArray,
    unique_tokens: FloatArray,
    loss: FloatArray,
    *,
    delta: float = HUBER_DELTA,
) -> RepeatedDataLaw:
    """Return the law with its two repetition rates fitted and the other constants kept.

    Args:
        law: E, A, B, alpha, beta fitted to runs without repetition.
        parameters: Above zero, shape (points,).
        tokens: Tokens of all epochs, shape (points,).
        unique_tokens: Tokens of one epoch, shape (points,).
        loss: Above zero, shape (points,).
        delta: Huber threshold of ln L.

    Raises:
        InputError: No point repeats its data, or there are fewer than three points.
    """
    repeats = int(is_repeated(tokens, unique_tokens).sum())
    if loss.size < 3 or repeats == 0:
        raise InputError(
            "repetition rates need at least three points, some with repeated data",
            got=f"{loss.size} points, {repeats} with repeated data",
        )

    def with_rates(log_rates: FloatArray) -> RepeatedDataLaw:
        rates = np.exp(np.clip(log_rates, _LOWEST_RATE, _HIGHEST_RATE)).tolist()
        return RepeatedDataLaw(*law.values[:5].tolist(), *rates)

    def objective(log_rates: FloatArray) -> float:
        predicted = with_rates(log_rates).predict(parameters, tokens, unique_tokens)
        size = np.abs(np.log(predicted) - np.log(loss))
        each = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
        return float(each.sum()) / delta

    starts = sorted((np.log([d, n]) for d in _RATE_STARTS for n in _RATE_STARTS), key=objective)
    best = starts[0]
    # The valley of the two rates is flat and has several minima: the best starts, and then their best once more.
    for start in (*starts[:_FOLLOWED_STARTS], None):
        found = minimize(
            objective,
            best if start is None else start,
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 4000},
        )
        if found.fun < objective(best):
            best = found.x
    return with_rates(best)


def fit_repeated(
    parameters: FloatArray,
    tokens: FloatArray,
    unique_tokens: FloatArray,
    loss: FloatArray,
    *,
    delta: float = HUBER_DELTA,
    tied: bool = False,
) -> RepeatedDataLaw:
    """Return the seven constants of lowest Huber objective of ln L.

    Args:
        parameters: Above zero, shape (points,).
        tokens: Tokens of all epochs, shape (points,).
        unique_tokens: Tokens of one epoch, shape (points,).
        loss: Above zero, shape (points,).
        delta: Huber threshold of ln L.
        tied: Whether alpha = beta, as in the published law.

    Raises:
        InputError: Too few points without repetition, or none with it.

    Source: arXiv 2305.16264. Departure: the constants of the runs without repetition are the start, and
    all seven are then refined on all points, since too many parameters bend those runs too.
    """
    fresh = ~is_repeated(tokens, unique_tokens)
    if fresh.sum() < _FEWEST_FRESH:
        raise InputError(
            f"the law of repeated data needs at least {_FEWEST_FRESH} points without repetition",
            got=int(fresh.sum()),
            remedy="Add runs whose tokens_seen do not exceed unique_tokens.",
        )
    first = fit_parametric(
        parameters[fresh], tokens[fresh], loss[fresh], delta=delta, constraints=Constraints(tied)
    )
    start = RepeatedDataLaw(*first.values.tolist(), repeat_tokens=1.0, repeat_parameters=1.0)
    near = fit_repetition(start, parameters, tokens, unique_tokens, loss, delta=delta)
    problem = RepeatedProblem(parameters, tokens, unique_tokens, loss, tied)
    starts = problem.with_other_rates(problem.theta_of(near))
    theta, cost = problem.solve(starts, iterations=_STEPS, delta=delta)
    return RepeatedDataLaw(*problem.values_of(theta)[int(np.argmin(cost))].tolist())


def draw_repeated(
    parent: RepeatedDataLaw,
    parameters: FloatArray,
    tokens: FloatArray,
    unique_tokens: FloatArray,
    loss: FloatArray,
    counts: FloatArray,
    *,
    tied: bool = False,
) -> FloatArray:
    """Return the seven constants refitted to bootstrap draws, shape (draws, 7).

    The valley of the two rates is flat: each draw is searched from the parent and from its constants with other rates,
    and the best of these counts. Started from the parent alone, draws stay near it and intervals are too short.

    Args:
        parent: The fit to all points.
        parameters: Shape (points,).
        tokens: Shape (points,).
        unique_tokens: Shape (points,).
        loss: Shape (points,).
        counts: How often each point is in each draw, shape (draws, points).
        tied: Whether alpha = beta.
    """
    problem = RepeatedProblem(parameters, tokens, unique_tokens, loss, tied)
    starts = problem.with_other_rates(problem.theta_of(parent))
    found = [np.empty((0, starts.shape[1]))]
    for i in range(0, counts.shape[0], _DRAWS_AT_ONCE):
        block = counts[i : i + _DRAWS_AT_ONCE]
        draws = block.shape[0]
        theta, cost = problem.solve(
            np.repeat(starts, draws, axis=0),
            iterations=_DRAW_STEPS,
            delta=HUBER_DELTA,
            counts=np.tile(block, (starts.shape[0], 1)),
        )
        best = np.argmin(cost.reshape(-1, draws), axis=0)
        found.append(problem.values_of(theta[best * draws + np.arange(draws)]))
    return np.concatenate(found)


class RepeatedProblem:
    """Compute residuals of ln L over theta = (ln A, ln B, ln E, alpha, beta, ln R*_D, ln R*_N).

    The first five are centred as in `parametric.ParametricProblem`; derivatives are differences, since N' depends
    on five of the constants at once.
    """

    def __init__(
        self,
        parameters: FloatArray,
        tokens: FloatArray,
        unique_tokens: FloatArray,
        loss: FloatArray,
        tied: bool = False,
    ) -> None:
        self._plain = ParametricProblem(parameters, tokens, loss)
        self._points = parameters, tokens, unique_tokens
        plain = Constraints(tied)
        unbounded = np.full(plain.n_constants, np.inf)
        self._lower = np.append(-unbounded, [_LOWEST_RATE] * 2)
        self._upper = np.append(unbounded, [_HIGHEST_RATE] * 2)
        self._expansion: FloatArray = _with_rates(plain.expansion)
        self._reduction: FloatArray = _with_rates(plain.reduction)

    def with_other_rates(self, theta: FloatArray) -> FloatArray:
        """Return theta, shape (1, 7), and the same with the rates from which a search starts as well, shape (starts, 7)."""
        starts = np.repeat(theta, 1 + len(_OTHER_RATES), axis=0)
        starts[1:, 5:] = np.log(_OTHER_RATES)
        return starts

    def theta_of(self, law: RepeatedDataLaw) -> FloatArray:
        """Return theta of a law, shape (1, 7)."""
        e, a, b, alpha, beta, tokens_rate, size_rate = law.values
        levels = np.log(np.maximum([a, b, e], np.finfo(np.float64).tiny))
        plain = np.array([*levels, alpha, beta])
        return np.append(self._plain.centred(plain), np.log([tokens_rate, size_rate]))[None, :]

    def values_of(self, theta: FloatArray) -> FloatArray:
        """Return the constants of each theta, shape (starts, 7)."""
        plain = natural(self._plain.uncentred(theta[:, :5]))
        return np.concatenate([plain, np.exp(theta[:, 5:])], axis=1)

    def solve(
        self,
        starts: FloatArray,
        *,
        iterations: int,
        delta: float,
        counts: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return theta and cost after some steps from each start, as `levenberg` does."""
        free, cost = levenberg(
            self._free_residuals,
            self._plain.with_an_offset(starts) @ self._reduction,
            iterations=iterations,
            lower=self._lower,
            upper=self._upper,
            huber=delta,
            counts=counts,
        )
        return free @ self._expansion.T, cost

    def _free_residuals(self, free: FloatArray) -> tuple[FloatArray, FloatArray]:
        residual, jacobian = self._residuals(free @ self._expansion.T)
        return residual, jacobian @ self._expansion

    def tangent(self, law: RepeatedDataLaw) -> FloatArray:
        """Return derivatives of ln L by (ln A, ln B, ln E, alpha, beta, ln R*_D, ln R*_N), shape (points, free)."""
        jacobian = self._residuals(self.theta_of(law))[1][0]
        jacobian[:, 3] -= jacobian[:, 0] * self._plain.mean_n
        jacobian[:, 4] -= jacobian[:, 1] * self._plain.mean_d
        return jacobian @ self._expansion

    def _residuals(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        columns: list[FloatArray] = []
        for i in range(theta.shape[1]):
            step = np.zeros(theta.shape[1])
            step[i] = _DIFFERENCE
            rise = self._log_loss(theta + step) - self._log_loss(theta - step)
            columns.append(rise / (2 * _DIFFERENCE))
        return self._log_loss(theta) - self._plain.log_loss, np.stack(columns, axis=2)

    def _log_loss(self, theta: FloatArray) -> FloatArray:
        return np.log(repeated_loss(self.values_of(theta), *self._points))


def _with_rates(matrix: FloatArray) -> FloatArray:
    """Return the matrix of the first constants with the two rates, which are always free, behind them."""
    return np.asarray(block_diag(matrix, np.eye(2)), dtype=np.float64)


class RepeatedLaw(SizedLaw):
    """The law L(N, D, U) of Muennighoff et al., where U counts the different tokens.

    Its curve gives the loss of the best split of each budget over the largest corpus of the table, whose size is
    the parameter `unique_tokens`.
    """

    name = "repeated"
    label = "law of repeated data"
    help = "The same where tokens repeat"
    needs_unique_tokens = True
    tied: ClassVar[bool] = False

    def fit(self, points: SizedPoints) -> SizedFit:
        """Fit the law to points."""
        unique, arrays = _unique(points), _arrays(points)
        law = fit_repeated(*arrays, delta=points.settings.delta, tied=self.tied)
        plain = Constraints(self.tied)
        log_loss = np.log(points.loss)
        fitted = np.log(law.predict(points.parameters, points.tokens, unique))
        costs = points.flops_per_parameter_token
        curve = CurveFit(
            law=self.name,
            names=(*CONSTANTS, "flops_per_parameter_token", "unique_tokens"),
            values=np.array([*law.values, np.median(costs), unique.max()]),
            breaks=np.empty(0),
            n_free=plain.n_constants + 3,
            rss=float(np.sum((fitted - log_loss) ** 2)),
            tss=total_sum_of_squares(log_loss),
            fitted=fitted,
            free=(*plain.free_names, "ln repeat_tokens", "ln repeat_parameters"),
            tangent=RepeatedProblem(*arrays, self.tied).tangent(law),
        )
        repeated = int(is_repeated(points.tokens, unique).sum())
        return SizedFit(curve, _warnings(law, points, unique), {"n_repeated": repeated})

    def draw(self, points: SizedPoints, fit: CurveFit, counts: FloatArray) -> FloatArray:
        """Refit the law to bootstrap draws."""
        law = RepeatedDataLaw(*fit.values[: len(CONSTANTS)].tolist())
        constants = draw_repeated(law, *_arrays(points), counts, tied=self.tied)
        medians = drawn_medians(points.flops_per_parameter_token, counts)
        corpus = np.full((counts.shape[0], 1), _unique(points).max())
        return np.concatenate([constants, medians, corpus], axis=1)

    def loss_at(
        self,
        values: FloatArray,
        parameters: FloatArray,
        tokens: FloatArray,
        unique_tokens: FloatArray | None = None,
    ) -> FloatArray:
        """Return the loss of models of some sizes and tokens; without unique tokens, over the largest corpus."""
        if unique_tokens is None:
            unique_tokens = np.full_like(tokens, np.max(values[..., len(CONSTANTS) + 1]))
        return repeated_loss(values[..., : len(CONSTANTS)], parameters, tokens, unique_tokens)

    def best_split(self, values: FloatArray, flops: float) -> tuple[float, float]:
        """Return the parameters and tokens of lowest loss at a budget."""
        count = len(CONSTANTS)
        if not np.isfinite(values).all() or (values[3:5] <= 0).any():
            return math.nan, math.nan
        cost, unique = values[count:].tolist()
        size, tokens = best_split(values[:count], flops, unique, cost)
        return float(size), float(tokens)

    def equation(self, parameters: Mapping[str, float], breaks: FloatArray) -> Equation:
        """Return the fit as an equation."""
        del breaks
        law = RepeatedDataLaw(*(parameters[name] for name in CONSTANTS))
        ratio = law.matched_parameters(1.0)  # U_N = ratio * U^(beta / alpha)
        power = law.beta / law.alpha
        worth = "U + U R (1 - exp(-(X / U - 1) / R))"
        return Equation(
            f"L = {short(law.E)} + {short(law.A)} N'^{short(-law.alpha)} + {short(law.B)} D'^{short(-law.beta)}; X' = {worth} "
            f"beyond U, with R = {short(law.repeat_tokens)} for D over U unique tokens, R = {short(law.repeat_parameters)} for N "
            f"over {short(float(ratio))} U^{short(power)}",
            f"L = {latex_number(law.E)} + {latex_number(law.A)}\\,N'^{{{latex_number(-law.alpha)}}} + "
            f"{latex_number(law.B)}\\,D'^{{{latex_number(-law.beta)}}},\\quad "
            "X' = U_X + U_X R_X \\left(1 - e^{-(X / U_X - 1) / R_X}\\right),\\quad "
            f"R_D = {latex_number(law.repeat_tokens)},\\; R_N = {latex_number(law.repeat_parameters)}",
            function(
                "N, D, U",
                [
                    f"U = min(U, D); UN = min(N, {float(ratio)!r} * U ** {power!r})",
                    f"D = U + U * {law.repeat_tokens!r} * (1 - np.exp(-(D / U - 1) / {law.repeat_tokens!r}))",
                    f"N = UN + UN * {law.repeat_parameters!r} * (1 - np.exp(-(N / UN - 1) / {law.repeat_parameters!r}))",
                    f"return {law.E!r} + {law.A!r} * N ** {-law.alpha!r} + {law.B!r} * D ** {-law.beta!r}",
                ],
            ),
        )

    def at_bound(self, values: FloatArray) -> dict[str, BoundEnd]:
        """Return the rates that ended at a bound of their search."""
        rates = zip(_RATES, np.log(values[len(CONSTANTS) - 2 : len(CONSTANTS)]), strict=True)
        ends: dict[str, BoundEnd] = {}
        for name, log_rate in rates:
            if log_rate >= _HIGHEST_RATE - _AT_BOUND:
                ends[name] = "highest"
            elif log_rate <= _LOWEST_RATE + _AT_BOUND:
                ends[name] = "lowest"
        return ends

    def log_curve(
        self, log_flops: FloatArray, parameters: Mapping[str, float], log_breaks: FloatArray
    ) -> FloatArray:
        """Return the log loss of the best split of a cost over a corpus of `unique_tokens`."""
        del log_breaks
        values, unique = np.array([parameters[n] for n in CONSTANTS]), parameters["unique_tokens"]
        cost = parameters["flops_per_parameter_token"]
        size, tokens = best_split(values, np.exp(log_flops), unique, cost)
        return np.log(repeated_loss(values, size, tokens, unique))


def _unique(points: SizedPoints) -> FloatArray:
    assert points.unique_tokens is not None, "the law needs unique tokens"
    return points.unique_tokens


def _arrays(points: SizedPoints) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    return points.parameters, points.tokens, _unique(points), points.loss


def _warnings(law: RepeatedDataLaw, points: SizedPoints, unique: FloatArray) -> tuple[str, ...]:
    """Return a warning for each rate that the points do not determine."""
    excess = points.parameters > law.matched_parameters(np.minimum(unique, points.tokens))
    if not excess.any():
        return ("No run has more parameters than its data call for: repeat_parameters is a guess.",)
    return ()


class TiedRepeatedLaw(RepeatedLaw):
    """Fit the law of repeated data with alpha = beta, as Muennighoff et al. published it."""

    name = "repeated_tied"
    label = "law of repeated data with one exponent"
    help = "The same with alpha = beta"
    tied = True


register_law(RepeatedLaw())
register_law(TiedRepeatedLaw())
