"""Two models on the same items: a paired test for any metric, and a refusal where the items are too few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.core.arrays import FloatArray
from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import InputError
from lilliput.core.intervals import DEFAULT_RESAMPLES
from lilliput.core.seeding import generator
from lilliput.evaluation.scores.score import (
    caution,
    gain_interval,
    prediction_sets,
    read_scores,
    seed_values,
)
from lilliput.evaluation.weights import TRAINED

_LEVEL = 0.05


@dataclass(frozen=True)
class ScoreComparison:
    """Compare two models on one task.

    Attributes:
        task: Name of the score.
        metric: Metrics whose mean is compared, joined by "+".
        first: Value of the first model, mean over its seeds.
        second: Value of the second.
        difference: `first - second`.
        low: Lower bound of its 95 % interval over seeds and examples.
        high: Upper bound.
        p_value: Of the paired randomisation test over items.
        n: Items both models were scored on.
        verdict: "first", "second", "no difference shown", or a refusal to conclude.
    """

    task: str
    metric: str
    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    n: int
    verdict: str

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def compare_evaluations(
    first: Path, second: Path, *, resamples: int = DEFAULT_RESAMPLES
) -> list[ScoreComparison]:
    """Return each task that both evaluations hold, compared on the items both were scored on.

    Args:
        first: Artefact "evaluation" of one model.
        second: The same tasks for another model.
        resamples: Draws of the interval and of the test.

    Raises:
        InputError: One is not there, or they share no task, or their items differ.
    """
    found = list(_shared_sets(first, second))
    if not found:
        raise InputError(
            "two evaluations must share a task to be compared",
            got=f"{first} and {second}",
            remedy="Score both runs on the same data.",
        )
    return [_compare(*one, resamples=resamples) for one in found]


def paired_p_value(
    metrics: Sequence[str],
    labels: FloatArray,
    first_SN: FloatArray,
    second_SN: FloatArray,
    *,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> float:
    """Return the two-sided p-value of an approximate randomisation test over items.

    Under the null hypothesis the two models' predictions for an item could be exchanged: they are, for
    a random half of the items at a time. For one seed and accuracy this approaches McNemar's exact
    test; it holds for any metric and any number of seeds.

    Source: Noreen 1989; Yeh 2000, arXiv cs/0008005.
    """
    rng = generator(seed, "paired-test")
    observed = abs(_difference(metrics, labels, first_SN, second_SN))
    reached = 0
    for _ in range(resamples):
        is_swapped = rng.random(labels.size) < 0.5
        one = np.where(is_swapped, second_SN, first_SN)
        other = np.where(is_swapped, first_SN, second_SN)
        # A hair of slack: sums in another order differ in the last digit.
        reached += abs(_difference(metrics, labels, one, other)) >= observed - 1e-12
    return (reached + 1) / (resamples + 1)


def _difference(
    metrics: Sequence[str], labels: FloatArray, first_SN: FloatArray, second_SN: FloatArray
) -> float:
    first, second = (seed_values(metrics, labels, array).mean() for array in (first_SN, second_SN))
    return float(first - second)


def _compare(
    task: str,
    metric: str,
    labels: FloatArray,
    first_SN: FloatArray,
    second_SN: FloatArray,
    *,
    resamples: int,
) -> ScoreComparison:
    metrics = metric.split("+")
    seeds = min(len(first_SN), len(second_SN))
    first_SN, second_SN = first_SN[:seeds], second_SN[:seeds]
    interval = gain_interval(metrics, labels, first_SN, second_SN, resamples)
    p_value = paired_p_value(metrics, labels, first_SN, second_SN, resamples=resamples)
    values = [float(seed_values(metrics, labels, a).mean()) for a in (first_SN, second_SN)]
    is_shown = p_value < _LEVEL and interval.excludes(0.0)
    winner = "first" if interval.value > 0 else "second"
    verdict = caution(labels.size) or (winner if is_shown else "no difference shown")
    return ScoreComparison(
        task=task,
        metric=metric,
        first=values[0],
        second=values[1],
        difference=interval.value,
        low=interval.low,
        high=interval.high,
        p_value=p_value,
        n=labels.size,
        verdict=verdict,
    )


def _shared_sets(
    first: Path, second: Path
) -> Iterator[tuple[str, str, FloatArray, FloatArray, FloatArray]]:
    for folder in (first, second):
        read_manifest(folder, "evaluation")
    metrics = {s.task: s.metric for s in read_scores(first) if s.weights == TRAINED}
    ours, theirs = (prediction_sets(folder, TRAINED) for folder in (first, second))
    for name in ours:
        if name not in theirs or name not in metrics:
            continue
        ids, labels, one = ours[name]
        other_ids, other_labels, other = theirs[name]
        if not (np.array_equal(ids, other_ids) and np.array_equal(labels, other_labels)):
            raise InputError(
                f"both evaluations must have scored the same items of {name}",
                got=f"{len(ids)} and {len(other_ids)} items, or other labels",
            )
        yield name, metrics[name], labels, one, other
