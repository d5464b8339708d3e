"""The page Cost: which shapes are worth their compute, and which size to grow first."""

from __future__ import annotations

import numpy as np

from lilliput.analysis.findings.costs import Costs, FactorCost, GroupCost
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.learning import unlearned_groups
from lilliput.analysis.findings.quantities import format_share
from lilliput.analysis.table.tidy import Cell
from lilliput.report.drawing.figures import Axis, Control, DataTable, Figure, FigureLayer, Option
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages.cost.sentences import (
    EFFICIENT,
    FACTOR_LABELS,
    ICER,
    STATUS,
    better,
    bought_with,
    cost_label,
    cost_unit,
    effect_label,
    effect_unit,
    efficient_sentences,
    few_seeds,
    fewest_seeds,
    has_shares,
    order_of_factors,
    price_words,
)
from lilliput.report.parts import (
    Missing,
    TableCell,
    TableColumn,
    TableRow,
    TableView,
    number_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence

# A strategy that is nowhere preferred in this share of draws has no curve of its own.
_LEAST_SHARE = 0.05


def build_cost(evidence: Evidence, findings: Findings) -> PageContent:
    """ICER table and plane, acceptability, one factor at a time, with a choice of cost and effect."""
    costs, unlearned = findings.costs, unlearned_groups(evidence.runs)
    if not costs.results:
        return PageContent({"missing": _missing(costs)})
    controls = _controls(costs)
    tables = {"strategies": _strategies(costs), "acceptability": _acceptability(costs)}
    figures = [_plane()]
    if len(tables["acceptability"]):
        figures.append(_acceptability_figure(costs))
    content = {
        "missing": None,
        "sentences": efficient_sentences(costs, unlearned),
        "factors_sentence": order_of_factors(costs, unlearned),
        "efficient": EFFICIENT,
        "icer": ICER,
        "uncertain": len(tables["acceptability"]) > 0,
        "tables": [(_condition(found), _view(i, found)) for i, found in enumerate(_shown(costs))],
        "factors": _factor_table(costs.factors) if costs.factors else None,
    }
    return PageContent(content, tuple(figures), tables, controls)


def _missing(costs: Costs) -> Missing:
    reason = costs.problem or "Cost-effectiveness needs runs with both a cost and an effect."
    return Missing(reason, "lilliput analyse icer TABLE")


def _controls(costs: Costs) -> tuple[Control, ...]:
    groups = list(dict.fromkeys(found.group for found in costs.results))
    prices = list(dict.fromkeys(found.cost for found in costs.results))
    effects = {f.effect: f"{effect_label(f.effect)}, {better(f.result)}" for f in costs.results}
    return (
        Control("group", "Runs", tuple(Option(g, g) for g in groups), is_main=True),
        Control("cost", "Cost", tuple(Option(c, cost_label(c)) for c in prices)),
        Control("effect", "Effect", tuple(Option(e, label) for e, label in effects.items())),
    )


def _shown(costs: Costs) -> list[GroupCost]:
    """Return those with a table and acceptability of their own; the others are in the plane and its CSV."""
    main = costs.main
    assert main is not None
    return [f for f in costs.results if main.cost == f.cost or main.effect == f.effect]


def _condition(found: GroupCost) -> dict[str, str]:
    return {"group": found.group, "cost": found.cost, "effect": found.effect}


def _strategies(costs: Costs) -> DataTable:
    rows: list[dict[str, Cell]] = [
        {
            **_condition(found),
            "label": strategy.name,
            "status": STATUS[strategy.status],
            "cost_value": strategy.cost,
            "effect_value": strategy.effect,
            "icer": strategy.icer,
            "seeds": strategy.replicates,
            "share_efficient": strategy.frontier_share if has_shares(found.result) else None,
        }
        for found in costs.results
        for strategy in found.result.strategies
    ]
    return DataTable.from_rows(rows)


def _acceptability(costs: Costs) -> DataTable:
    """Return one row for each price and strategy, and one for the frontier over prices."""
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
        text="Mean cost and mean effect of every shape. The line joins the efficient ones: "
        "each step along it buys at the lowest price that is left.",
        x=Axis("{cost}", log=True),
        y=Axis("{effect}", log=True),
        layers=(
            FigureLayer(
                "strategies", "lines", x="cost_value", y="effect_value",
                where={**where, "status": STATUS["ND"]}, colour="status",
            ),
            FigureLayer(
                "strategies", "points", x="cost_value", y="effect_value", where=where,
                colour="status", hover=("status", "icer", "seeds", "share_efficient"),
            ),
        ),
        note="Means over seeds. A shape is dominated when a cheaper one is at least as good, and "
        "dominated by a mixture when two others, mixed, would be. Costs are comparable where all runs "
        "read equally much.",
    )  # fmt: skip


def _acceptability_figure(costs: Costs) -> Figure:
    where = {"group": "$group", "cost": "$cost", "effect": "$effect"}
    caveat = few_seeds(min((f.result for f in costs.results), key=fewest_seeds))
    return Figure(
        id="acceptability",
        title="Which shape to choose at which price",
        text="How often each shape has the highest net benefit when seeds are drawn anew, by the price "
        "one is willing to pay for one unit of effect. Where no curve is near one, the seeds at hand "
        f"cannot tell which shape to choose. {caveat}".rstrip(),
        x=Axis("Price of one unit of effect (in units of {cost})", log=True),
        y=Axis("Share of draws"),
        layers=(
            FigureLayer(
                "acceptability", "lines", x="price", y="share", series="strategy", colour="strategy",
                where=where, hover=("strategy", "best_on_average", "value_of_information"),
            ),
        ),
        note="Bootstrap over the seeds of each shape; shapes that are never preferred in 5 % of draws "
        "are left out. The value of information is the most that certainty could be worth.",
    )  # fmt: skip


def _view(place: int, found: GroupCost) -> TableView:
    result, with_shares = found.result, has_shares(found.result)
    rows = tuple(
        TableRow(
            (
                text_cell(s.name),
                number_cell(s.cost),
                number_cell(s.effect),
                number_cell(s.incremental_cost),
                number_cell(s.incremental_effect),
                number_cell(s.icer),
                text_cell(STATUS[s.status]),
                number_cell(s.replicates, "single" if s.replicates == 1 else None),
                *([_share_cell(s.frontier_share)] if with_shares else []),
            ),
            picked=s.status == "ND",
        )
        for s in result.strategies
    )
    cost, effect = cost_unit(found.cost), effect_unit(found.effect)
    return TableView(
        id=f"icer-{place}",
        caption=f"{bought_with(found.effect, found.cost)}, {found.group}; efficient shapes are marked.",
        columns=(
            TableColumn("Shape"),
            TableColumn(f"Cost ({cost})", numeric=True),
            TableColumn(f"Effect ({effect}, {better(result)})", numeric=True),
            TableColumn(f"More cost ({cost})", numeric=True),
            TableColumn(f"Improvement ({effect})", numeric=True),
            TableColumn(f"ICER ({price_words(result)})", numeric=True),
            TableColumn("Status"),
            TableColumn("Seeds", numeric=True),
            *([TableColumn("Efficient in", numeric=True)] if with_shares else []),
        ),
        rows=rows,
    )


def _share_cell(share: float | None) -> TableCell:
    return number_cell(share, None if share is None else f"{format_share(share)} of draws")


def _factor_table(factors: tuple[FactorCost, ...]) -> TableView:
    rows = tuple(
        TableRow(
            (
                text_cell(found.group),
                text_cell(FACTOR_LABELS[found.factor]),
                text_cell(s.name.partition("=")[2]),
                number_cell(s.cost),
                number_cell(s.effect),
                number_cell(s.icer),
                text_cell(STATUS[s.status]),
                number_cell(s.replicates, "single" if s.replicates == 1 else None),
            ),
            picked=s.status == "ND",
        )
        for found in factors
        for s in found.result.strategies
    )
    first = factors[0].result
    held = ", ".join(f"{FACTOR_LABELS[k]} {v}" for k, v in first.facts.get("held", {}).items())
    return TableView(
        id="factors",
        caption=f"Each size alone, the others held at their most common value ({held}): "
        f"{bought_with(first.effect_column, first.cost_column)}.",
        columns=(
            TableColumn("Runs"),
            TableColumn("Size"),
            TableColumn("Value"),
            TableColumn(f"Cost ({cost_unit(first.cost_column)})", numeric=True),
            TableColumn(
                f"Effect ({effect_unit(first.effect_column)}, {better(first)})", numeric=True
            ),
            TableColumn(f"ICER ({price_words(first)})", numeric=True),
            TableColumn("Status"),
            TableColumn("Seeds", numeric=True),
        ),
        rows=rows,
    )


register_page(Page("cost", "Cost", order=70, build=build_cost, template="page.html"))
