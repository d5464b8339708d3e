"""The page Cost: which shapes are worth their compute, and which size to grow first."""

from __future__ import annotations

import numpy as np

from lilliput.core.wording import listed
from lilliput.report.costs import Costs, FactorCost, GroupCost
from lilliput.report.figures import Axis, Cell, Control, DataTable, Figure, Layer, Option
from lilliput.report.groups import said_of
from lilliput.report.pages import shared
from lilliput.report.parts import (
    Column,
    Missing,
    Page,
    TableRow,
    TableView,
    as_sentences,
    number_cell,
    text_cell,
)
from lilliput.report.quantities import format_number, format_share

_STATUS = {"ND": "on the frontier", "ED": "dominated by a mixture", "D": "dominated"}
_COST_LABELS = {"wall_time_s": "Seconds of training"}
_FACTOR_LABELS = {
    "embedding_size": "embedding width",
    "hidden_size": "hidden width",
    "intermediate_size": "feed-forward width",
    "num_attention_heads": "heads",
    "num_hidden_layers": "layers",
}
# A strategy that is nowhere preferred in this share of draws has no curve of its own.
_LEAST_SHARE = 0.05


def build_cost(costs: Costs) -> Page:
    """ICER table and plane, acceptability, one factor at a time, with a choice of cost and effect."""
    if not costs.results:
        return Page("cost", "Cost", {"missing": _missing(costs)})
    controls = _controls(costs)
    tables = {"strategies": _strategies(costs), "acceptability": _acceptability(costs)}
    figures = [_plane()]
    if len(tables["acceptability"]):
        figures.append(_acceptability_figure())
    content = {
        "missing": None,
        "sentences": frontier_sentences(costs),
        "factors_sentence": order_of_factors(costs),
        "uncertain": len(tables["acceptability"]) > 0,
        "tables": [(_condition(found), _view(i, found)) for i, found in enumerate(_shown(costs))],
        "factors": _factor_table(costs.factors) if costs.factors else None,
    }
    return Page("cost", "Cost", content, tuple(figures), tables, controls)


def _missing(costs: Costs) -> Missing:
    reason = costs.problem or "Cost-effectiveness needs runs with both a cost and an effect."
    return Missing(reason, "lilliput analyse icer TABLE")


def _controls(costs: Costs) -> tuple[Control, ...]:
    groups = list(dict.fromkeys(found.group for found in costs.results))
    prices = list(dict.fromkeys(found.cost for found in costs.results))
    effects = list(dict.fromkeys(found.effect for found in costs.results))
    return (
        Control("group", "Runs", tuple(Option(g, g) for g in groups)),
        Control("cost", "Cost", tuple(Option(c, cost_label(c)) for c in prices)),
        Control("effect", "Effect", tuple(Option(e, effect_label(e)) for e in effects)),
    )


def cost_label(column: str) -> str:
    """What a cost is called."""
    if column.startswith("sequence_"):
        convention = shared.flops_label(column.removeprefix("sequence_"))
        return f"FLOPs a training sequence ({convention})"
    if column.startswith("flops"):
        return f"Training FLOPs ({shared.flops_label(column)})"
    return _COST_LABELS.get(column, column.replace("_", " "))


def effect_label(column: str) -> str:
    """What an effect is called."""
    return shared.LOSS_LABELS.get(column, column.replace("_", " ").capitalize())


def _shown(costs: Costs) -> list[GroupCost]:
    """Those with a table and acceptability of their own; the others are in the plane and its CSV."""
    main = costs.main
    assert main is not None
    return [f for f in costs.results if main.cost == f.cost or main.effect == f.effect]


def _lower_first(label: str) -> str:
    return label if label.startswith("FLOPs") else label[:1].lower() + label[1:]


def _condition(found: GroupCost) -> dict[str, str]:
    return {"group": found.group, "cost": found.cost, "effect": found.effect}


def frontier_sentences(costs: Costs) -> list[str]:
    """Which shapes of each group are worth their cost under the first cost and effect, in words."""
    main = costs.main
    if main is None:
        return []
    firsts = [f for f in costs.results if (f.cost, f.effect) == (main.cost, main.effect)]
    return [_one_frontier(found) for found in firsts]


def _one_frontier(found: GroupCost) -> str:
    strategies, worth = found.result.strategies, found.result.frontier
    sentence = said_of(
        found.group,
        f"{len(worth)} of {len(strategies)} shapes are worth their cost "
        f"({effect_label(found.effect).lower()} bought with {_lower_first(cost_label(found.cost))}): "
        f"{listed([s.name for s in worth])}.",
    )
    if found.result.acceptability is None:
        return f"{sentence} Each rests on a single run, so this order carries no interval."
    shares = [s.frontier_share for s in worth if s.frontier_share is not None]
    return (
        f"{sentence} Drawing seeds anew, each of them stays there in at least {format_share(min(shares))} "
        "of draws."
        if shares
        else sentence
    )


def order_of_factors(costs: Costs) -> str:
    """Which size buys most for its first step, in words; empty where none varies alone."""
    sentences: list[str] = []
    for group in dict.fromkeys(factor.group for factor in costs.factors):
        steps = [
            (step.icer, _FACTOR_LABELS[factor.factor])
            for factor in costs.factors
            if factor.group == group and (step := factor.first_step) and step.icer is not None
        ]
        if steps:
            ordered = [f"{name} ({format_number(price)})" for price, name in sorted(steps)]
            others = f", then {listed(ordered[1:])}" if len(ordered) > 1 else ""
            sentence = (
                f"one factor at a time, the cheapest first step up is in {ordered[0]}{others}; in "
                "brackets the cost of one unit of effect."
            )
            sentences.append(said_of(group, sentence))
    return as_sentences([*sentences, _FACTORS_CAVEAT if sentences else ""])


_FACTORS_CAVEAT = "These prices hold at one base shape and rest on the runs of its ladder alone."


def _strategies(costs: Costs) -> DataTable:
    rows: list[dict[str, Cell]] = [
        {
            **_condition(found),
            "label": strategy.name,
            "status": _STATUS[strategy.status],
            "cost_value": strategy.cost,
            "effect_value": strategy.effect,
            "icer": strategy.icer,
            "seeds": strategy.replicates,
            "frontier_share": strategy.frontier_share,
        }
        for found in costs.results
        for strategy in found.result.strategies
    ]
    return DataTable.from_rows(rows)


def _acceptability(costs: Costs) -> DataTable:
    """One row a price and strategy, and one for the frontier over prices."""
    rows: list[dict[str, Cell]] = []
    for found in _shown(costs):
        uncertain = found.result.acceptability
        if uncertain is None:
            continue
        shown = np.flatnonzero(uncertain.ceac.max(axis=0) >= _LEAST_SHARE)
        for place, price in enumerate(uncertain.willingness.tolist()):
            if price <= 0:
                continue  # A logarithmic axis has no zero.
            rows += [
                {
                    **_condition(found),
                    "price": price,
                    "strategy": uncertain.names[i],
                    "share": float(uncertain.ceac[place, i]),
                    "best_on_average": uncertain.names[int(uncertain.optimal[place])],
                    "value_of_information": float(uncertain.evpi[place]),
                }
                for i in shown.tolist()
            ]
    return DataTable.from_rows(rows)


def _plane() -> Figure:
    where = {"group": "$group", "cost": "$cost", "effect": "$effect"}
    return Figure(
        id="cost-plane",
        title="What each shape costs and brings",
        text="Mean cost and mean effect of every shape. The line joins those that are worth their cost: "
        "each step along it buys at the lowest price that is left.",
        x=Axis("{cost}", log=True),
        y=Axis("{effect}", log=True),
        layers=(
            Layer(
                "strategies", "lines", x="cost_value", y="effect_value",
                where={**where, "status": _STATUS["ND"]}, name="frontier",
            ),
            Layer(
                "strategies", "points", x="cost_value", y="effect_value", where=where,
                colour="status", hover=("status", "icer", "seeds", "frontier_share"),
            ),
        ),
        note="Means over seeds. A shape is dominated when a cheaper one is at least as good, and "
        "dominated by a mixture when two others, mixed, would be. Costs are comparable where all runs "
        "read equally much.",
    )  # fmt: skip


def _acceptability_figure() -> Figure:
    where = {"group": "$group", "cost": "$cost", "effect": "$effect"}
    return Figure(
        id="acceptability",
        title="Which shape to choose at which price",
        text="How often each shape has the highest net benefit when seeds are drawn anew, by the price "
        "one is willing to pay for one unit of effect. Where no curve is near one, the seeds at hand "
        "cannot tell which shape to choose.",
        x=Axis("Price of one unit of effect (in units of {cost})", log=True),
        y=Axis("Share of draws"),
        layers=(
            Layer(
                "acceptability", "lines", x="price", y="share", series="strategy", colour="strategy",
                where=where, hover=("strategy", "best_on_average", "value_of_information"),
            ),
        ),
        note="Bootstrap over the seeds of each shape; shapes that are never preferred in 5 % of draws "
        "are left out. The value of information is the most that certainty could be worth.",
    )  # fmt: skip


def _view(place: int, found: GroupCost) -> TableView:
    rows = tuple(
        TableRow(
            (
                text_cell(s.name),
                number_cell(s.cost),
                number_cell(s.effect),
                number_cell(s.incremental_cost),
                number_cell(s.incremental_effect),
                number_cell(s.icer),
                text_cell(_STATUS[s.status]),
                number_cell(s.replicates, "single" if s.replicates == 1 else None),
                number_cell(
                    s.frontier_share,
                    None if s.frontier_share is None else format_share(s.frontier_share),
                ),
            ),
            picked=s.status == "ND",
        )
        for s in found.result.strategies
    )
    return TableView(
        id=f"icer-{place}",
        caption=f"{effect_label(found.effect)} bought with {_lower_first(cost_label(found.cost))}, {found.group}. ICER: what one more unit of effect costs, from one shape of the "
        "frontier to the next.",
        columns=(
            Column("Shape"),
            Column("Cost", numeric=True),
            Column("Effect", numeric=True),
            Column("More cost", numeric=True),
            Column("Improvement", numeric=True),
            Column("ICER", numeric=True),
            Column("Status"),
            Column("Seeds", numeric=True),
            Column("On the frontier", numeric=True),
        ),
        rows=rows,
    )


def _factor_table(factors: tuple[FactorCost, ...]) -> TableView:
    rows = tuple(
        TableRow(
            (
                text_cell(found.group),
                text_cell(_FACTOR_LABELS[found.factor]),
                text_cell(s.name.partition("=")[2]),
                number_cell(s.cost),
                number_cell(s.effect),
                number_cell(s.icer),
                text_cell(_STATUS[s.status]),
                number_cell(s.replicates, "single" if s.replicates == 1 else None),
            ),
            picked=s.status == "ND",
        )
        for found in factors
        for s in found.result.strategies
    )
    first = factors[0].result
    held = ", ".join(f"{_FACTOR_LABELS[k]} {v}" for k, v in first.facts.get("held", {}).items())
    return TableView(
        id="factors",
        caption=f"Each size alone, the others held at their most common value ({held}): "
        f"{effect_label(first.effect_column)} bought with {_lower_first(cost_label(first.cost_column))}.",
        columns=(
            Column("Runs"),
            Column("Size"),
            Column("Value"),
            Column("Cost", numeric=True),
            Column("Effect", numeric=True),
            Column("ICER", numeric=True),
            Column("Status"),
            Column("Seeds", numeric=True),
        ),
        rows=rows,
    )
