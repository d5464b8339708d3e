"""Plan what to train next: loss at a budget, budget for a loss, size and tokens, and how many more runs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lilliput.analysis.allocation import split_budget
from lilliput.analysis.fit import analyse_fit
from lilliput.analysis.inference.draws import (
    draw_parameters,
    draw_with_and_without_floor,
    draws_residuals,
    units_behind,
)
from lilliput.analysis.inference.options import FitOptions, drawn_unit
from lilliput.analysis.inference.results import Estimate, LawFit, estimates_of
from lilliput.analysis.laws.base import SizedLaw
from lilliput.analysis.laws.curve import predict
from lilliput.analysis.laws.forms import floor_pair
from lilliput.analysis.laws.registry import AUTO, law_named
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.sized import COLLINEAR, with_flops
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter

# A budget is searched this many times above and below the costs of the data.
_REACH = 1e6
_BISECTIONS = 60
_FAR = 10.0


@dataclass(frozen=True)
class TrainingPlan:
    """Hold what the fitted law predicts for a budget.

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
        """Return plain data for JSON: the fit's keys, and the plan's beside them."""
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
) -> TrainingPlan:
    """Return what to train with a budget, or what a target loss would cost.

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
    if options.law != AUTO and isinstance(law_named(options.law), SizedLaw):
        table = with_flops(table, flops)
    data = measurements_of(
        table, flops=flops, loss=loss, after_step=options.after_step, cluster=options.cluster
    )
    fit = analyse_fit(table, flops=flops, loss=loss, options=options, reporter=reporter)
    _refuse_ladder(fit)
    n_units = int(np.unique(drawn_unit(data, options)[1]).size)
    required = None
    if target_loss is not None:
        behind = units_behind(data, fit.curve, options)
        required = _required_flops(fit, target_loss, behind, options.level)
        budget = required.value
    assert budget is not None
    split = split_budget(table, data, fit, budget, options)
    return TrainingPlan(
        fit=fit,
        budget=budget,
        predicted_loss=_predicted_loss(data, fit, budget, n_units, options),
        required_flops=required,
        num_parameters=split.num_parameters,
        tokens=split.tokens,
        shape=split.shape,
        more_runs_to_halve=_runs_to_halve(data, fit, options),
        warnings=(
            *fit.warnings,
            *_distance_warning(fit, budget),
            *_floor_warning(fit, options),
            *split.warnings,
        ),
    )


def _refuse_ladder(fit: LawFit) -> None:
    """Raise where L(N, D) cannot split a budget.

    Raises:
        InputError: Sizes and tokens move together, or an exponent is not above zero.
    """
    if not isinstance(law_named(fit.law), SizedLaw):
        return
    together = float(fit.facts["collinearity"])
    if abs(together) > COLLINEAR:
        raise InputError(
            "a plan by L(N, D) needs sizes and tokens that vary apart; here they are collinear",
            got=f"correlation of ln N and ln D {together:.3f}",
            remedy="Add runs of several sizes at one cost, or take --law auto.",
        )
    least = min(fit.parameters[name].value for name in ("alpha", "beta"))
    if least <= 0:
        raise InputError(
            "a plan by L(N, D) needs exponents above zero",
            got=f"{least:.3g}",
            remedy="Add runs of several sizes at one cost, or take --law auto.",
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


def _predicted_loss(
    data: Measurements, fit: LawFit, budget: float, n_units: int, options: FitOptions
) -> Estimate:
    """Return the loss at the budget; where a floor is in question, its interval covers both laws."""
    level = options.level
    if _weighs_a_floor(fit, options):
        curves = draw_with_and_without_floor(data, fit.law, options)
        values = np.array([[float(curve.predict(budget))] for curve in curves]).reshape(-1, 1)
        return estimates_of([float(fit.curve.predict(budget))], values, n_units, level)[0]
    n_runs = units_behind(data, fit.curve, options)
    names = fit.curve.names
    draws = np.array([[_at(fit, names, draw, budget)] for draw in fit.draws]).reshape(-1, 1)
    return estimates_of([float(fit.curve.predict(budget))], draws, n_runs, level)[0]


def _weighs_a_floor(fit: LawFit, options: FitOptions) -> bool:
    """Return whether the law was chosen among those with and without a floor."""
    return options.law == AUTO and floor_pair(fit.law) is not None and options.resamples > 0


def _floor_warning(fit: LawFit, options: FitOptions) -> tuple[str, ...]:
    if not _weighs_a_floor(fit, options):
        return ()
    return (
        "The interval of the loss weighs the laws with and without a floor in each draw, by BIC.",
    )


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
    return estimates_of([value], draws, n_runs, level)[0]


def _invert(fit: LawFit, vector: FloatArray, target: float, reach: tuple[float, float]) -> float:
    """Return the lowest cost at which the law reaches the target; NaN where it never does."""
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


def _distance_warning(fit: LawFit, budget: float) -> tuple[str, ...]:
    low, high = float(fit.flops.min()), float(fit.flops.max())
    factor = budget / high if budget > high else low / budget
    if factor <= _FAR:
        return ()
    return (
        f"The budget lies {factor:.0f} times outside the costs of the data ({low:.3g} to {high:.3g}).",
    )


_FEWEST_RUNS = 4
_RATE_DRAWS = 200
# The interval of a straight line shrinks with the root of its points: four times as many halve it.
_OF_A_LINE = 3
_SLOWEST_RATE, _FASTEST_RATE = 0.25, 1.0


def _runs_to_halve(data: Measurements, fit: LawFit, options: FitOptions) -> int | None:
    """Return how many runs to add so that the interval of the last exponent is half as wide; None where it has none.

    The rate at which it shrinks is measured, by drawing half as many runs; a mean would shrink with
    the square root, a frontier need not.
    """
    n_runs = int(np.unique(data.run).size)
    column = max((i for i, name in enumerate(fit.curve.names) if "exponent" in name), default=None)
    if column is None or n_runs < _FEWEST_RUNS or fit.draws.shape[0] < 2:
        return None
    if draws_residuals(data, fit.curve, options):
        return _OF_A_LINE * n_runs
    few = replace(options, resamples=min(_RATE_DRAWS, options.resamples))
    half = _width(draw_parameters(data, fit.curve, few, share=0.5)[:, column])
    full = _width(fit.draws[:, column])
    if not (half > 0 and full > 0):
        return None
    rate = min(max(math.log2(half / full), _SLOWEST_RATE), _FASTEST_RATE)
    return math.ceil(n_runs * (2 ** (1 / rate) - 1))


def _width(draws: FloatArray) -> float:
    """Return the interquartile range, which a few extreme draws do not move."""
    finite = draws[np.isfinite(draws)]
    if finite.size < 2:
        return math.nan
    low, high = np.quantile(finite, [0.25, 0.75])
    return float(high - low)
