"""Batches made where the model is: the same sequences and masks as `batches`, in shapes that never change.

Tokens lie on the device; an update needs only the numbers of its sequences and the key of its masks. Every
array has the same shape at every update, so that an update can be captured as a graph: sequences are padded
to `max_seq_length`, and the scored positions fill a buffer whose spare places have weight zero.
Shapes: S streams of data, G sequences of a global batch, B of a pass, L their width, T all their positions
(B * L), N places for scored positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.training.data.batches import GlobalBatch, MicroBatch, Objective
from lilliput.training.data.masking import MaskKey, corrupt, select_positions
from lilliput.training.data.sequences import SPECIAL_PER_SEQUENCE, Sequences

# A draw exceeds its mean by this many standard deviations once in 1e15 batches.
_SPARE_DEVIATIONS = 8.0
_NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class DeviceSplit:
    """One split on the device.

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
    def of(cls, sequences: Sequences, objective: Objective, device: str) -> DeviceSplit:
        """The split copied to `device`."""
        return cls(
            torch.from_numpy(sequences.tokens.astype(np.int32)).to(device),
            torch.from_numpy(sequences.starts).to(device),
            torch.from_numpy(sequences.lengths).to(device),
            torch.from_numpy(objective.word_start.copy()).to(device),
        )


@dataclass(frozen=True)
class DevicePass:
    """What one forward pass reads of each stream; see `batches.MicroBatch`.

    Attributes:
        input_ids_SBL: Ids with pads, int64.
        attention_mask_SBL: True where a token may be attended to; None when all may.
        positions_SN: Scored positions as indices into the flattened (B * L) positions; spare ones are 0.
        targets_SN: Their ids, int64.
        weights_SN: Their weights, float32; spare ones are 0.
    """

    input_ids_SBL: Tensor
    attention_mask_SBL: Tensor | None
    positions_SN: Tensor
    targets_SN: Tensor
    weights_SN: Tensor


def expected_counts(
    sequences: Sequences, chosen_SG: NDArray[np.int64], objective: Objective
) -> list[GlobalBatch]:
    """What the global batch of each stream holds, without its passes; scored positions by expectation.

    Counting them would make the host wait for the device. The share is exact over many updates, and only
    `flops_executed_masked` reads it.
    """
    lengths_SG = sequences.lengths[chosen_SG] + SPECIAL_PER_SEQUENCE
    count = chosen_SG.shape[1]
    special = 0 if objective.masking.special_tokens else SPECIAL_PER_SEQUENCE * count
    batches: list[GlobalBatch] = []
    for tokens, squares in zip(
        lengths_SG.sum(1).tolist(), (lengths_SG**2).sum(1).tolist(), strict=True
    ):
        scored = round(objective.masking.mlm_probability * (tokens - special))
        if objective.is_causal:
            scored = tokens - count
        if objective.score_padding:
            scored += count * objective.max_seq_length - tokens
        batches.append(GlobalBatch((), count, tokens, squares, scored))
    return batches


def device_batch(
    split: DeviceSplit, chosen_G: Tensor, key_2: Tensor, objective: Objective, rows: int
) -> list[MicroBatch]:
    """The passes of one global batch, in shapes that depend on G and `rows` alone.

    Args:
        split: Where the tokens lie.
        chosen_G: Numbers of the sequences, int64 on the device.
        key_2: Of the masks: both halves, int64 on the device.
        objective: What is predicted.
        rows: Sequences in one pass at most.
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
        for one in device_passes(split, chosen_G[None], key_2[None], objective, rows)
    ]


def device_passes(
    split: DeviceSplit, chosen_SG: Tensor, keys_S2: Tensor, objective: Objective, rows: int
) -> list[DevicePass]:
    """`device_batch` for the global batches of several streams at once."""
    streams, size = chosen_SG.shape
    chosen_G = chosen_SG.flatten()
    rows_G = torch.arange(size, device=chosen_G.device).repeat(streams)
    columns_2G1 = keys_S2.t()[..., None].expand(2, streams, size).reshape(2, -1, 1)
    ids_GL = _padded_ids(split, chosen_G, objective)
    parts = _inputs_and_targets(split, ids_GL, rows_G, MaskKey(*columns_2G1), objective)
    seen_SGL, targets_SGL, scored_SGL = (part.view(streams, size, -1) for part in parts)
    weight_S1 = 1.0 / scored_SGL.sum((1, 2)).clamp(min=1).to(torch.float32)[:, None]
    lengths_SG = split.lengths[chosen_SG] + SPECIAL_PER_SEQUENCE
    return [
        _pass(seen, targets, scored, lengths, weight_S1, objective)
        for seen, targets, scored, lengths in zip(
            *(part.split(rows, 1) for part in (seen_SGL, targets_SGL, scored_SGL, lengths_SG)),
            strict=True,
        )
    ]


def _padded_ids(split: DeviceSplit, chosen_G: Tensor, objective: Objective) -> Tensor:
    special = objective.special
    columns_L = torch.arange(objective.max_seq_length, device=chosen_G.device)
    lengths_G1 = split.lengths[chosen_G, None]
    within_GL = torch.minimum((columns_L - 1).clamp(min=0), lengths_G1 - 1)
    ids_GL = split.tokens[split.starts[chosen_G, None] + within_GL].long()
    ids_GL = torch.where(columns_L == lengths_G1 + 1, special.eos, ids_GL)
    ids_GL = torch.where(columns_L > lengths_G1 + 1, special.pad, ids_GL)
    return torch.where(columns_L == 0, special.bos, ids_GL)


def _inputs_and_targets(
    split: DeviceSplit, ids_GL: Tensor, rows_G: Tensor, key: MaskKey, objective: Objective
) -> tuple[Tensor, Tensor, Tensor]:
    special, rule = objective.special, objective.masking
    if objective.is_causal:
        targets_GL = torch.full_like(ids_GL, special.pad)
        targets_GL[:, :-1] = ids_GL[:, 1:]
        scored_GL = targets_GL != special.pad
        if objective.score_padding:
            scored_GL[:, :-1] = True
        return ids_GL, targets_GL, scored_GL
    selected_GL = select_positions(
        ids_GL, rows_G, key, rule, special=special, word_start=split.word_start
    )
    seen_GL = corrupt(
        ids_GL, selected_GL, rows_G, key, rule, special=special, vocab_size=objective.vocab_size
    )
    scored_GL = selected_GL | (ids_GL == special.pad) if objective.score_padding else selected_GL
    return seen_GL, ids_GL, scored_GL


def _pass(
    seen_SBL: Tensor,
    targets_SBL: Tensor,
    scored_SBL: Tensor,
    lengths_SB: Tensor,
    weight_S1: Tensor,
    objective: Objective,
) -> DevicePass:
    positions_SN, is_used_SN = _gather_places(
        scored_SBL.flatten(1), _capacity(scored_SBL[0], objective)
    )
    mask_SBL = None
    if not (objective.attend_padding or objective.is_causal):
        columns_L = torch.arange(seen_SBL.shape[2], device=seen_SBL.device)
        mask_SBL = columns_L < lengths_SB[..., None]
    return DevicePass(
        seen_SBL,
        mask_SBL,
        positions_SN,
        targets_SBL.flatten(1).gather(1, positions_SN),
        is_used_SN.to(torch.float32) * weight_S1,
    )


def _gather_places(scored_ST: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
    """The indices of the scored positions in buffers of fixed size, and which places are used."""
    streams, device = len(scored_ST), scored_ST.device
    rank_ST = scored_ST.cumsum(1) - 1
    # What is not scored, and what no longer fits, goes to one place behind the buffer.
    place_ST = torch.where(scored_ST & (rank_ST < capacity), rank_ST, capacity)
    buffer_SN = torch.zeros(streams, capacity + 1, dtype=torch.int64, device=device)
    buffer_SN.scatter_(
        1, place_ST, torch.arange(scored_ST.shape[1], device=device).expand_as(place_ST)
    )
    used_SN = torch.arange(capacity, device=device) < scored_ST.sum(1, keepdim=True)
    return torch.where(used_SN, buffer_SN[:, :-1], 0), used_SN


def _capacity(scored_BL: Tensor, objective: Objective) -> int:
    """Places for scored positions: all, or the mean with eight standard deviations to spare."""
    total = scored_BL.numel()
    if objective.is_causal or objective.score_padding:
        return total
    rule = objective.masking
    p, columns = rule.mlm_probability, scored_BL.shape[1]
    if rule.fixed_count:
        return min(total, scored_BL.shape[0] * (round(p * columns) + 1))
    # Whole words share a draw: up to `columns` positions at once in the worst case, a few in practice.
    clump = 8.0 if rule.whole_words else 1.0
    spare = _SPARE_DEVIATIONS * math.sqrt(total * p * (1.0 - p) * clump)
    return min(total, math.ceil(total * p + spare))
