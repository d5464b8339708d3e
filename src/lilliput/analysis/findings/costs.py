"""Find the cost-effectiveness of the shapes of each group, for every cost and effect of the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lilliput.analysis import IcerResult, Strategy, Table, analyse_factors, analyse_icer
from lilliput.analysis.findings.groups import scaling_groups
from lilliput.core.errors import InputError

_RESAMPLES = 400
_EFFECTS = ("perplexity", "loss", "bits_per_byte", "perplexity_reference", "loss_reference")


@dataclass(frozen=True)
class GroupCost:
    """Hold the strategies of one group for one cost and one effect."""

    group: str
    cost: str
    effect: str
    result: IcerResult


@dataclass(frozen=True)
class FactorCost:
    """Hold the cost of steps of one factor, with the other factors held fixed."""

    group: str
    factor: str
    result: IcerResult

    @property
    def first_step(self) -> Strategy | None:
        """Return the cheapest step up that is not dominated."""
        return next((s for s in self.result.frontier if s.icer is not None), None)


@dataclass(frozen=True)
class Costs:
    """Hold everything that the page Cost shows."""

    results: tuple[GroupCost, ...] = ()
    factors: tuple[FactorCost, ...] = ()
    problem: str = ""

    @property
    def main(self) -> GroupCost | None:
        """Return the first group under the first cost and effect."""
        return self.results[0] if self.results else None


def find_costs(table: Table, flops: list[str], resamples: int | None) -> Costs:
    """Return every group of several sizes under every cost and effect, and single factors under the first of each."""
    costs = [*_per_sequence(table), *flops, *(["wall_time_s"] if "wall_time_s" in table else [])]
    effects = _effects(table)
    results: list[GroupCost] = []
    factors: list[FactorCost] = []
    problem = ""
    for group, members in scaling_groups(table).items():
        for cost in costs:
            for effect in effects:
                try:
                    result = analyse_icer(
                        _named(members),
                        name="strategy",
                        cost=cost,
                        effect=effect,
                        resamples=resamples or _RESAMPLES,
                    )
                except InputError as error:
                    problem = problem or str(error)
                    continue
                results.append(GroupCost(group, cost, effect, result))
        if costs and effects:
            factors += _factors(group, members, costs[0], effects[0])
    return Costs(tuple(results), tuple(factors), problem)


def _effects(table: Table) -> list[str]:
    tested = [*table.starting_with("test_perplexity"), *table.starting_with("test_loss")]
    known = [name for name in _EFFECTS if name in table]
    return [*tested, *known, *table.starting_with("score_")]


def _per_sequence(table: Table) -> list[str]:
    return table.starting_with("sequence_flops")


def _named(table: Table) -> Table:
    """Name the strategies: a shape is one, its seeds are replicates, and two layouts of a shape are two."""
    if "shape" not in table:
        names = table.text("run") if "run" in table else table.lines.astype(np.str_)
        return table.with_columns({"strategy": names})
    shapes = table.text("shape").tolist()
    if "layout" in table and np.unique(table.text("layout")).size > 1:
        layouts = table.text("layout").tolist()
        shapes = [f"{shape}, {layout}" for shape, layout in zip(shapes, layouts, strict=True)]
    return table.with_columns({"strategy": np.array(shapes)})


def _factors(group: str, table: Table, cost: str, effect: str) -> list[FactorCost]:
    try:
        ladders = analyse_factors(table, cost=cost, effect=effect)
    except InputError:
        return []  # No factor varies alone: a full grid of other shapes has no such ladder.
    return [FactorCost(group, factor, ladder) for factor, ladder in ladders.items()]
