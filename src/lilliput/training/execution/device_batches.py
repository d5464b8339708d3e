"""Batches made where the model is: the same sequences and masks as `batches`, in shapes that never change.

Tokens lie on the device; a step needs only the numbers of its sequences and the key of its masks. Every
array has the same shape at every step, so that a step can be captured as a graph: sequences are padded
to `max_seq_length`, and the predicted positions fill a buffer whose spare places have weight zero.
Shapes: S streams of data, G sequences of a global batch, B of a micro-batch, L their width, T all their positions
(B * L), N places for predicted positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.training.data.batches import (
    BatchRules,
    GlobalBatch,
    MicroBatch,
    MicroBatchAveraging,
)
from lilliput.training.data.sequences import SPECIAL_PER_SEQUENCE, Sequences
from lilliput.training.objectives.base import DrawKey
from lilliput.training.run_schedule import RunSchedule

# The numbers of the sequences of so many steps are copied at once: each copy may make the host wait.
TABLE_STEPS = 64
# The tokens of a micro-batch of randomly drawn sequences exceed their mean by so many standard deviations once in
# 1e15 micro-batches. An order that does not draw at random may exceed it; buffers then grow to hold any batch.
_SPARE_DEVIATIONS = 8.0
_NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class DeviceSplit:
    """Hold one split on the device.

    Attributes:
        tokens: int32, 1-D.
        starts: First token of each sequence, int64.
        lengths: Tokens of each sequence without special ones, int64.
        word_start: Whether an id begins a word, bool of shape (vocab_size,).
    """

    tokens: Tensor
    starts: Tensor
    lengths: Tensor
    word_start: Tensor

    @classmethod
    def of(cls, sequences: Sequences, rules: BatchRules, device: str) -> DeviceSplit:
        """Return the split copied to `device`."""
        return cls(
            torch.from_numpy(sequences.tokens.astype(np.int32)).to(device),
            torch.from_numpy(sequences.starts).to(device),
            torch.from_numpy(sequences.lengths).to(device),
            torch.from_numpy(rules.facts.word_start.copy()).to(device),
        )


@dataclass(frozen=True)
class DeviceMicroBatch:
    """Hold what one forward pass reads of each stream; see `batches.MicroBatch`.

    Attributes:
        input_ids_SBL: Ids with pads, int64.
        attention_mask_SBL: True where a token may be attended to; None when all may.
        positions_SN: Predicted positions as indices into the flattened (B * L) positions; spare ones are 0.
        targets_SN: Their ids, int64.
        weights_SN: Their weights, float32; spare ones are 0.
    """

    input_ids_SBL: Tensor
    attention_mask_SBL: Tensor | None
    positions_SN: Tensor
    targets_SN: Tensor
    weights_SN: Tensor


def expected_counts(
    sequences: Sequences, chosen_SG: NDArray[np.int64], rules: BatchRules
) -> list[GlobalBatch]:
    """Return what the global batch of each stream holds, without its micro-batches; predicted positions by expectation.

    Counting them would make the host wait for the device. The share is exact over many steps, and only
    `flops_executed_masked` reads it.
    """
    lengths_SG = sequences.lengths[chosen_SG] + SPECIAL_PER_SEQUENCE
    count = chosen_SG.shape[1]
    batches: list[GlobalBatch] = []
    for tokens, squares in zip(
        lengths_SG.sum(1).tolist(), (lengths_SG**2).sum(1).tolist(), strict=True
    ):
        predicted = rules.objective.expected_predictions(tokens, count)
        if rules.score_padding:
            predicted += count * rules.max_seq_length - tokens
        batches.append(GlobalBatch((), count, tokens, squares, predicted))
    return batches


class StepTable:
    """The sequences and mask keys of the steps to come, on the device, for some streams of data.

    A recorded step reads its row by a number that lies on the device, so that nothing is copied from one step to
    the next. The host looks at the lengths meanwhile, and says how much room a micro-batch needs.

    Args:
        schedules: One for each stream; all read as many sequences at each step.
        rows: Sequences in one micro-batch at most.
        device: Where the table lies.

    Attributes:
        tokens_a_row: The tokens for which a micro-batch needs room, divided by its rows; it may grow once.
    """

    def __init__(self, schedules: Sequence[RunSchedule], rows: int, device: torch.device) -> None:
        self._schedules, self._rows = schedules, rows
        self._lengths = schedules[0].data.train.lengths
        size, streams = schedules[0].stream.later, len(schedules)
        self._chosen_TSG = torch.zeros(TABLE_STEPS, streams, size, dtype=torch.int64, device=device)
        self._keys_TS2 = torch.zeros(TABLE_STEPS, streams, 2, dtype=torch.int64, device=device)
        self._place_1 = torch.zeros(1, dtype=torch.int64, device=device)
        self._first, self._host_TSG = 0, np.zeros((0, streams, size), dtype=np.int64)
        fewest = size % rows or min(
            rows, size
        )  # Rows of the last micro-batch, whose lengths vary most.
        self.tokens_a_row = -(-room_for_tokens(self._lengths, fewest) // fewest)

    def serves(self, step: int) -> bool:
        """Return whether step `step` reads as many sequences as the table's rows hold; the last one may not."""
        return self._schedules[0].stream.places(step)[1] == self._chosen_TSG.shape[2]

    def read(self, step: int) -> NDArray[np.int64]:
        """Have the device read step `step` from now on; return its sequences, (streams, sequences)."""
        if not self._first <= step < self._first + len(self._host_TSG):
            self._fill(step)
        place = step - self._first
        self._place_1.fill_(place)
        return self._host_TSG[place]

    def batch(self) -> tuple[Tensor, Tensor]:
        """Return sequences (streams, sequences) and mask keys (streams, 2) of the step that is read, on the device."""
        return (
            self._chosen_TSG.index_select(0, self._place_1)[0],
            self._keys_TS2.index_select(0, self._place_1)[0],
        )

    def _fill(self, step: int) -> None:
        blocks = [schedule.chosen_by_steps(step, TABLE_STEPS) for schedule in self._schedules]
        self._first, self._host_TSG = step, np.stack(blocks, axis=1)
        steps = len(self._host_TSG)
        keys = [[s.mask_key(step + i) for s in self._schedules] for i in range(steps)]
        keys_TS2 = torch.tensor([[[k.select, k.replace] for k in row] for row in keys])
        _copy(torch.from_numpy(self._host_TSG), self._chosen_TSG[:steps])
        _copy(keys_TS2, self._keys_TS2[:steps])
        tokens = self._lengths[self._host_TSG] + SPECIAL_PER_SEQUENCE
        starts = np.arange(0, tokens.shape[2], self._rows)
        rows = np.diff(starts, append=tokens.shape[2])
        if (np.add.reduceat(tokens, starts, axis=2) > self.tokens_a_row * rows).any():
            self.tokens_a_row = int(self._lengths.max() + SPECIAL_PER_SEQUENCE)


def room_for_tokens(lengths: NDArray[np.int64], rows: int) -> int:
    """Return how many tokens `rows` sequences have at most, if they are drawn at random.

    Sequences of 20 or 30 tokens, as many of each, with 2 special tokens: 64 of them have 27 x 64 = 1,728 tokens on
    average, with a standard deviation of 5 x 8 = 40, so that there is room for 1,728 + 8 x 40 = 2,048.
    """
    mean, spread = float(lengths.mean()) + SPECIAL_PER_SEQUENCE, float(lengths.std())
    room = math.ceil(rows * mean + _SPARE_DEVIATIONS * spread * math.sqrt(rows))
    return min(room, rows * int(lengths.max() + SPECIAL_PER_SEQUENCE))


def _copy(source: Tensor, target: Tensor) -> None:
    """Copy to the device without waiting for it: from memory that it may read by itself."""
    if target.device.type == "cuda":
        source = source.pin_memory()
    target.copy_(source, non_blocking=True)


def device_batch(
    split: DeviceSplit,
    chosen_G: Tensor,
    key_2: Tensor,
    rules: BatchRules,
    rows: int,
    *,
    tokens_a_row: int | None = None,
    averaging: MicroBatchAveraging | None = None,
) -> list[MicroBatch]:
    """Return the micro-batches of one global batch, in shapes that depend on sizes alone.

    Args:
        split: Where the tokens lie.
        chosen_G: Numbers of the sequences, int64 on the device.
        key_2: Of the masks: both halves, int64 on the device.
        rules: Objective, pads and width.
        rows: Sequences in one micro-batch at most.
        tokens_a_row: Tokens of a micro-batch at most, divided by its rows; None: sequences may fill all rows.
        averaging: Average micro-batches alone; None averages over all predicted positions.
    """
    made = device_micro_batches(
        split,
        chosen_G[None],
        key_2[None],
        rules,
        rows,
        tokens_a_row=tokens_a_row,
        averaging=averaging,
    )
    return [
        MicroBatch(
            one.input_ids_SBL[0],
            None if one.attention_mask_SBL is None else one.attention_mask_SBL[0],
            None,
            one.positions_SN[0],
            one.targets_SN[0],
            one.weights_SN[0],
            _NO_ROWS,
        )
        for one in made
    ]


def device_micro_batches(
    split: DeviceSplit,
    chosen_SG: Tensor,
    keys_S2: Tensor,
    rules: BatchRules,
    rows: int,
    *,
    tokens_a_row: int | None = None,
    averaging: MicroBatchAveraging | None = None,
) -> list[DeviceMicroBatch]:
    """Return what `device_batch` does, for the global batches of several streams at once."""
    streams, size = chosen_SG.shape
    chosen_G = chosen_SG.flatten()
    rows_G = torch.arange(size, device=chosen_G.device).repeat(streams)
    columns_2G1 = keys_S2.t()[..., None].expand(2, streams, size).reshape(2, -1, 1)
    ids_GL = _padded_ids(split, chosen_G, rules)
    facts = rules.facts.with_word_start(split.word_start)
    parts = rules.targets(ids_GL, rows_G, DrawKey(*columns_2G1), facts)
    seen_SGL, targets_SGL, predicted_SGL = (part.view(streams, size, -1) for part in parts)
    weights_SG = _row_weights(predicted_SGL.sum(2), averaging)
    lengths_SG = split.lengths[chosen_SG] + SPECIAL_PER_SEQUENCE
    width = rules.max_seq_length if tokens_a_row is None else tokens_a_row
    return [
        _micro_batch(seen, targets, predicted, lengths, weights, rules, width)
        for seen, targets, predicted, lengths, weights in zip(
            *(
                part.split(rows, 1)
                for part in (seen_SGL, targets_SGL, predicted_SGL, lengths_SG, weights_SG)
            ),
            strict=True,
        )
    ]


def _row_weights(counts_SG: Tensor, averaging: MicroBatchAveraging | None) -> Tensor:
    """Return the weight of each predicted position of each sequence, float32 (S, G); see `batches`."""
    if averaging is None:
        total_S1 = counts_SG.sum(1, keepdim=True).clamp(min=1)
        return (1.0 / total_S1.to(torch.float32)).expand(counts_SG.shape)
    streams, size = counts_SG.shape
    totals_SM1 = counts_SG.view(streams, -1, averaging.rows).sum(2, keepdim=True).clamp(min=1)
    weights_SM1 = 1.0 / (totals_SM1 * averaging.parts).to(torch.float32)
    return weights_SM1.expand(-1, -1, averaging.rows).reshape(streams, size)


def _padded_ids(split: DeviceSplit, chosen_G: Tensor, rules: BatchRules) -> Tensor:
    special = rules.special
    columns_L = torch.arange(rules.max_seq_length, device=chosen_G.device)
    lengths_G1 = split.lengths[chosen_G, None]
    within_GL = torch.minimum((columns_L - 1).clamp(min=0), lengths_G1 - 1)
    ids_GL = split.tokens[split.starts[chosen_G, None] + within_GL].long()
    ids_GL = torch.where(columns_L == lengths_G1 + 1, special.eos, ids_GL)
    ids_GL = torch.where(columns_L > lengths_G1 + 1, special.pad, ids_GL)
    return torch.where(columns_L == 0, special.bos, ids_GL)


def _micro_batch(
    seen_SBL: Tensor,
    targets_SBL: Tensor,
    predicted_SBL: Tensor,
    lengths_SB: Tensor,
    weights_SB: Tensor,
    rules: BatchRules,
    tokens_a_row: int,
) -> DeviceMicroBatch:
    length = seen_SBL.shape[2]
    positions_SN, is_used_SN = _gather_places(
        predicted_SBL.flatten(1), _places(predicted_SBL[0], rules, tokens_a_row)
    )
    mask_SBL = None
    if rules.hides_pads:
        columns_L = torch.arange(length, device=seen_SBL.device)
        mask_SBL = columns_L < lengths_SB[..., None]
    return DeviceMicroBatch(
        seen_SBL,
        mask_SBL,
        positions_SN,
        targets_SBL.flatten(1).gather(1, positions_SN),
        is_used_SN.to(torch.float32) * weights_SB.gather(1, positions_SN // length),
    )


def _gather_places(predicted_ST: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
    """Return the indices of the predicted positions in buffers of fixed size, and which places are used."""
    streams, device = len(predicted_ST), predicted_ST.device
    rank_ST = predicted_ST.cumsum(1) - 1
    # What is not predicted, and what no longer fits, goes to one place behind the buffer.
    place_ST = torch.where(predicted_ST & (rank_ST < capacity), rank_ST, capacity)
    buffer_SN = torch.zeros(streams, capacity + 1, dtype=torch.int64, device=device)
    buffer_SN.scatter_(
        1, place_ST, torch.arange(predicted_ST.shape[1], device=device).expand_as(place_ST)
    )
    used_SN = torch.arange(capacity, device=device) < predicted_ST.sum(1, keepdim=True)
    return torch.where(used_SN, buffer_SN[:, :-1], 0), used_SN


def _places(predicted_BL: Tensor, rules: BatchRules, tokens_a_row: int) -> int:
    """Return how many places a micro-batch needs for its predicted positions."""
    if rules.score_padding:
        return predicted_BL.numel()
    rows, width = predicted_BL.shape
    most = rules.objective.most_predictions(rows, min(width, tokens_a_row))
    return min(rows * width, most)
