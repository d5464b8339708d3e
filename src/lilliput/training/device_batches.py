"""Batches made where the model is: the same sequences and masks as `batches`, in shapes that never change.

Tokens lie on the device; an update needs only the numbers of its sequences and the key of its masks. Every
array has the same shape at every update, so that an update can be captured as a graph: sequences are padded
to `max_seq_length`, and the scored positions fill a buffer whose spare places have weight zero.
Shapes: G sequences of the global batch, B of a pass, L their width, N places for scored positions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.training.batches import GlobalBatch, MicroBatch, Objective
from lilliput.training.masking import MaskKey, corrupt, select_positions
from lilliput.training.sequences import SPECIAL_PER_SEQUENCE, Sequences

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


def expected_counts(
    sequences: Sequences, chosen_G: NDArray[np.int64], objective: Objective
) -> GlobalBatch:
    """What a global batch holds, without its passes; scored positions by expectation.

    Counting them would make the host wait for the device. The share is exact over many updates, and only
    `flops_executed_masked` reads it.
    """
    lengths_G = sequences.lengths[chosen_G] + SPECIAL_PER_SEQUENCE
    tokens, count = int(lengths_G.sum()), len(chosen_G)
    if objective.is_causal:
        scored = tokens - count
    else:
        special = 0 if objective.masking.special_tokens else SPECIAL_PER_SEQUENCE * count
        scored = round(objective.masking.mlm_probability * (tokens - special))
    if objective.score_padding:
        scored += count * objective.max_seq_length - tokens
    return GlobalBatch((), count, tokens, int((lengths_G**2).sum()), scored)


def device_batch(
    split: DeviceSplit, chosen_G: Tensor, key: MaskKey, objective: Objective, rows: int
) -> list[MicroBatch]:
    """The passes of one global batch, in shapes that depend on G and `rows` alone.

    Args:
        split: Where the tokens lie.
        chosen_G: Numbers of the sequences, int64 on the device.
        key: Of the masks; its halves may be tensors.
        objective: What is predicted.
        rows: Sequences in one pass at most.
    """
    ids_GL = _padded_ids(split, chosen_G, objective)
    seen_GL, targets_GL, scored_GL = _inputs_and_targets(split, ids_GL, key, objective)
    weight = 1.0 / scored_GL.sum().clamp(min=1).to(torch.float32)
    lengths_G = split.lengths[chosen_G] + SPECIAL_PER_SEQUENCE
    return [
        _pass(seen, targets, scored, lengths, weight, objective)
        for seen, targets, scored, lengths in zip(
            *(part.split(rows) for part in (seen_GL, targets_GL, scored_GL, lengths_G)), strict=True
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
    split: DeviceSplit, ids_GL: Tensor, key: MaskKey, objective: Objective
) -> tuple[Tensor, Tensor, Tensor]:
    special, rule = objective.special, objective.masking
    if objective.is_causal:
        targets_GL = torch.full_like(ids_GL, special.pad)
        targets_GL[:, :-1] = ids_GL[:, 1:]
        scored_GL = targets_GL != special.pad
        if objective.score_padding:
            scored_GL[:, :-1] = True
        return ids_GL, targets_GL, scored_GL
    rows_G = torch.arange(ids_GL.shape[0], device=ids_GL.device)
    selected_GL = select_positions(
        ids_GL, rows_G, key, rule, special=special, word_start=split.word_start
    )
    seen_GL = corrupt(
        ids_GL, selected_GL, rows_G, key, rule, special=special, vocab_size=objective.vocab_size
    )
    scored_GL = selected_GL | (ids_GL == special.pad) if objective.score_padding else selected_GL
    return seen_GL, ids_GL, scored_GL


def _pass(
    seen_BL: Tensor,
    targets_BL: Tensor,
    scored_BL: Tensor,
    lengths_B: Tensor,
    weight: Tensor,
    objective: Objective,
) -> MicroBatch:
    positions_N, is_used_N = _gather_places(scored_BL.flatten(), _capacity(scored_BL, objective))
    mask_BL = None
    if not (objective.attend_padding or objective.is_causal):
        mask_BL = torch.arange(seen_BL.shape[1], device=seen_BL.device) < lengths_B[:, None]
    return MicroBatch(
        seen_BL,
        mask_BL,
        None,
        positions_N,
        targets_BL.flatten()[positions_N],
        is_used_N.to(torch.float32) * weight,
        _NO_ROWS,
    )


def _gather_places(scored: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
    """The indices of the scored positions in a buffer of fixed size, and which places are used."""
    rank = scored.cumsum(0) - 1
    # What is not scored, and what no longer fits, goes to one place behind the buffer.
    place = torch.where(scored & (rank < capacity), rank, capacity)
    buffer = torch.zeros(capacity + 1, dtype=torch.int64, device=scored.device)
    buffer.scatter_(0, place, torch.arange(len(scored), device=scored.device))
    used = torch.arange(capacity, device=scored.device) < scored.sum()
    return torch.where(used, buffer[:-1], 0), used


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
