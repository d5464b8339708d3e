"""Make global batches from (seed, step): sequences, masks, rows, and the weight of each target.

Shapes: G sequences of the global batch, B rows of a micro-batch, L their width, N predicted positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from lilliput.tokenization import SpecialIds
from lilliput.training.data.packing import Packing, one_a_row, pack, row_width
from lilliput.training.data.sequences import SPECIAL_PER_SEQUENCE, Sequences, padded_ids
from lilliput.training.objectives.base import DrawKey, Objective, Targets, TokenFacts

_QUERIES = 16  # Queries of a row are rounded up to these.


@dataclass(frozen=True)
class BatchRules:
    """Say how the sequences of a run become batches.

    Attributes:
        objective: What the model sees of a sequence and predicts.
        facts: Special ids and beginnings of words.
        max_seq_length: Widest sequence, and the width of all where pads count.
        is_bidirectional: Tokens see both sides: pads must be hidden from them, and the last layer can be
            computed at the predicted positions alone.
        score_padding: Pads are predicted too (S:B1).
        attend_padding: No attention mask is given (S:B2).
    """

    objective: Objective
    facts: TokenFacts
    max_seq_length: int
    is_bidirectional: bool
    score_padding: bool
    attend_padding: bool

    @property
    def special(self) -> SpecialIds:
        """Return ids of the special tokens."""
        return self.facts.special

    @property
    def pads_to_max(self) -> bool:
        """Return whether every sequence is padded to `max_seq_length`."""
        return self.score_padding or self.attend_padding

    @property
    def hides_pads(self) -> bool:
        """Return whether pads need an attention mask; behind a causal model's tokens nobody looks at them."""
        return self.is_bidirectional and not self.attend_padding

    def targets(self, ids_GL: Any, rows_G: Any, key: DrawKey, facts: TokenFacts) -> Targets:
        """Return what the objective makes of padded sequences; with `score_padding` pads are predicted too."""
        made = self.objective.targets(ids_GL, rows_G, key, facts)
        if not self.score_padding:
            return made
        is_pad_GL = made.targets_GL == self.special.pad
        return made._replace(is_predicted_GL=made.is_predicted_GL | is_pad_GL)


@dataclass(frozen=True)
class DeviceTensors:
    """Hold tensors that lie on one device, and other facts beside them."""

    def to(self, device: str) -> Self:
        """Return the same on another device."""
        moved = {
            name: part.to(device) for name, part in vars(self).items() if isinstance(part, Tensor)
        }
        return replace(self, **moved)


@dataclass(frozen=True)
class MicroBatch(DeviceTensors):
    """Hold what one forward pass reads.

    Attributes:
        input_ids_BL: Ids with pads, int64.
        attention_mask: True where a token may be attended to, (B, L), or who sees whom where a row holds
            several sequences, (B, L, L); None when all may.
        position_ids_BL: Place of each token in its sequence; None where each row holds one.
        positions_N: Predicted positions as indices into the flattened (B * L) positions.
        targets_N: Their ids, int64.
        weights_N: Their weights, float32; over a global batch they sum to one.
        rows_N: Place in the global batch of the sequence each belongs to.
        queries_BQ: The same number Q of positions of each row, all predicted ones among them, as indices into
            the flattened positions; None: all positions.
        slots_N: Where each predicted position stands among these B * Q.
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

    def with_spare(self, spare: int) -> MicroBatch:
        """Return the same with as many more predicted positions, at place 0 and of weight zero."""
        positions_N, targets_N, weights_N = (
            functional.pad(part_N, (0, spare))
            for part_N in (self.positions_N, self.targets_N, self.weights_N)
        )
        slots_N = None if self.slots_N is None else functional.pad(self.slots_N, (0, spare))
        return replace(
            self,
            positions_N=positions_N,
            targets_N=targets_N,
            weights_N=weights_N,
            slots_N=slots_N,
        )


@dataclass(frozen=True)
class GlobalBatch:
    """Hold the micro-batches of one step, and counts of what they hold without pads.

    Attributes:
        micro_batches: Shares of the step, each read at once.
        sequences: Sequences.
        tokens: Input tokens.
        squared_lengths: Sum of the squared lengths, which attention pays for.
        predicted: Predicted positions, predicted pads among them.
    """

    micro_batches: Sequence[MicroBatch]
    sequences: int
    tokens: int
    squared_lengths: int
    predicted: int


@dataclass(frozen=True)
class MicroBatchAveraging:
    """Average the means of micro-batches instead of all predicted positions, as the published code does (defect B5).

    Attributes:
        rows: Sequences of a micro-batch.
        parts: Micro-batches the mean is divided by, also where fewer came.
    """

    rows: int
    parts: int


def make_batch(
    sequences: Sequences,
    chosen_G: NDArray[np.int64],
    key: DrawKey,
    rules: BatchRules,
    max_rows: int,
    *,
    multiple_of: int = 1,
    averaging: MicroBatchAveraging | None = None,
    packing: Packing | None = None,
) -> GlobalBatch:
    """Return the global batch of the sequences `chosen_G`.

    Args:
        sequences: The split.
        chosen_G: Which sequences, in order.
        key: Of the masks.
        rules: Objective, pads and width.
        max_rows: Rows of one forward pass at most; no loss depends on it.
        multiple_of: Micro-batches come in multiples of this, where there are as many rows.
        averaging: Average micro-batches alone; None averages over all predicted positions.
        packing: Where each sequence lies; None: packed, or one a row where pads count.
    """
    lengths_G = sequences.lengths[chosen_G] + SPECIAL_PER_SEQUENCE
    if packing is None:
        packing = _pack_sequences(lengths_G, rules)
    ids_GL = padded_ids(sequences, chosen_G, packing.width, rules.special)
    rows_G = np.arange(len(ids_GL), dtype=np.int64)
    seen_GL, targets_GL, predicted_GL = rules.targets(ids_GL, rows_G, key, rules.facts)
    rows = _Rows(packing, lengths_G, rules)
    weights_G = _row_weights(predicted_GL.sum(1), averaging)
    parts = -(-packing.rows // max_rows)
    parts = min(packing.rows, -(-parts // multiple_of) * multiple_of)
    micro_batches = rows.cut(
        rows.lay(seen_GL), rows.lay(targets_GL), rows.lay(predicted_GL), weights_G, parts
    )
    return GlobalBatch(
        micro_batches,
        sequences=len(chosen_G),
        tokens=int(lengths_G.sum()),
        squared_lengths=int((lengths_G**2).sum()),
        predicted=int(predicted_GL.sum()),
    )


def _pack_sequences(lengths_G: NDArray[np.int64], rules: BatchRules) -> Packing:
    """Return rows for sequences of these lengths: packed, or one a row where pads count."""
    if rules.pads_to_max:
        return one_a_row(len(lengths_G), rules.max_seq_length)
    return pack(lengths_G, row_width(int(lengths_G.max()), rules.max_seq_length))


def _row_weights(
    counts_G: NDArray[Any], averaging: MicroBatchAveraging | None
) -> NDArray[np.float32]:
    """Return the weight of each predicted position of each row."""
    if averaging is None:
        return np.full(len(counts_G), 1.0 / max(1, int(counts_G.sum())), dtype=np.float32)
    part_G = np.arange(len(counts_G)) // averaging.rows
    totals = np.maximum(np.bincount(part_G, weights=counts_G), 1.0)
    return (1.0 / (totals * averaging.parts))[part_G].astype(np.float32)


class _Rows:
    """Fill the P rows of a global batch as the packing says."""

    def __init__(self, packing: Packing, lengths_G: NDArray[np.int64], rules: BatchRules) -> None:
        self._packing, self._rules = packing, rules
        # Where pads count, a sequence brings its own.
        filled_G = np.full_like(lengths_G, packing.width) if rules.pads_to_max else lengths_G
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
        """Return what each sequence has at each place, in the rows; pads where no sequence lies."""
        fill = False if array_GL.dtype == np.bool_ else self._rules.special.pad
        return self._put(array_GL[self._sequence_T, self._within_T], fill)

    def cut(
        self,
        seen_PL: NDArray[np.int64],
        targets_PL: NDArray[np.int64],
        predicted_PL: NDArray[np.bool_],
        weights_G: NDArray[np.float32],
        parts: int,
    ) -> list[MicroBatch]:
        """Return equal parts of the rows, so that no forward pass is left with a few."""
        micro_batches: list[MicroBatch] = []
        for rows in np.array_split(np.arange(self._packing.rows), parts):
            positions_N = np.flatnonzero(predicted_PL[rows])
            queries = None, None
            if self._rules.is_bidirectional:
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
        """Return the attention mask of some rows, and the places of their tokens."""
        if self._company_P[rows].any():
            owner_BL = torch.from_numpy(self._owner_PL[rows])
            mask_BLL = owner_BL[:, :, None] == owner_BL[:, None, :]
            return mask_BLL, torch.from_numpy(self._places_PL[rows])
        visible_BL = self._visible_PL[rows]
        if not self._rules.hides_pads or visible_BL.all():
            return None, None
        return torch.from_numpy(visible_BL), None


def _queries(
    positions_N: NDArray[np.int64], rows: int, width: int
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Return `queries_BQ` and `slots_N` of predicted positions in order; None where they are most of a row."""
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
