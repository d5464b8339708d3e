"""Build the page Choice of data: orders and pruned corpora beside their controls."""

from __future__ import annotations

from collections.abc import Sequence

from lilliput.analysis.findings.data_choices import ChoiceKind, DataChoice
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.table.tidy import Cell
from lilliput.core.wording import plural
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.parts import (
    Answer,
    TableColumn,
    TableRow,
    TableView,
    number_cell,
    quantity_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence

_PAGE = "choice-of-data"
_QUESTIONS: dict[ChoiceKind, str] = {
    "order": "Does the order of the data matter?",
    "pruning": "Does a part of the data teach more than a part drawn at random?",
}
_METHOD = (
    "A difference is the final loss with one choice minus that with the other, between runs of the same shape, settings "
    "and seed; negative means that the choice helps. Its interval is Student's over seeds. A difference stands where it is "
    "significant after Holm's correction among all of its kind and shape. Controls should make no difference: dealt "
    "scores give the scores of this corpus to other spans, and random parts have the same share, or the same mix of sources."
)


def has_choices(evidence: Evidence) -> bool:
    """Return whether the recipe has a curriculum or a pruned language."""
    languages = (evidence.recipe.get("languages") or {}).values()
    is_pruned = any(isinstance(table, dict) and table.get("pruned") for table in languages)
    orders = (
        ((run.config.get("config") or {}).get("training") or {}).get("order") or {}
        for run in evidence.runs
    )
    return is_pruned or any(order.get("name") == "curriculum" for order in orders)


def build_data_choices(evidence: Evidence, findings: Findings) -> PageContent:
    """Show every choice of data beside its control, as a figure and a table."""
    del evidence
    choices = findings.data_choices
    known = [choice for choice in choices if choice.difference.is_known]
    content = {
        "sentences": [
            sentence for kind in _QUESTIONS for sentence in _sentences(_of(choices, kind))
        ]
        or ["No two runs differ in the choice of their data alone."],
        "method": _METHOD,
        "table": _table(choices),
    }
    figures = (_figure(known),) if known else ()
    return PageContent(content, figures, {"data-choices": _data(known)})


def answers_data_choices(findings: Findings) -> list[Answer]:
    """Answer whether order and pruning matter; empty where the study asks neither."""
    answers: list[Answer] = []
    for kind, question in _QUESTIONS.items():
        choices = _of(findings.data_choices, kind)
        if not choices:
            continue
        tested = [
            choice for choice in choices if not choice.is_control and choice.p_value is not None
        ]
        stand = [choice for choice in tested if choice.stands]
        alarms = [
            choice for choice in choices if choice.is_control and choice.difference.excludes(0.0)
        ]
        verdict = "unclear" if not tested or alarms else "yes" if stand else "unclear"
        answers.append(Answer(question, verdict, _sentences(choices), page=_PAGE))
    return answers


def _of(choices: Sequence[DataChoice], kind: ChoiceKind) -> list[DataChoice]:
    return [choice for choice in choices if choice.kind == kind]


def _sentences(choices: Sequence[DataChoice]) -> list[str]:
    if not choices:
        return []
    tested = [choice for choice in choices if not choice.is_control and choice.p_value is not None]
    controls = [choice for choice in choices if choice.is_control]
    if not tested:
        return [
            "These data cannot tell: a difference needs two seeds of the same shape with each choice."
        ]
    stand = [choice for choice in tested if choice.stands]
    sentences = [
        f"Of {plural(len(tested), 'comparison')}, {len(stand)} stand after Holm's correction."
        if stand
        else f"{plural(len(tested), 'comparison')}, of which none stands after Holm's correction: these data cannot tell a "
        "difference from chance."
    ]
    largest = sorted(stand or tested, key=lambda choice: -abs(choice.difference.value or 0.0))[:3]
    sentences += [_sentence(choice) for choice in largest]
    if controls:
        alarms = [choice for choice in controls if choice.difference.excludes(0.0)]
        sentences.append(
            f"Of {plural(len(controls), 'control')}, {len(alarms)} have an interval beyond zero, where about one in "
            "twenty would by chance."
        )
    return sentences


def _sentence(choice: DataChoice) -> str:
    return (
        f"{_name(choice)}, shape {choice.shape}: the loss minus that of {choice.against} is "
        f"{choice.difference.text} nats."
    )


def _name(choice: DataChoice) -> str:
    return " ".join(
        part for part in (choice.choice, f"({choice.setting})" if choice.setting else "") if part
    )


def _data(choices: Sequence[DataChoice]) -> DataTable:
    rows: list[dict[str, Cell]] = [
        {
            "choice": f"{_name(choice)} against {choice.against}",
            "shape": choice.shape,
            "difference": choice.difference.value,
            "low": choice.difference.low,
            "high": choice.difference.high,
        }
        for choice in choices
    ]
    return DataTable.from_rows(rows, ["choice", "shape", "difference", "low", "high"])


def _figure(choices: Sequence[DataChoice]) -> Figure:
    layers = (
        FigureLayer(
            "data-choices", "points", x="difference", y="choice", low="low", high="high", horizontal=True,
            colour="shape",
        ),
    )  # fmt: skip
    return Figure(
        id="data-choices",
        title="What each choice of data does to the final loss",
        text=f"{plural(len(choices), 'comparison')} of final losses, each paired by seed.",
        x=Axis("Difference of final loss (nats); below zero the choice helps"),
        y=Axis("Choice"),
        layers=layers,
        note="One point a choice and shape, with the 95 % interval of paired differences.",
    )


def _table(choices: Sequence[DataChoice]) -> TableView:
    rows = [
        TableRow(
            (
                text_cell(choice.choice),
                text_cell(choice.against),
                text_cell(choice.setting),
                text_cell(choice.shape),
                quantity_cell(choice.difference),
                number_cell(choice.p_value),
                text_cell("control" if choice.is_control else "yes" if choice.stands else "no"),
            )
        )
        for choice in choices
    ]
    return TableView(
        id="data-choices-table",
        caption="Final loss with a choice minus that with the other, paired by seed.",
        columns=(
            TableColumn("Choice"),
            TableColumn("Against"),
            TableColumn("Setting"),
            TableColumn("Shape"),
            TableColumn("Difference (nats)", numeric=True),
            TableColumn("p", numeric=True),
            TableColumn("Stands"),
        ),
        rows=tuple(rows),
    )


register_page(
    Page(
        _PAGE,
        "Choice of data",
        order=57,
        build=build_data_choices,
        template="data_choices.html",
        applies_to=has_choices,
    )
)
