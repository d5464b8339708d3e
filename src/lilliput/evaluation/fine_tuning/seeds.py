"""Fine-tune the models of one shape on one task under several seeds, choosing on a held-out part of train."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lilliput.core.arrays import FloatArray
from lilliput.core.seeding import generator
from lilliput.evaluation.encoding import EncodedTexts
from lilliput.evaluation.fine_tuning.classifier import Classifier, keep_word_rows
from lilliput.evaluation.fine_tuning.epochs import LabelledTexts, Member, predict, train_epochs
from lilliput.evaluation.fine_tuning.stack import ClassifierStack
from lilliput.evaluation.scores.score import seed_values
from lilliput.evaluation.settings import STACK_SIZE, FineTuningSettings
from lilliput.evaluation.tasks.definition import TaskDefinition
from lilliput.models import LanguageModel
from lilliput.training.execution.allocator import keep_freed_memory

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
    model: LanguageModel,
    task: TaskDefinition,
    train: LabelledTexts,
    scored: Mapping[str, EncodedTexts],
    settings: FineTuningSettings,
    *,
    device: str = "cpu",
) -> FineTuned:
    """Return the predictions on `scored` of copies of `model` fine-tuned on `train`, one a seed.

    Learning rate and number of epochs are chosen by their mean held-out value over the seeds; the
    labels of `scored` take no part. With one choice, all of `train` is learned from.

    Args:
        model: The weights to begin with; left as they are.
        task: Metrics and outputs.
        train: Training examples with labels.
        scored: Sets to predict, by name.
        settings: Everything else.
        device: Where to compute.
    """
    return fine_tune_models([model], task, train, scored, settings, device=device)[0]


def fine_tune_models(
    models: Sequence[LanguageModel],
    task: TaskDefinition,
    train: LabelledTexts,
    scored: Mapping[str, EncodedTexts],
    settings: FineTuningSettings,
    *,
    device: str = "cpu",
) -> list[FineTuned]:
    """Return for each of `models`, all of one shape, what `fine_tune_seeds` returns; they share stacks."""
    if device == "cpu":
        keep_freed_memory()
    bases, train, scored = _cut_to_task(models, train, scored)
    rows = _drawn_rows(len(train), settings.max_train_examples)
    held: NDArray[np.intp] = rows[:0]
    if settings.has_choice:
        cut = max(1, round(settings.selection_share * len(rows)))
        held, rows = rows[:cut], rows[cut:]
    fitted, scaling = _scaled(_part(train, rows), settings)
    reader = _Reader(task, scaling, settings, train.pad)
    stops = _stops(settings)
    tried: list[_Tried] = []
    for members in _stacks(len(models), settings, device):
        stack = _stack_of(bases, members, task, settings, device)
        for epoch in train_epochs(stack, fitted, settings, members, epochs=max(stops)):
            if epoch in stops:
                # Of several choices only the best one's models need read what is scored.
                sets = {_HELD: _take(train.texts, held)} if len(held) else scored
                predicted = reader.predictions(stack, sets)
                weights = [stack.weights_of(i) if len(held) else None for i in range(len(stack))]
                tried += map(_Tried, members, [epoch] * len(stack), predicted, weights)
    found: list[FineTuned] = []
    for number in range(len(models)):
        of_model = [one for one in tried if one.member.model == number]
        rate, epochs, choices = _choose(of_model, task, train.labels[held])
        chosen = [
            one for one in of_model if (one.member.learning_rate, one.epochs) == (rate, epochs)
        ]
        by_seed = [one.predictions for one in chosen]
        if len(held):
            stack = _stack_of(bases, [one.member for one in chosen], task, settings, device)
            stack.load_weights([one.weights for one in chosen if one.weights is not None])
            by_seed = reader.predictions(stack, scored)
        predictions = {name: np.stack([one[name] for one in by_seed]) for name in scored}
        found.append(FineTuned(predictions, rate, epochs, choices))
    return found


_HELD = "\x00held-out"


@dataclass(frozen=True)
class _Tried:
    """Hold what one classifier predicted after one number of epochs, and its weights where they may be needed."""

    member: Member
    epochs: int
    predictions: Mapping[str, FloatArray]
    weights: Tensor | None


@dataclass(frozen=True)
class _Reader:
    """Turns the outputs of a stack into classes or values."""

    task: TaskDefinition
    scaling: tuple[float, float]
    settings: FineTuningSettings
    pad: int

    def predictions(
        self, stack: ClassifierStack, sets: Mapping[str, EncodedTexts]
    ) -> list[dict[str, FloatArray]]:
        """Return for each member the classes or values of each set, by name, shape (examples,)."""
        outputs = {
            name: predict(stack, texts, self.settings, self.pad) for name, texts in sets.items()
        }
        return [
            {name: _decide(out[i], self.task, self.scaling) for name, out in outputs.items()}
            for i in range(len(stack))
        ]


def _stack_of(
    bases: Sequence[LanguageModel],
    members: Sequence[Member],
    task: TaskDefinition,
    settings: FineTuningSettings,
    device: str,
) -> ClassifierStack:
    models = [
        Classifier(copy.deepcopy(bases[one.model]), task.num_outputs, settings, one.seed).to(device)
        for one in members
    ]
    return ClassifierStack(models, [one.seed for one in members], settings)


def _stacks(models: int, settings: FineTuningSettings, device: str) -> list[list[Member]]:
    """Return every rate under every seed for every model, cut into stacks."""
    members = [
        Member(rate, seed, model)
        for model in range(models)
        for rate in _rates(settings)
        for seed in settings.seeds
    ]
    size = STACK_SIZE_GPU if device.startswith("cuda") else STACK_SIZE
    return [members[i : i + size] for i in range(0, len(members), size)]


def _rates(settings: FineTuningSettings) -> Sequence[float]:
    return settings.learning_rates if settings.has_choice else settings.learning_rates[:1]


def _stops(settings: FineTuningSettings) -> Sequence[int]:
    if settings.has_choice:
        return sorted(set(settings.num_train_epochs))
    return [max(settings.num_train_epochs)]


def _cut_to_task(
    models: Sequence[LanguageModel], train: LabelledTexts, scored: Mapping[str, EncodedTexts]
) -> tuple[list[LanguageModel], LabelledTexts, dict[str, EncodedTexts]]:
    """Return copies of the models with the rows of this task alone, and the texts in their new numbers."""
    sets = [train.texts, *scored.values()]
    present = np.unique(np.concatenate([np.unique(texts.tokens) for texts in sets]))
    bases = [copy.deepcopy(model) for model in models]
    numbers, *_ = [keep_word_rows(base, present) for base in bases]
    renumbered = replace(train, texts=_renumber(train.texts, numbers))
    return bases, renumbered, {name: _renumber(texts, numbers) for name, texts in scored.items()}


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
    tried: Sequence[_Tried], task: TaskDefinition, held_labels: FloatArray
) -> tuple[float, int, tuple[Mapping[str, float], ...]]:
    """Return the learning rate and the epochs with the best mean held-out value, and the values of all choices."""
    by_choice: dict[tuple[float, int], list[FloatArray | None]] = {}
    for one in tried:
        key = (one.member.learning_rate, one.epochs)
        by_choice.setdefault(key, []).append(one.predictions.get(_HELD))
    if len(by_choice) == 1:
        return *next(iter(by_choice)), ()
    values = {
        key: float(seed_values(task.metrics, held_labels, np.stack(found)).mean())  # pyright: ignore
        for key, found in by_choice.items()
    }
    choices = tuple(
        {"learning_rate": rate, "num_train_epochs": float(epochs), "held_out": value}
        for (rate, epochs), value in values.items()
    )
    return *max(values, key=lambda key: values[key]), choices
