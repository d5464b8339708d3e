"""Fine-tune a stack of classifiers in epochs over length-sorted batches, and predict with it."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.core.arrays import FloatArray
from lilliput.core.errors import NonFiniteLossError
from lilliput.core.seeding import stream_key
from lilliput.evaluation.batching import prediction_batches, training_batches
from lilliput.evaluation.encoding import EncodedTexts
from lilliput.evaluation.fine_tuning.stack import ClassifierStack
from lilliput.evaluation.settings import FineTuningSettings


@dataclass(frozen=True)
class Member:
    """The settings in which the classifiers of a stack differ.

    Attributes:
        learning_rate: Peak rate.
        seed: Of head, dropout and order.
        model: Number of the model that it begins as.
    """

    learning_rate: float
    seed: int
    model: int = 0


@dataclass(frozen=True)
class LabelledTexts:
    """Hold the texts and labels that a classifier learns from.

    Attributes:
        texts: Token sequences, n of them.
        labels: Class numbers, or values where the task is a regression, float64, shape (n,).
        is_regression: True for values, False for class numbers.
        pad: Id of padding.
    """

    texts: EncodedTexts
    labels: FloatArray
    is_regression: bool
    pad: int

    def __len__(self) -> int:
        return len(self.labels)


def train_epochs(
    stack: ClassifierStack,
    data: LabelledTexts,
    settings: FineTuningSettings,
    members: Sequence[Member],
    *,
    epochs: int,
) -> Iterator[int]:
    """Train `stack` in place, and stop after each epoch to give its number, from 1.

    AdamW with a linear rise and a linear fall to zero after `epochs`. Each member's order and dropout
    are functions of (seed, epoch, step); the caller's random state is left alone.

    Raises:
        NonFiniteLossError: A loss is not a finite number at the end of an epoch.
    """
    lengths = data.texts.lengths
    schedule = LinearSchedule.over(epochs * -(-len(data) // settings.batch_size), settings)
    labels = torch.from_numpy(data.labels).to(stack.device)
    labels = labels.float() if data.is_regression else labels.long()
    step = 0
    for epoch in range(epochs):
        by_seed = {
            seed: training_batches(lengths, settings.batch_size, seed, epoch)
            for seed in {one.seed for one in members}
        }
        orders = [by_seed[one.seed] for one in members]
        losses_K = torch.zeros(len(members), device=stack.device)
        with draws_of_its_own(stack.device, stream_key(members[0].seed, "dropout", epoch) >> 1):
            for parts in zip(*orders, strict=True):
                rows = np.concatenate(parts)
                inputs = _inputs(data.texts, rows, settings, data.pad, stack.device)
                share = schedule.share(step)
                rates = [one.learning_rate * share for one in members]
                losses_K += stack.step(step, *inputs, labels[torch.from_numpy(rows)], rates)
                step += 1
        _check_finite(losses_K, members, epoch + 1)
        yield epoch + 1


@contextmanager
def draws_of_its_own(device: torch.device, seed: int) -> Generator[None]:
    """Seed torch's generators for the block, and give them back as they were, that of a GPU too.

    Dropout is keyed by member and step on a processor; on a GPU torch draws it.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@dataclass(frozen=True)
class LinearSchedule:
    """The learning rate as a share of its peak: up over `warmup` steps, then down to zero."""

    steps: int
    warmup: int

    @classmethod
    def over(cls, steps: int, settings: FineTuningSettings) -> LinearSchedule:
        """Return the schedule of `steps` steps."""
        return cls(steps, round(settings.warmup_ratio * steps))

    def share(self, step: int) -> float:
        """Return the rate as a share of its peak, between 0 and 1; `step` counts from 0, and no step has rate 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return (self.steps - step) / (self.steps - self.warmup)


def predict(
    stack: ClassifierStack, texts: EncodedTexts, settings: FineTuningSettings, pad: int
) -> FloatArray:
    """Return each member's outputs for all sequences, float64, shape (members, n, C)."""
    result = np.empty((len(stack), len(texts), stack.outputs))
    most = max(1, settings.eval_batch_tokens // len(stack))
    for rows in prediction_batches(texts.lengths, most):
        ids_BL, is_token_BL = _inputs(texts, rows, settings, pad, stack.device)
        result[:, rows] = stack.read(ids_BL, is_token_BL).double().cpu().numpy()
    return result


def _inputs(
    texts: EncodedTexts,
    rows: NDArray[np.intp],
    settings: FineTuningSettings,
    pad: int,
    device: torch.device,
) -> tuple[Tensor, Tensor | None]:
    """Return the ids (B, L), padded no further than the longest, and which are tokens; None where all are."""
    lengths = texts.lengths[rows]
    width = settings.max_seq_length if settings.pad_to_max else int(lengths.max())
    ids_BL = torch.from_numpy(texts.padded(rows, width, pad)).to(device)
    if int(lengths.min()) == width:
        return ids_BL, None
    return ids_BL, torch.from_numpy(np.arange(width) < lengths[:, None]).to(device)


def _check_finite(losses_K: Tensor, members: Sequence[Member], epoch: int) -> None:
    for one, loss in zip(members, losses_K.tolist(), strict=True):
        if not np.isfinite(loss):
            raise NonFiniteLossError(
                f"the fine-tuning loss must stay finite (epoch {epoch}, learning rate {one.learning_rate:g})",
                got=loss,
                remedy="Lower fine_tuning.learning_rates.",
            )
