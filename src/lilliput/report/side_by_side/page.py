"""The page of two studies: what differs in their settings, and then in what their models reached.

Two counts of FLOPs are never compared unless they follow one convention, and losses of two tokenizers only as bits
per byte; where that cannot be done the page says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from lilliput.analysis.findings.findings import Findings, flops_columns
from lilliput.analysis.findings.groups import named_for_group
from lilliput.analysis.findings.two_studies import (
    TwoGroups,
    TwoShapes,
    compare_groups,
    compare_shapes,
)
from lilliput.analysis.table.tidy import Cell
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.page import BuiltPage, Page, PageContent
from lilliput.report.pages import shared
from lilliput.report.pages.glossary import build_glossary
from lilliput.report.parts import (
    TableColumn,
    TableRow,
    TableView,
    number_cell,
    quantity_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence

_LOSSES = ("loss", "bits_per_byte", "loss_reference")
_COSTS = {"tokens_seen": "tokens read", "num_parameters": "size"}
_NOT_SETTINGS = ("name", "paths", "description")


@dataclass(frozen=True)
class _Axes:
    """What both sides are measured by, and what has to be said about it.

    Attributes:
        cost: Column of the horizontal axis.
        flops: The FLOPs convention that both have; empty where there is none.
        loss: Column of the vertical axis; empty where losses cannot be compared.
        said: Sentences about the choice.
    """

    cost: str
    flops: str
    loss: str
    said: tuple[str, ...]


def side_by_side_pages(a: Evidence, b: Evidence) -> list[BuiltPage]:
    """Return the page that compares B with A, and the glossary."""
    names = _names(a, b)
    axes = _axes(a, b, names)
    groups: tuple[TwoGroups, ...] = ()
    shapes: tuple[TwoShapes, ...] = ()
    if axes.loss:
        shapes = compare_shapes(a.runs, b.runs, axes.loss)
        if axes.flops and a.table is not None and b.table is not None:
            groups = compare_groups(a.table, b.table, names, axes.flops, axes.loss)
    tables = {
        "runs": _runs(a, b, names),
        "curves": _curves(a, b, names),
        "laws": _laws(groups),
    }
    settings = _settings(a, b, names)
    content = {
        "missing": None,
        "settings": settings,
        "no_settings": "The settings of both are the same."
        if a.recipe and b.recipe
        else "The settings are not known: a table holds none.",
        "sentences": [*_sentences(groups), *axes.said],
        "shapes": _shapes_table(shapes, names, axes.loss) if shapes else None,
        "warnings": [(one.group, one.found.warnings) for one in groups if one.found],
    }
    has_laws = len(tables["laws"]) > 0
    figures = (_figure(axes, has_laws=has_laws),) if axes.loss and axes.cost else ()

    def build(evidence: Evidence, findings: Findings) -> PageContent:
        del evidence, findings
        return PageContent(content, figures, tables)

    page = Page("side-by-side", "Side by side", order=10, build=build, template="page.html")
    glossary = Page(
        "glossary", "Glossary", order=100, build=build_glossary, template="glossary.html"
    )
    nothing = Findings()
    return [BuiltPage(each, each.build(a, nothing)) for each in (page, glossary)]


def _names(a: Evidence, b: Evidence) -> tuple[str, str]:
    one, other = a.title or a.name, b.title or b.name
    return (one, other) if one != other else (f"{one} (A)", f"{other} (B)")


def _axes(a: Evidence, b: Evidence, names: tuple[str, str]) -> _Axes:
    said: list[str] = []
    mains = [next(iter(flops_columns(side)), "") for side in (a, b)]
    common = [name for name in flops_columns(a) if name in flops_columns(b)]
    flops = common[0] if common else ""
    if not common and any(mains):
        counted = [shared.flops_label(main) if main else "not at all" for main in mains]
        said.append(
            f"FLOPs are counted by “{counted[0]}” in {names[0]} and by “{counted[1]}” in {names[1]}: they have no "
            "convention in common, so nothing is compared at equal compute."
        )
    elif common:
        differ = (
            ""
            if mains[0] == mains[1]
            else f", though {names[1]} was analysed by “{shared.flops_label(mains[1])}”"
        )
        said.append(f"FLOPs of both are counted by “{shared.flops_label(flops)}”{differ}.")
    loss, why = _loss(a, b)
    said.append(why)
    cost = flops or next(
        (c for c in ("tokens_seen", "num_parameters") if _has(a, c) and _has(b, c)), ""
    )
    return _Axes(cost, flops, loss, tuple(filter(None, said)))


def _has(evidence: Evidence, column: str) -> bool:
    return bool(shared.present(evidence, [column]))


def _loss(a: Evidence, b: Evidence) -> tuple[str, str]:
    """Return the loss that can be compared, and why it is that one, in words."""
    both = [name for name in _LOSSES if _has(a, name) and _has(b, name)]
    tokenizers = [_tokenizers(side) for side in (a, b)]
    if all(tokenizers) and tokenizers[0] != tokenizers[1]:
        if "bits_per_byte" in both:
            return "bits_per_byte", (
                "Their tokenizers differ, so losses a token cannot be compared: bits per byte stand for them."
            )
        return (
            "",
            "Their tokenizers differ and bits per byte are not known, so losses cannot be compared.",
        )
    if not both:
        return "", "They have no loss in common, so nothing can be compared."
    if all(tokenizers):
        return both[0], ""
    return both[0], (
        "Whether both use the same tokenizer is not known here; their losses can be compared only if they do."
    )


def _tokenizers(evidence: Evidence) -> frozenset[str]:
    """Return the contents of the tokenizers that the models use; empty where they are not known."""
    used = str((evidence.recipe.get("tokenizers") or {}).get("train_with", ""))
    return frozenset(
        artefact.content
        for artefact in evidence.artefacts
        if artefact.kind == "tokenizer" and (not used or artefact.place.endswith(f"/{used}"))
    )


def _runs(a: Evidence, b: Evidence, names: tuple[str, str]) -> DataTable:
    rows = [
        {
            **run.as_row(),
            "run": f"{name}: {run.name}",
            "label": f"{name}: {run.label}",
            "study": name,
        }
        for side, name in zip((a, b), names, strict=True)
        for run in side.runs
    ]
    return DataTable.from_rows(rows)


def _curves(a: Evidence, b: Evidence, names: tuple[str, str]) -> DataTable:
    rows = [
        {**row, "run": f"{name}: {row['run']}"}
        for side, name in zip((a, b), names, strict=True)
        for row in shared.curves_table(side).rows()
    ]
    return DataTable.from_rows(rows)


def _laws(groups: tuple[TwoGroups, ...]) -> DataTable:
    several = len(groups) > 1
    rows: list[dict[str, Cell]] = [
        {
            "study": side,
            "line": f"{side}, {one.group}" if several else side,
            "flops": flops,
            "loss": loss,
        }
        for one in groups
        for side, flops, loss in one.lines
    ]
    return DataTable.from_rows(rows, ["study", "line", "flops", "loss"])


def _sentences(groups: tuple[TwoGroups, ...]) -> list[str]:
    said: list[str] = []
    for one in groups:
        if one.found is None:
            said.append(named_for_group(one.group, f"the two could not be compared. {one.problem}"))
            continue
        said.append(named_for_group(one.group, one.found.sentence))
        if one.found.finals is not None:
            said.append(
                named_for_group(
                    one.group, one.found.finals.sentence(one.found.a.name, one.found.b.name)
                )
            )
    return said


def _figure(axes: _Axes, *, has_laws: bool) -> Figure:
    title = {"tokens_seen": "Tokens read", "num_parameters": "Parameters"}.get(
        axes.cost, f"Training FLOPs ({shared.flops_label(axes.cost)})"
    )
    return Figure(
        id="side-by-side-losses",
        title=f"Final loss against {_COSTS.get(axes.cost, 'training compute')}",
        text="Each point is a run where it ended."
        + (" A line is the law of each side, fitted to the lowest loss that each amount of compute reached." if has_laws else ""),
        x=Axis(title, log=True),
        y=Axis(shared.LOSS_LABELS[axes.loss], log=True),
        layers=(
            FigureLayer("curves", "lines", x=axes.cost, y=axes.loss, series="run", faint=True, name="while training"),
            FigureLayer("laws", "lines", x="flops", y="loss", series="line", colour="study", label="line"),
            FigureLayer("runs", "points", x=axes.cost, y=axes.loss, colour="study", hover=("num_parameters",)),
        ),
    )  # fmt: skip


def _settings(a: Evidence, b: Evidence, names: tuple[str, str]) -> TableView | None:
    """Return the settings that differ, one a row; None where none does or they are not known."""
    if not a.recipe or not b.recipe:
        return None
    ones, others = dict(_flat(a.recipe)), dict(_flat(b.recipe))
    keys = [key for key in dict.fromkeys([*ones, *others]) if ones.get(key) != others.get(key)]
    rows = tuple(
        TableRow((text_cell(key), text_cell(ones.get(key, "–")), text_cell(others.get(key, "–"))))
        for key in keys
    )
    if not rows:
        return None
    return TableView(
        id="settings",
        caption="Keys of the recipe with different values.",
        columns=(TableColumn("Setting"), TableColumn(names[0]), TableColumn(names[1])),
        rows=rows,
    )


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Return each setting with its dotted key; a list of tables, such as the grid, is numbered from 1."""
    for key, value in settings.items():
        name = f"{before}{key}"
        if name in _NOT_SETTINGS:
            continue
        parts = value if isinstance(value, list) else []
        if isinstance(value, Mapping):
            yield from _flat(cast("Mapping[str, Any]", value), f"{name}.")
        elif parts and all(isinstance(part, Mapping) for part in parts):
            for place, part in enumerate(parts, start=1):
                yield from _flat(part, f"{name}.{place}.")
        elif value not in (None, "", [], {}):
            yield name, ", ".join(map(str, parts)) if parts else str(value)


def _shapes_table(shapes: tuple[TwoShapes, ...], names: tuple[str, str], loss: str) -> TableView:
    return TableView(
        id="shapes",
        caption=f"{shared.LOSS_LABELS[loss]} at the end of training: means over seeds with Student's intervals, and {names[1]} "
        f"minus {names[0]}. {shared.SHAPE_LETTERS}",
        columns=(
            TableColumn("Shape E/H/I/A/L"),
            TableColumn("Runs"),
            TableColumn(names[0], numeric=True),
            TableColumn(names[1], numeric=True),
            TableColumn("Difference", numeric=True),
        ),
        rows=tuple(
            TableRow(
                (
                    text_cell(one.shape),
                    text_cell(one.group),
                    quantity_cell(one.a.loss),
                    quantity_cell(one.b.loss),
                    number_cell(one.difference),
                )
            )
            for one in shapes
        ),
    )
