"""Batches made where the model is: the same sequences and masks as `batches`, in shapes that never change.

Tokens lie on the device; a step needs only the numbers of its sequences and the key of its masks. Every
array has the same shape at every step, so that a step can be captured as a graph: sequences are padded
to `max_seq_length`, and the predicted positions fill a buffer whose spare places have weight zero.
Shapes: S streams of data, G sequences of a global batch, B of a micro-batch, L their width, T all their positions
(B * L), N places for predicted positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.training.data.batches import BatchRules, GlobalBatch, MicroBatch
from lilliput.training.data.sequences import SPECIAL_PER_SEQUENCE, Sequences
from lilliput.training.objectives.base import DrawKey

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


def device_batch(
    split: DeviceSplit, chosen_G: Tensor, key_2: Tensor, rules: BatchRules, rows: int
) -> list[MicroBatch]:
    """Return the micro-batches of one global batch, in shapes that depend on G and `rows` alone.

    Args:
        split: Where the tokens lie.
        chosen_G: Numbers of the sequences, int64 on the device.
        key_2: Of the masks: both halves, int64 on the device.
        rules: Objective, pads and width.
        rows: Sequences in one micro-batch at most.
    """
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
        for one in device_micro_batches(split, chosen_G[None], key_2[None], rules, rows)
    ]


def device_micro_batches(
    split: DeviceSplit, chosen_SG: Tensor, keys_S2: Tensor, rules: BatchRules, rows: int
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
    weight_S1 = 1.0 / predicted_SGL.sum((1, 2)).clamp(min=1).to(torch.float32)[:, None]
    lengths_SG = split.lengths[chosen_SG] + SPECIAL_PER_SEQUENCE
    return [
        _micro_batch(seen, targets, predicted, lengths, weight_S1, rules)
        for seen, targets, predicted, lengths in zip(
            *(part.split(rows, 1) for part in (seen_SGL, targets_SGL, predicted_SGL, lengths_SG)),
            strict=True,
        )
    ]


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
    weight_S1: Tensor,
    rules: BatchRules,
) -> DeviceMicroBatch:
    positions_SN, is_used_SN = _gather_places(
        predicted_SBL.flatten(1), _places(predicted_SBL[0], rules)
    )
    mask_SBL = None
    if rules.hides_pads:
        columns_L = torch.arange(seen_SBL.shape[2], device=seen_SBL.device)
        mask_SBL = columns_L < lengths_SB[..., None]
    return DeviceMicroBatch(
        seen_SBL,
        mask_SBL,
        positions_SN,
        targets_SBL.flatten(1).gather(1, positions_SN),
        is_used_SN.to(torch.float32) * weight_S1,
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


def _places(predicted_BL: Tensor, rules: BatchRules) -> int:
    """Return how many places a micro-batch needs for its predicted positions."""
    if rules.score_padding:
        return predicted_BL.numel()
    rows, width = predicted_BL.shape
    return min(rows * width, rules.objective.most_predictions(rows, width))
