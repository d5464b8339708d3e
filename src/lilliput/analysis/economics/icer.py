"""Cost-effectiveness of mutually exclusive strategies: which to buy, and what one more unit costs.

Dominance and extended dominance come from health economics. The effect is a loss, a perplexity or a score, the cost FLOPs, seconds, bytes or money.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from lilliput.analysis.economics.acceptability import Acceptability, acceptability
from lilliput.analysis.laws.curve import plain_number
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.seeding import generator

Status = Literal["ND", "ED", "D"]
Direction = Literal["higher", "lower"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
DEFAULT_RESAMPLES = 1000


@dataclass(frozen=True)
class Strategy:
    """One strategy with its place in the comparison.

    Attributes:
        name: As given.
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
        """Plain data for JSON."""
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
    """All strategies, those of the frontier first and by cost, then the dominated ones."""

    strategies: tuple[Strategy, ...]
    direction: Direction
    cost_column: str
    effect_column: str
    warnings: tuple[str, ...] = ()
    acceptability: Acceptability | None = None
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def frontier(self) -> tuple[Strategy, ...]:
        """The strategies that are not dominated, cheapest first."""
        return tuple(s for s in self.strategies if s.status == "ND")

    def as_record(self) -> dict[str, Any]:
        """Plain data for JSON."""
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
    """Each strategy with status and incremental ratios, frontier first.

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
    """Frontier indices by rising cost, and the status of every strategy."""
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
        while len(kept) >= 2 and _ratio(cost, gain, kept[-2], kept[-1]) > _ratio(
            cost, gain, kept[-1], i
        ):
            status[kept.pop()] = "ED"
        kept.append(i)
    return kept, status


def _ratio(cost: FloatArray, gain: FloatArray, before: int, after: int) -> float:
    return float((cost[after] - cost[before]) / (gain[after] - gain[before]))


def icer_with_seeds(
    names: list[str],
    cost: FloatArray,
    effect: FloatArray,
    *,
    direction: Direction = "higher",
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> tuple[tuple[Strategy, ...], Acceptability | None]:
    """Strategies from replicated measurements, with decision uncertainty from a bootstrap over seeds.

    Args:
        names: Strategy of each measurement; rows of one name are its seeds.
        cost: Shape (measurements,).
        effect: Shape (measurements,).
        direction: Whether a higher or a lower effect is better.
        resamples: Bootstrap draws over seeds, within each strategy.
        seed: Of the draws.

    Returns:
        The strategies on the means, and the acceptability; None where no strategy has two seeds.
    """
    unique = list(dict.fromkeys(names))
    labels = np.array(names)
    members = [np.flatnonzero(labels == name) for name in unique]
    means = [np.array([values[rows].mean() for rows in members]) for values in (cost, effect)]
    strategies = icer(unique, means[0], means[1], direction=direction)
    counts = {name: rows.size for name, rows in zip(unique, members, strict=True)}
    strategies = tuple(replace(s, replicates=counts[s.name]) for s in strategies)
    if max(counts.values()) < 2:
        return strategies, None
    rng = generator(seed, "icer-seeds")
    drawn = [rows[rng.integers(0, rows.size, (resamples, rows.size))] for rows in members]
    costs = np.stack([cost[rows].mean(axis=1) for rows in drawn], axis=1)
    effects = np.stack([effect[rows].mean(axis=1) for rows in drawn], axis=1)
    gains = effects if direction == "higher" else -effects
    shares = _frontier_shares(costs, gains)
    by_name = dict(zip(unique, shares.tolist(), strict=True))
    strategies = tuple(replace(s, frontier_share=by_name[s.name]) for s in strategies)
    prices = willingness_grid(strategies)
    return strategies, acceptability(unique, costs, gains, prices)


def _frontier_shares(costs: FloatArray, gains: FloatArray) -> FloatArray:
    counts = np.zeros(costs.shape[1])
    for row_cost, row_gain in zip(costs, gains, strict=True):
        counts[_dominance(row_cost, row_gain)[0]] += 1
    return counts / costs.shape[0]


def willingness_grid(strategies: tuple[Strategy, ...], points: int = 41) -> FloatArray:
    """Prices of one unit of effect, from a tenth of the lowest ratio to ten times the highest."""
    ratios = [s.icer for s in strategies if s.icer is not None and s.icer > 0]
    if not ratios:
        return np.array([0.0])
    return np.concatenate([[0.0], np.geomspace(min(ratios) / 10, max(ratios) * 10, points)])
