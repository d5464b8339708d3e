"""Fit smoothly broken power laws (broken neural scaling laws), with one or two breaks.

y = a + b x^(-c0) * prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i)

Source: Caballero et al., arXiv 2210.14891, equation 1. The search differs from theirs. With a, d and f held
fixed, ln(y - a) is linear in the other parameters, so a grid over those three gives all starts by least squares.
A batch of Levenberg-Marquardt steps screens the starts, and scipy refines the best of them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
from scipy.optimize import least_squares

from lilliput.analysis.laws.base import BreakProfile, CostLaw
from lilliput.analysis.laws.curve import CurveFit, total_sum_of_squares
from lilliput.analysis.laws.equation import Equation, function, latex_number, short
from lilliput.analysis.laws.levenberg import levenberg
from lilliput.analysis.laws.power import fit_power_offset
from lilliput.analysis.laws.registry import register_law
from lilliput.core.arrays import FloatArray

_OFFSET_SHARES = (0.0, 0.5, 0.9)
_SHARPNESS = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28)
_LOCATIONS = 16
# A sharp break shows before it is reached: locations past the last point are tried too.
_BEYOND = 0.15
_FIRST_STEPS, _SCREEN_STEPS, _FOLLOW_STEPS, _KEPT = 8, 60, 40, 12
# Exact data pin a break down only by their last digits.
_TIGHT, _POLISH_STEPS = 3e-16, 1000
# The three best are told apart by fewer steps; two breaks that nearly cancel creep along a valley for all 1,000.
_LOOSE, _LOOSE_STEPS = 1e-12, 120
_LOWEST_SHARPNESS, _HIGHEST_SHARPNESS = 1e-3, 5.0
# The grid over which a break is moved for its profile likelihood, and how the rest follows it.
_COARSE, _FINE, _NEAR = 121, 81, 0.05
_PROFILE_STEPS, _PROFILE_ROUNDS = 40, 4
_PROFILE_SHARPNESS = (0.03, 0.3, 1.5)


def fit_bnsl(
    flops: FloatArray, loss: FloatArray, breaks: int, *, start: CurveFit | None = None
) -> CurveFit | None:
    """Return a smoothly broken power law by least squares in ln loss.

    Args:
        flops: Abscissae above zero, shape (points,).
        loss: Above zero, shape (points,).
        breaks: One or two.
        start: A fit to similar data to start from, instead of the grid.

    Returns:
        Parameters a, b, c0 and, per break, c_i and f_i; `breaks` holds d_i. None where the points
        are too few.
    """
    x, y = np.log(flops), np.log(loss)
    n_free = 4 + 3 * breaks
    if np.unique(x).size < n_free:
        return None
    centre = float(x.mean())
    problem = BnslProblem(x - centre, y, breaks)
    starts = problem.grid_starts() if start is None else problem.start_from(start, centre)
    theta, rss = problem.solve(starts) if start is None else problem.follow(starts)
    if not math.isfinite(rss):
        return None
    theta = problem.ordered(theta)
    if abs(theta[1] + theta[2] * centre) > _LARGEST_LOG:
        return None  # So steep that its factor b is beyond any float: no law of these points.
    residual, jacobian = problem.residuals(theta[None, :])
    numbers = range(1, breaks + 1)
    # At a fixed b a change of c0 turns the law about a cost of one, not about the middle.
    jacobian[0, :, 2] -= centre * jacobian[0, :, 1]
    return CurveFit(
        law="bnsl",
        names=("a", "b", "c0", *(f"{name}{i}" for i in numbers for name in "cf")),
        values=_natural(theta, breaks, centre),
        breaks=np.exp(theta[4::3] + centre),
        n_free=n_free,
        rss=rss,
        tss=total_sum_of_squares(y),
        fitted=residual[0] + y,
        free=("a", "ln b", "c0", *(f"{s}{i}" for i in numbers for s in ("c", "ln d", "ln f"))),
        tangent=jacobian[0],
    )


_LARGEST_LOG = 700.0


def _natural(theta: FloatArray, breaks: int, centre: float) -> FloatArray:
    """Return a, b, c0, c1, f1, … from (a, ln b, c0, c1, ln d1, ln f1, …) with centred ln x."""
    pairs = [(theta[3 + 3 * i], math.exp(theta[5 + 3 * i])) for i in range(breaks)]
    b = math.exp(theta[1] + theta[2] * centre)
    return np.array([theta[0], b, theta[2], *itertools.chain(*pairs)])


class BnslProblem:
    """Compute residuals of ln loss with x = ln cost centred, over theta = (a, ln b, c0, {c, ln d, ln f})."""

    def __init__(self, x: FloatArray, y: FloatArray, breaks: int) -> None:
        self.x, self.y, self.breaks = x, y, breaks
        self.floor = float(np.exp(y.min())) * (1 - 1e-9)
        margin = float(np.ptp(x)) * 0.5
        per_break_low = [-np.inf, x.min() - margin, math.log(_LOWEST_SHARPNESS)]
        per_break_high = [np.inf, x.max() + margin, math.log(_HIGHEST_SHARPNESS)]
        self.lower = np.array([0.0, -np.inf, -np.inf, *per_break_low * breaks])
        self.upper = np.array([self.floor, np.inf, np.inf, *per_break_high * breaks])

    def residuals(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return residuals and their Jacobian, shapes (starts, points) and (starts, points, parameters)."""
        x = self.x[None, :]
        a, c0 = theta[:, 0:1], theta[:, 2:3]
        exponent = theta[:, 1:2] - c0 * x
        pieces: list[FloatArray] = []
        for i in range(self.breaks):
            c, location, log_f = (theta[:, j : j + 1] for j in range(3 + 3 * i, 6 + 3 * i))
            f = np.exp(log_f)
            u = (x - location) / f
            soft = np.logaddexp(0.0, u)
            share = np.exp(u - soft)
            exponent = exponent - c * f * soft
            pieces += [-f * soft, c * share, -c * f * (soft - u * share)]
        power = np.exp(exponent)
        curve = a + power
        relative = power / curve
        columns = [1 / curve, relative, -x * relative, *(relative * piece for piece in pieces)]
        jacobian = np.stack(np.broadcast_arrays(*columns), axis=2)
        return np.log(curve) - self.y, jacobian

    def grid_starts(self) -> FloatArray:
        """Return starts on a grid of offsets, locations and sharpness, with the rest by least squares.

        The offset of the unbroken law is among them: with it only the break is left to explain.
        """
        beyond = self.x.max() + _BEYOND * np.ptp(self.x)
        locations = np.linspace(self.x.min(), beyond, _LOCATIONS + 2)[1:]
        places = list(itertools.combinations(locations.tolist(), self.breaks))
        widths = _SHARPNESS if self.breaks == 1 else _SHARPNESS[2:5:2]
        shapes = list(itertools.product(widths, repeat=self.breaks))
        unbroken = fit_power_offset(np.exp(self.x), np.exp(self.y)).parameters["offset"]
        offsets = [*(share * self.floor for share in _OFFSET_SHARES), min(unbroken, self.floor)]
        starts = [
            self.linear_start(offset, place, shape)
            for offset in offsets
            for place in places
            for shape in shapes
        ]
        return np.array(starts)

    def linear_start(
        self, a: float, place: tuple[float, ...], shape: tuple[float, ...]
    ) -> list[float]:
        """Return theta with the offset, locations and sharpness as given, and the rest by least squares."""
        soft = [f * np.logaddexp(0, (self.x - d) / f) for d, f in zip(place, shape, strict=True)]
        design = np.stack([np.ones_like(self.x), -self.x, *(-s for s in soft)], axis=1)
        solution = np.linalg.lstsq(design, np.log(np.exp(self.y) - a), rcond=None)[0].tolist()
        theta = [a, solution[0], solution[1]]
        for c, d, f in zip(solution[2:], place, shape, strict=True):
            theta += [c, d, math.log(f)]
        return theta

    def start_from(self, fit: CurveFit, centre: float) -> FloatArray:
        """Return the parameters of an earlier fit, shape (1, parameters)."""
        p = fit.parameters
        theta = [p["a"], math.log(p["b"]) - p["c0"] * centre, p["c0"]]
        for i, location in enumerate(np.log(fit.breaks).tolist(), start=1):
            theta += [p[f"c{i}"], location - centre, math.log(p[f"f{i}"])]
        return np.clip(np.array([theta]), self.lower, self.upper)

    def solve(self, starts: FloatArray) -> tuple[FloatArray, float]:
        """Return the best minimum: a few steps from all starts, more from the best; scipy from three, and then from the best."""
        theta, cost = self._screened(starts, _FIRST_STEPS)
        theta, cost = self._screened(theta[np.argsort(cost)[:_KEPT]], _SCREEN_STEPS)
        finalists = [self._polish(row, _LOOSE, _LOOSE_STEPS) for row in theta[np.argsort(cost)[:3]]]
        nearest = min(finalists, key=lambda pair: pair[1])
        return min(
            nearest, self._polish(nearest[0], _TIGHT, _POLISH_STEPS), key=lambda pair: pair[1]
        )

    def follow(self, starts: FloatArray) -> tuple[FloatArray, float]:
        """Return the minimum reached from one start that is already near it, as in a bootstrap draw."""
        theta, cost = self._screened(starts, _FOLLOW_STEPS)
        return theta[0], float(cost[0])

    def _screened(self, starts: FloatArray, steps: int) -> tuple[FloatArray, FloatArray]:
        return levenberg(
            self.residuals, starts, iterations=steps, lower=self.lower, upper=self.upper
        )

    def _polish(self, theta: FloatArray, tolerance: float, steps: int) -> tuple[FloatArray, float]:
        inside = np.clip(theta, self.lower, self.upper)

        def residual(t: FloatArray) -> FloatArray:
            return self.residuals(t[None, :])[0][0]

        def jacobian(t: FloatArray) -> FloatArray:
            return self.residuals(t[None, :])[1][0]

        with np.errstate(over="ignore", invalid="ignore"):  # scipy rejects such trial steps.
            found = least_squares(
                residual,
                inside,
                jac=jacobian,  # pyright: ignore[reportArgumentType]  (scipy takes a callable)
                bounds=(self.lower, np.nextafter(self.upper, np.inf)),
                x_scale="jac",
                ftol=tolerance,
                xtol=tolerance,
                gtol=tolerance,
                max_nfev=steps,
            )
        return found.x, float(2 * found.cost)

    def ordered(self, theta: FloatArray) -> FloatArray:
        """Return the same curve with its breaks in ascending order."""
        triples = theta[3:].reshape(self.breaks, 3)
        return np.concatenate([theta[:3], triples[np.argsort(triples[:, 1])].reshape(-1)])


def bnsl_rss_at(
    x: FloatArray, y: FloatArray, fit: CurveFit, index: int
) -> tuple[FloatArray, FloatArray]:
    """Return residual sums with one break held at each place that it may take, and all else fitted again.

    Args:
        x: ln cost, shape (points,).
        y: ln loss, shape (points,).
        fit: The law fitted to them.
        index: Which break is held.

    Returns:
        Places in ln cost, ascending, finer near the estimate, and the sums there, shape (places,).
    """
    centre = float(x.mean())
    problem = BnslProblem(x - centre, y, int(fit.breaks.size))
    column = 4 + 3 * index
    estimate = float(np.log(fit.breaks[index])) - centre
    reach = problem.upper[column] - problem.lower[column]
    near = estimate + np.linspace(-_NEAR, _NEAR, _FINE) * reach
    every = np.linspace(problem.lower[column], problem.upper[column], _COARSE)
    grid = np.unique(np.clip(np.append(every, near), every[0], every[-1]))
    return grid + centre, _profiled(problem, problem.start_from(fit, centre)[0], index, grid)


def _profiled(problem: BnslProblem, theta: FloatArray, index: int, grid: FloatArray) -> FloatArray:
    """Return the lowest sums found with one break held at each value of the grid, shape (grid,).

    Each value starts from the estimate, then from some offsets and sharpness values with the rest by
    least squares, and then from the parameters found at its neighbours.
    """
    free = np.arange(theta.size) != 4 + 3 * index

    def residuals(part: FloatArray) -> tuple[FloatArray, FloatArray]:
        full = np.insert(part, 4 + 3 * index, grid, axis=1)
        residual, jacobian = problem.residuals(full)
        return residual, jacobian[:, :, free]

    best = np.repeat(theta[free][None, :], grid.size, axis=0)
    cost = np.full(grid.size, np.inf)

    def improve(starts: FloatArray) -> None:
        found, found_cost = levenberg(
            residuals,
            starts,
            iterations=_PROFILE_STEPS,
            lower=problem.lower[free],
            upper=problem.upper[free],
        )
        better = found_cost < cost
        best[better], cost[better] = found[better], found_cost[better]

    improve(best.copy())
    for offset, sharpness in itertools.product((theta[0], 0.0), _PROFILE_SHARPNESS):
        places, widths = theta[4::3].copy(), np.exp(theta[5::3])
        widths[index] = sharpness
        starts: list[list[float]] = []
        for place in grid.tolist():
            places[index] = place
            starts.append(problem.linear_start(offset, tuple(places), tuple(widths)))
        improve(np.array(starts)[:, free])
    for shift in (1, -1) * _PROFILE_ROUNDS:
        improve(np.roll(best, shift, axis=0))
    return cost


class SmoothlyBrokenPowerLaw(CostLaw):
    """A power law whose exponent changes smoothly around each of its breaks."""

    name = "bnsl"
    label = "smoothly broken power law"
    help = "A power law that turns smoothly"
    most_breaks = 2

    def is_costly(self, breaks: int) -> bool:
        """Say so with two breaks: that takes longer than all other laws together."""
        return breaks > 1

    def n_free(self, breaks: int) -> int:
        """Return the number of free parameters, the noise included."""
        return 4 + 3 * breaks

    def fit(
        self, flops: FloatArray, loss: FloatArray, breaks: int, start: CurveFit | None = None
    ) -> CurveFit | None:
        """Fit the law to points."""
        return fit_bnsl(flops, loss, breaks, start=start)

    def log_curve(
        self, log_flops: FloatArray, parameters: Mapping[str, float], log_breaks: FloatArray
    ) -> FloatArray:
        """Return ln loss on the curve."""
        p = parameters
        exponent = math.log(p["b"]) - p["c0"] * log_flops
        for i, location in enumerate(log_breaks.tolist(), start=1):
            sharpness = p[f"f{i}"]
            soft = np.logaddexp(0, (log_flops - location) / sharpness)
            exponent = exponent - p[f"c{i}"] * sharpness * soft
        return np.log(p["a"] + np.exp(exponent))

    def equation(self, parameters: Mapping[str, float], breaks: FloatArray) -> Equation | None:
        """Return the fit as an equation; None where its factor is below any float."""
        p = parameters
        if p["b"] <= 0:
            return None
        text = f"L = {short(p['a'])} + {short(p['b'])} C^{short(-p['c0'])}"
        latex = (
            f"L = {latex_number(p['a'])} + {latex_number(p['b'])}\\,C^{{{latex_number(-p['c0'])}}}"
        )
        exponent = f"{math.log(p['b'])!r} - {p['c0']!r} * x"
        for i, place in enumerate(breaks.tolist(), start=1):
            c, f = p[f"c{i}"], p[f"f{i}"]
            text += f" (1 + (C / {short(place)})^{short(1 / f)})^{short(-c * f)}"
            latex += f"\\left(1 + (C / ({latex_number(place)}))^{{{latex_number(1 / f)}}}\\right)^{{{latex_number(-c * f)}}}"
            exponent += f" - {c * f!r} * np.logaddexp(0, (x - {math.log(place)!r}) / {f!r})"
        lines = ["x = np.log(C)", f"return {p['a']!r} + np.exp({exponent})"]
        return Equation(text, latex, function("C", lines))

    def profile(
        self, log_flops: FloatArray, log_loss: FloatArray, fit: CurveFit, index: int
    ) -> BreakProfile:
        """Return the fit's quality with one break at other places."""
        grid, rss = bnsl_rss_at(log_flops, log_loss, fit, index)
        return BreakProfile(grid, grid, rss)


register_law(SmoothlyBrokenPowerLaw())
