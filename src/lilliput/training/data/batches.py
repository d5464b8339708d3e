"""Global batches as a function of (seed, step): sequences, masks, rows, and the weight of each target.

Shapes: G sequences of the global batch, B rows of a micro-batch, L their width, N scored positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lilliput.tokenization import SpecialIds
from lilliput.training.data.masking import MaskingRule, MaskKey, corrupt, select_positions
from lilliput.training.data.packing import Packing, one_a_row, pack, row_width
from lilliput.training.data.sequences import SPECIAL_PER_SEQUENCE, Sequences, padded_ids

_QUERIES = 16  # Queries of a row are rounded up to these.


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
class OnDevice:
    """Tensors that lie on one device, and other facts beside them."""

    def to(self, device: str) -> Self:
        """The same on another device."""
        moved = {
            name: part.to(device) for name, part in vars(self).items() if isinstance(part, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class MicroBatch(OnDevice):
    """What one forward pass reads.

    Attributes:
        input_ids_BL: Ids with pads, int64.
        attention_mask: True where a token may be attended to, (B, L), or who sees whom where a row holds
            several sequences, (B, L, L); None when all may.
        position_ids_BL: Place of each token in its sequence; None where each row holds one.
        positions_N: Scored positions as indices into the flattened (B * L) positions.
        targets_N: Their ids, int64.
        weights_N: Their weights, float32; over a global batch they sum to one.
        rows_N: Place in the global batch of the sequence each belongs to.
        queries_BQ: As many positions of each row, the scored ones among them, as indices likewise; None: all.
        slots_N: Where each scored position stands among these B * Q.
    """

    input_ids_BL: Tensor
    attention_mask: Tensor | None
    position_ids_BL: Tensor | None
    positions_N: Tensor
    targets_N: Tensor
    weights_N: Tensor
    rows_N: NDArray[np.int64]
    queries_BQ: Tensor | None = None
    slots_N: Tensor | None = None


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
    max_rows: int,
    *,
    multiple_of: int = 1,
    averaging: Averaging | None = None,
    packing: Packing | None = None,
) -> GlobalBatch:
    """The global batch of the sequences `chosen_G`.

    Args:
        sequences: The split.
        chosen_G: Which sequences, in order.
        key: Of the masks.
        objective: What is predicted.
        max_rows: Rows of one forward pass at most; no loss depends on it.
        multiple_of: Passes come in multiples of this, where there are as many rows.
        averaging: Average micro-batches alone; None averages over all scored positions.
        packing: Where each sequence lies; None: packed, or one a row where pads count.
    """
    lengths_G = sequences.lengths[chosen_G] + SPECIAL_PER_SEQUENCE
    if packing is None:
        packing = _pack_sequences(lengths_G, objective)
    ids_GL = padded_ids(sequences, chosen_G, packing.width, objective.special)
    seen_GL, targets_GL, scored_GL = _inputs_and_targets(ids_GL, key, objective)
    rows = _Rows(packing, lengths_G, objective)
    weights_G = _row_weights(scored_GL.sum(1), averaging)
    parts = -(-packing.rows // max_rows)
    parts = min(packing.rows, -(-parts // multiple_of) * multiple_of)
    micro_batches = rows.passes(
        rows.lay(seen_GL), rows.lay(targets_GL), rows.lay(scored_GL), weights_G, parts
    )
    return GlobalBatch(
        micro_batches,
        sequences=len(chosen_G),
        tokens=int(lengths_G.sum()),
        squared_lengths=int((lengths_G**2).sum()),
        scored=int(scored_GL.sum()),
    )


def _pack_sequences(lengths_G: NDArray[np.int64], objective: Objective) -> Packing:
    """Rows for sequences of these lengths: packed, or one a row where pads count."""
    if objective.pads_to_max:
        return one_a_row(len(lengths_G), objective.max_seq_length)
    return pack(lengths_G, row_width(int(lengths_G.max()), objective.max_seq_length))


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


class _Rows:
    """The rows of a global batch, P of them, filled as the packing says."""

    def __init__(
        self, packing: Packing, lengths_G: NDArray[np.int64], objective: Objective
    ) -> None:
        self._packing, self._objective = packing, objective
        # Where pads count, a sequence brings its own.
        filled_G = np.full_like(lengths_G, packing.width) if objective.pads_to_max else lengths_G
        self._sequence_T = np.repeat(np.arange(len(lengths_G)), filled_G)
        firsts_G = np.cumsum(filled_G) - filled_G
        self._within_T = np.arange(len(self._sequence_T)) - firsts_G[self._sequence_T]
        starts_G = packing.row_G * packing.width + packing.start_G
        self._cell_T = starts_G[self._sequence_T] + self._within_T
        is_token_T = self._within_T < lengths_G[self._sequence_T]
        self._owner_PL = self._put(self._sequence_T, -1)
        self._visible_PL = self._put(is_token_T, fill=False)
        self._places_PL = self._put(self._within_T, 0)
        self._company_P = np.bincount(packing.row_G, minlength=packing.rows) > 1

    def _put(self, values_T: NDArray[Any], fill: object) -> NDArray[Any]:
        packing = self._packing
        flat = np.full(packing.rows * packing.width, fill, dtype=values_T.dtype)
        flat[self._cell_T] = values_T
        return flat.reshape(packing.rows, packing.width)

    def lay(self, array_GL: NDArray[Any]) -> NDArray[Any]:
        """What each sequence has at each place, in the rows; pads where no sequence lies."""
        fill = False if array_GL.dtype == np.bool_ else self._objective.special.pad
        return self._put(array_GL[self._sequence_T, self._within_T], fill)

    def passes(
        self,
        seen_PL: NDArray[np.int64],
        targets_PL: NDArray[np.int64],
        scored_PL: NDArray[np.bool_],
        weights_G: NDArray[np.float32],
        parts: int,
    ) -> list[MicroBatch]:
        """Equal parts of the rows, so that no forward pass is left with a few."""
        micro_batches: list[MicroBatch] = []
        for rows in np.array_split(np.arange(self._packing.rows), parts):
            positions_N = np.flatnonzero(scored_PL[rows])
            queries = None, None
            if not self._objective.is_causal:
                queries = _queries(positions_N, len(rows), self._packing.width)
            sequences_N = self._owner_PL[rows].reshape(-1)[positions_N]
            mask, places_BL = self._who_sees_whom(rows)
            micro_batches.append(
                MicroBatch(
                    torch.from_numpy(seen_PL[rows]),
                    mask,
                    places_BL,
                    torch.from_numpy(positions_N),
                    torch.from_numpy(targets_PL[rows].reshape(-1)[positions_N]),
                    torch.from_numpy(weights_G[sequences_N]),
                    sequences_N,
                    *queries,
                )
            )
        return micro_batches

    def _who_sees_whom(self, rows: NDArray[np.int64]) -> tuple[Tensor | None, Tensor | None]:
        """The attention mask of some rows, and the places of their tokens."""
        if self._objective.attend_padding:
            return None, None
        if self._company_P[rows].any():
            owner_BL = torch.from_numpy(self._owner_PL[rows])
            mask_BLL = owner_BL[:, :, None] == owner_BL[:, None, :]
            return mask_BLL, torch.from_numpy(self._places_PL[rows])
        visible_BL = self._visible_PL[rows]
        # In a causal model pads stand behind all tokens, where no token looks.
        if self._objective.is_causal or visible_BL.all():
            return None, None
        return torch.from_numpy(visible_BL), None


def _queries(
    positions_N: NDArray[np.int64], rows: int, width: int
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """`queries_BQ` and `slots_N` of scored positions in order; None where they are most of a row."""
    row_N = positions_N // width
    counts_B = np.bincount(row_N, minlength=rows)
    # Few different numbers, for the sake of libraries that prepare each shape.
    most = -(-int(counts_B.max()) // _QUERIES) * _QUERIES
    if 2 * most > width:
        return None, None
    rank_N = np.arange(len(positions_N)) - (np.cumsum(counts_B) - counts_B)[row_N]
    slots_N = row_N * most + rank_N
    queries_BQ = np.repeat(np.arange(rows) * width, most)
    queries_BQ[slots_N] = positions_N
    return torch.from_numpy(queries_BQ.reshape(rows, most)), torch.from_numpy(slots_N)
