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
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize

from lilliput.analysis.laws.base import SizedFit, SizedLaw, SizedPoints, drawn_medians
from lilliput.analysis.laws.curve import CurveFit, total_sum_of_squares
from lilliput.analysis.laws.equation import Equation, function, latex_number, short
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
# The grid of exponents whose linear part is solved, and how many of its pairs are followed.
_EXPONENTS, _EXPONENT_STEPS, _PROJECTED_KEPT = (0.02, 2.0), 30, 60
_PROJECTED_SCREENING = ((15, 24, 2000), (60, 6, 100_000))
_DRAW_STEPS = 150
_DRAWS_AT_ONCE = 200


@dataclass(frozen=True)
class Constraints:
    """Say which constants of the law are not free.

    Attributes:
        tied: Whether alpha = beta.
        offset: The irreducible loss E in nats where it is known; None where it is fitted.
    """

    tied: bool = False
    offset: float | None = None

    @property
    def n_constants(self) -> int:
        """Return the number of free constants."""
        return len(PARAMETER_NAMES) - self.tied - (self.offset is not None)

    @property
    def expansion(self) -> FloatArray:
        """Return the matrix from free constants to (ln A, ln B, ln E, alpha, beta), shape (5, free)."""
        matrix = np.eye(len(PARAMETER_NAMES))
        if self.tied:
            matrix[:, 3] += matrix[:, 4]
        dropped = [*([2] if self.offset is not None else []), *([4] if self.tied else [])]
        return np.delete(matrix, dropped, axis=1)

    @property
    def free_names(self) -> tuple[str, ...]:
        """Return the names of the free constants, as a covariance knows them."""
        offset = () if self.offset is not None else ("ln E",)
        return ("ln A", "ln B", *offset, *(("alpha = beta",) if self.tied else ("alpha", "beta")))

    @property
    def reduction(self) -> FloatArray:
        """Return the matrix from theta to the free constants, shape (5, free); equal exponents are averaged."""
        expansion = self.expansion
        return expansion / expansion.sum(axis=0)


UNCONSTRAINED = Constraints()


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
    try:
        ratio = (alpha * a / (beta * b)) ** (1 / (alpha + beta))
    except (OverflowError, ZeroDivisionError):  # A term that a draw put at zero: nothing to split.
        return math.nan, math.nan
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
    weights: FloatArray | None = None,
    constraints: Constraints = UNCONSTRAINED,
) -> ParametricFit:
    """Return the constants of lowest Huber objective.

    Args:
        parameters: Above zero, shape (points,).
        tokens: Above zero, shape (points,).
        loss: Above zero, shape (points,).
        delta: Residual of ln L from which the loss grows linearly.
        starts: (ln A, ln B, ln E, alpha, beta) to start from, shape (starts, 5), such as `starts_grid()`; by
            default the best of a grid of exponents, with the rest by least squares (see `_projected_starts`).
        weights: Times that each point counts, shape (points,); by default once.
        constraints: Exponents that are equal, an offset that is known.

    Raises:
        InputError: There are fewer points than constants and one more, or N or D does not vary.
    """
    _check(parameters, tokens, loss, constraints.n_constants)
    problem = ParametricProblem(parameters, tokens, loss, weights, constraints)
    if starts is None:
        free = problem.reduced(_projected_starts(problem, delta))
        screening = _PROJECTED_SCREENING
    else:
        free, screening = problem.reduced(problem.centred(starts)), _SCREENING
    for steps, kept, most_points in screening:
        part = problem.thinned(most_points)
        free, cost = levenberg(
            part.free_residuals, free, iterations=steps, huber=delta, counts=part.weights
        )
        free = free[np.argsort(cost)[:kept]]
    polished = [problem.full(problem.polish(row, delta)) for row in free]
    best = min(polished, key=lambda theta: problem.objective(theta, delta)[0])
    if constraints.offset is None and best[2] < problem.lowest_slope:
        best = min(
            best,
            _without_offset(problem, best, delta),
            key=lambda theta: problem.objective(theta, delta)[0],
        )
    return problem.result(best, delta)


def _without_offset(problem: ParametricProblem, theta: FloatArray, delta: float) -> FloatArray:
    """Return the best theta near a given one with no irreducible loss: ln E alone would creep there without end."""
    bare = copy.copy(problem)
    bare.constraints = Constraints(problem.constraints.tied, np.finfo(np.float64).tiny)
    near, _ = levenberg(
        bare.free_residuals,
        bare.reduced(theta[None, :]),
        iterations=_DRAW_STEPS,
        huber=delta,
        counts=problem.weights,
    )
    return bare.full(bare.polish(near[0], delta))


def _projected_starts(problem: ParametricProblem, delta: float) -> FloatArray:
    """Return the best centred theta of a grid of exponents, shape (starts, 5), by variable projection.

    With both exponents held, L = E + A n + B d is linear in E, A and B. They are solved by least squares of the
    relative error, none below zero, for all pairs of exponents at once: a search over two numbers instead of five,
    whose linear part is far better conditioned. The Huber objective then ranks the pairs.

    Source: variable projection, Golub and Pereyra, SIAM Journal on Numerical Analysis 10 (1973).
    """
    exponents = np.geomspace(*_EXPONENTS, _EXPONENT_STEPS)
    if problem.constraints.tied:
        alpha = beta = exponents
    else:
        alpha, beta = (
            side.reshape(-1) for side in np.meshgrid(exponents, exponents, indexing="ij")
        )
    n, d = np.exp(-np.outer(exponents, problem.log_n)), np.exp(-np.outer(exponents, problem.log_d))
    loss = np.exp(problem.log_loss)
    weights = np.ones_like(loss) if problem.weights is None else problem.weights
    rows = [np.searchsorted(exponents, side) for side in (alpha, beta)]
    columns = np.stack([n[rows[0]], d[rows[1]]], axis=1) / loss
    known = problem.constraints.offset
    if known is None:
        columns = np.concatenate(
            [columns, np.broadcast_to(1 / loss, (alpha.size, 1, loss.size))], axis=1
        )
    levels = _nonnegative(columns, 1 - (known or 0.0) / loss, weights)
    offset = levels[:, 2] if known is None else np.full(alpha.size, known)
    logs = np.log(np.maximum(np.stack([levels[:, 0], levels[:, 1], offset], axis=1), 1e-300))
    theta = np.concatenate([logs, alpha[:, None], beta[:, None]], axis=1)
    cost = np.array([problem.objective(row, delta)[0] for row in theta])
    return problem.with_an_offset(theta[np.argsort(cost)[:_PROJECTED_KEPT]])


def _nonnegative(columns: FloatArray, target: FloatArray, weights: FloatArray) -> FloatArray:
    """Solve least squares with no coefficient below zero, for many sets of two or three columns at once.

    Every subset of the columns is tried; the best of those whose coefficients are all above zero is the solution.

    Args:
        columns: Shape (sets, columns, points).
        target: Shape (points,).
        weights: Shape (points,).

    Returns:
        Shape (sets, columns).
    """
    sets, count, _ = columns.shape
    weighted = columns * weights
    gram, moment = weighted @ columns.transpose(0, 2, 1), weighted @ target
    best = np.zeros((sets, count))
    gain = np.zeros(sets)
    for size in range(1, count + 1):
        for chosen in itertools.combinations(range(count), size):
            part = gram[:, chosen][:, :, chosen]
            scale = np.sqrt(np.einsum("sii->si", part))
            scaled = part / (scale[:, :, None] * scale[:, None, :]) + 1e-13 * np.eye(size)
            solution = (
                np.linalg.solve(scaled, (moment[:, chosen] / scale)[:, :, None])[:, :, 0] / scale
            )
            lowered = np.einsum("si,si->s", solution, moment[:, chosen])
            better = (solution >= 0).all(axis=1) & (lowered > gain)
            best[better] = 0.0
            best[np.ix_(better, chosen)] = solution[better]
            gain[better] = lowered[better]
    return best


def draw_parametric(
    start: FloatArray,
    parameters: FloatArray,
    tokens: FloatArray,
    loss: FloatArray,
    counts: FloatArray,
    *,
    delta: float = HUBER_DELTA,
    weights: FloatArray | None = None,
    constraints: Constraints = UNCONSTRAINED,
) -> FloatArray:
    """Return (E, A, B, alpha, beta) refitted to bootstrap draws, in batches, from the fit to all points.

    Args:
        start: (ln A, ln B, ln E, alpha, beta) of the fit to all points, shape (5,).
        parameters: Shape (points,).
        tokens: Shape (points,).
        loss: Shape (points,).
        counts: How often each point is in each draw, shape (draws, points).
        delta: As for the fit to all points.
        weights: As for the fit to all points.
        constraints: As for the fit to all points.

    Returns:
        Shape (draws, 5).
    """
    problem = ParametricProblem(parameters, tokens, loss, weights, constraints)
    near = problem.reduced(problem.with_an_offset(problem.centred(start[None, :])))
    found: list[FloatArray] = []
    for i in range(0, counts.shape[0], _DRAWS_AT_ONCE):
        block = counts[i : i + _DRAWS_AT_ONCE]
        if weights is not None:
            block = block * weights
        starts = np.repeat(near, block.shape[0], axis=0)
        free, _ = levenberg(
            problem.free_residuals, starts, iterations=_DRAW_STEPS, huber=delta, counts=block
        )
        found.append(natural(problem.uncentred(problem.full(free))))
    return np.concatenate(found) if found else np.empty((0, len(PARAMETER_NAMES)))


def natural(theta: FloatArray) -> FloatArray:
    """Return (E, A, B, alpha, beta) from (ln A, ln B, ln E, alpha, beta), along the last axis."""
    with np.errstate(over="ignore"):
        levels = np.exp(theta[..., [2, 0, 1]])
    return np.concatenate([levels, theta[..., 3:5]], axis=-1)


def _check(parameters: FloatArray, tokens: FloatArray, loss: FloatArray, constants: int) -> None:
    if loss.size < constants + 1:
        number = {5: "five parameters and needs at least six", 4: "four and needs at least five"}
        raise InputError(
            f"the parametric law has {number.get(constants, 'three and needs at least four')} points",
            got=loss.size,
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

    def __init__(
        self,
        parameters: FloatArray,
        tokens: FloatArray,
        loss: FloatArray,
        weights: FloatArray | None = None,
        constraints: Constraints = UNCONSTRAINED,
    ) -> None:
        self.weights, self.constraints = weights, constraints
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
        raised[:, 2] = np.maximum(theta[:, 2], self.lowest_slope)
        return raised

    @property
    def lowest_slope(self) -> float:
        """Return the ln E below which the objective hardly depends on it."""
        return math.log(_LEAST_OFFSET) + float(self.log_loss.min())

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
        part.weights = None if self.weights is None else self.weights[rows]
        return part

    @property
    def residuals(self) -> Residuals:
        """Return the function from theta, shape (starts, 5), to residuals and their Jacobian."""
        return self._residuals

    @property
    def free_residuals(self) -> Residuals:
        """Return the same over the constants that are free, shape (starts, free)."""
        if self.constraints == UNCONSTRAINED:
            return self._residuals

        def residuals(free: FloatArray) -> tuple[FloatArray, FloatArray]:
            residual, jacobian = self._residuals(self.full(free))
            return residual, jacobian @ self.constraints.expansion

        return residuals

    def reduced(self, theta: FloatArray) -> FloatArray:
        """Return the free constants of theta, shape (..., free)."""
        return theta @ self.constraints.reduction

    def full(self, free: FloatArray) -> FloatArray:
        """Return theta from the free constants: equal exponents are doubled, a known offset is put in."""
        theta = free @ self.constraints.expansion.T
        if self.constraints.offset is not None:
            theta[..., 2] = math.log(self.constraints.offset)
        return theta

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
        if self.weights is not None:
            value, slope = value * self.weights, slope * self.weights
        return float(value.sum()), jacobian[0].T @ slope

    def polish(self, free: FloatArray, delta: float) -> FloatArray:
        """Return the free constants at the minimum by BFGS; the objective is scaled so that the tolerances take effect."""
        expansion = self.constraints.expansion
        scale = 1.0 / max(self.objective(self.full(free), delta)[0], 1e-12)

        def scaled(t: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = self.objective(self.full(t), delta)
            return value * scale, (gradient @ expansion) * scale

        found = minimize(scaled, free, jac=True, method="BFGS", options={"gtol": 1e-8})
        before, after = (self.objective(self.full(t), delta)[0] for t in (free, found.x))
        return np.asarray(found.x if after <= before else free, dtype=np.float64)

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
    """Fit L(N, D) = E + A / N^alpha + B / D^beta."""

    name = "parametric"
    label = "law of size and tokens"
    help = "E + A / N^alpha + B / D^beta"
    takes_settings = True
    tied: ClassVar[bool] = False

    def fit(self, points: SizedPoints) -> SizedFit:
        """Fit the law to points."""
        settings, constraints = points.settings, self._constraints(points)
        found = fit_parametric(
            points.parameters,
            points.tokens,
            points.loss,
            delta=settings.delta,
            weights=points.weights,
            constraints=constraints,
        )
        log_loss = np.log(points.loss)
        curve = CurveFit(
            law=self.name,
            names=(*PARAMETER_NAMES, "flops_per_parameter_token"),
            values=np.append(found.values, np.median(points.flops_per_parameter_token)),
            breaks=np.empty(0),
            n_free=constraints.n_constants + 1,
            rss=float(np.sum(found.residuals**2)),
            tss=total_sum_of_squares(log_loss),
            fitted=log_loss + found.residuals,
            free=constraints.free_names,
            tangent=found.jacobian @ constraints.expansion,
        )
        count = points.loss.size if points.weights is None else float(points.weights.sum())
        facts = {
            "objective": found.objective,
            "objective_mean": found.objective / count,
            "delta": settings.delta,
            "offset": settings.offset,
        }
        return SizedFit(curve, _warnings(found), facts)

    def _constraints(self, points: SizedPoints) -> Constraints:
        return Constraints(self.tied, points.settings.offset)

    def draw(self, points: SizedPoints, fit: CurveFit, counts: FloatArray) -> FloatArray:
        """Refit the law to bootstrap draws."""
        values = draw_parametric(
            _theta(fit.values[: len(PARAMETER_NAMES)]),
            points.parameters,
            points.tokens,
            points.loss,
            counts,
            delta=points.settings.delta,
            weights=points.weights,
            constraints=self._constraints(points),
        )
        medians = drawn_medians(points.flops_per_parameter_token, counts)
        return np.concatenate([values, medians], axis=1)

    def loss_at(
        self,
        values: FloatArray,
        parameters: FloatArray,
        tokens: FloatArray,
        unique_tokens: FloatArray | None = None,
    ) -> FloatArray:
        """Return the loss of models of some sizes and tokens."""
        del unique_tokens
        columns = values[..., : len(PARAMETER_NAMES)]
        e, a, b, alpha, beta = columns if columns.ndim == 1 else columns.T[..., None]
        return e + a * parameters ** (-alpha) + b * tokens ** (-beta)

    def equation(self, parameters: Mapping[str, float], breaks: FloatArray) -> Equation:
        """Return the fit as an equation."""
        del breaks
        e, a, b, alpha, beta = (parameters[name] for name in PARAMETER_NAMES)
        return Equation(
            f"L = {short(e)} + {short(a)} N^{short(-alpha)} + {short(b)} D^{short(-beta)}",
            f"L = {latex_number(e)} + {latex_number(a)}\\,N^{{{latex_number(-alpha)}}} + "
            f"{latex_number(b)}\\,D^{{{latex_number(-beta)}}}",
            function("N, D", [f"return {e!r} + {a!r} * N ** {-alpha!r} + {b!r} * D ** {-beta!r}"]),
        )

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


class TiedParametricLaw(ParametricLaw):
    """Fit L(N, D) = E + A / N^alpha + B / D^alpha; with one exponent N and D grow together.

    Source: the form of Muennighoff et al., arXiv 2305.16264, and of Gadre et al., arXiv 2403.08540.
    """

    name = "parametric_tied"
    label = "law of size and tokens with one exponent"
    help = "The same with alpha = beta"
    tied = True


register_law(ParametricLaw())
register_law(TiedParametricLaw())
