"""From the likelihoods of two sentences to the accuracy of a paradigm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lilliput.core.arrays import FloatArray
from lilliput.core.intervals import (
    Interval,
    percentile_bounds,
    proportion_interval,
    two_way_bootstrap_interval,
)
from lilliput.core.seeding import generator
from lilliput.evaluation.scores.score import Score, caution
from lilliput.evaluation.weights import TRAINED, UNTRAINED

CHANCE = 0.5


def paradigm_scores(
    name: str, found: Mapping[str, FloatArray], *, resamples: int, note: str = ""
) -> list[Score]:
    """Return the accuracy of each start on one paradigm, from its hits.

    Args:
        name: Of the paradigm.
        found: Start to hits, shape (pairs,).
        resamples: Bootstrap draws behind the interval of the gain.
        note: What else must be known.
    """
    baseline = float(found[UNTRAINED].mean()) if UNTRAINED in found else None
    scores: list[Score] = []
    for start, array in found.items():
        interval = proportion_interval(float(array.sum()), len(array))
        score = _score(name, start, interval, baseline, note)
        if start == TRAINED and UNTRAINED in found:
            gain = _mean_interval(array - found[UNTRAINED], resamples)
            score = replace(score, gain=gain.value, gain_low=gain.low, gain_high=gain.high)
        scores.append(score)
    return scores


def _score(name: str, start: str, interval: Interval, baseline: float | None, note: str) -> Score:
    return Score(
        task=name,
        start=start,
        metric="pair_accuracy",
        value=interval.value,
        low=interval.low,
        high=interval.high,
        n=interval.n,
        seeds=1,
        baseline=baseline,
        note=" ".join(filter(None, (caution(interval.n), note))),
        chance=CHANCE,
    )


def _mean_interval(values: FloatArray, resamples: int) -> Interval:
    return two_way_bootstrap_interval(
        lambda _, rows: float(values[rows].mean()), 1, len(values), resamples=resamples
    )


def mean_over_paradigms(
    name: str,
    found: Sequence[Mapping[str, FloatArray]],
    *,
    resamples: int,
) -> list[Score]:
    """Return the unweighted mean accuracy over paradigms, items drawn anew within each.

    Args:
        name: Of the benchmark.
        found: For each paradigm, start to hits.
        resamples: Bootstrap draws.
    """
    starts = list(found[0])
    arrays = {start: [one[start] for one in found] for start in starts}
    baseline = _mean_of_means(arrays[UNTRAINED]) if UNTRAINED in starts else None
    scores: list[Score] = []
    for start in starts:
        interval = _stratified(arrays[start], resamples)
        score = _score(name, start, interval, baseline, f"mean of {len(found)} paradigms")
        if start == TRAINED and UNTRAINED in starts:
            pairs = zip(arrays[TRAINED], arrays[UNTRAINED], strict=True)
            gain = _stratified([a - b for a, b in pairs], resamples)
            score = replace(score, gain=gain.value, gain_low=gain.low, gain_high=gain.high)
        scores.append(score)
    return scores


def _mean_of_means(arrays: Sequence[FloatArray]) -> float:
    return float(np.mean([array.mean() for array in arrays]))


def _stratified(arrays: Sequence[FloatArray], resamples: int) -> Interval:
    """Return the mean of means; each paradigm's items are drawn from that paradigm."""
    rng = generator(0, "paradigms")
    draws = np.zeros(resamples)
    for array in arrays:
        draws += array[rng.integers(0, len(array), (resamples, len(array)))].mean(1)
    low, high = percentile_bounds(draws / len(arrays), 0.95)
    return Interval(
        _mean_of_means(arrays),
        low,
        high,
        sum(map(len, arrays)),
        0.95,
        "bootstrap within paradigms",
        "pairs",
    )
