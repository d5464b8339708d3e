"""Fit the loss as a function of parameters and tokens: L(N, D) = E + A / N^alpha + B / D^beta.

The fit minimises the Huber loss of ln L with analytic gradients: a batch of damped Gauss-Newton steps
screens the published grid of 4,500 starts and keeps fewer after each round; scipy refines the last six.

Sources: Hoffmann et al., arXiv 2203.15556, approach 3; Besiroglu et al., arXiv 2404.10102. The
objective is the sum over points; a mean stops optimizers early.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from lilliput.analysis.laws.base import SizedFit, SizedLaw, SizedPoints, drawn_medians
from lilliput.analysis.laws.curve import CurveFit, total_sum_of_squares
from lilliput.analysis.laws.levenberg import Residuals, levenberg
from lilliput.analysis.laws.registry import register_law
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

HUBER_DELTA = 1e-3
PARAMETER_NAMES = ("E", "A", "B", "alpha", "beta")
# (steps, starts kept, points used at most): all starts take a few steps, the best ones more.
_SCREENING = ((3, 900, 300), (6, 150, 300), (15, 24, 2000), (60, 6, 100_000))
# Below this share of the lowest loss the objective hardly depends on ln E.
_LEAST_OFFSET = 0.05
# A floor below this many nats counts as no floor.
_LEAST_FLOOR = 1e-3
_DRAW_STEPS = 150
_DRAWS_AT_ONCE = 200


@dataclass(frozen=True)
class ParametricFit:
    """Hold the five constants and how well they fit.

    Attributes:
        E: Irreducible loss in nats.
        A: Coefficient of the parameters.
        B: Coefficient of the tokens.
        alpha: Exponent of the parameters.
        beta: Exponent of the tokens.
        objective: Sum over points of the Huber loss of ln L.
        residuals: Fitted minus observed ln L, shape (points,).
        jacobian: Derivatives of ln L by (ln A, ln B, ln E, alpha, beta), shape (points, 5).
    """

    E: float
    A: float
    B: float
    alpha: float
    beta: float
    objective: float
    residuals: FloatArray
    jacobian: FloatArray

    @property
    def theta(self) -> FloatArray:
        """Return (ln A, ln B, ln E, alpha, beta); for ln an offset of zero is replaced by a tiny one."""
        return _theta(self.values)

    @property
    def values(self) -> FloatArray:
        """Return (E, A, B, alpha, beta)."""
        return np.array([self.E, self.A, self.B, self.alpha, self.beta])

    @property
    def size_exponent(self) -> float:
        """Return the a in N_opt proportional to C^a: beta / (alpha + beta)."""
        return self.beta / (self.alpha + self.beta)

    def predict(self, parameters: ArrayLike, tokens: ArrayLike) -> FloatArray:
        """Return the loss in nats."""
        n, d = np.asarray(parameters, dtype=np.float64), np.asarray(tokens, dtype=np.float64)
        return self.E + self.A / n**self.alpha + self.B / d**self.beta

    def optimum(self, flops: float, flops_per_parameter_token: float = 6.0) -> tuple[float, float]:
        """Return parameters and tokens of lowest loss at a budget, where cost = constant x N x D."""
        return optimum(self.values, flops, flops_per_parameter_token)


def _theta(values: FloatArray) -> FloatArray:
    """Return (ln A, ln B, ln E, alpha, beta) from (E, A, B, alpha, beta); an offset of zero is a tiny one."""
    e, a, b, alpha, beta = values.tolist()
    levels = np.log(np.maximum([a, b, e], np.finfo(np.float64).tiny))
    return np.array([*levels, alpha, beta])


def optimum(
    values: FloatArray, flops: float, flops_per_parameter_token: float
) -> tuple[float, float]:
    """Return parameters and tokens of lowest loss under constants (E, A, B, alpha, beta)."""
    _, a, b, alpha, beta = values.tolist()
    ratio = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    work = flops / flops_per_parameter_token
    size = ratio * work ** (beta / (alpha + beta))
    return size, work / size


def starts_grid() -> FloatArray:
    """Return the 4,500 starts of Hoffmann et al. as (ln A, ln B, ln E, alpha, beta), shape (4500, 5)."""
    coefficients = np.arange(0, 26, 5)
    offsets = np.arange(-1, 1.1, 0.5)
    exponents = np.arange(0, 2.1, 0.5)
    grid = itertools.product(coefficients, coefficients, offsets, exponents, exponents)
    return np.array(list(grid), dtype=np.float64)


def fit_parametric(
    parameters: FloatArray,
    tokens: FloatArray,
    loss: FloatArray,
    *,
    delta: float = HUBER_DELTA,
    starts: FloatArray | None = None,
) -> ParametricFit:
    """Return the five constants of lowest Huber objective over a grid of starts.

    Args:
        parameters: Above zero, shape (points,).
        tokens: Above zero, shape (points,).
        loss: Above zero, shape (points,).
        delta: Residual of ln L from which the loss grows linearly.
        starts: (ln A, ln B, ln E, alpha, beta) to start from, shape (starts, 5); by default 4,500.

    Raises:
        InputError: There are fewer than six points, or N or D does not vary.
    """
    _check(parameters, tokens, loss)
    problem = ParametricProblem(parameters, tokens, loss)
    theta = problem.centred(starts_grid() if starts is None else starts)
    for steps, kept, most_points in _SCREENING:
        part = problem.thinned(most_points)
        theta, cost = levenberg(part.residuals, theta, iterations=steps, huber=delta)
        theta = theta[np.argsort(cost)[:kept]]
    polished = [problem.polish(row, delta) for row in theta]
    best = min(polished, key=lambda row: problem.objective(row, delta)[0])
    return problem.result(best, delta)


def draw_parametric(
    start: FloatArray,
    parameters: FloatArray,
    tokens: FloatArray,
    loss: FloatArray,
    counts: FloatArray,
    *,
    delta: float = HUBER_DELTA,
) -> FloatArray:
    """Return (E, A, B, alpha, beta) refitted to bootstrap draws, in batches, from the fit to all points.

    Args:
        start: (ln A, ln B, ln E, alpha, beta) of the fit to all points, shape (5,).
        parameters: Shape (points,).
        tokens: Shape (points,).
        loss: Shape (points,).
        counts: How often each point is in each draw, shape (draws, points).
        delta: As for the fit to all points.

    Returns:
        Shape (draws, 5).
    """
    problem = ParametricProblem(parameters, tokens, loss)
    near = problem.with_an_offset(problem.centred(start[None, :]))
    found: list[FloatArray] = []
    for i in range(0, counts.shape[0], _DRAWS_AT_ONCE):
        block = counts[i : i + _DRAWS_AT_ONCE]
        starts = np.repeat(near, block.shape[0], axis=0)
        theta, _ = levenberg(
            problem.residuals, starts, iterations=_DRAW_STEPS, huber=delta, counts=block
        )
        found.append(natural(problem.uncentred(theta)))
    return np.concatenate(found) if found else np.empty((0, len(PARAMETER_NAMES)))


def natural(theta: FloatArray) -> FloatArray:
    """Return (E, A, B, alpha, beta) from (ln A, ln B, ln E, alpha, beta), along the last axis."""
    with np.errstate(over="ignore"):
        levels = np.exp(theta[..., [2, 0, 1]])
    return np.concatenate([levels, theta[..., 3:5]], axis=-1)


def _check(parameters: FloatArray, tokens: FloatArray, loss: FloatArray) -> None:
    if loss.size < len(PARAMETER_NAMES) + 1:
        raise InputError(
            "the parametric law has five parameters and needs at least six points", got=loss.size
        )
    for name, values in (("parameters", parameters), ("tokens", tokens)):
        if np.unique(values).size < 3:
            raise InputError(
                f"the parametric law needs at least three different numbers of {name}",
                got=np.unique(values).size,
                remedy="Vary both sizes and tokens, or fit a law of cost alone.",
            )


class ParametricProblem:
    """Compute residuals of ln L over theta = (a, b, e, alpha, beta), with ln N and ln D centred.

    Centring makes a and b the terms at the middle of the data, which the exponents leave in place.
    """

    def __init__(self, parameters: FloatArray, tokens: FloatArray, loss: FloatArray) -> None:
        self.mean_n, self.mean_d = float(np.log(parameters).mean()), float(np.log(tokens).mean())
        self.log_n = np.log(parameters) - self.mean_n
        self.log_d = np.log(tokens) - self.mean_d
        self.log_loss = np.log(loss)

    def centred(self, theta: FloatArray) -> FloatArray:
        """Return theta with ln N and ln D centred, from theta without centring, shape (..., 5)."""
        shift = np.stack([theta[..., 3] * self.mean_n, theta[..., 4] * self.mean_d], axis=-1)
        return np.concatenate([theta[..., :2] - shift, theta[..., 2:]], axis=-1)

    def uncentred(self, theta: FloatArray) -> FloatArray:
        """Return the inverse of `centred`."""
        shift = np.stack([theta[..., 3] * self.mean_n, theta[..., 4] * self.mean_d], axis=-1)
        return np.concatenate([theta[..., :2] + shift, theta[..., 2:]], axis=-1)

    def with_an_offset(self, theta: FloatArray) -> FloatArray:
        """Return the starts with ln E raised to where the objective has a slope: a share of the lowest loss."""
        raised = theta.copy()
        raised[:, 2] = np.maximum(theta[:, 2], math.log(_LEAST_OFFSET) + self.log_loss.min())
        return raised

    def thinned(self, most: int) -> ParametricProblem:
        """Return the problem on at most so many of its points, evenly spread over the losses."""
        if self.log_loss.size <= most:
            return self
        order = np.argsort(self.log_loss, kind="stable")
        rows = order[np.linspace(0, order.size - 1, most).round().astype(int)]
        part = copy.copy(self)
        part.log_n, part.log_d, part.log_loss = (
            values[rows] for values in (self.log_n, self.log_d, self.log_loss)
        )
        return part

    @property
    def residuals(self) -> Residuals:
        """Return the function from theta, shape (starts, 5), to residuals and their Jacobian."""
        return self._residuals

    def _residuals(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        terms = np.empty((3, theta.shape[0], self.log_loss.size))
        np.subtract(theta[:, 0:1], theta[:, 3:4] * self.log_n, out=terms[0])
        np.subtract(theta[:, 1:2], theta[:, 4:5] * self.log_d, out=terms[1])
        terms[2] = theta[:, 2:3]
        largest = terms.max(axis=0)
        np.exp(terms - largest, out=terms)
        total = terms.sum(axis=0)
        shares = terms / total
        jacobian = np.empty((*total.shape, 5))
        jacobian[..., 0], jacobian[..., 1], jacobian[..., 2] = shares
        jacobian[..., 3] = -shares[0] * self.log_n
        jacobian[..., 4] = -shares[1] * self.log_d
        return np.log(total) + largest - self.log_loss, jacobian

    def objective(self, theta: FloatArray, delta: float) -> tuple[float, FloatArray]:
        """Return the sum of Huber losses and its gradient, shape (5,)."""
        residual, jacobian = self._residuals(theta[None, :])
        size = np.abs(residual[0])
        value = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2))
        slope = np.clip(residual[0], -delta, delta)
        return float(value.sum()), jacobian[0].T @ slope

    def polish(self, theta: FloatArray, delta: float) -> FloatArray:
        """Return the minimum by BFGS from theta; the objective is scaled so that the tolerances take effect."""
        scale = 1.0 / max(self.objective(theta, delta)[0], 1e-12)

        def scaled(t: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = self.objective(t, delta)
            return value * scale, gradient * scale

        found = minimize(scaled, theta, jac=True, method="BFGS", options={"gtol": 1e-8})
        better = self.objective(found.x, delta)[0] <= self.objective(theta, delta)[0]
        return np.asarray(found.x if better else theta, dtype=np.float64)

    def result(self, theta: FloatArray, delta: float) -> ParametricFit:
        """Return the fit at theta."""
        residual, jacobian = self._residuals(theta[None, :])
        values = natural(self.uncentred(theta)).tolist()
        jacobian[..., 3] -= jacobian[..., 0] * self.mean_n
        jacobian[..., 4] -= jacobian[..., 1] * self.mean_d
        return ParametricFit(
            *values,
            objective=self.objective(theta, delta)[0],
            residuals=residual[0],
            jacobian=jacobian[0],
        )


class ParametricLaw(SizedLaw):
    """L(N, D) = E + A / N^alpha + B / D^beta."""

    name = "parametric"
    label = "law of size and tokens"
    help = "E + A / N^alpha + B / D^beta"

    def fit(self, points: SizedPoints) -> SizedFit:
        """Fit the law to points."""
        found = fit_parametric(points.parameters, points.tokens, points.loss)
        log_loss = np.log(points.loss)
        curve = CurveFit(
            law=self.name,
            names=(*PARAMETER_NAMES, "flops_per_parameter_token"),
            values=np.append(found.values, np.median(points.flops_per_parameter_token)),
            breaks=np.empty(0),
            n_free=len(PARAMETER_NAMES) + 1,
            rss=float(np.sum(found.residuals**2)),
            tss=total_sum_of_squares(log_loss),
            fitted=log_loss + found.residuals,
            free=("ln A", "ln B", "ln E", "alpha", "beta"),
            tangent=found.jacobian,
        )
        return SizedFit(curve, _warnings(found), {"objective": found.objective})

    def draw(self, points: SizedPoints, fit: CurveFit, counts: FloatArray) -> FloatArray:
        """Refit the law to bootstrap draws."""
        start = _theta(fit.values[: len(PARAMETER_NAMES)])
        values = draw_parametric(start, points.parameters, points.tokens, points.loss, counts)
        medians = drawn_medians(points.flops_per_parameter_token, counts)
        return np.concatenate([values, medians], axis=1)

    def derived(self, values: FloatArray) -> dict[str, FloatArray]:
        """Return the a in N_opt proportional to C^a: it follows from the two exponents."""
        return {"size_exponent": values[..., 4] / (values[..., 3] + values[..., 4])}

    def best_split(self, values: FloatArray, flops: float) -> tuple[float, float]:
        """Return the parameters and tokens of lowest loss at a budget."""
        count = len(PARAMETER_NAMES)
        if not np.isfinite(values).all() or (values[3:count] <= 0).any():
            return math.nan, math.nan
        return optimum(values[:count], flops, float(values[count]))

    def log_curve(
        self, log_flops: FloatArray, parameters: Mapping[str, float], log_breaks: FloatArray
    ) -> FloatArray:
        """Return the log loss of the best split of a cost between parameters and tokens."""
        del log_breaks
        p, (alpha, beta) = parameters, (parameters["alpha"], parameters["beta"])
        if min(alpha, beta, p["A"], p["B"]) <= 0:
            return np.full_like(log_flops, math.nan)  # No best split of a budget exists.
        log_work = log_flops - math.log(p["flops_per_parameter_token"])
        log_ratio = math.log(alpha * p["A"] / (beta * p["B"])) / (alpha + beta)
        log_n = log_ratio + beta / (alpha + beta) * log_work
        terms = p["A"] * np.exp(-alpha * log_n) + p["B"] * np.exp(-beta * (log_work - log_n))
        return np.log(p["E"] + terms)


def _warnings(fit: ParametricFit) -> tuple[str, ...]:
    sentences: list[str] = []
    if fit.alpha <= 0 or fit.beta <= 0:
        sentences.append("An exponent is not above zero: no best split of a budget exists.")
    if fit.E < _LEAST_FLOOR:
        sentences.append("These points cannot separate the irreducible loss from zero.")
    return tuple(sentences)


register_law(ParametricLaw())
