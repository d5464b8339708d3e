"""Loss on the validation split: fixed sequences, fixed masks, both conventions.

The sequences and the masks are the same for all runs on one token store, whatever their seed, so that
runs differ by what they learned and not by what they were asked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.core.errors import EmptyCorpusError
from lilliput.models import LanguageModel
from lilliput.training.data.batches import BatchRules, GlobalBatch, MicroBatch, make_batch
from lilliput.training.data.orders.shuffled import places_in_epochs
from lilliput.training.data.sequences import Sequences
from lilliput.training.execution.gradients import predicted_losses
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.execution.replicas import replica_threads
from lilliput.training.objectives.base import DrawKey
from lilliput.training.run_schedule import RunSchedule

_EVALUATION_SEED = 0


@dataclass(frozen=True)
class Measurement:
    """Hold losses in nats on the validation sequences.

    Attributes:
        loss: Mean over predicted tokens, pads not counted.
        loss_reference: With pads counted, as the published code did (S:B1, B10).
        loss_reference_imputed: Whether pads were set to zero loss instead of predicted.
        bits_per_byte: Nats of the predicted tokens / (ln 2 * their bytes of text).
    """

    loss: float
    loss_reference: float
    loss_reference_imputed: bool
    bits_per_byte: float

    @property
    def perplexity(self) -> float:
        """Return exp(loss)."""
        return math.exp(self.loss)


class Validation:
    """The validation sequences of a run, ready to be predicted again and again.

    Args:
        sequences: The validation split.
        rules: Objective, pads and width.
        max_rows: Rows of one forward pass at most.
        token_bytes: Bytes of text of each id, shape (vocab_size,).
        count: Sequences to score at most.
        batch_size: Sequences of a batch whose mean enters a mean of batch means.
        batch_averaged: Whether `loss_reference` is a mean of batch means.
        redraw_seed: Draw masks anew at each evaluation from this seed; None keeps one draw.
    """

    def __init__(
        self,
        sequences: Sequences,
        rules: BatchRules,
        max_rows: int,
        token_bytes: NDArray[Any],
        *,
        count: int,
        batch_size: int,
        batch_averaged: bool,
        redraw_seed: int | None,
    ) -> None:
        self._sequences, self._rules, self._max_rows = sequences, rules, max_rows
        self._token_bytes = token_bytes
        self._batch_size, self._batch_averaged = batch_size, batch_averaged
        self._redraw_seed = redraw_seed
        size = len(sequences)
        self._chosen = places_in_epochs(size, _EVALUATION_SEED, 0, min(count, size))
        self._fixed: GlobalBatch | None = None

    @classmethod
    def of(cls, schedule: RunSchedule, max_rows: int) -> Validation:
        """Return the validation sequences of a run; `max_rows` rows of one forward pass at most."""
        training, data = schedule.config.training, schedule.data
        return cls(
            data.validation,
            data.rules,
            max_rows,
            data.token_bytes,
            count=training.eval_sequences,
            batch_size=training.eval_batch_size,
            batch_averaged=training.switches.eval_average == "batch",
            redraw_seed=schedule.config.seed if training.switches.redraw_evaluation_masks else None,
        )

    @classmethod
    def of_members(cls, schedules: Sequence[RunSchedule], max_rows: int) -> list[Validation]:
        """Return those of the members of a fleet: one for all members that are measured on the same batches."""
        made: dict[tuple[bool, int | None], Validation] = {}
        found: list[Validation] = []
        for schedule in schedules:
            one = cls.of(schedule, max_rows)
            found.append(made.setdefault((one._batch_averaged, one._redraw_seed), one))
        return found

    def measure(
        self,
        model: LanguageModel,
        plan: ExecutionPlan,
        number: int,
        interrupts: Interrupts | None = None,
    ) -> Measurement:
        """Measure the losses at evaluation `number` of the run.

        Raises:
            EmptyCorpusError: The draw of masks selects no token at all.
            Stopped: One of `interrupts` cut it short.
        """
        batch = self._batch(number)
        model.eval()
        try:
            nats, targets, rows = _collect(model, batch, plan, interrupts or Interrupts())
        finally:
            model.train()
        is_pad = targets == self._rules.special.pad
        masked = ~is_pad
        if not masked.any():
            raise EmptyCorpusError(
                "the validation sequences must have at least one predicted token",
                got=f"none in {len(self._chosen)} sequences",
                remedy="Use a larger validation split, or fixed_mask_count = true.",
            )
        masked_nats = float(nats[masked].sum())
        return Measurement(
            loss=masked_nats / int(masked.sum()),
            loss_reference=self._reference(nats, rows, masked),
            loss_reference_imputed=not self._rules.score_padding,
            bits_per_byte=masked_nats
            / (math.log(2) * max(1, int(self._token_bytes[targets[masked]].sum()))),
        )

    def _batch(self, number: int) -> GlobalBatch:
        if self._redraw_seed is not None:
            return self._make(DrawKey.of(self._redraw_seed, "evaluation", number))
        if self._fixed is None:
            self._fixed = self._make(DrawKey.of(_EVALUATION_SEED, "evaluation"))
        return self._fixed

    def _make(self, key: DrawKey) -> GlobalBatch:
        return make_batch(self._sequences, self._chosen, key, self._rules, self._max_rows)

    def _reference(
        self, nats: NDArray[np.float64], rows: NDArray[np.int64], masked: NDArray[np.bool_]
    ) -> float:
        """Return (sum over masked + sum over pads) / (masked + pads), by batch or over all."""
        lengths = self._sequences.lengths[self._chosen] + 2
        pads = self._rules.max_seq_length - lengths
        size = self._batch_size if self._batch_averaged else len(self._chosen)
        batches = -(-len(self._chosen) // size)
        sums = np.bincount(rows // size, weights=nats, minlength=batches)
        predicted = np.bincount(rows[masked] // size, minlength=batches)
        padded = np.bincount(np.arange(len(pads)) // size, weights=pads, minlength=batches)
        return float(np.mean(sums / np.maximum(predicted + padded, 1)))


def _collect(
    model: LanguageModel, batch: GlobalBatch, plan: ExecutionPlan, interrupts: Interrupts
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return loss, target and row of every predicted position."""

    def losses(micro: MicroBatch) -> Tensor:
        interrupts.check()
        return predicted_losses(model, micro, plan)

    micro_batches = batch.micro_batches
    if plan.replicas == 1:
        parts = [losses(micro) for micro in micro_batches]
    else:
        with replica_threads(plan) as threads:
            parts = list(threads.map(losses, micro_batches))
    # Once for all: each copy makes the host wait for a GPU.
    nats = torch.cat(parts).double().cpu().numpy()
    targets = [micro.targets_N.numpy() for micro in micro_batches]
    rows = [micro.rows_N for micro in micro_batches]
    return nats, np.concatenate(targets), np.concatenate(rows)
