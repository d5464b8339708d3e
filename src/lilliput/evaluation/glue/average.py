"""Compute the official average: of the metrics within a task first, then of the tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import InputError
from lilliput.core.intervals import Interval
from lilliput.core.settings import parse_settings
from lilliput.evaluation.scores.score import Score, average_interval, read_scores
from lilliput.evaluation.tasks.definition import TaskDefinition, shipped_tasks


@dataclass(frozen=True)
class GlueAverage:
    """The unweighted mean over tasks, with and without WNLI.

    Attributes:
        value: Over all tasks that were scored; on the scale of the values given.
        value_without_wnli: Many papers leave WNLI out, whose 0.623 is a majority-class effect; None
            when nothing else was scored.
        tasks: Value of each task after its metrics, or its two sets, were averaged.
        missing: Tasks of GLUE that were not scored; while there are any, the value compares with no
            published average.
        bounds: 95 % interval of `value` over seeds and examples; None without kept predictions.
        bounds_without_wnli: That of `value_without_wnli`.
    """

    value: float
    value_without_wnli: float | None
    tasks: Mapping[str, float]
    missing: tuple[str, ...]
    bounds: Interval | None = None
    bounds_without_wnli: Interval | None = None

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "value": self.value,
            "low": self.bounds.low if self.bounds else None,
            "high": self.bounds.high if self.bounds else None,
            "value_without_wnli": self.value_without_wnli,
            "low_without_wnli": self.bounds_without_wnli.low if self.bounds_without_wnli else None,
            "high_without_wnli": self.bounds_without_wnli.high
            if self.bounds_without_wnli
            else None,
            "tasks": dict(self.tasks),
            "missing": list(self.missing),
        }


def glue_average(
    values: Mapping[str, Sequence[float]], tasks: Sequence[TaskDefinition] | None = None
) -> GlueAverage:
    """Return the average from each task's values: its metrics, or its matched and mismatched accuracy.

    Args:
        values: Name of a task to its values.
        tasks: Definitions of the tasks, whose key `in_average` says which count; GLUE's by default.

    Source: Wang et al. 2018, arXiv 1804.07461, and the leaderboard: an unweighted mean over the tasks,
    after the two metrics (or sets) of a task are averaged.

    Raises:
        InputError: No task among them counts, or one has no value.
    """
    glue = [task.name for task in shipped_tasks() if task.in_average]
    counted = glue if tasks is None else [task.name for task in tasks if task.in_average]
    empty = [name for name, numbers in values.items() if not len(numbers)]
    means = {name: float(np.mean(values[name])) for name in counted if values.get(name)}
    if empty or not means:
        raise InputError("the average needs a value for each task", got=empty or list(values))
    others = [value for name, value in means.items() if name != "wnli"]
    missing = [name for name in glue if name not in means] if set(glue) & set(means) else []
    without = float(np.mean(others)) if others else None
    return GlueAverage(float(np.mean(list(means.values()))), without, means, tuple(missing))


def average_of_scores(
    scores: Sequence[Score],
    weights: str = "trained",
    tasks: Sequence[TaskDefinition] | None = None,
) -> GlueAverage | None:
    """Return the average of the scores of trained or untrained weights; None where no task counts.

    The two sets of MNLI are one task.

    Args:
        scores: Of any tasks.
        weights: "trained" or "untrained".
        tasks: Their definitions; GLUE's by default.
    """
    tasks = shipped_tasks() if tasks is None else tasks
    found = _by_task(scores, weights, tasks)
    values = {task: [score.value for score in group] for task, group in found.items()}
    return glue_average(values, tasks) if values else None


def average_of_evaluation(evaluation: Path, weights: str = "trained") -> GlueAverage | None:
    """Return the average of an evaluation with intervals, from its kept predictions.

    The tasks' own definitions, which the evaluation keeps, say which of them count.

    Args:
        evaluation: Artefact of `evaluate_glue`.
        weights: "trained" or "untrained".
    """
    records = read_manifest(evaluation, "evaluation").settings["tasks"]
    tasks = [parse_settings(TaskDefinition, record, where=str(evaluation)) for record in records]
    scores = read_scores(evaluation)
    average = average_of_scores(scores, weights, tasks)
    if average is None:
        return None
    found = _by_task(scores, weights, tasks)
    groups = {task: [score.task for score in group] for task, group in found.items()}
    others = [names for task, names in groups.items() if task != "wnli"]
    return replace(
        average,
        bounds=average_interval(evaluation, list(groups.values()), weights=weights),
        bounds_without_wnli=average_interval(evaluation, others, weights=weights)
        if others
        else None,
    )


def _by_task(
    scores: Sequence[Score], weights: str, tasks: Sequence[TaskDefinition]
) -> dict[str, list[Score]]:
    """Return the scores of one set of weights by the task they belong to, of the tasks that count."""
    task_of = {
        task.score_name(split): task.name for task in tasks if task.in_average for split in task.dev
    }
    found: dict[str, list[Score]] = {}
    for score in scores:
        if score.weights == weights and score.task in task_of:
            found.setdefault(task_of[score.task], []).append(score)
    return found
