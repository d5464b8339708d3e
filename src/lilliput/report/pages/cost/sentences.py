"""What the page Cost calls things, and what it says of efficient shapes."""

from __future__ import annotations

from lilliput.analysis import IcerResult
from lilliput.analysis.findings.costs import Costs, GroupCost
from lilliput.analysis.findings.groups import named_for_group
from lilliput.analysis.findings.quantities import format_number, format_share
from lilliput.core.wording import listed
from lilliput.report.pages import shared
from lilliput.report.pages.training.learning import unlearned_sentences
from lilliput.report.parts import as_sentences

# Of two shapes with four seeds each, even the strictest order is chance in 2 of 70 cases, too often where
# several shapes are compared; with five it is 2 of 252. Fewer seeds give no share of draws.
FEWEST_SEEDS = 5
STATUS = {"ND": "efficient", "ED": "dominated by a mixture", "D": "dominated"}
EFFICIENT = (
    "A shape is efficient when no other shape, and no mix of two others, brings as good an effect for less: "
    "shapes are judged by where they ended. This is not the frontier of compute and loss of the page Scaling, "
    "which takes the lowest loss of each bin of FLOPs from all measurements."
)
ICER = (
    "ICER, the incremental cost-effectiveness ratio, is what an efficient shape costs more than the next "
    "cheaper efficient one, divided by how much better its effect is: the price of one unit of improvement."
)
FACTOR_LABELS = {
    "embedding_size": "embedding width",
    "hidden_size": "hidden width",
    "intermediate_size": "feed-forward width",
    "num_attention_heads": "heads",
    "num_hidden_layers": "layers",
}
_COST_LABELS = {"wall_time_s": "Seconds of training"}
# The unit of an effect by the start of its column, longer names first.
_UNITS = {"perplexity": "perplexity", "loss": "nat", "bits_per_byte": "bit a byte"}
_FACTORS_CAVEAT = "These prices hold at one base shape and rest on the runs of its ladder alone."
_NO_WORTH = (
    "so which shapes are efficient says how cheaply they came near that, not what is worth its cost"
)


def cost_label(column: str) -> str:
    """Return what a cost is called."""
    if column.startswith("sequence_"):
        convention = shared.flops_label(column.removeprefix("sequence_"))
        return f"FLOPs a training sequence ({convention})"
    if column.startswith("flops"):
        return f"Training FLOPs ({shared.flops_label(column)})"
    return _COST_LABELS.get(column, column.replace("_", " "))


def cost_unit(column: str) -> str:
    """Return the unit of a cost."""
    return "s" if column == "wall_time_s" else "FLOPs"


def effect_label(column: str) -> str:
    """Return what an effect is called."""
    return shared.LOSS_LABELS.get(column, column.replace("_", " ").capitalize())


def effect_unit(column: str) -> str:
    """Return the unit of an effect."""
    bare = column.removeprefix("test_")
    return next((unit for name, unit in _UNITS.items() if bare.startswith(name)), "score")


def better(result: IcerResult) -> str:
    """Return which way an effect is better."""
    return f"{result.direction} is better"


def bought_with(effect: str, cost: str) -> str:
    """Return an effect and its cost, as the start of a sentence."""
    return f"{effect_label(effect)} bought with {_lower_first(cost_label(cost))}"


def _lower_first(label: str) -> str:
    return label if label.startswith("FLOPs") else label[:1].lower() + label[1:]


def fewest_seeds(result: IcerResult) -> int:
    """Return the number of seeds of the shape that has fewest."""
    return min((strategy.replicates for strategy in result.strategies), default=0)


def has_shares(result: IcerResult) -> bool:
    """Return whether there are seeds enough for a share of draws to say anything."""
    return result.acceptability is not None and fewest_seeds(result) >= FEWEST_SEEDS


def efficient_sentences(costs: Costs, unlearned: frozenset[str]) -> list[str]:
    """Return which shapes of each group are efficient under the first cost and effect, in words."""
    main = costs.main
    if main is None:
        return []
    firsts = [f for f in costs.results if (f.cost, f.effect) == (main.cost, main.effect)]
    remarks = unlearned_sentences((found.group for found in firsts), unlearned, _NO_WORTH)
    return [*remarks, *(_efficient(found) for found in firsts)]


def _efficient(found: GroupCost) -> str:
    strategies, efficient = found.result.strategies, found.result.frontier
    what = bought_with(found.effect, found.cost)
    verb = "is" if len(efficient) == 1 else "are"
    sentence = named_for_group(
        found.group,
        f"{len(efficient)} of {len(strategies)} shapes {verb} efficient ({what[:1].lower()}{what[1:]}): "
        f"{listed([s.name for s in efficient])}.",
    )
    return f"{sentence} {_certainty(found.result)}".rstrip()


def _certainty(result: IcerResult) -> str:
    """Return how sure the order is, as far as seeds can tell."""
    if result.acceptability is None:
        return "Each rests on a single run, so this order carries no interval."
    if not has_shares(result):
        return few_seeds(result)
    shares = [s.frontier_share for s in result.frontier if s.frontier_share is not None]
    if not shares:
        return ""
    return f"Drawing seeds anew, each of them stays efficient in at least {format_share(min(shares))} of draws."


def few_seeds(result: IcerResult) -> str:
    """Say that a share of draws would say little; empty where there are seeds enough."""
    count = fewest_seeds(result)
    if count >= FEWEST_SEEDS:
        return ""
    seeds = "one seed" if count == 1 else f"{count} seeds"
    return (
        f"From {seeds} a shape a share of draws says little: at least {FEWEST_SEEDS} are needed to tell an "
        "order from chance."
    )


def order_of_factors(costs: Costs, unlearned: frozenset[str]) -> str:
    """Return which size buys most for its first step, in words; empty where none varies alone."""
    sentences: list[str] = []
    groups = list(dict.fromkeys(factor.group for factor in costs.factors))
    for group in groups:
        steps = [
            (step.icer, FACTOR_LABELS[factor.factor])
            for factor in costs.factors
            if factor.group == group and (step := factor.first_step) and step.icer is not None
        ]
        if steps:
            ordered = [f"{name} ({format_number(price)})" for price, name in sorted(steps)]
            others = f", then {listed(ordered[1:])}" if len(ordered) > 1 else ""
            sentence = (
                f"one factor at a time, the cheapest first step up is in {ordered[0]}{others}; in "
                f"brackets the price: {price_words(costs.factors[0].result)}."
            )
            sentences.append(named_for_group(group, sentence))
    if not sentences:
        return ""
    return as_sentences(
        [*unlearned_sentences(groups, unlearned, _NO_WORTH), *sentences, _FACTORS_CAVEAT]
    )


def price_words(result: IcerResult) -> str:
    """Return the unit of an ICER."""
    unit, way = (
        effect_unit(result.effect_column),
        "lower" if result.direction == "lower" else "higher",
    )
    by_one = (
        f"{unit} {way} by 1" if unit in ("perplexity", "score") else f"an effect {way} by 1 {unit}"
    )
    return f"{cost_unit(result.cost_column)} for {by_one}"
