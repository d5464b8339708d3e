"""The page Scaling: the compute-optimal frontier, the laws, where they break, and what moves them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from lilliput.analysis import FrontierPoint, LawFit
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.groups import groups_of_one_size, named_for_group
from lilliput.analysis.findings.laws import (
    GroupLaw,
    carriers_of_breaks,
    last_exponent,
    law_name,
    rival_name,
)
from lilliput.analysis.findings.learning import unlearned_groups
from lilliput.analysis.findings.quantities import Quantity, format_number
from lilliput.core.wording import listed, plural
from lilliput.report.drawing.figures import Axis, Control, DataTable, Figure, FigureLayer, Option
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
from lilliput.report.pages.scaling.data import (
    breaks_data,
    cuts_data,
    exponents_data,
    frontier_data,
    laws_data,
)
from lilliput.report.pages.scaling.tables import (
    candidates_table,
    convention_meanings,
    conventions_table,
    parameters_table,
)
from lilliput.report.pages.training.learning import unlearned_sentences
from lilliput.report.parts import Missing, as_sentences
from lilliput.report.reading.evidence import Evidence

# The published upper branch of arXiv 2305.17266, abstract: L = 3.82e2 C^-0.141 above 2.2e15 FLOPs.
PUBLISHED_EXPONENT = 0.141
PUBLISHED_BREAK = 2.2e15


def build_scaling(evidence: Evidence, findings: Findings) -> PageContent:
    """Frontier and laws with bands, breaks, exponent against cut and against convention."""
    laws = findings.laws
    if not any(law.frontier for law in laws):
        return PageContent({"missing": _missing(laws)})
    main = main_laws(laws)
    groups = [law.group for law in main]
    tables = {
        "runs": shared.runs_table(evidence),
        "curves": shared.curves_table(evidence),
        "frontier": frontier_data(laws),
        "laws": laws_data(laws),
        "breaks": breaks_data(laws),
        "cuts": cuts_data(laws),
        "exponents": exponents_data(laws),
        "published": DataTable({"name": ["the paper: 0.141"], "exponent": [PUBLISHED_EXPONENT]}),
    }
    controls = shared.known(
        Control("group", "Runs", tuple(Option(group, group) for group in groups), is_main=True),
        shared.flops_control(evidence),
    )
    content = {
        "missing": None,
        "sentences": [
            *unlearned_sentences(
                groups, unlearned_groups(evidence.runs), "so this says nothing yet about scale"
            ),
            *(law_sentence(law) for law in main),
            *_without_law(evidence),
        ],
        "warnings": [(law.group, law.fit.warnings) for law in main if law.fit],
        "candidates": [candidates_table(law) for law in main if law.fit],
        "parameters": [parameters_table(law) for law in main if law.fit],
        "conventions": conventions_table(laws),
        "meanings": convention_meanings(laws),
    }
    return PageContent(
        content, _figures(laws, with_paper=not evidence.is_foreign), tables, controls
    )


def _without_law(evidence: Evidence) -> list[str]:
    """Return which groups have no law, as they hold a single size."""
    left = [] if evidence.table is None else groups_of_one_size(evidence.table)
    if not left:
        return []
    named = f"{', '.join(left[:3])}{', …' if len(left) > 3 else ''}"
    have = "has" if len(left) == 1 else "have"
    return [f"{plural(len(left), 'group')} of runs of one size ({named}) {have} no law of scale."]


def main_laws(laws: tuple[GroupLaw, ...]) -> list[GroupLaw]:
    """Return one law a group: that of the main convention."""
    first: dict[str, GroupLaw] = {}
    for law in laws:
        first.setdefault(law.group, law)
    return list(first.values())


def _missing(laws: tuple[GroupLaw, ...]) -> Missing:
    reasons = list(dict.fromkeys(law.problem for law in laws if law.problem))
    if reasons:
        return Missing(f"No frontier can be drawn: {reasons[0]}")
    return Missing(
        "There are no measurements with both loss and FLOPs.", "lilliput study run RECIPE"
    )


def law_sentence(law: GroupLaw) -> str:
    """Return which law a group follows, with its exponent, breaks and doubts, in words."""
    if law.fit is None:
        return named_for_group(law.group, f"no law could be fitted. {law.problem}")
    fit = law.fit
    sentence = (
        f"of the laws compared on {fit.n} points of the frontier of compute and loss, from "
        f"{fit.facts.get('n_runs', '?')} runs, the {law_name(fit)} describes it best; at its upper end loss falls with "
        f"the exponent {last_exponent(fit).text}."
    )
    return as_sentences([named_for_group(law.group, sentence), break_sentence(fit)])


def break_sentence(fit: LawFit) -> str:
    """Return where a law breaks, or that no break is claimed, and which runs that rests on, in words."""
    carried = carriers_of_breaks(fit)
    if fit.breaks:
        places = [_place(Quantity(b.value, b.low, b.high)) for b in fit.breaks]
        times = "once" if len(places) == 1 else f"{len(places)} times"
        said = f"It breaks {times}: at {listed(places)} FLOPs."
        return said if carried is None else f"{said} This rests most on {carried.said}."
    if fit.facts.get("verdict") == "curved":
        return "It is curved: its slope changes everywhere, and no place of a break is shown."
    if carried is not None:
        return (
            f"A break is not claimed: it rests on {carried.said} alone, and without "
            f"{'it' if len(carried.units) == 1 else 'them'} the data prefer none."
        )
    if any("break" in warning for warning in fit.warnings):
        return "A break is not claimed: the data cannot tell one from noise."
    return f"No break was found on {plural(fit.n, 'point')}."


def _place(found: Quantity) -> str:
    if not found.has_interval:
        return f"{found.figure} (no interval)"
    return f"{found.figure} (95 % interval {found.bounds})"


def _figures(laws: tuple[GroupLaw, ...], *, with_paper: bool) -> tuple[Figure, ...]:
    figures = [_frontier_figure(laws)]
    if with_paper and any(law.fit and law.fit.cut_sensitivity for law in laws):
        figures.append(_cut_figure())
    if len({law.flops for law in laws if law.fit}) > 1:
        figures.append(_convention_figure(laws))
    return tuple(figures)


def _frontier_figure(laws: tuple[GroupLaw, ...]) -> Figure:
    where = {"group": "$group", "convention": "$flops"}
    rivals = list(dict.fromkeys(rival_name(rival) for law in laws for rival in law.rivals))
    layers = [
        FigureLayer(
            "curves", "points", x="$flops", y=_loss_column(laws), where={"group": "$group"}, faint=True,
            name="all measurements",
        ),
        FigureLayer("breaks", "span", low="low", high="high", where=where, name="breaks, with intervals", tone=7),
        FigureLayer(
            "laws", "band", x="flops", low="low", high="high",
            where={**where, "role": "chosen law"}, colour="group",
        ),
        FigureLayer(
            "laws", "lines", x="flops", y="loss", series="role",
            where={**where, "role": "chosen law"}, colour="group", label="law", hover=("law",),
        ),
        *(
            FigureLayer(
                "laws", "lines", x="flops", y="loss", series="role", where={**where, "role": rival},
                name=rival, tone=1 + (2 + place) % 8, hidden=True, dashed=True, hover=("law",),
            )
            for place, rival in enumerate(rivals)
        ),
        FigureLayer(
            "frontier", "points", x="flops", y="loss", where=where, colour="group", hover=("step",),
        ),
    ]  # fmt: skip
    return Figure(
        id="frontier",
        title="The lowest loss that each budget buys",
        text=_frontier_text(laws),
        x=Axis("Training FLOPs ({flops})", log=True),
        y=Axis(shared.LOSS_LABELS.get(_loss_column(laws), "Loss"), log=True),
        layers=tuple(layers),
        note="The frontier of compute and loss, found as the authors did: FLOPs are cut into bins, and the "
        "measurement of lowest loss in each is on it, even where a cheaper bin reached lower. Bands and "
        "intervals come from drawing whole runs with replacement; measurements of one run are not "
        "independent. A frontier is a minimum over runs, so its law inherits the luck of single runs.",
    )


def _frontier_text(laws: tuple[GroupLaw, ...]) -> str:
    return as_sentences(
        [
            named_for_group(law.group, frontier_sentence(law.frontier.points))
            for law in main_laws(laws)
            if law.frontier and law.frontier.points
        ]
    )


def frontier_sentence(points: Sequence[FrontierPoint]) -> str:
    """Say from where to where the lowest losses of the bins go, and how many are undercut by a cheaper one."""
    first, last = points[0], points[-1]
    best = min(points, key=lambda point: point.loss)
    lowest = itertools.accumulate((point.loss for point in points), min)
    undercut = sum(point.loss > least for point, least in zip(points, lowest, strict=True))
    sentence = (
        f"over {plural(len(points), 'bin')} of FLOPs the lowest loss goes from {_at(first)} to {_at(best)}, "
        "the lowest of all"
    )
    if best is not last:
        sentence += f", and is {_at(last)}, the last"
    if not undercut:
        return f"{sentence}."
    verb = "point is" if undercut == 1 else "points are"
    return f"{sentence}. {undercut} {verb} undercut by a cheaper one: there, more compute bought nothing."


def _at(point: FrontierPoint) -> str:
    return f"{format_number(point.loss)} at {format_number(point.flops)} FLOPs"


def _loss_column(laws: tuple[GroupLaw, ...]) -> str:
    return next((law.frontier.loss_column for law in laws if law.frontier), "loss")


def _cut_figure() -> Figure:
    where = {"group": "$group", "convention": "$flops"}
    return Figure(
        id="exponent-by-cut",
        title="How much the exponent depends on where the line is cut",
        text="Two power laws, one fitted below and one above a cut, for every possible cut. Where the "
        "curve is not flat, an exponent says as much about the cut as about the models.",
        x=Axis("Cut (training FLOPs, {flops})", log=True),
        y=Axis("Exponent"),
        layers=(
            FigureLayer("published", "rule", y="exponent"),
            FigureLayer(
                "cuts", "band", x="cut", low="low", high="high", series="side", colour="side",
                where=where,
            ),
            FigureLayer(
                "cuts", "lines", x="cut", y="exponent", series="side", colour="side", where=where,
                hover=("side", "points", "r2"),
            ),
        ),
        note="Bands are 1.96 standard errors of a straight line in logarithms, which takes the points "
        "for independent: they are too narrow.",
    )  # fmt: skip


def _convention_figure(laws: tuple[GroupLaw, ...]) -> Figure:
    found = [last_exponent(law.fit).value or 0.0 for law in laws if law.fit]
    return Figure(
        id="exponent-by-convention",
        title="The same curves under other FLOPs conventions",
        text=f"The exponent at the upper end goes from {format_number(min(found))} to "
        f"{format_number(max(found))} with nothing changed but how FLOPs are counted.",
        x=Axis("Exponent at the upper end"),
        y=Axis(""),
        layers=(
            FigureLayer(
                "exponents", "points", x="exponent", y="row", low="low", high="high",
                horizontal=True, colour="group", hover=("law",),
            ),
        ),
        note="Intervals of 95 % from drawing runs: 500 draws under the main convention unless the "
        "recipe says otherwise, 100 under the others.",
    )  # fmt: skip


register_page(Page("scaling", "Scaling", order=50, build=build_scaling, template="page.html"))
