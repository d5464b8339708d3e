"""From the likelihoods of choices to scores: accuracy with and without length, margin, and the levels beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lilliput.core.arrays import FloatArray
from lilliput.core.intervals import Interval, two_way_bootstrap_interval
from lilliput.evaluation.choices.tasks import ChoiceItem
from lilliput.evaluation.scores.score import Score, caution, pair_hits
from lilliput.evaluation.weights import TRAINED, UNTRAINED

BY_LENGTH = "_by_length"
METRIC = "choice_accuracy"


@dataclass(frozen=True)
class ChoiceLikelihoods:
    """Hold the log-likelihoods of every choice of a task's items, the right choice first.

    S is the number of seeds, I of items, K of choices.

    Attributes:
        totals: Nats, (S, I, K); minus infinity where an item has fewer choices.
        characters: Characters of each choice as it is written, (I, K).
    """

    totals: FloatArray
    characters: FloatArray

    @property
    def by_length(self) -> FloatArray:
        """Return nats per character, as lm-eval's `acc_norm` compares them."""
        return self.totals / self.characters


def hits(totals: FloatArray) -> FloatArray:
    """Return 1 for each item whose right choice is the likeliest, one half where another one ties with it, else 0."""
    return pair_hits(totals[..., 0], totals[..., 1:].max(-1))


def margins(totals: FloatArray) -> FloatArray:
    """Return by how many nats the right choice is likelier than the best wrong one."""
    return totals[..., 0] - totals[..., 1:].max(-1)


def shares(totals: FloatArray) -> FloatArray:
    """Return the probability of each choice among the choices of its item."""
    weights = np.exp(totals - totals.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def brier(totals: FloatArray) -> FloatArray:
    """Return the squared error of the probabilities of an item's choices, from 0 (sure and right) to 2."""
    found = shares(totals)
    return (found[..., 0] - 1.0) ** 2 + (found[..., 1:] ** 2).sum(-1)


def chance(items: Sequence[ChoiceItem]) -> float:
    """Return the accuracy of a fair draw among the choices of each item."""
    return float(np.mean([1.0 / len(item.choices) for item in items]))


def majority(items: Sequence[ChoiceItem]) -> float:
    """Return the accuracy of always naming the place that is right most often."""
    return float(np.bincount([item.gold for item in items]).max() / len(items))


def task_scores(
    name: str,
    items: Sequence[ChoiceItem],
    found: Mapping[str, ChoiceLikelihoods],
    *,
    unigram: ChoiceLikelihoods | None,
    resamples: int,
    note: str = "",
) -> list[Score]:
    """Return the scores of one task: by the whole log-likelihood, and by its share of each character.

    Args:
        name: Of the task.
        items: What was scored, I of them.
        found: "trained" and "untrained" to likelihoods.
        unigram: The likelihoods of a model that knows only how frequent each token is; None where they are unknown.
        resamples: Bootstrap draws behind each interval.
        note: What else must be known.
    """
    scores: list[Score] = []
    for ending in ("", BY_LENGTH):
        right = {
            weights: hits(one.by_length if ending else one.totals) for weights, one in found.items()
        }
        baseline = float(right[UNTRAINED].mean()) if UNTRAINED in right else None
        for weights, array_SI in right.items():
            interval = _interval(array_SI, resamples)
            gain = (
                _interval(array_SI - right[UNTRAINED], resamples)
                if weights == TRAINED and baseline is not None
                else None
            )
            level = None if unigram is None else (unigram.by_length if ending else unigram.totals)
            fair, most = chance(items), majority(items)
            details = {
                "chance": fair,
                "majority": most,
                "unigram": None if level is None else float(hits(level).mean()),
                "margin": float(margins(found[weights].totals).mean()),
                "probability": float(shares(found[weights].totals)[..., 0].mean()),
                "brier": float(brier(found[weights].totals).mean()),
            }
            scores.append(
                Score(
                    task=name + ending,
                    weights=weights,
                    metric=METRIC + ending,
                    value=interval.value,
                    low=interval.low,
                    high=interval.high,
                    n=len(items),
                    seeds=array_SI.shape[0],
                    baseline=baseline,
                    note=" ".join(filter(None, (caution(len(items)), note))),
                    chance_level=max(fair, most),
                    gain=None if gain is None else gain.value,
                    gain_low=None if gain is None else gain.low,
                    gain_high=None if gain is None else gain.high,
                    details=details,
                )
            )
    return scores


def _interval(array_SI: FloatArray, resamples: int) -> Interval:
    def mean(seeds: NDArray[np.intp], items: NDArray[np.intp]) -> float:
        return float(array_SI[seeds[:, None], items].mean())

    return two_way_bootstrap_interval(mean, *array_SI.shape, resamples=resamples)
