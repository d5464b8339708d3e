"""Compare strategies of which one is to be chosen, by cost and effect (incremental cost-effectiveness).

Dominance and extended dominance come from health economics. The effect is a loss, a perplexity or a score; the
cost is in FLOPs, seconds, bytes or money. Example with a loss, where lower is better:

    strategy   cost   loss   status
    A            10    4.0   ND, the cheapest
    B            20    3.9   ED: 10 more buy 0.1 (100 a unit), but the step from A to C costs 20 a unit
    C            30    3.0   ND: 20 more buy 1.0, so the ratio is 20
    D            40    3.2   D: C is cheaper and better
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.economics.acceptability import Acceptability, acceptability
from lilliput.analysis.economics.direction import Direction
from lilliput.analysis.laws.curve import plain_number
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.seeding import generator

Status = Literal["ND", "ED", "D"]
DEFAULT_RESAMPLES = 1000
# Below so many measurements of a strategy, its own spread says too little.
FEW_REPLICATES = 10
_ROUNDING = 8 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Strategy:
    """Hold one strategy with its result in the comparison.

    Attributes:
        name: Its name in the table.
        cost: Mean cost.
        effect: Mean effect, in the units given.
        incremental_cost: Over the strategy before it on the frontier; None off it and for the first.
        incremental_effect: Improvement over the strategy before it, above zero when better.
        icer: Their ratio: the price of one unit of improvement.
        status: "ND" not dominated, "ED" dominated by a mixture of two others, "D" dominated outright.
        replicates: Number of seeds behind the means.
        frontier_share: Share of bootstrap draws over seeds in which it was not dominated.
    """

    name: str
    cost: float
    effect: float
    status: Status
    incremental_cost: float | None = None
    incremental_effect: float | None = None
    icer: float | None = None
    replicates: int = 1
    frontier_share: float | None = None

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "name": self.name,
            "cost": plain_number(self.cost),
            "effect": plain_number(self.effect),
            "incremental_cost": plain_number(self.incremental_cost),
            "incremental_effect": plain_number(self.incremental_effect),
            "icer": plain_number(self.icer),
            "status": self.status,
            "replicates": self.replicates,
            "frontier_share": plain_number(self.frontier_share),
        }


@dataclass(frozen=True)
class IcerResult:
    """Hold all strategies: first those of the frontier, in order of cost, then the dominated ones."""

    strategies: tuple[Strategy, ...]
    direction: Direction
    cost_column: str
    effect_column: str
    warnings: tuple[str, ...] = ()
    acceptability: Acceptability | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def frontier(self) -> tuple[Strategy, ...]:
        """Return the strategies that are not dominated, the cheapest first."""
        return tuple(s for s in self.strategies if s.status == "ND")

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        uncertain = None if self.acceptability is None else self.acceptability.as_record()
        return {
            "strategies": [strategy.as_record() for strategy in self.strategies],
            "direction": self.direction,
            "cost_column": self.cost_column,
            "effect_column": self.effect_column,
            "warnings": list(self.warnings),
            "acceptability": uncertain,
            **self.facts,
        }


def icer(
    names: list[str],
    cost: FloatArray,
    effect: FloatArray,
    *,
    direction: Direction = "higher",
) -> tuple[Strategy, ...]:
    """Return each strategy with its status and incremental ratios, the frontier first.

    Args:
        names: One a strategy.
        cost: Shape (strategies,).
        effect: Shape (strategies,).
        direction: Whether a higher or a lower effect is better.

    Raises:
        InputError: There is no strategy, lengths differ, a name repeats, or a number is not finite.

    Source: the algorithm of `calculate_icers` of the R package dampack.
    """
    cost, effect = np.asarray(cost, dtype=np.float64), np.asarray(effect, dtype=np.float64)
    _check(names, cost, effect)
    gain = effect if direction == "higher" else -effect
    frontier, status = _dominance(cost, gain)
    strategies = {
        i: Strategy(names[i], float(cost[i]), float(effect[i]), status[i])
        for i in range(len(names))
    }
    for before, after in itertools.pairwise(frontier):
        more_cost, more_gain = cost[after] - cost[before], gain[after] - gain[before]
        strategies[after] = replace(
            strategies[after],
            incremental_cost=float(more_cost),
            incremental_effect=float(more_gain),
            icer=float(more_cost / more_gain),
        )
    others = sorted(set(strategies) - set(frontier), key=lambda i: (status[i] == "D", cost[i]))
    return tuple(strategies[i] for i in [*frontier, *others])


def _check(names: list[str], cost: FloatArray, effect: FloatArray) -> None:
    if not names or cost.shape != (len(names),) or effect.shape != (len(names),):
        raise InputError(
            "cost-effectiveness needs one cost and one effect for each strategy",
            got=f"{len(names)} names, {cost.size} costs, {effect.size} effects",
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError("each strategy must have a name of its own", got=", ".join(repeated))
    for what, values in (("cost", cost), ("effect", effect)):
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise InputError(
                f"every {what} must be a finite number", got=f"{values[bad[0]]} for {names[bad[0]]}"
            )


def _dominance(cost: FloatArray, gain: FloatArray) -> tuple[list[int], list[Status]]:
    """Return the indices of the frontier by rising cost, and the status of every strategy."""
    status: list[Status] = ["ND"] * cost.size
    order = np.lexsort((-gain, cost)).tolist()
    frontier: list[int] = []
    for i in order:
        if frontier and gain[i] <= gain[frontier[-1]]:
            status[i] = "D"
        else:
            frontier.append(i)
    kept: list[int] = []
    for i in frontier:
        while len(kept) >= 2 and _is_dearer(cost, gain, kept[-2], kept[-1], i):
            status[kept.pop()] = "ED"
        kept.append(i)
    return kept, status


def _is_dearer(cost: FloatArray, gain: FloatArray, first: int, middle: int, last: int) -> bool:
    """Return whether a unit costs more in the step to `middle` than in the next step, beyond rounding.

    Three strategies on one line have equal ratios, which differences such as 0.3 - 0.2 only nearly give.
    """
    before, after = _ratio(cost, gain, first, middle), _ratio(cost, gain, middle, last)
    rounding = 0.0
    for values in (cost, gain):
        three = values[[first, middle, last]]
        steps = np.abs(np.diff(three))
        least = float(steps[steps > 0].min()) if (steps > 0).any() else np.inf
        rounding += _ROUNDING * float(np.abs(three).max()) / least
    return before > after + rounding * max(abs(before), abs(after))


def _ratio(cost: FloatArray, gain: FloatArray, before: int, after: int) -> float:
    return float((cost[after] - cost[before]) / (gain[after] - gain[before]))


def icer_with_seeds(
    names: list[str],
    cost: FloatArray,
    effect: FloatArray,
    *,
    direction: Direction = "higher",
    units: NDArray[np.intp] | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> tuple[tuple[Strategy, ...], Acceptability | None]:
    """Return strategies from repeated measurements, and the uncertainty of the decision from draws of their means.

    Drawing two or three seeds with repetition gives only half or two thirds of the true variance. So means
    are drawn by Student's t with the covariance of cost and effect pooled over all strategies; a strategy with
    ten measurements or more has its own. A strategy with one measurement varies as the others do.

    Args:
        names: Strategy of each measurement; rows of one name are its seeds.
        cost: Shape (measurements,).
        effect: Shape (measurements,).
        direction: Whether a higher or a lower effect is better.
        units: Independent unit of each measurement, such as its shape; by default each is one.
        resamples: Draws of the means.
        seed: Of the draws.

    Returns:
        The strategies on the means, and the acceptability; None where no strategy has two seeds.
    """
    unique = list(dict.fromkeys(names))
    labels = np.array(names)
    units = np.arange(labels.size) if units is None else units
    members = [_unit_means(np.flatnonzero(labels == name), units, cost, effect) for name in unique]
    means = np.array([values.mean(axis=0) for values in members])
    strategies = icer(unique, means[:, 0], means[:, 1], direction=direction)
    counts = {name: len(values) for name, values in zip(unique, members, strict=True)}
    strategies = tuple(replace(s, replicates=counts[s.name]) for s in strategies)
    if max(counts.values()) < 2:
        return strategies, None
    drawn = _drawn_means(members, resamples, generator(seed, "icer-seeds"))
    costs, effects = drawn[:, :, 0], drawn[:, :, 1]
    gains = effects if direction == "higher" else -effects
    shares = _frontier_shares(costs, gains)
    by_name = dict(zip(unique, shares.tolist(), strict=True))
    strategies = tuple(replace(s, frontier_share=by_name[s.name]) for s in strategies)
    prices = willingness_grid(strategies)
    return strategies, acceptability(unique, costs, gains, prices)


def _unit_means(
    rows: NDArray[np.intp], units: NDArray[np.intp], cost: FloatArray, effect: FloatArray
) -> FloatArray:
    """Return the mean cost and effect of each unit among the rows, shape (units, 2)."""
    codes = np.unique(units[rows], return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(codes)
    sums = [np.bincount(codes, weights=values[rows]) for values in (cost, effect)]
    return np.stack(sums, axis=1) / sizes[:, None]


def _drawn_means(members: list[FloatArray], resamples: int, rng: np.random.Generator) -> FloatArray:
    """Return draws of each strategy's mean cost and effect, shape (resamples, strategies, 2)."""
    pool = np.concatenate([values - values.mean(axis=0) for values in members])
    freedom = sum(len(values) - 1 for values in members)
    shared = pool.T @ pool / freedom
    drawn = np.empty((resamples, len(members), 2))
    # One scale for all strategies that share their variance: it is one unknown.
    scale = np.sqrt(freedom / rng.chisquare(freedom, resamples))
    for i, values in enumerate(members):
        n = len(values)
        covariance, spread = shared, scale
        if n >= FEW_REPLICATES:
            covariance = np.cov(values.T)
            spread = np.sqrt((n - 1) / rng.chisquare(n - 1, resamples))
        normal = rng.standard_normal((resamples, 2)) @ _root(covariance).T
        drawn[:, i] = values.mean(axis=0) + normal * spread[:, None] / np.sqrt(n)
    return drawn


def _root(covariance: FloatArray) -> FloatArray:
    """Return a matrix whose product with its transpose is the covariance; costs that never vary are allowed."""
    size = np.sqrt(np.diag(covariance))
    size[size == 0] = 1.0
    values, vectors = np.linalg.eigh(covariance / np.outer(size, size))
    return size[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))


def _frontier_shares(costs: FloatArray, gains: FloatArray) -> FloatArray:
    counts = np.zeros(costs.shape[1])
    for row_cost, row_gain in zip(costs, gains, strict=True):
        counts[_dominance(row_cost, row_gain)[0]] += 1
    return counts / costs.shape[0]


def willingness_grid(strategies: tuple[Strategy, ...], points: int = 41) -> FloatArray:
    """Return prices of one unit of effect, from a tenth of the lowest ratio to ten times the highest."""
    ratios = [s.icer for s in strategies if s.icer is not None and s.icer > 0]
    if not ratios:
        return np.array([0.0])
    return np.concatenate([[0.0], np.geomspace(min(ratios) / 10, max(ratios) * 10, points)])
