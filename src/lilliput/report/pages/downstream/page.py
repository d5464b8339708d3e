"""The page Downstream: what models can do, what pre-training gave them, and what the loss predicts about it."""

from __future__ import annotations

from collections import Counter

from lilliput.analysis.findings.correlations import (
    TaskCorrelation,
    as_quantity,
)
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.phenomena import scores_by_phenomenon
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.scores import TaskScore
from lilliput.analysis.table.tidy import Cell
from lilliput.core.wording import plural
from lilliput.report.drawing.figures import Axis, Control, DataTable, Figure, FigureLayer, Option
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
from lilliput.report.pages.downstream.sentences import (
    gain_sentences,
    part_sentences,
    several_sentence,
    task_label,
    tasks_of,
    whole_scores,
)
from lilliput.report.parts import (
    Missing,
    TableColumn,
    TableRow,
    TableView,
    as_sentences,
    number_cell,
    quantity_cell,
    text_cell,
)
from lilliput.report.reading.evidence import Evidence

WEIGHTS = {"trained": "from pre-trained weights", "untrained": "from initial weights"}


def build_downstream(evidence: Evidence, findings: Findings) -> PageContent:
    """Scores with intervals, gain over no pre-training by size, loss against score, correlations."""
    found = findings.correlations
    if not evidence.scores:
        return PageContent({"missing": _missing(evidence)})
    tables = {
        "runs": shared.runs_table(evidence),
        "scores": scores_data(evidence),
        "chances": chances(evidence.scores),
        "zero": DataTable({"name": ["no gain"], "zero": [0.0]}),
        "phenomena": _phenomena(evidence),
    }
    controls = shared.known(
        Control("task", "Task", task_options(evidence.scores), is_main=True),
        shared.parameters_control(evidence),
        shared.loss_control(evidence),
        shared.colour_control(evidence),
    )
    content = {
        "missing": None,
        "sentences": [*gain_sentences(evidence.scores), *part_sentences(evidence.scores)],
        "scores": _scores_table(evidence),
        "correlations": _correlation_table(found),
        "no_correlation": _no_correlation(found),
        "notes": sorted({score.note for score in evidence.scores if score.note}),
    }
    names = {control.name for control in controls}
    figures = _figures(evidence, found, names)
    if len(tables["phenomena"]):
        figures = (*figures, _phenomena_figure())
    return PageContent(content, figures, tables, controls)


def _missing(evidence: Evidence) -> Missing:
    where = "in this study" if evidence.is_study else "beside a plain table"
    return Missing(
        f"There are no downstream scores {where}, so gains and correlations cannot be shown.",
        "lilliput evaluate probes STUDY/runs/RUN --data STUDY/probes/NAME",
    )


def task_options(scores: tuple[TaskScore, ...]) -> tuple[Option, ...]:
    """Return whole tasks first, those with most gains beyond their interval before: the figures open with the first."""
    shown = Counter(score.task for score in scores if score.shows_gain)
    parts = {score.task for score in scores if score.part_of}
    by_gains = sorted(tasks_of(scores), key=lambda task: (task in parts, -shown[task]))
    return tuple(Option(task, task_label(task)) for task in by_gains)


def scores_data(evidence: Evidence) -> DataTable:
    """Return one row for each score: run, task, weights, value and gain with their intervals."""
    rows: list[dict[str, Cell]] = []
    for score in evidence.scores:
        gain = score.gain or Quantity(None)
        rows.append(
            {
                "run": score.run,
                "task": score.task,
                "weights": score.weights,
                "fine_tuned": WEIGHTS.get(score.weights, score.weights),
                "metric": score.metric,
                "value": score.value.value,
                "low": score.value.low,
                "high": score.value.high,
                "gain": gain.value,
                "gain_low": gain.low,
                "gain_high": gain.high,
                "examples": score.value.n,
                "seeds": score.seeds,
            }
        )
    return DataTable.from_rows(rows)


def chances(scores: tuple[TaskScore, ...]) -> DataTable:
    """Return the most frequent label's score of each task; a mean where corpora differ."""
    values: dict[str, list[float]] = {}
    for score in scores:
        if score.chance_level is not None:
            values.setdefault(score.task, []).append(score.chance_level)
    rows: list[dict[str, Cell]] = [
        {"name": "most frequent label", "task": task, "chance_level": sum(v) / len(v)}
        for task, v in values.items()
    ]
    return DataTable.from_rows(rows, ["name", "task", "chance_level"])


def _figures(
    evidence: Evidence, found: tuple[TaskCorrelation, ...], controls: set[str]
) -> tuple[Figure, ...]:
    figures: list[Figure] = []
    if "parameters" in controls:
        figures += [_score_figure(), _gain_figure(evidence)]
    if "loss" in controls:
        figures.append(_loss_figure(found))
    return tuple(figures)


def _phenomena(evidence: Evidence) -> DataTable:
    rows: list[dict[str, Cell]] = [
        {
            "run": score.run,
            "phenomenon": score.phenomenon,
            "score": score.value,
            "paradigms": score.paradigms,
        }
        for score in scores_by_phenomenon(evidence.scores)
        if score.weights == "trained"
    ]
    return DataTable.from_rows(rows, ["run", "phenomenon", "score", "paradigms"])


def _phenomena_figure() -> Figure:
    return Figure(
        id="scores-by-phenomenon",
        title="BLiMP by phenomenon",
        text="One point a model: the share of minimal pairs in which it finds the right sentence more probable. "
        "Chance gives 0.5.",
        x=Axis("Share of pairs judged right"),
        y=Axis(""),
        layers=(
            FigureLayer(
                "phenomena", "points", x="score", y="phenomenon", colour="$colour", horizontal=True,
                hover=("paradigms",),
            ),
        ),
        note="The mean over the paradigms of each phenomenon, after Warstadt and others (2020); without intervals.",
    )  # fmt: skip


def _score_figure() -> Figure:
    return Figure(
        id="scores-by-size",
        title="Scores with and without pre-training, by size",
        text="Each model twice: fine-tuned from its pre-trained weights and from its initial "
        "weights. Where the two intervals are apart, pre-training made a difference.",
        x=Axis("{parameters}", log=True),
        y=Axis("Score on {task}"),
        layers=(
            FigureLayer("chances", "rule", y="chance_level", where={"task": "$task"}),
            FigureLayer(
                "scores", "points", x="$parameters", y="value", low="low", high="high",
                colour="fine_tuned", apart=True, where={"task": "$task"}, hover=("metric", "examples", "seeds"),
            ),
        ),
        note="Bars are 95 % intervals over fine-tuning seeds and examples, drawn together.",
    )  # fmt: skip


def _gain_figure(evidence: Evidence) -> Figure:
    whole = whole_scores(evidence.scores)
    clear = sum(score.shows_gain for score in whole)
    measured = sum(score.gain is not None for score in whole)
    return Figure(
        id="gain-by-size",
        title="What pre-training gives, by size",
        text=f"Over all tasks, {clear} of {plural(measured, 'gain')} lie above zero with their whole "
        "interval; points on the dotted line show no effect.",
        x=Axis("{parameters}", log=True),
        y=Axis("Gain on {task}"),
        layers=(
            FigureLayer("zero", "rule", y="zero"),
            FigureLayer(
                "scores", "points", x="$parameters", y="gain", low="gain_low", high="gain_high",
                colour="$colour", apart=True, where={"task": "$task", "weights": "trained"},
                hover=("examples", "seeds"),
            ),
        ),
        note="Score from pre-trained weights minus score from the initial weights, with the same seeds and examples drawn for both.",
    )  # fmt: skip


def _loss_figure(found: tuple[TaskCorrelation, ...]) -> Figure:
    return Figure(
        id="loss-and-score",
        title="Does a lower loss predict a higher score?",
        text=_loss_text(found),
        x=Axis("{loss}", log=True),
        y=Axis("Score on {task}"),
        layers=(
            FigureLayer("chances", "rule", y="chance_level", where={"task": "$task"}),
            FigureLayer(
                "scores", "points", x="$loss", y="value", low="low", high="high", colour="$colour",
                where={"task": "$task", "weights": "trained"}, hover=("examples", "seeds"),
            ),
        ),
        note="One point a model, fine-tuned from its pre-trained weights.",
    )  # fmt: skip


def _loss_text(found: tuple[TaskCorrelation, ...]) -> str:
    return as_sentences([several_sentence(found), "The table below has every coefficient."])


def _correlation_table(found: tuple[TaskCorrelation, ...]) -> TableView | None:
    shown = [item for item in found if item.result is not None]
    if not shown:
        return None
    rows = tuple(
        TableRow(
            (
                text_cell(item.group),
                text_cell(task_label(item.task)),
                *(quantity_cell(q) for q in _coefficients(item)),
            )
        )
        for item in shown
    )
    return TableView(
        id="correlations",
        caption="Correlation of final loss with score; intervals from drawing runs with replacement.",
        columns=(
            TableColumn("Models"),
            TableColumn("Task"),
            TableColumn("Pearson", numeric=True),
            TableColumn("Spearman", numeric=True),
            TableColumn("Kendall", numeric=True, is_extra=True),
            TableColumn("Spearman given size", numeric=True),
        ),
        rows=rows,
    )


def _coefficients(found: TaskCorrelation) -> list[Quantity]:
    assert found.result is not None
    plain = [found.result.pearson, found.result.spearman, found.result.kendall]
    return [*(as_quantity(item) for item in plain), found.rank_given_size]


def _no_correlation(found: tuple[TaskCorrelation, ...]) -> Missing | None:
    if any(item.result for item in found):
        return None
    reasons = sorted({item.problem for item in found if item.problem})
    return Missing(as_sentences(["Loss and score could not be correlated:", *reasons[:1]]))


def _scores_table(evidence: Evidence) -> TableView:
    labels = {run.name: run for run in evidence.runs}
    rows: list[TableRow] = []
    for score in whole_scores(evidence.scores):
        run = labels.get(score.run)
        rows.append(
            TableRow(
                (
                    text_cell(run.label if run else score.run),
                    text_cell(task_label(score.task)),
                    text_cell(WEIGHTS.get(score.weights, score.weights)),
                    text_cell(score.metric),
                    quantity_cell(score.value),
                    number_cell(score.seeds),
                    number_cell(score.chance_level),
                    quantity_cell(score.gain),
                )
            )
        )
    return TableView(
        id="scores",
        caption="Every score with its 95 % interval over seeds and examples.",
        columns=(
            TableColumn("Model"),
            TableColumn("Task"),
            TableColumn("Fine-tuned"),
            TableColumn("Metric", is_extra=True),
            TableColumn("Score", numeric=True),
            TableColumn("Seeds", numeric=True, is_extra=True),
            TableColumn("Most frequent label", numeric=True),
            TableColumn("Gain", numeric=True),
        ),
        rows=tuple(rows),
    )


def _applies(evidence: Evidence) -> bool:
    """A table without scores has no such page; a study says there how to get some."""
    return evidence.is_study or bool(evidence.scores)


register_page(
    Page(
        "downstream",
        "Downstream",
        order=60,
        build=build_downstream,
        template="page.html",
        applies_to=_applies,
    )
)
