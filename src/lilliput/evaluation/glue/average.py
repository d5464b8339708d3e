"""The official average: metrics within a task first, then tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.core.errors import InputError
from lilliput.core.intervals import Interval
from lilliput.evaluation.scores.averages import average_interval
from lilliput.evaluation.scores.score import Score, read_scores
from lilliput.evaluation.tasks.definition import GLUE_TASKS


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
        """Plain data for JSON."""
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


def glue_average(values: Mapping[str, Sequence[float]]) -> GlueAverage:
    """The average from each task's values: its metrics, or its matched and mismatched accuracy.

    Source: Wang et al. 2018, arXiv 1804.07461, and the leaderboard: an unweighted mean over the tasks,
    after the two metrics (or sets) of a task are averaged.

    Raises:
        InputError: There is no task of GLUE among them, or one has no value.
    """
    empty = [name for name, numbers in values.items() if not len(numbers)]
    tasks = {name: float(np.mean(values[name])) for name in GLUE_TASKS if values.get(name)}
    if empty or not tasks:
        raise InputError("the average needs a value for each task", got=empty or list(values))
    others = [value for name, value in tasks.items() if name != "wnli"]
    missing = tuple(name for name in GLUE_TASKS if name not in tasks)
    without = float(np.mean(others)) if others else None
    return GlueAverage(float(np.mean(list(tasks.values()))), without, tasks, missing)


def average_of_scores(scores: Sequence[Score], start: str = "trained") -> GlueAverage | None:
    """The average of one start's scores, MNLI's two sets as one task; None without a task of GLUE."""
    values = {
        task: [score.value for score in found] for task, found in _by_task(scores, start).items()
    }
    return glue_average(values) if values else None


def average_of_evaluation(evaluation: Path, start: str = "trained") -> GlueAverage | None:
    """The average of an evaluation with intervals, from its kept predictions.

    Args:
        evaluation: Artefact of `evaluate_glue`.
        start: "trained" or "untrained".
    """
    scores = read_scores(evaluation)
    average = average_of_scores(scores, start)
    if average is None:
        return None
    groups = {task: [s.task for s in found] for task, found in _by_task(scores, start).items()}
    others = [names for task, names in groups.items() if task != "wnli"]
    return replace(
        average,
        bounds=average_interval(evaluation, list(groups.values()), start=start),
        bounds_without_wnli=average_interval(evaluation, others, start=start) if others else None,
    )


def _by_task(scores: Sequence[Score], start: str) -> dict[str, list[Score]]:
    """The scores of one start by the task of GLUE they belong to."""
    found: dict[str, list[Score]] = {}
    for score in scores:
        task = score.task.split("_")[0]
        if score.start == start and task in GLUE_TASKS:
            found.setdefault(task, []).append(score)
    return found
