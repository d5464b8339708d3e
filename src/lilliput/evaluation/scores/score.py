"""Scores that carry their interval, their baseline and what can be concluded from them, and the mean over tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.core.arrays import FloatArray
from lilliput.core.artefacts import artefact_id, is_artefact, read_manifest
from lilliput.core.intervals import (
    Interval,
    percentile_bounds,
    two_way_bootstrap_draws,
    two_way_bootstrap_interval,
)
from lilliput.core.reader import read_record, read_table
from lilliput.evaluation.scores.metrics import METRICS, majority_predictions
from lilliput.evaluation.settings import MIN_ITEMS_TO_CONCLUDE

EVALUATION_KIND = "evaluation"
EVALUATION_SCHEMA = 2
SCORES_FILE = "scores.json"
PREDICTIONS_FILE = "predictions.parquet"
MEAN = "mean"  # Task name of the unweighted mean over the paradigms of minimal pairs.
_RESAMPLES = 1000
_LEVEL = 0.95


@dataclass(frozen=True)
class Score:
    """The score of one task from trained or untrained weights.

    Attributes:
        task: Name of the task (or paradigm).
        weights: "trained" for pre-trained weights, "untrained" for the weights that run began with.
        metric: What `value` is; several joined by "+" when it is their mean.
        value: Mean over seeds.
        low: Lower bound of the 95 % interval over seeds and examples; None when there is none.
        high: Upper bound.
        n: Scored examples.
        seeds: Fine-tuned models.
        baseline: Value from the untrained weights with the same seeds and examples; None when they
            were not scored.
        note: What must be known to read the value, in words; empty when nothing must.
        chance_level: Value of always giving the most frequent label (or of a coin, for pairs).
        gain: `value - baseline` of trained weights; None elsewhere.
        gain_low: Lower bound of the gain, seeds and examples drawn together for both.
        gain_high: Upper bound.
        checkpoint: Which checkpoint was scored.
        details: Each metric by itself, kept counts, chosen settings.
    """

    task: str
    weights: str
    metric: str
    value: float
    low: float | None
    high: float | None
    n: int
    seeds: int
    baseline: float | None = None
    note: str = ""
    chance_level: float | None = None
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    checkpoint: str = "final"
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def is_conclusive(self) -> bool:
        """Return whether there are enough examples to conclude anything from this score."""
        return self.n >= MIN_ITEMS_TO_CONCLUDE

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def score_from_record(record: Mapping[str, Any]) -> Score:
    """Return a score read back from JSON."""
    return Score(**record)


def is_finished(folder: Path, made_from: Mapping[str, Any], inputs: Mapping[str, str]) -> bool:
    """Return whether `folder` holds the evaluation with these very settings and inputs."""
    if not is_artefact(folder):
        return False
    wanted = artefact_id(EVALUATION_KIND, EVALUATION_SCHEMA, made_from, inputs)
    return read_manifest(folder).id == wanted


def read_scores(folder: Path) -> list[Score]:
    """Return all scores of an evaluation folder."""
    return [
        score_from_record(record)
        for record in read_record(folder / SCORES_FILE, list[dict[str, Any]])
    ]


def read_predictions(folder: Path, weights: str) -> dict[str, NDArray[Any]]:
    """Return the kept predictions of trained or untrained weights by column, each of shape (rows,), in the order kept."""
    table = read_table(folder / PREDICTIONS_FILE)
    columns = {name: np.array(table[name].to_pylist()) for name in table.column_names}
    rows = columns["weights"] == weights
    return {name: column[rows] for name, column in columns.items()}


def prediction_sets(
    folder: Path, weights: str
) -> dict[str, tuple[NDArray[np.int64], FloatArray, FloatArray]]:
    """Return for each score its item numbers, labels, and predictions (seeds, items), of trained or untrained weights.

    Items whose label is hidden are left out, and so is a set that has no others.
    """
    columns = read_predictions(folder, weights)
    is_pairs = "good" in columns
    names = columns["task" if is_pairs else "score"]
    read = _pair_set if is_pairs else _label_set
    return {
        str(name): found
        for name in dict.fromkeys(names.tolist())
        if len((found := read({k: column[names == name] for k, column in columns.items()}))[0])
    }


def pair_hits(good: FloatArray, bad: FloatArray) -> FloatArray:
    """Return 1 where the acceptable sentence is the likelier one, one half at a tie, else 0; shape (pairs,)."""
    return (good > bad) + 0.5 * (good == bad)


def _pair_set(part: Mapping[str, Any]) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    hits = pair_hits(part["good"], part["bad"])
    return part["example"], np.ones(len(hits)), hits[None]


def _label_set(part: Mapping[str, Any]) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    count = int((part["seed"] == part["seed"][0]).sum())
    predictions = part["prediction"].reshape(-1, count)
    known = ~np.isnan(part["label"][:count])
    return part["example"][:count][known], part["label"][:count][known], predictions[:, known]


def task_value(metrics: Sequence[str], labels: FloatArray, predictions: FloatArray) -> float:
    """Return the unweighted mean of `metrics` on labels and predictions of shape (examples,)."""
    return float(np.mean([METRICS[metric](labels, predictions) for metric in metrics]))


def seed_values(
    metrics: Sequence[str], labels: FloatArray, predictions_SN: FloatArray
) -> FloatArray:
    """Return the task's value for each seed, shape (seeds,); predictions have shape (seeds, examples)."""
    return np.array([task_value(metrics, labels, row) for row in predictions_SN])


def interval_of_draws(value: float, draws: FloatArray, n_examples: int) -> Interval:
    """Return a value with the interval of its draws over seeds and examples, from `value_draws` or a difference of two."""
    low, high = percentile_bounds(draws, _LEVEL)
    return Interval(
        value, low, high, n_examples, _LEVEL, "bootstrap over seeds and examples", "examples"
    )


def value_draws(
    metrics: Sequence[str],
    labels: FloatArray,
    predictions_SN: FloatArray,
    resamples: int,
    seed: int = 0,
) -> FloatArray:
    """Return the task's value on draws of seeds and examples, shape (resamples,); `seed` is of the draws."""
    statistic = _Statistic(metrics, labels, predictions_SN)
    return two_way_bootstrap_draws(statistic, *predictions_SN.shape, resamples=resamples, seed=seed)


def gain_interval(
    metrics: Sequence[str],
    labels: FloatArray,
    trained_SN: FloatArray,
    untrained_SN: FloatArray,
    resamples: int,
) -> Interval:
    """Return the mean difference of trained and untrained weights, the same seeds and examples drawn for both each time."""
    trained = _Statistic(metrics, labels, trained_SN)
    untrained = _Statistic(metrics, labels, untrained_SN)

    def difference(seeds: NDArray[np.intp], examples: NDArray[np.intp]) -> float:
        return trained(seeds, examples) - untrained(seeds, examples)

    return two_way_bootstrap_interval(difference, *trained_SN.shape, resamples=resamples)


class _Statistic:
    """The mean over drawn seeds of the task's value on drawn examples."""

    def __init__(
        self, metrics: Sequence[str], labels: FloatArray, predictions_SN: FloatArray
    ) -> None:
        self._metrics, self._labels, self._predictions = metrics, labels, predictions_SN
        # Accuracy is a mean of hits: drawing from those is tens of times faster than scoring anew.
        is_accuracy = tuple(metrics) == ("accuracy",)
        self._hits = (predictions_SN == labels).astype(np.float64) if is_accuracy else None

    def __call__(self, seeds: NDArray[np.intp], examples: NDArray[np.intp]) -> float:
        if self._hits is not None:
            return float(self._hits[seeds[:, None], examples].mean())
        labels = self._labels[examples]
        chosen, times = np.unique(seeds, return_counts=True)
        values = seed_values(self._metrics, labels, self._predictions[chosen][:, examples])
        return float(np.average(values, weights=times))


def chance_value(metrics: Sequence[str], labels: FloatArray) -> float:
    """Return the task's value when the most frequent label is always given."""
    return task_value(metrics, labels, majority_predictions(labels))


def caution(n: int) -> str:
    """Return the sentence that refuses a conclusion from too few examples; empty when there are enough."""
    if n >= MIN_ITEMS_TO_CONCLUDE:
        return ""
    return f"{n} scored items are fewer than {MIN_ITEMS_TO_CONCLUDE}: no conclusion is drawn."


def as_summary(scores: Sequence[Score]) -> dict[str, dict[str, Any]]:
    """Return for each task the figures of its trained weights.

    `kept` counts the rows (of pairs: the pairs) that a vocabulary left, by split; None without one.
    """
    keys = ("value", "low", "high", "n", "seeds", "baseline", "gain", "gain_low", "gain_high")
    keys = (*keys, "metric", "chance_level", "note")
    return {
        score.task: {key: getattr(score, key) for key in keys} | {"kept": score.details.get("kept")}
        for score in scores
        if score.weights == "trained"
    }


def average_interval(
    evaluation: Path,
    groups: Sequence[Sequence[str]],
    *,
    weights: str = "trained",
    resamples: int = _RESAMPLES,
) -> Interval:
    """Return the unweighted mean over groups of scores, with an interval over seeds and examples.

    Tasks are fixed: the interval says how the mean would move with other seeds and other examples of
    these tasks, drawn for each score by itself.

    Args:
        evaluation: Artefact "evaluation".
        groups: Names of scores; those of one group (MNLI's two sets) are averaged first.
        weights: "trained" or "untrained".
        resamples: Draws.

    Returns:
        The interval; `n` counts the groups.
    """
    scores = {score.task: score for score in read_scores(evaluation) if score.weights == weights}
    sets = prediction_sets(evaluation, weights)
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
