"""The page Emergence: the verdict on every score, its figure, and sizes at equal score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.findings import Findings
from lilliput.core.reader import read_record
from lilliput.report.drawing.figures import (
    Axis,
    Control,
    DataTable,
    Figure,
    FigureLayer,
    Option,
)
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.parts import TableColumn, TableRow, TableView, number_cell, text_cell
from lilliput.report.reading.evidence import Evidence

_FILE = "emergence/emergence.json"
_METHOD = (
    "Straight, logistic, threshold and step forms are compared by BIC. A verdict needs a lead of 2 over the other kind of "
    "form, and that kind must also be the best in half of the draws of seeds and items. Artefact of the metric: the accuracy has "
    "a threshold, and the continuous margin of the same items rises smoothly."
)
_INDUCTION = "induction"


def has_emergence(evidence: Evidence) -> bool:
    """Return whether the study has asked whether its scores emerge."""
    return _path(evidence) is not None


def _path(evidence: Evidence) -> Path | None:
    path = evidence.folder / _FILE if evidence.folder is not None else None
    return path if path is not None and path.is_file() else None


def build_emergence(evidence: Evidence, findings: Findings) -> PageContent:
    """Return the verdicts as a table, the scores as a figure, and the ratios of sizes."""
    del findings
    path = _path(evidence)
    record: Mapping[str, Any] = read_record(path) if path else {"verdicts": [], "sizes": []}
    verdicts: Sequence[Mapping[str, Any]] = record["verdicts"]
    sizes: Sequence[Mapping[str, Any]] = record["sizes"]
    content = {
        "sentences": _sentences(verdicts, sizes),
        "method": _METHOD,
        "verdicts": _verdict_table(verdicts),
        "sizes": _size_table(sizes) if sizes else None,
    }
    drawn = [one for one in verdicts if one["axis"] == "loss"]
    if not drawn:
        return PageContent(content)
    return PageContent(content, (_figure(),), {"emergence": _data(drawn)}, (_control(drawn),))


def _sentences(
    verdicts: Sequence[Mapping[str, Any]], sizes: Sequence[Mapping[str, Any]]
) -> list[str]:
    judged = [one for one in verdicts if one["axis"] == "loss" and one["task"] != _INDUCTION]
    counts = Counter(str(one["verdict"]) for one in judged)
    parts = ", ".join(f"{verdict} {count}" for verdict, count in counts.most_common())
    sentences = [f"Verdicts on scores against the loss: {parts or 'none'}."]
    for one in verdicts:
        if one["task"] == _INDUCTION and one["axis"] == "depth":
            sentences.append(
                f"Positive control, copying against depth ({_group(one)}): {one['verdict']}. {one['why']}"
            )
    for one in sizes:
        if one["metric"] == "margin" and one["ratio"] is not None:
            bounds = (
                f" [{one['low']:.2g}, {one['high']:.2g}]"
                if one["low"] is not None
                else ", no interval"
            )
            said = "which confirms 6" if one["confirms_six"] else "which does not confirm 6"
            sentences.append(
                f"{one['task']}, margin: models of {one['larger']} must be {one['ratio']:.2g}{bounds} times as large as "
                f"those of {one['smaller']} for the same score, {said}."
            )
    return sentences


def _group(one: Mapping[str, Any]) -> str:
    return " ".join(part for part in (str(one["language"]), str(one["variant"])) if part)


def _verdict_table(verdicts: Sequence[Mapping[str, Any]]) -> TableView:
    columns = (
        TableColumn("Task"),
        TableColumn("Runs of"),
        TableColumn("Score"),
        TableColumn("Against"),
        TableColumn("Verdict"),
        TableColumn("Why"),
        TableColumn("Threshold", numeric=True),
        TableColumn("Runs", numeric=True),
    )
    rows = [
        TableRow(
            (
                text_cell(str(one["task"])),
                text_cell(_group(one)),
                text_cell(str(one["metric"])),
                text_cell(str(one["axis"])),
                text_cell(str(one["verdict"])),
                text_cell(str(one["why"])),
                number_cell(one["place"] if one["best"] in ("threshold", "step") else None),
                number_cell(one["points"]),
            )
        )
        for one in verdicts
    ]
    return TableView(
        "emergence-verdicts", "The verdict on each score, with its reason.", columns, tuple(rows)
    )


def _size_table(sizes: Sequence[Mapping[str, Any]]) -> TableView:
    columns = (
        TableColumn("Task"),
        TableColumn("Variant"),
        TableColumn("Score"),
        TableColumn("Ratio of sizes", numeric=True),
        TableColumn("Low", numeric=True),
        TableColumn("High", numeric=True),
        TableColumn("Remark"),
    )
    rows = [
        TableRow(
            (
                text_cell(str(one["task"])),
                text_cell(str(one["variant"])),
                text_cell(str(one["metric"])),
                number_cell(one["ratio"]),
                number_cell(one["low"]),
                number_cell(one["high"]),
                text_cell(str(one["why"])),
            )
        )
        for one in sizes
    ]
    return TableView(
        "emergence-sizes",
        "Parameters of one language's models over those of the other's at equal score.",
        columns,
        tuple(rows),
    )


def _label(one: Mapping[str, Any]) -> str:
    return f"{one['task']}, {one['metric']}"


def _control(verdicts: Sequence[Mapping[str, Any]]) -> Control:
    labels = dict.fromkeys(map(_label, verdicts))
    return Control("task", "Score", tuple(Option(label, label) for label in labels))


def _data(verdicts: Sequence[Mapping[str, Any]]) -> DataTable:
    return DataTable.from_rows(
        {
            "task": _label(one),
            "runs": _group(one),
            "loss": run["loss"],
            "score": run["score"],
            "shape": run["shape"],
            "run": run["run"],
        }
        for one in verdicts
        for run in one["runs"]
    )


def _figure() -> Figure:
    layer = FigureLayer(
        "emergence", "points", x="loss", y="score", colour="runs", where={"task": "$task"},
        hover=("shape", "run"),
    )  # fmt: skip
    return Figure(
        id="emergence",
        title="Score against loss",
        text="One point for each run: its held-out loss and its score on the chosen task.",
        x=Axis("Held-out loss, nats"),
        y=Axis("{task}"),
        layers=(layer,),
        note="A threshold in the loss shows as a flat stretch on the right with a bend.",
    )


register_page(
    Page(
        "emergence",
        "Emergence",
        order=68,
        build=build_emergence,
        template="emergence.html",
        applies_to=has_emergence,
    )
)
