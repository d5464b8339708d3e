"""The page Downstream: what models can do, what pre-training gave them, and what the loss predicts about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lilliput.analysis.findings.correlations import (
    TaskCorrelation,
    as_quantity,
    significant_among_all,
)
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.groups import ALL_RUNS, named_for_group
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.scores import TaskScore
from lilliput.analysis.rank_significance import LEVEL
from lilliput.analysis.table.tidy import Cell
from lilliput.core.wording import listed, plural
from lilliput.report.evidence import Evidence
from lilliput.report.figures import Axis, Control, DataTable, Figure, FigureLayer, Option
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
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


def build_downstream(evidence: Evidence, findings: Findings) -> PageContent:
    """Scores with intervals, gain over no pre-training by size, loss against score, correlations."""
    found = findings.correlations
    if not evidence.scores:
        return PageContent({"missing": _missing(evidence)})
    tables = {
        "runs": shared.runs_table(evidence),
        "scores": _scores_data(evidence),
        "chances": _chances(evidence.scores),
        "zero": DataTable({"name": ["no gain"], "zero": [0.0]}),
    }
    controls = shared.known(
        Control("task", "Task", _task_options(evidence.scores)),
        shared.parameters_control(evidence),
        shared.loss_control(evidence),
        shared.colour_control(evidence),
    )
    content = {
        "missing": None,
        "sentences": [*gain_sentences(evidence.scores), *_part_sentences(evidence.scores)],
        "scores": _scores_table(evidence),
        "correlations": _correlation_table(found),
        "no_correlation": _no_correlation(found),
        "notes": sorted({score.note for score in evidence.scores if score.note}),
    }
    names = {control.name for control in controls}
    figures = _figures(evidence, found, names)
    return PageContent(content, figures, tables, controls)


def _missing(evidence: Evidence) -> Missing:
    where = "in this study" if evidence.is_study else "beside a plain table"
    return Missing(
        f"There are no downstream scores {where}, so gains and correlations cannot be shown.",
        "lilliput evaluate probes STUDY/runs/RUN --data STUDY/probes/NAME",
    )


def whole_scores(scores: Sequence[TaskScore]) -> tuple[TaskScore, ...]:
    """Return the scores on whole tasks, those that are a part of a mean left out."""
    return tuple(score for score in scores if not score.part_of)


def tasks_of(scores: Sequence[TaskScore]) -> list[str]:
    """Return the tasks, in order of appearance."""
    return list(dict.fromkeys(score.task for score in scores))


def _task_options(scores: tuple[TaskScore, ...]) -> tuple[Option, ...]:
    """Whole tasks first, those with most gains beyond their interval before: the figures open with the first."""
    shown = Counter(score.task for score in scores if score.shows_gain)
    parts = {score.task for score in scores if score.part_of}
    by_gains = sorted(tasks_of(scores), key=lambda task: (task in parts, -shown[task]))
    return tuple(Option(task, task_label(task)) for task in by_gains)


def task_label(task: str) -> str:
    """Return a task as people write it."""
    return task.replace("_", " ")


def gain_sentences(scores: tuple[TaskScore, ...]) -> list[str]:
    """Return what pre-training gave on each whole task, in words."""
    return [gain_sentence(scores, task) for task in tasks_of(whole_scores(scores))]


def _part_sentences(scores: tuple[TaskScore, ...]) -> list[str]:
    """Say how many gains on the parts of each mean lie beyond their interval."""
    sentences: list[str] = []
    for mean in dict.fromkeys(score.part_of for score in scores if score.part_of):
        parts = [score for score in scores if score.part_of == mean]
        gains = [score for score in parts if score.gain is not None]
        clear = sum(score.shows_gain for score in gains)
        sentences.append(
            f"{task_label(mean)} is the mean of {len(tasks_of(parts))} parts: of {plural(len(gains), 'gain')} on one "
            f"part {clear} {'lies' if clear == 1 else 'lie'} beyond the interval, where chance alone would leave about "
            f"one in forty. Choose a part in the figures; all are in their data."
        )
    return sentences


def gain_sentence(scores: tuple[TaskScore, ...], task: str) -> str:
    """Return how many runs gained on a task beyond their interval, in words."""
    name = task_label(task)
    gains = [s for s in scores if s.task == task and s.gain is not None]
    if not gains:
        return f"{name}: the untrained model was not scored, so the gain is not known."
    clear = [score for score in gains if score.shows_gain]
    least = min(s.value.n or 0 for s in gains)
    models = plural(len(gains), "model")
    basis = f"intervals over seeds and at least {least:,} examples"
    if not clear:
        return (
            f"{name}: no gain from pre-training beyond its interval in any of {models} ({basis})."
        )
    best = max(clear, key=lambda s: s.gain.value or 0.0 if s.gain else 0.0)
    assert best.gain is not None
    return (
        f"{name}: pre-training helps beyond its interval in {len(clear)} of {models} ({basis}); "
        f"the largest gain is {best.gain.text}.{_beyond_chance(clear)}"
    )


def _beyond_chance(clear: Sequence[TaskScore]) -> str:
    """Return how many of the scores that gained are not above the most frequent label's, in words."""
    poor = sum(not score.is_learned for score in clear)
    if not poor:
        return ""
    which = (
        "That score is"
        if len(clear) == 1
        else f"{poor} of these scores {'is' if poor == 1 else 'are'}"
    )
    return f" {which} not above the most frequent label's with the whole interval: the gain may be over a poor initial score alone."


def _scores_data(evidence: Evidence) -> DataTable:
    rows: list[dict[str, Cell]] = []
    for score in evidence.scores:
        gain = score.gain or Quantity(None)
        rows.append(
            {
                "run": score.run,
                "task": score.task,
                "start": score.start,
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


def _chances(scores: tuple[TaskScore, ...]) -> DataTable:
    """Return the most frequent label's score of each task; a mean where corpora differ."""
    values: dict[str, list[float]] = {}
    for score in scores:
        if score.chance is not None:
            values.setdefault(score.task, []).append(score.chance)
    rows: list[dict[str, Cell]] = [
        {"name": "most frequent label", "task": task, "chance": sum(v) / len(v)}
        for task, v in values.items()
    ]
    return DataTable.from_rows(rows, ["name", "task", "chance"])


def _figures(
    evidence: Evidence, found: tuple[TaskCorrelation, ...], controls: set[str]
) -> tuple[Figure, ...]:
    figures: list[Figure] = []
    if "parameters" in controls:
        figures += [_score_figure(), _gain_figure(evidence)]
    if "loss" in controls:
        figures.append(_loss_figure(found))
    return tuple(figures)


def _score_figure() -> Figure:
    return Figure(
        id="scores-by-size",
        title="Scores with and without pre-training, by size",
        text="Each model twice: fine-tuned from its pre-trained weights and from its initial "
        "weights. Where the two intervals are apart, pre-training made a difference.",
        x=Axis("{parameters}", log=True),
        y=Axis("Score on {task}"),
        layers=(
            FigureLayer("chances", "rule", y="chance", where={"task": "$task"}),
            FigureLayer(
                "scores", "points", x="$parameters", y="value", low="low", high="high",
                colour="start", where={"task": "$task"}, hover=("start", "metric", "examples", "seeds"),
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
                colour="$colour", where={"task": "$task", "start": "trained"},
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
            FigureLayer("chances", "rule", y="chance", where={"task": "$task"}),
            FigureLayer(
                "scores", "points", x="$loss", y="value", low="low", high="high", colour="$colour",
                where={"task": "$task", "start": "trained"}, hover=("examples", "seeds"),
            ),
        ),
        note="One point a model, fine-tuned from its pre-trained weights.",
    )  # fmt: skip


def _loss_text(found: tuple[TaskCorrelation, ...]) -> str:
    return as_sentences([several_sentence(found), "The table below has every coefficient."])


def several_sentence(found: tuple[TaskCorrelation, ...]) -> str:
    """Return what is left of several comparisons when chance is allowed for, in words; empty for one."""
    known = [item for item in found if item.rank.is_known]
    if len(known) < 2:
        return ""
    beyond, left = sum(item.rank.excludes(0.0) for item in known), sum(significant_among_all(found))
    return (
        f"Of {len(known)} comparisons {beyond} {'has' if beyond == 1 else 'have'} an interval beyond "
        f"zero. Among so many some may by chance alone: with Holm's correction, by which the chance of "
        f"any false one among all {len(known)} stays below {100 * LEVEL:.0f} %, {left} {'is' if left == 1 else 'are'} left."
    )


def correlation_sentences(
    found: tuple[TaskCorrelation, ...], unlearned: frozenset[str]
) -> list[str]:
    """Return what the rank correlations of loss and score say, in words.

    Each that is decided, the others in one sentence a group; those of groups that learned no more than token
    frequencies are left to the table, if others are not.
    """
    if not found:
        return ["No model was scored, so loss and score cannot be compared."]
    any_learned = any(item.group not in unlearned for item in found)
    clear: list[str] = []
    open_tasks: dict[str, list[str]] = {}
    for item, is_left in zip(found, significant_among_all(found), strict=True):
        if any_learned and item.group in unlearned:
            continue
        if item.result is None or item.rank.excludes(0.0):
            clear.append(_one_correlation(item, is_left))
        else:
            open_tasks.setdefault(item.group, []).append(task_label(item.task))
    undecided = [
        named_for_group(
            group, f"For {listed(tasks)} the data cannot tell whether loss and score go together."
        )
        for group, tasks in open_tasks.items()
    ]
    return [*clear, *undecided, several_sentence(found)]


def _one_correlation(found: TaskCorrelation, is_left: bool) -> str:
    task = task_label(found.task)
    where = task if found.group == ALL_RUNS else f"{task}, {found.group}"
    if found.result is None:
        return f"{where}: no correlation, {found.problem}"
    rank = found.rank
    falling = (rank.value or 0.0) < 0
    way = (
        "the lower the loss, the higher the score"
        if falling
        else "lower loss goes with lower scores"
    )
    alone = "" if is_left else "taken alone, "
    return f"{where}: {alone}{way}, Spearman's ρ {rank.text}. {_beyond_size(found)}".rstrip()


def _beyond_size(found: TaskCorrelation) -> str:
    partial = found.rank_given_size
    if not partial.is_known:
        return ""
    verb = "adds to" if partial.excludes(0.0) else "cannot be shown to add anything to"
    return f"Given the number of parameters, loss {verb} the forecast: partial {partial.text}."


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
            TableColumn("Kendall", numeric=True),
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
                    text_cell(score.start),
                    text_cell(score.metric),
                    quantity_cell(score.value),
                    number_cell(score.seeds),
                    number_cell(score.chance),
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
            TableColumn("Start"),
            TableColumn("Metric"),
            TableColumn("Score", numeric=True),
            TableColumn("Seeds", numeric=True),
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
        template="downstream.html",
        applies_to=_applies,
    )
)
