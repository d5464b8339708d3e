"""The official average: metrics within a task first, then tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lilliput.core.errors import InputError
from lilliput.evaluation.scores import Score
from lilliput.evaluation.tasks import GLUE_TASKS


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
    """

    value: float
    value_without_wnli: float | None
    tasks: Mapping[str, float]
    missing: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "value": self.value,
            "value_without_wnli": self.value_without_wnli,
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
    values: dict[str, list[float]] = {}
    for score in scores:
        task = score.task.split("_")[0]
        if score.start == start and task in GLUE_TASKS:
            values.setdefault(task, []).append(score.value)
    return glue_average(values) if values else None
