"""Fine-tuning one task from one set of weights under several seeds, choosing on a held-out part of train."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.core.arrays import FloatArray
from lilliput.core.seeding import generator
from lilliput.evaluation.encoding import EncodedTexts
from lilliput.evaluation.fine_tuning.classifier import Classifier, keep_word_rows
from lilliput.evaluation.fine_tuning.epochs import LabelledTexts, Member, predict, train_epochs
from lilliput.evaluation.fine_tuning.stack import ClassifierStack
from lilliput.evaluation.scores.score import seed_values
from lilliput.evaluation.settings import FineTuningSettings
from lilliput.evaluation.tasks.definition import TaskDefinition
from lilliput.models import LanguageModel
from lilliput.training.execution.allocator import keep_freed_memory

STACK_SIZE = 8
"""Classifiers computed at once; a step of eight takes 0.68 to 0.91 of the time of eight alone."""
STACK_SIZE_GPU = 32


@dataclass(frozen=True)
class FineTuned:
    """Hold what several seeds predicted, and the settings chosen for them.

    Attributes:
        predictions: Name of each scored set to classes or values, float64, shape (seeds, examples).
        learning_rate: The chosen one.
        epochs: The chosen number.
        choices: Held-out value, mean over seeds, of each choice; empty when there was none.
    """

    predictions: Mapping[str, FloatArray]
    learning_rate: float
    epochs: int
    choices: tuple[Mapping[str, float], ...]

    def as_details(self) -> dict[str, Any]:
        """Return plain data for the record of a score."""
        chosen = {"learning_rate": self.learning_rate, "num_train_epochs": self.epochs}
        return {"chosen": chosen, "choices": [dict(choice) for choice in self.choices]}


def fine_tune_seeds(
    start: LanguageModel,
    task: TaskDefinition,
    train: LabelledTexts,
    scored: Mapping[str, EncodedTexts],
    settings: FineTuningSettings,
    *,
    device: str = "cpu",
) -> FineTuned:
    """Return the predictions on `scored` from models fine-tuned on `train`, one a seed.

    Learning rate and number of epochs are chosen by their mean held-out value over the seeds; the
    labels of `scored` take no part. With one choice, all of `train` is learned from.

    Args:
        start: The weights to start from; left as they are.
        task: Metrics and outputs.
        train: Training examples with labels.
        scored: Sets to predict, by name.
        settings: Everything else.
        device: Where to compute.
    """
    if device == "cpu":
        keep_freed_memory()
    base, train, scored = _cut_to_task(start, train, scored)
    rows = _drawn_rows(len(train), settings.max_train_examples)
    held: NDArray[np.intp] = rows[:0]
    if settings.has_choice:
        cut = max(1, round(settings.selection_share * len(rows)))
        held, rows = rows[:cut], rows[cut:]
    fitted, scaling = _scaled(_part(train, rows), settings)
    sets = dict(scored) | {_HELD: _take(train.texts, held)} if len(held) else dict(scored)
    stops = _stops(settings)
    # Rate and stop to the predictions of its seeds, in order.
    found: dict[tuple[float, int], list[dict[str, FloatArray]]] = {}
    for members in _stacks(settings, device):
        models = [
            Classifier(copy.deepcopy(base), task.num_outputs, settings, one.seed).to(device)
            for one in members
        ]
        stack = ClassifierStack(models, [one.seed for one in members], settings)
        for epoch in train_epochs(stack, fitted, settings, members, epochs=max(stops)):
            if epoch in stops:
                outputs = {
                    name: predict(stack, texts, settings, train.pad) for name, texts in sets.items()
                }
                for number, one in enumerate(members):
                    decided = {
                        name: _decide(out_KNC[number], task, scaling)
                        for name, out_KNC in outputs.items()
                    }
                    found.setdefault((one.learning_rate, epoch), []).append(decided)
    results = [
        (rate, stop, {name: np.stack([one[name] for one in by_seed]) for name in sets})
        for (rate, stop), by_seed in found.items()
    ]
    return _choose(results, task, train.labels[held])


_HELD = "\x00held-out"


def _stacks(settings: FineTuningSettings, device: str) -> list[list[Member]]:
    """Return every rate under every seed, cut into stacks."""
    members = [Member(rate, seed) for rate in _rates(settings) for seed in settings.seeds]
    size = STACK_SIZE_GPU if device.startswith("cuda") else STACK_SIZE
    return [members[i : i + size] for i in range(0, len(members), size)]


def _rates(settings: FineTuningSettings) -> Sequence[float]:
    return settings.learning_rates if settings.has_choice else settings.learning_rates[:1]


def _stops(settings: FineTuningSettings) -> Sequence[int]:
    if settings.has_choice:
        return sorted(set(settings.num_train_epochs))
    return [max(settings.num_train_epochs)]


def _cut_to_task(
    start: LanguageModel, train: LabelledTexts, scored: Mapping[str, EncodedTexts]
) -> tuple[LanguageModel, LabelledTexts, dict[str, EncodedTexts]]:
    """Return a copy of the model with the rows of this task alone, and the texts in its new numbers."""
    sets = [train.texts, *scored.values()]
    present = np.unique(np.concatenate([np.unique(texts.tokens) for texts in sets]))
    base = copy.deepcopy(start)
    numbers = keep_word_rows(base, present)
    renumbered = replace(train, texts=_renumber(train.texts, numbers))
    return base, renumbered, {name: _renumber(texts, numbers) for name, texts in scored.items()}


def _renumber(texts: EncodedTexts, numbers: NDArray[np.int64]) -> EncodedTexts:
    return EncodedTexts(numbers[texts.tokens], texts.offsets)


def _drawn_rows(count: int, most: int | None) -> NDArray[np.intp]:
    """Return a fixed draw of training rows, the same for all seeds, starts and models."""
    return generator(0, "training-rows").permutation(count)[: most or count]


def _take(texts: EncodedTexts, rows: NDArray[np.intp]) -> EncodedTexts:
    lengths = texts.lengths[rows]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    width = int(lengths.max(initial=1))
    padded = texts.padded(rows, width, 0)
    return EncodedTexts(padded[np.arange(width) < lengths[:, None]], offsets)


def _part(data: LabelledTexts, rows: NDArray[np.intp]) -> LabelledTexts:
    return replace(data, texts=_take(data.texts, rows), labels=data.labels[rows])


def _scaled(
    data: LabelledTexts, settings: FineTuningSettings
) -> tuple[LabelledTexts, tuple[float, float]]:
    """Return the regression labels with mean 0 and variance 1, and what undoes it; cut outputs need raw ones."""
    if not data.is_regression or settings.regression == "relu":
        return data, (0.0, 1.0)
    mean, spread = float(data.labels.mean()), float(data.labels.std()) or 1.0
    return replace(data, labels=(data.labels - mean) / spread), (mean, spread)


def _decide(out_NC: FloatArray, task: TaskDefinition, scaling: tuple[float, float]) -> FloatArray:
    """Return the predicted class or value of each example, shape (examples,)."""
    if task.is_regression:
        mean, spread = scaling
        return out_NC[:, 0] * spread + mean
    return out_NC.argmax(axis=1).astype(np.float64)


def _choose(
    results: Sequence[tuple[float, int, dict[str, FloatArray]]],
    task: TaskDefinition,
    held_labels: FloatArray,
) -> FineTuned:
    if len(results) == 1:
        rate, epochs, found = results[0]
        return FineTuned(found, rate, epochs, ())
    values = [
        float(seed_values(task.metrics, held_labels, found[_HELD]).mean())
        for _, _, found in results
    ]
    rate, epochs, found = results[int(np.argmax(values))]
    choices = tuple(
        {"learning_rate": r, "num_train_epochs": float(e), "held_out": value}
        for (r, e, _), value in zip(results, values, strict=True)
    )
    predictions = {name: array for name, array in found.items() if name != _HELD}
    return FineTuned(predictions, rate, epochs, choices)
