"""The mean over tasks with its interval, from the predictions that an evaluation kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lilliput.core.intervals import Interval, percentile_bounds
from lilliput.evaluation.scores.score import prediction_sets, read_scores, value_draws

_RESAMPLES = 1000
_LEVEL = 0.95


def average_interval(
    evaluation: Path,
    groups: Sequence[Sequence[str]],
    *,
    start: str = "trained",
    resamples: int = _RESAMPLES,
) -> Interval:
    """Return the unweighted mean over groups of scores, with an interval over seeds and examples.

    Tasks are fixed: the interval says how the mean would move with other seeds and other examples of
    these tasks, drawn for each score by itself.

    Args:
        evaluation: Artefact "evaluation".
        groups: Names of scores; those of one group (MNLI's two sets) are averaged first.
        start: "trained" or "untrained".
        resamples: Draws.

    Returns:
        The interval; `n` counts the groups.
    """
    scores = {score.task: score for score in read_scores(evaluation) if score.start == start}
    sets = prediction_sets(evaluation, start)
    values, draws = np.zeros(len(groups)), np.zeros((len(groups), resamples))
    number = 0
    for row, group in enumerate(groups):
        for name in group:
            _, labels, predictions_SN = sets[name]
            metrics = scores[name].metric.split("+")
            found = value_draws(metrics, labels, predictions_SN, resamples, seed=number)
            draws[row] += found / len(group)
            values[row] += scores[name].value / len(group)
            number += 1
    low, high = percentile_bounds(draws.mean(0), _LEVEL)
    method = "bootstrap over seeds and examples within tasks"
    return Interval(float(values.mean()), low, high, len(groups), _LEVEL, method, "tasks")
