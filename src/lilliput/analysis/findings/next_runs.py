"""Find what a budget buys, how loss depends on size and tokens, and how well the law predicts the costliest runs.

For each group of comparable runs the law L(N, D) = E + A / N^alpha + B / D^beta is fitted where sizes and tokens
are known and vary apart; else the law of loss against compute stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from lilliput.analysis import (
    FitOptions,
    Frontier,
    LawFit,
    SizedLaw,
    Table,
    TrainingPlan,
    analyse_fit,
    analyse_plan,
    law_named,
    predict,
)
from lilliput.analysis.findings.groups import scaling_groups
from lilliput.analysis.findings.laws import GroupLaw
from lilliput.analysis.table.sized import COLLINEAR
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

Found = TypeVar("Found")
_LAW = "parametric"
_RESAMPLES = 100
_BUDGET_OF_LARGEST = 10.0
_LEVELS, _GRID, _SPARE = 6, 60, 1.6
_HELD_SHARE, _FEWEST_RUNS = 0.25, 6
_REACH = 4.0


@dataclass(frozen=True)
class IsoLoss:
    """Hold one line of equal loss: sizes, and the tokens that each needs to reach it."""

    loss: float
    num_parameters: tuple[float, ...]
    tokens: tuple[float, ...]


@dataclass(frozen=True)
class Predicted:
    """Compare the loss of a run that the law was not fitted to with what the law says.

    Attributes:
        run: Its name.
        flops: Its cost.
        loss: What was measured.
        predicted: What the law says that was fitted without it.
        low: Lower bound of the 95 % interval; None where there is none.
        high: Upper bound.
    """

    run: str
    flops: float
    loss: float
    predicted: float
    low: float | None
    high: float | None

    @property
    def is_inside(self) -> bool:
        """Return whether the interval holds the measured loss."""
        return self.low is not None and self.high is not None and self.low <= self.loss <= self.high


@dataclass(frozen=True)
class NextRuns:
    """Hold what one group says about runs that were not made.

    Attributes:
        group: The group of comparable runs.
        sized: The law of size and tokens; None where it cannot be fitted.
        sized_problem: Why not, in words.
        iso_losses: Lines of equal loss under that law.
        best_split: For a row of budgets the best size and tokens under that law.
        plan: What a budget buys; None where no law can say.
        plan_problem: Why not, in words.
        held_out: The costliest runs with what the law predicts that was fitted without them.
        held_out_problem: Why there are none, in words.
    """

    group: str
    sized: LawFit | None
    sized_problem: str
    iso_losses: tuple[IsoLoss, ...]
    best_split: tuple[tuple[float, ...], ...]
    plan: TrainingPlan | None
    plan_problem: str
    held_out: tuple[Predicted, ...]
    held_out_problem: str


def find_next_runs(
    table: Table,
    conventions: list[str],
    laws: tuple[GroupLaw, ...],
    resamples: int | None,
    budget: float | None = None,
) -> tuple[NextRuns, ...]:
    """Return what each group says about runs that were not made.

    Args:
        table: The measurements.
        conventions: FLOPs columns, the main one first.
        laws: The laws of loss against compute that were found.
        resamples: Draws of the intervals, at most 100 of which are taken.
        budget: FLOPs to plan for; ten times the costliest run by default.
    """
    flops = conventions[0] if conventions else None
    draws = min(resamples or _RESAMPLES, _RESAMPLES)
    by_group = {law.group: law for law in reversed(laws)}
    return tuple(
        _next_runs(group, members, flops, by_group.get(group), draws, budget)
        for group, members in scaling_groups(table).items()
    )


def _next_runs(
    group: str,
    table: Table,
    flops: str | None,
    law: GroupLaw | None,
    draws: int,
    budget: float | None,
) -> NextRuns:
    options = FitOptions(law=_LAW, points="final", resamples=draws)
    sized, sized_problem = _tried(lambda: analyse_fit(table, flops=flops, options=options))
    if sized is not None and (problem := _unidentified(sized)):
        sized, sized_problem = None, problem
    cost_law = law.fit if law is not None else None
    largest = max(
        (float(fit.flops.max()) for fit in (sized, cost_law) if fit is not None), default=0.0
    )
    plan, plan_problem = None, sized_problem
    for fit in (sized, cost_law):
        if plan is None and fit is not None:
            same = replace(
                options,
                law=fit.law,
                breaks=len(fit.breaks) or None,
                points="final" if fit is sized else "frontier",
            )
            asked = budget or _BUDGET_OF_LARGEST * largest
            plan, plan_problem = _tried(
                lambda same=same, asked=asked: analyse_plan(
                    table, budget=asked, flops=flops, options=same
                )
            )
    held, held_problem = _tried(
        lambda: (
            _by_size(table, flops, sized, options)
            if sized is not None
            else _by_cost(table, law, draws)
        )
    )
    return NextRuns(
        group=group,
        sized=sized,
        sized_problem=sized_problem,
        iso_losses=_iso_losses(sized) if sized is not None else (),
        best_split=_best_split(sized) if sized is not None else (),
        plan=plan,
        plan_problem="" if plan is not None else plan_problem,
        held_out=held or (),
        held_out_problem=held_problem,
    )


def _tried(find: Callable[[], Found]) -> tuple[Found | None, str]:
    """Return what was found, or why it could not be."""
    try:
        # Starts and draws without a minimum run out of range; a law that rests on them is refused afterwards.
        with np.errstate(all="ignore"):
            return find(), ""
    except InputError as error:
        return None, str(error)


def _unidentified(fit: LawFit) -> str:
    """Return why a law of size and tokens cannot split a budget, in words; empty where it can."""
    if any("all points were used" in warning for warning in fit.warnings):
        return "The finished runs read about as many tokens each, so what more tokens bring is not known."
    if abs(float(fit.facts["collinearity"])) > COLLINEAR:
        return "Sizes and tokens move together, so their parts in the loss cannot be told apart."
    if min(fit.parameters[name].value for name in ("alpha", "beta")) <= 0:
        return "Under the fitted law more size or more tokens do not lower the loss."
    return ""


def _loss(values: FloatArray, parameters: FloatArray, tokens: FloatArray) -> FloatArray:
    """Return E + A / N^alpha + B / D^beta; `values` may hold draws along its first axis."""
    e, a, b, alpha, beta = (values[..., i, None] for i in range(5))
    with np.errstate(all="ignore"):
        return e + a / parameters**alpha + b / tokens**beta


def _iso_losses(fit: LawFit) -> tuple[IsoLoss, ...]:
    """Return lines of equal loss between the lowest and the highest loss of the points, over their sizes."""
    e, a, b, alpha, beta = fit.curve.values[:5].tolist()
    sizes, tokens = fit.sizes["num_parameters"], fit.sizes["tokens_seen"]
    grid = np.geomspace(sizes.min() / _SPARE, sizes.max() * _SPARE, _GRID)
    low, high = tokens.min() / _SPARE, tokens.max() * _SPARE
    lines: list[IsoLoss] = []
    for loss in np.linspace(fit.loss.min(), fit.loss.max(), _LEVELS + 2)[1:-1].tolist():
        left = loss - e - a / grid**alpha
        with np.errstate(all="ignore"):
            needed = (b / left) ** (1 / beta)
        shown = (left > 0) & (needed >= low) & (needed <= high)
        if shown.sum() > 1:
            lines.append(IsoLoss(loss, tuple(grid[shown].tolist()), tuple(needed[shown].tolist())))
    return tuple(lines)


def _best_split(fit: LawFit) -> tuple[tuple[float, ...], ...]:
    """Return (FLOPs, parameters, tokens) of the best split over the range of the points' costs."""
    law = law_named(fit.law)
    assert isinstance(law, SizedLaw)
    budgets = np.geomspace(fit.flops.min(), fit.flops.max() * _BUDGET_OF_LARGEST, _GRID)
    return tuple((c, *law.best_split(fit.curve.values, c)) for c in budgets.tolist())


def _by_size(
    table: Table, flops: str | None, fit: LawFit, options: FitOptions
) -> tuple[Predicted, ...]:
    """Fit the law of size and tokens without the costliest quarter of the runs, and predict those."""
    largest: dict[str, float] = {}
    for run, cost in zip(fit.runs, fit.flops.tolist(), strict=True):
        largest[run] = max(cost, largest.get(run, 0.0))
    held = sorted(largest, key=lambda run: largest[run])[-max(1, int(_HELD_SHARE * len(largest))) :]
    if len(largest) - len(held) < _FEWEST_RUNS:
        raise InputError(
            "a check of the prediction needs runs beside those that are left out",
            got=f"{len(largest) - len(held)} of {len(largest)}",
        )
    names = table.text("run") if "run" in table else np.array([f"line {n}" for n in table.lines])
    fewer = analyse_fit(table.select(~np.isin(names, held)), flops=flops, options=options)
    chosen = np.isin(np.array(fit.runs), held)
    sizes, tokens = (fit.sizes[name][chosen] for name in ("num_parameters", "tokens_seen"))
    values = _loss(fewer.curve.values, sizes, tokens)
    low, high = _bounds(_loss(fewer.draws, sizes, tokens))
    runs = [run for run, is_chosen in zip(fit.runs, chosen.tolist(), strict=True) if is_chosen]
    return _predictions(runs, fit.flops[chosen], fit.loss[chosen], values, low, high)


def _by_cost(table: Table, law: GroupLaw | None, draws: int) -> tuple[Predicted, ...]:
    """Fit the law of cost to the measurements up to a quarter of the highest cost, and predict the frontier beyond."""
    if law is None or law.fit is None or law.frontier is None:
        raise InputError(
            "a check of the prediction needs a law", got=law.problem if law else "none"
        )
    frontier: Frontier = law.frontier
    cut = max(point.flops for point in frontier.points) / _REACH
    costs = table.number(law.flops)
    options = FitOptions(law=law.fit.law, breaks=len(law.fit.breaks) or None, resamples=draws)
    fewer = analyse_fit(table.select(costs <= cut), flops=law.flops, options=options)
    beyond = [point for point in frontier.points if point.flops > cut]
    at = np.array([point.flops for point in beyond])
    names = fewer.curve.names
    with np.errstate(all="ignore"):
        drawn = np.array(
            [predict(fewer.law, names, draw, at) for draw in fewer.draws if np.isfinite(draw).all()]
        ).reshape(-1, at.size)
    low, high = _bounds(drawn)
    losses = np.array([point.loss for point in beyond])
    return _predictions([p.run for p in beyond], at, losses, fewer.curve.predict(at), low, high)


def _bounds(drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return 95 % bounds for each column; NaN where too few draws are finite."""
    if len(drawn) < 2:
        nothing = np.full(drawn.shape[1], math.nan)
        return nothing, nothing
    low, high = np.nanquantile(
        np.where(np.isfinite(drawn), drawn, math.nan), [0.025, 0.975], axis=0
    )
    return low, high


def _predictions(
    runs: list[str],
    flops: FloatArray,
    losses: FloatArray,
    predicted: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> tuple[Predicted, ...]:
    rows = zip(
        runs,
        flops.tolist(),
        losses.tolist(),
        predicted.tolist(),
        low.tolist(),
        high.tolist(),
        strict=True,
    )
    return tuple(
        Predicted(run, cost, loss, said, *(x if math.isfinite(x) else None for x in (lo, hi)))
        for run, cost, loss, said, lo, hi in rows
    )
