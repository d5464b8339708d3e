"""Global batches as a function of (seed, step): sequences, masks, buckets, and the weight of each target.

Shapes: G sequences of the global batch, B of a micro-batch, L their width, N scored positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.tokenization import SpecialIds
from lilliput.training.buckets import length_buckets
from lilliput.training.masking import MaskingRule, MaskKey, corrupt, select_positions
from lilliput.training.sequences import SPECIAL_PER_SEQUENCE, Sequences, padded_ids


@dataclass(frozen=True)
class Objective:
    """What is predicted, and what counts.

    Attributes:
        is_causal: Each next token is predicted; otherwise masked ones.
        masking: How masked-LM inputs are corrupted.
        score_padding: Pads are targets too (S:B1).
        attend_padding: No attention mask is given (S:B2).
        max_seq_length: Widest sequence, and the width of all where pads count.
        vocab_size: Ids.
        special: Ids of the special tokens.
        word_start: Whether an id begins a word, bool of shape (vocab_size,).
    """

    is_causal: bool
    masking: MaskingRule
    score_padding: bool
    attend_padding: bool
    max_seq_length: int
    vocab_size: int
    special: SpecialIds
    word_start: NDArray[np.bool_]

    @property
    def pads_to_max(self) -> bool:
        """Whether every sequence is padded to `max_seq_length`."""
        return self.score_padding or self.attend_padding


@dataclass(frozen=True)
class MicroBatch:
    """What one forward pass reads.

    Attributes:
        input_ids_BL: Ids with pads, int64.
        attention_mask_BL: True where a token may be attended to; None when all may.
        positions_N: Scored positions as indices into the flattened (B * L) positions.
        targets_N: Their ids, int64.
        weights_N: Their weights, float32; over a global batch they sum to one.
        rows_N: Place in the global batch of the sequence each belongs to.
    """

    input_ids_BL: Tensor
    attention_mask_BL: Tensor | None
    positions_N: Tensor
    targets_N: Tensor
    weights_N: Tensor
    rows_N: NDArray[np.int64]

    def to(self, device: torch.device) -> MicroBatch:
        """The same on another device."""
        mask = self.attention_mask_BL
        return MicroBatch(
            self.input_ids_BL.to(device),
            None if mask is None else mask.to(device),
            self.positions_N.to(device),
            self.targets_N.to(device),
            self.weights_N.to(device),
            self.rows_N,
        )


@dataclass(frozen=True)
class GlobalBatch:
    """The micro-batches of one update and what they hold, pads not counted.

    Attributes:
        micro_batches: Forward passes.
        sequences: Sequences.
        tokens: Input tokens.
        squared_lengths: Sum of the squared lengths, which attention pays for.
        scored: Scored positions, scored pads among them.
    """

    micro_batches: Sequence[MicroBatch]
    sequences: int
    tokens: int
    squared_lengths: int
    scored: int


@dataclass(frozen=True)
class Grouping:
    """How a global batch is cut into forward passes; no loss depends on it.

    Attributes:
        max_rows: Sequences in one forward pass at most.
        overhead_tokens: Fixed cost of a pass in tokens; large values give few, wide passes.
    """

    max_rows: int
    overhead_tokens: int


@dataclass(frozen=True)
class Averaging:
    """Micro-batches whose means are averaged, instead of all scored positions (S:B5).

    Attributes:
        rows: Sequences of a micro-batch.
        parts: Micro-batches the mean is divided by, also where fewer came.
    """

    rows: int
    parts: int


def make_batch(
    sequences: Sequences,
    chosen_G: NDArray[np.int64],
    key: MaskKey,
    objective: Objective,
    grouping: Grouping,
    *,
    averaging: Averaging | None = None,
    groups: list[tuple[NDArray[np.int64], int]] | None = None,
) -> GlobalBatch:
    """The global batch of the sequences `chosen_G`.

    Args:
        sequences: The split.
        chosen_G: Which sequences, in order.
        key: Of the masks.
        objective: What is predicted.
        grouping: How forward passes are formed.
        averaging: Average micro-batches alone; None averages over all scored positions.
        groups: Rows and width of each forward pass; None lets `grouping` choose them.
    """
    lengths_G = sequences.lengths[chosen_G] + SPECIAL_PER_SEQUENCE
    width = objective.max_seq_length if objective.pads_to_max else int(lengths_G.max())
    if groups is None:
        groups = pass_groups(lengths_G, width, objective, grouping)
    ids_GL = padded_ids(sequences, chosen_G, max(w for _, w in groups), objective.special)
    seen_GL, targets_GL, scored_GL = _inputs_and_targets(ids_GL, key, objective)
    weights_G = _row_weights(scored_GL.sum(1), averaging)
    micro_batches = [
        _micro_batch(
            rows,
            bucket,
            objective,
            lengths_G=lengths_G,
            seen_GL=seen_GL,
            targets_GL=targets_GL,
            scored_GL=scored_GL,
            weights_G=weights_G,
        )
        for rows, bucket in groups
    ]
    return GlobalBatch(
        micro_batches,
        sequences=len(chosen_G),
        tokens=int(lengths_G.sum()),
        squared_lengths=int((lengths_G**2).sum()),
        scored=int(scored_GL.sum()),
    )


def _inputs_and_targets(
    ids_GL: NDArray[np.int64], key: MaskKey, objective: Objective
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """What the model sees, the id to predict at each position, and which positions are scored."""
    pad = objective.special.pad
    if objective.is_causal:
        targets_GL = np.full_like(ids_GL, pad)
        targets_GL[:, :-1] = ids_GL[:, 1:]
        scored_GL = targets_GL != pad
        if objective.score_padding:
            scored_GL[:, :-1] = True
        return ids_GL, targets_GL, scored_GL
    rows_G = np.arange(len(ids_GL), dtype=np.int64)
    rule, special = objective.masking, objective.special
    selected_GL = select_positions(
        ids_GL, rows_G, key, rule, special=special, word_start=objective.word_start
    )
    seen_GL = corrupt(
        ids_GL, selected_GL, rows_G, key, rule, special=special, vocab_size=objective.vocab_size
    )
    scored_GL = selected_GL | (ids_GL == pad) if objective.score_padding else selected_GL
    return seen_GL, ids_GL, scored_GL


def _row_weights(counts_G: NDArray[Any], averaging: Averaging | None) -> NDArray[np.float32]:
    """The weight of each scored position of each row."""
    if averaging is None:
        return np.full(len(counts_G), 1.0 / max(1, int(counts_G.sum())), dtype=np.float32)
    part_G = np.arange(len(counts_G)) // averaging.rows
    totals = np.maximum(np.bincount(part_G, weights=counts_G), 1.0)
    return (1.0 / (totals * averaging.parts))[part_G].astype(np.float32)


def pass_groups(
    lengths_G: NDArray[np.int64], width: int, objective: Objective, grouping: Grouping
) -> list[tuple[NDArray[np.int64], int]]:
    """Rows and width of each forward pass over sequences of these lengths, none wider than `width`."""
    if objective.pads_to_max:
        parts = -(-len(lengths_G) // grouping.max_rows)
        return [(rows, width) for rows in np.array_split(np.arange(len(lengths_G)), parts)]
    return length_buckets(
        lengths_G,
        max_rows=grouping.max_rows,
        max_width=width,
        overhead_tokens=grouping.overhead_tokens,
    )


def _micro_batch(
    rows: NDArray[np.int64],
    width: int,
    objective: Objective,
    *,
    lengths_G: NDArray[np.int64],
    seen_GL: NDArray[np.int64],
    targets_GL: NDArray[np.int64],
    scored_GL: NDArray[np.bool_],
    weights_G: NDArray[np.float32],
) -> MicroBatch:
    positions_N = np.flatnonzero(scored_GL[rows, :width])
    rows_N = rows[positions_N // width]
    return MicroBatch(
        torch.from_numpy(seen_GL[rows, :width]),
        _attention_mask(lengths_G[rows], width, objective),
        torch.from_numpy(positions_N),
        torch.from_numpy(targets_GL[rows_N, positions_N % width]),
        torch.from_numpy(weights_G[rows_N]),
        rows_N,
    )


def _attention_mask(
    lengths_B: NDArray[np.int64], width: int, objective: Objective
) -> Tensor | None:
    # In a causal model pads stand behind all tokens, where no token looks.
    if objective.attend_padding or objective.is_causal or int(lengths_B.min()) == width:
        return None
    return torch.from_numpy(np.arange(width) < lengths_B[:, None])
