"""What to train next: loss at a budget, budget for a loss, size and tokens, and how many more runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.curves import predict
from lilliput.analysis.fit import analyse_fit
from lilliput.analysis.fit_draws import draw_parameters
from lilliput.analysis.fit_options import FitOptions, pick_points
from lilliput.analysis.measurements import Measurements, measurements_of
from lilliput.analysis.parametric import optimum
from lilliput.analysis.power import fit_power
from lilliput.analysis.resampling import cluster_draws, expanded_bounds, spread
from lilliput.analysis.results import Estimate, LawFit
from lilliput.analysis.table import Table
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter

FloatArray = NDArray[np.float64]
# How far beyond the data a budget is looked for, in factors of the cost.
_REACH = 1e6
_BISECTIONS = 60
_FAR = 10.0
_NEAR_SHAPE = 1.5
_RATE_DRAWS = 200
_SLOWEST_RATE, _FASTEST_RATE = 0.25, 1.0


@dataclass(frozen=True)
class Plan:
    """What the fitted law says about runs that were not made.

    Attributes:
        fit: The law.
        budget: FLOPs asked about or found.
        predicted_loss: At the budget.
        required_flops: For the target loss, where one was given.
        num_parameters: Compute-optimal size at the budget; None where the table has no sizes.
        tokens: Compute-optimal tokens at the budget; None where the table has no tokens.
        shape: The table's shape that comes nearest to that size.
        more_runs_to_halve: Further runs that would halve the interval of the last exponent.
        warnings: One sentence each.
    """

    fit: LawFit
    budget: float
    predicted_loss: Estimate
    required_flops: Estimate | None
    num_parameters: Estimate | None
    tokens: Estimate | None
    shape: str | None
    more_runs_to_halve: int | None
    warnings: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """Plain data for JSON: the fit's keys, and the plan's beside them."""
        return self.fit.as_record() | {
            "budget": self.budget,
            "predicted_loss": self.predicted_loss.as_record(),
            "required_flops": _record(self.required_flops),
            "num_parameters": _record(self.num_parameters),
            "tokens": _record(self.tokens),
            "shape": self.shape,
            "more_runs_to_halve": self.more_runs_to_halve,
            "warnings": list(self.warnings),
        }


def _record(estimate: Estimate | None) -> dict[str, float | None] | None:
    return None if estimate is None else estimate.as_record()


def analyse_plan(
    table: Table,
    *,
    budget: float | None = None,
    target_loss: float | None = None,
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions | None = None,
    reporter: Reporter = SILENT,
) -> Plan:
    """What to train with a budget, or what a target loss would cost.

    Args:
        table: One row a measurement.
        budget: Training FLOPs in the table's convention.
        target_loss: Loss to reach; one of the two must be given.
        flops: Cost column or convention.
        loss: Loss column.
        options: How the law is fitted.
        reporter: Where progress goes.

    Raises:
        InputError: Neither or both were given, they are not above zero, or the law cannot be fitted.
    """
    _check_question(budget, target_loss)
    options = options or FitOptions()
    data = measurements_of(table, flops=flops, loss=loss, after_step=options.after_step)
    fit = analyse_fit(table, flops=flops, loss=loss, options=options, reporter=reporter)
    n_runs = int(np.unique(data.run).size)
    required = None
    if target_loss is not None:
        required = _required_flops(fit, target_loss, n_runs, options.level)
        budget = required.value
    assert budget is not None
    size, tokens, size_warnings = _best_split(table, data, fit, budget, options)
    shape, shape_warnings = _nearest_shape(table, size)
    warnings = (*fit.warnings, *_distance_warning(fit, budget), *size_warnings, *shape_warnings)
    return Plan(
        fit=fit,
        budget=budget,
        predicted_loss=_predicted_loss(fit, budget, n_runs, options.level),
        required_flops=required,
        num_parameters=size,
        tokens=tokens,
        shape=shape,
        more_runs_to_halve=_more_runs(data, fit, options),
        warnings=warnings,
    )


def _check_question(budget: float | None, target_loss: float | None) -> None:
    if (budget is None) == (target_loss is None):
        raise InputError(
            "a plan needs either a budget in FLOPs or a target loss",
            got="neither" if budget is None else "both",
            remedy="For example: --budget 1e17",
        )
    asked = budget if budget is not None else target_loss
    if asked is None or not math.isfinite(asked) or asked <= 0:
        raise InputError("budget and target loss must be above zero", got=asked)


def _predicted_loss(fit: LawFit, budget: float, n_runs: int, level: float) -> Estimate:
    names = fit.curve.names
    draws = np.array([[_at(fit, names, draw, budget)] for draw in fit.draws]).reshape(-1, 1)
    return _estimate(float(fit.curve.predict(budget)), draws, n_runs, level)


def _at(fit: LawFit, names: tuple[str, ...], draw: FloatArray, budget: float) -> float:
    if not np.isfinite(draw).all():
        return math.nan
    with np.errstate(all="ignore"):
        return float(predict(fit.law, names, draw, budget))


def _required_flops(fit: LawFit, target: float, n_runs: int, level: float) -> Estimate:
    reach = (float(fit.flops.min()) / _REACH, float(fit.flops.max()) * _REACH)
    value = _invert(fit, fit.curve.parameter_vector(), target, reach)
    if not math.isfinite(value):
        raise InputError(
            f"the target loss must be within reach of the fitted law ({fit.law})",
            got=target,
            remedy=f"On the points used the loss runs from {fit.loss.min():.4g} to {fit.loss.max():.4g}.",
        )
    draws = np.array([[_invert(fit, draw, target, reach)] for draw in fit.draws]).reshape(-1, 1)
    return _estimate(value, draws, n_runs, level)


def _invert(fit: LawFit, vector: FloatArray, target: float, reach: tuple[float, float]) -> float:
    """The lowest cost at which the law reaches the target; NaN where it never does."""
    if not np.isfinite(vector).all():
        return math.nan
    grid = np.geomspace(*reach, 2000)
    with np.errstate(all="ignore"):
        below = np.flatnonzero(predict(fit.law, fit.curve.names, vector, grid) <= target)
    if below.size == 0:
        return math.nan
    if below[0] == 0:
        return float(grid[0])
    low, high = float(grid[below[0] - 1]), float(grid[below[0]])
    for _ in range(_BISECTIONS):
        middle = math.sqrt(low * high)
        if float(predict(fit.law, fit.curve.names, vector, middle)) <= target:
            high = middle
        else:
            low = middle
    return high


def _best_split(
    table: Table, data: Measurements, fit: LawFit, budget: float, options: FitOptions
) -> tuple[Estimate | None, Estimate | None, tuple[str, ...]]:
    """Parameters and tokens for the budget: those of L(N, D), else those of the frontier."""
    if fit.law != "parametric":
        return _optimal_size(table, data, budget, options)
    n_runs = int(np.unique(data.run).size)
    return *_parametric_optimum(fit, budget, n_runs, options.level), ()


def _parametric_optimum(
    fit: LawFit, budget: float, n_runs: int, level: float
) -> tuple[Estimate, Estimate]:
    """Parameters and tokens of the best split of the budget under L(N, D)."""
    draws = np.array([_split(draw, budget) for draw in fit.draws]).reshape(-1, 2)
    size, tokens = _split(fit.curve.values, budget)
    return (
        _estimate(size, draws[:, :1], n_runs, level),
        _estimate(tokens, draws[:, 1:], n_runs, level),
    )


def _split(values: FloatArray, budget: float) -> tuple[float, float]:
    """Best parameters and tokens; NaN where the constants allow no best split."""
    if not np.isfinite(values).all() or (values[3:5] <= 0).any():
        return math.nan, math.nan
    return optimum(values[:5], budget, float(values[5]))


def _optimal_size(
    table: Table, data: Measurements, budget: float, options: FitOptions
) -> tuple[Estimate | None, Estimate | None, tuple[str, ...]]:
    """Parameters and tokens on the frontier as power laws of the cost."""
    if "num_parameters" not in table:
        return None, None, ("The table has no num_parameters: no size can be planned.",)
    rows = np.searchsorted(table.lines, data.lines)
    size = _along_frontier(data, table.number("num_parameters")[rows], budget, options)
    token_column = next((c for c in ("tokens_seen", "positions_seen") if c in table), None)
    if token_column is None:
        return size, None, ("The table has no tokens_seen: no tokens can be planned.",)
    tokens = _along_frontier(data, table.number(token_column)[rows], budget, options)
    padded = token_column == "positions_seen"
    return size, tokens, ("Tokens are input positions, padding included.",) if padded else ()


def _nearest_shape(table: Table, size: Estimate | None) -> tuple[str | None, tuple[str, ...]]:
    """The shape of the table that comes nearest to a size, with a warning where that is far."""
    if size is None or "shape" not in table or "num_parameters" not in table:
        return None, ()
    distance = np.abs(np.log(table.number("num_parameters")) - math.log(size.value))
    if not np.isfinite(distance).any():
        return None, ()
    nearest = int(np.nanargmin(distance))
    shape = str(table.text("shape")[nearest])
    if distance[nearest] <= math.log(_NEAR_SHAPE):
        return shape, ()
    return shape, (
        f"No shape of the table comes near {size.value:.3g} parameters: {shape} is "
        f"{math.exp(distance[nearest]):.1f} times off.",
    )


def _along_frontier(
    data: Measurements, values: FloatArray, budget: float, options: FitOptions
) -> Estimate | None:
    """A quantity of the compute-optimal runs, extrapolated to the budget by a power law."""

    def at_budget(rows: NDArray[np.intp]) -> float:
        chosen = pick_points(data, rows, options)
        chosen = chosen[values[chosen] > 0]
        if np.unique(data.flops[chosen]).size < 2:
            return math.nan
        return float(fit_power(data.flops[chosen], values[chosen]).predict(budget))

    value = at_budget(np.arange(len(data)))
    if not math.isfinite(value):
        return None
    n_runs = int(np.unique(data.run).size)
    drawn = cluster_draws(data.run, resamples=options.resamples, seed=options.seed)
    draws = np.array([[at_budget(rows)] for rows in drawn]).reshape(-1, 1)
    return _estimate(value, draws, n_runs, options.level)


def _estimate(value: float, draws: FloatArray, n_runs: int, level: float) -> Estimate:
    if draws.shape[0] == 0:
        return Estimate(value)
    low, high = expanded_bounds(draws, n_runs, level)
    numbers = [None if math.isnan(x[0]) else float(x[0]) for x in (low, high, spread(draws))]
    return Estimate(value, *numbers)


def _more_runs(data: Measurements, fit: LawFit, options: FitOptions) -> int | None:
    """Runs to add so that the interval of the last exponent is half as wide.

    The rate at which it shrinks is measured, by drawing half as many runs; a mean would shrink with
    the square root, a frontier need not.
    """
    n_runs = int(np.unique(data.run).size)
    column = max((i for i, name in enumerate(fit.curve.names) if "exponent" in name), default=None)
    if fit.law == "parametric" or column is None or n_runs < 4 or fit.draws.shape[0] < 2:
        return None
    few = replace(options, resamples=min(_RATE_DRAWS, options.resamples))
    half = _width(draw_parameters(data, fit.curve, few, share=0.5)[:, column])
    full = _width(fit.draws[:, column])
    if not (half > 0 and full > 0):
        return None
    rate = min(max(math.log2(half / full), _SLOWEST_RATE), _FASTEST_RATE)
    return math.ceil(n_runs * (2 ** (1 / rate) - 1))


def _width(draws: FloatArray) -> float:
    """Interquartile range, which single wild draws do not move."""
    finite = draws[np.isfinite(draws)]
    if finite.size < 2:
        return math.nan
    low, high = np.quantile(finite, [0.25, 0.75])
    return float(high - low)


def _distance_warning(fit: LawFit, budget: float) -> tuple[str, ...]:
    low, high = float(fit.flops.min()), float(fit.flops.max())
    factor = budget / high if budget > high else low / budget
    if factor <= _FAR:
        return ()
    return (
        f"The budget lies {factor:.0f} times outside the costs of the data ({low:.3g} to {high:.3g}).",
    )
