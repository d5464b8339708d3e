"""The page Break and plateau: families over one another, and whether the break moves with the end of the plateau."""

from __future__ import annotations

from lilliput.analysis.findings.break_origin import (
    LEAST_SHAPES,
    LEAST_SPREAD,
    BreakOrigin,
    BreakVerdict,
    FamilyBreak,
    families_of,
)
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.learning import PLATEAU_EXIT_NATS
from lilliput.analysis.findings.quantities import Quantity, format_number
from lilliput.analysis.table.tidy import Cell
from lilliput.core.wording import listed, plural
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
from lilliput.report.parts import (
    Answer,
    TableColumn,
    TableRow,
    TableView,
    Verdict,
    number_cell,
    quantity_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence

QUESTION = "Is the break a property of scale?"
_PAPER = (
    "The published frontier breaks at 2.2 × 10¹⁵ FLOPs, and the first of the published runs leaves its plateau at 2.3 × "
    "10¹⁵, both counted by the authors' formula."
)
_VERDICTS: dict[BreakVerdict, tuple[Verdict, str]] = {
    "moves": ("no", "No: it moves with the end of the plateau"),
    "stays": ("yes", "Yes: it stays while the end of the plateau moves"),
    "unclear": ("unclear", ""),
}
_METHOD = (
    f"A shape leaves the plateau where its loss is {PLATEAU_EXIT_NATS} nat below the unigram entropy in two evaluations "
    "in a row; the exit of a family is the lowest compute at which one of its shapes does, a geometric mean over seeds. "
    "Its break is where two power laws that need not meet fit its frontier best. The two are measured apart from each "
    "other. If the break came from scale alone, ln(break) would have a slope of 0 on ln(exit) over the families; if it is "
    "the end of the plateau, the slope is 1. Intervals come from drawing shapes, and seeds within them. "
    f"The exits must differ by a factor of {LEAST_SPREAD:g}, and {LEAST_SHAPES} shapes of a family must have left."
)


def has_families(evidence: Evidence) -> bool:
    """Return whether the table holds several families that can be compared."""
    return bool(families_of(evidence.table))


def build_break_origin(evidence: Evidence, findings: Findings) -> PageContent:
    """Frontiers with exits and breaks, break against exit, and the tables of both."""
    origins = findings.break_origins
    drawn = [origin for origin in origins if not origin.finished_only]
    tables = {
        "family-frontiers": _frontiers(drawn),
        "family-places": _places(drawn),
        "exit-intervals": _intervals(drawn, "exit"),
        "break-intervals": _intervals(drawn, "break"),
        "slope-one": _lines_of_slope(drawn, 1.0),
        "slope-zero": _lines_of_slope(drawn, 0.0),
    }
    content = {
        "sentences": origin_sentences(origins),
        "method": _METHOD,
        "families": _families_table(origins),
        "slopes": _slopes_table(origins),
        "differences": _differences_table(origins),
    }
    controls = shared.known(shared.flops_control(evidence))
    figures = (_frontier_figure(drawn), _place_figure(drawn)) if drawn else ()
    return PageContent(content, figures, tables, controls)


def answer_break_origin(findings: Findings) -> Answer | None:
    """Answer whether the break is a property of scale; None where the study has no families to ask."""
    if not findings.break_origins:
        return None
    verdict, text = _VERDICTS[findings.break_origins[0].verdict]
    sentences = origin_sentences(findings.break_origins)
    return Answer(QUESTION, verdict, sentences, _PAPER, "break-and-plateau", text)


def origin_sentences(origins: tuple[BreakOrigin, ...]) -> list[str]:
    """Return the answer under the main convention in plain words, with its numbers."""
    if not origins:
        return ["No two families with curves can be compared."]
    main = origins[0]
    sentences = [_verdict_sentence(main)]
    sentences += [family_sentence(family) for family in main.families]
    sentences.append(_exponent_sentence(main))
    agreeing = [other for other in origins[1:] if other.verdict == main.verdict]
    if origins[1:]:
        sentences.append(
            f"Counted in other ways (other FLOPs conventions, and finished runs alone where there are several budgets) the "
            f"answer is the same in {len(agreeing)} of {len(origins) - 1}."
        )
    return [sentence for sentence in sentences if sentence]


def _verdict_sentence(origin: BreakOrigin) -> str:
    if origin.verdict == "unclear":
        return f"Whether the break comes from scale, these data cannot tell: {origin.problem}."
    said = {
        "moves": "the break moves with the compute at which a family leaves the plateau",
        "stays": "the break stays where it is, whatever the compute at which a family leaves the plateau",
    }[origin.verdict]
    spread = format_number(origin.spread)
    return (
        f"Over families whose exits differ by a factor of {spread}, {said}: the slope of ln(break) on ln(exit) is "
        f"{origin.slope.text}; 1 is a break at the end of the plateau, 0 one of scale."
    )


def family_sentence(family: FamilyBreak) -> str:
    """Return where a family leaves the plateau and where its frontier breaks, in words."""
    if family.problem:
        return f"{family.group}: {family.problem} ({plural(family.shapes, 'shape')})."
    steps = (
        f", after {family.fewest_steps:,.0f} to {family.most_steps:,.0f} steps"
        if family.fewest_steps and family.most_steps
        else ""
    )
    further = ""
    if family.breaks_above is not None:
        places = listed([format_number(place) for place in family.breaks_above])
        further = (
            f" Above it the frontier breaks again at {places}."
            if places
            else " Above it no further break is shown."
        )
    return (
        f"{family.group}: {family.left} of {plural(family.shapes, 'shape')} leave the plateau{steps}, the first "
        f"({family.cheapest}) at {_bounded(family.exit)} FLOPs; the frontier breaks at {_bounded(family.place)}, "
        f"{_bounded(family.ratio)} times that.{further}"
    )


def _bounded(quantity: Quantity) -> str:
    return f"{quantity.figure} ({quantity.bounds})" if quantity.has_interval else quantity.figure


def _exponent_sentence(origin: BreakOrigin) -> str:
    known = [each for each in origin.differences if each.difference.has_interval]
    if not known:
        return ""
    apart = [each for each in known if each.difference.excludes(0.0)]
    if not apart:
        widest = max(known, key=lambda each: abs(each.difference.value or 0.0))
        return (
            "After the plateau the families' exponents cannot be told apart: the largest difference, "
            f"{widest.one} minus {widest.other}, is {_bounded(widest.difference)}."
        )
    named = listed([f"{e.one} minus {e.other} {_bounded(e.difference)}" for e in apart])
    return f"After the plateau some exponents differ: {named}."


def _families(origins: list[BreakOrigin]) -> list[tuple[BreakOrigin, FamilyBreak]]:
    return [(origin, family) for origin in origins for family in origin.families]


def _frontiers(origins: list[BreakOrigin]) -> DataTable:
    rows: list[dict[str, Cell]] = [
        {"convention": o.flops, "family": f.group, "flops": x, "loss": y, "fitted": z}
        for o, f in _families(origins)
        for x, y, z in zip(f.frontier_flops, f.frontier_loss, f.fitted_loss, strict=True)
    ]
    return DataTable.from_rows(rows, ["convention", "family", "flops", "loss", "fitted"])


def _places(origins: list[BreakOrigin]) -> DataTable:
    """Return exit and break of each family, and at which loss the frontiers' figure draws them."""
    rows: list[dict[str, Cell]] = [
        {
            "convention": o.flops, "family": f.group, "exit_level": f.entropy - PLATEAU_EXIT_NATS, "break_level": f.entropy,
            "exit": f.exit.value, "exit_low": f.exit.low, "exit_high": f.exit.high,
            "break": f.place.value, "break_low": f.place.low, "break_high": f.place.high,
        }
        for o, f in _families(origins)
        if f.exit.value is not None and f.place.value is not None and f.entropy is not None
    ]  # fmt: skip
    names = ["convention", "family", "exit_level", "break_level", "exit", "exit_low", "exit_high", "break", "break_low", "break_high"]  # fmt: skip
    return DataTable.from_rows(rows, names)


def _intervals(origins: list[BreakOrigin], what: str) -> DataTable:
    """Return both ends of the interval of each exit or break, at the loss at which it is drawn."""
    rows = [
        {
            "convention": row["convention"],
            "family": row["family"],
            "flops": row[f"{what}_{end}"],
            "loss": row[f"{what}_level"],
        }
        for row in _places(origins).rows()
        for end in ("low", "high")
        if row[f"{what}_{end}"] is not None
    ]
    return DataTable.from_rows(rows, ["convention", "family", "flops", "loss"])


def _lines_of_slope(origins: list[BreakOrigin], slope: float) -> DataTable:
    """Return what the figure compares with: a line of this slope through the family that leaves first."""
    rows: list[dict[str, Cell]] = []
    for origin in origins:
        known = [
            (family.exit.value, family.place.value)
            for family in origin.families
            if family.exit.value is not None and family.place.value is not None
        ]
        if len(known) > 1:
            first, start = min(known)
            rows += [
                {"convention": origin.flops, "exit": at, "break": start * (at / first) ** slope}
                for at in (first, max(known)[0])
            ]
    return DataTable.from_rows(rows, ["convention", "exit", "break"])


def _frontier_figure(origins: list[BreakOrigin]) -> Figure:
    where = {"convention": "$flops"}
    layers = (
        FigureLayer("family-frontiers", "lines", x="flops", y="fitted", series="family", colour="family", where=where, dashed=True),
        FigureLayer("family-frontiers", "points", x="flops", y="loss", colour="family", where=where),
        FigureLayer("exit-intervals", "lines", x="flops", y="loss", series="family", where=where, name="interval of the exit", tone=6),
        FigureLayer("break-intervals", "lines", x="flops", y="loss", series="family", where=where, name="interval of the break", tone=7),
        FigureLayer(
            "family-places", "points", x="exit", y="exit_level", where=where, hover=("family",),
            name="leaves the plateau", tone=6,
        ),
        FigureLayer(
            "family-places", "points", x="break", y="break_level", where=where, hover=("family",), name="break", tone=7,
        ),
    )  # fmt: skip
    families = origins[0].families
    return Figure(
        id="family-frontiers",
        title="The frontiers of the families, over one another",
        text=_frontier_text(families),
        x=Axis("Training FLOPs ({flops})", log=True),
        y=Axis(shared.LOSS_LABELS["loss"], log=True),
        layers=layers,
        note="A point is the lowest loss in a tenth of a decade of FLOPs; the dashed lines are the two power laws. Breaks are "
        f"drawn at the height of the unigram entropy and exits {PLATEAU_EXIT_NATS} nat below it, with 95 % intervals.",
    )


def _frontier_text(families: tuple[FamilyBreak, ...]) -> str:
    """Return what can be seen: how many frontiers there are, and from where to where their exits and breaks go."""
    said = f"The frontiers of {len(families)} families"
    exits = sorted(f.exit.value for f in families if f.exit.value is not None)
    places = sorted(f.place.value for f in families if f.place.value is not None)
    if not exits or not places:
        return f"{said}."
    ends = [
        f"from {format_number(some[0])} to {format_number(some[-1])}" for some in (exits, places)
    ]
    return f"{said}: they leave the plateau {ends[0]} FLOPs, and break {ends[1]}."


def _place_figure(origins: list[BreakOrigin]) -> Figure:
    where = {"convention": "$flops"}
    layers = (
        FigureLayer("slope-one", "lines", x="exit", y="break", where=where, name="the break moves with the exit", tone=2, dashed=True),
        FigureLayer("slope-zero", "lines", x="exit", y="break", where=where, name="the break stays", tone=7, dashed=True),
        FigureLayer(
            "family-places", "points", x="exit", y="break", low="break_low", high="break_high", colour="family",
            where=where,
        ),
    )  # fmt: skip
    return Figure(
        id="break-against-exit",
        title="Break against exit",
        text=_verdict_sentence(origins[0]),
        x=Axis("Exit from the plateau, FLOPs ({flops})", log=True),
        y=Axis("Break of the frontier, FLOPs", log=True),
        layers=layers,
        note="One point a family, with the 95 % interval of its break. Both lines go through the family that leaves first.",
    )


def _label(origin: BreakOrigin) -> str:
    label = shared.flops_label(origin.flops)
    return f"{label}, finished runs alone" if origin.finished_only else label


def _families_table(origins: tuple[BreakOrigin, ...]) -> TableView:
    rows = [
        TableRow(
            (
                text_cell(f.group),
                text_cell(_label(o)),
                text_cell(f"{f.left} of {f.shapes}"),
                quantity_cell(f.exit),
                quantity_cell(f.place) if not f.problem else text_cell(f.problem),
                quantity_cell(f.ratio),
                quantity_cell(f.below),
                quantity_cell(f.above),
            )
        )
        for o, f in _families(list(origins))
    ]
    return TableView(
        id="family-breaks",
        caption="Exit, break and exponents of each family under each FLOPs convention, with 95 % intervals. The exponent "
        "after the plateau is read from twice the break on.",
        columns=(
            TableColumn("Family"),
            TableColumn("Convention"),
            TableColumn("Shapes that left"),
            TableColumn("Exit (FLOPs)", numeric=True),
            TableColumn("Break (FLOPs)", numeric=True),
            TableColumn("Break divided by exit", numeric=True),
            TableColumn("Exponent below", numeric=True),
            TableColumn("Exponent after the plateau", numeric=True),
        ),
        rows=tuple(rows),
    )


def _slopes_table(origins: tuple[BreakOrigin, ...]) -> TableView:
    said = {"moves": "the break moves with the exit", "stays": "the break stays"}
    rows = [
        TableRow(
            (
                text_cell(_label(origin)),
                number_cell(origin.spread),
                quantity_cell(origin.slope),
                text_cell(said.get(origin.verdict, origin.problem)),
            )
        )
        for origin in origins
    ]
    return TableView(
        id="break-slopes",
        caption="Slope of ln(break) on ln(exit) over the families: 1 where the break moves with the exit, 0 where it stays.",
        columns=(
            TableColumn("Convention"),
            TableColumn("Largest exit divided by smallest", numeric=True),
            TableColumn("Slope", numeric=True),
            TableColumn("What follows"),
        ),
        rows=tuple(rows),
    )


def _differences_table(origins: tuple[BreakOrigin, ...]) -> TableView | None:
    rows = [
        TableRow(
            (
                text_cell(_label(origin)),
                text_cell(each.one),
                text_cell(each.other),
                quantity_cell(each.difference),
            )
        )
        for origin in origins
        for each in origin.differences
    ]
    if not rows:
        return None
    return TableView(
        id="exponent-differences",
        caption="Exponent after the plateau of one family minus that of another, with 95 % intervals; not corrected for "
        "their number.",
        columns=(
            TableColumn("Convention"),
            TableColumn("Family"),
            TableColumn("Minus"),
            TableColumn("Difference", numeric=True),
        ),
        rows=tuple(rows),
    )


register_page(
    Page(
        "break-and-plateau",
        "Break and plateau",
        order=55,
        build=build_break_origin,
        template="break_origin.html",
        applies_to=has_families,
    )
)
