"""Fine-tuning one classifier: epochs over length-sorted batches, and its predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lilliput.core.errors import NonFiniteLossError
from lilliput.core.seeding import stream_key
from lilliput.evaluation.batching import prediction_batches, training_batches
from lilliput.evaluation.classifier import Classifier
from lilliput.evaluation.encoding import EncodedTexts
from lilliput.evaluation.settings import FineTuningSettings
from lilliput.training.optimizer import FlatAdamW

FloatArray = NDArray[np.float64]
_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


@dataclass(frozen=True)
class LabelledTexts:
    """What a classifier learns from.

    Attributes:
        texts: Token sequences, n of them.
        labels: Class numbers, or values where the task is a regression, float64, shape (n,).
        is_regression: Which of the two.
        pad: Id of padding.
    """

    texts: EncodedTexts
    labels: FloatArray
    is_regression: bool
    pad: int

    def __len__(self) -> int:
        return len(self.labels)


def train_epochs(
    model: Classifier,
    data: LabelledTexts,
    settings: FineTuningSettings,
    *,
    learning_rate: float,
    epochs: int,
    seed: int,
) -> Iterator[int]:
    """Train `model` in place, and stop after each epoch to give its number, from 1.

    AdamW with a linear rise and a linear fall to zero after `epochs`. Order and dropout are functions
    of (seed, epoch, step); the caller's random state is left alone.

    Raises:
        NonFiniteLossError: The loss is not a finite number at the end of an epoch.
    """
    lengths = data.texts.lengths
    schedule = LinearSchedule.over(epochs * -(-len(data) // settings.batch_size), settings)
    optimizer = FlatAdamW(model, weight_decay=settings.weight_decay, betas=_BETAS, eps=_EPSILON)
    step = 0
    for epoch in range(epochs):
        model.train()
        total = 0.0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(stream_key(seed, "dropout", epoch) >> 1)
            for rows in training_batches(lengths, settings.batch_size, seed, epoch):
                optimizer.zero_grad()
                loss = batch_loss(model, data, rows, settings)
                loss.backward()
                optimizer.clip(settings.max_grad_norm or 0.0)
                optimizer.set_learning_rate(learning_rate * schedule.share(step))
                optimizer.step()
                total += float(loss.detach())
                step += 1
        _check_finite(total, epoch + 1, learning_rate)
        yield epoch + 1


@dataclass(frozen=True)
class LinearSchedule:
    """The learning rate as a share of its peak: up over `warmup` steps, then down to zero."""

    steps: int
    warmup: int

    @classmethod
    def over(cls, steps: int, settings: FineTuningSettings) -> LinearSchedule:
        """The schedule of `steps` steps."""
        return cls(steps, round(settings.warmup_ratio * steps))

    def share(self, step: int) -> float:
        """Between 0 and 1; `step` counts from 0, and no step has rate 0."""
        if step < self.warmup:
            return (step + 1) / (self.warmup + 1)
        return (self.steps - step) / (self.steps - self.warmup)


def batch_loss(
    model: Classifier,
    data: LabelledTexts,
    rows: NDArray[np.intp],
    settings: FineTuningSettings,
) -> Tensor:
    """Mean cross-entropy in nats, or mean squared error, over the examples at `rows`."""
    out_BC = forward(model, data.texts, rows, settings, data.pad)
    labels_B = torch.from_numpy(data.labels[rows]).to(out_BC.device)
    if data.is_regression:
        return functional.mse_loss(out_BC[:, 0], labels_B.to(out_BC.dtype))
    return functional.cross_entropy(out_BC, labels_B.long())


def forward(
    model: Classifier,
    texts: EncodedTexts,
    rows: NDArray[np.intp],
    settings: FineTuningSettings,
    pad: int,
) -> Tensor:
    """Outputs (B, C), float32, for the sequences at `rows`, padded no further than the longest."""
    device = model.out.weight.device
    lengths = texts.lengths[rows]
    width = settings.max_seq_length if settings.pad_to_max else int(lengths.max())
    ids_BL = torch.from_numpy(texts.padded(rows, width, pad)).to(device)
    is_token_BL: Tensor | None = None
    if int(lengths.min()) < width:
        is_token_BL = torch.from_numpy(np.arange(width) < lengths[:, None]).to(device)
    is_bf16 = settings.dtype == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=is_bf16):
        return model(ids_BL, is_token_BL).float()


@torch.no_grad()
def predict(
    model: Classifier, texts: EncodedTexts, settings: FineTuningSettings, pad: int
) -> FloatArray:
    """Outputs for all sequences, float64, shape (n, C)."""
    model.eval()
    result = np.empty((len(texts), model.out.out_features))
    for rows in prediction_batches(texts.lengths, settings.eval_batch_tokens):
        result[rows] = forward(model, texts, rows, settings, pad).double().cpu().numpy()
    return result


def _check_finite(loss: float, epoch: int, learning_rate: float) -> None:
    if not np.isfinite(loss):
        raise NonFiniteLossError(
            f"the fine-tuning loss must stay finite (epoch {epoch}, learning rate {learning_rate:g})",
            got=loss,
            remedy="Lower fine_tuning.learning_rates.",
        )
