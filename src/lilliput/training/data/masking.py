"""Which positions are predicted and what the model sees there, as a function of a key.

The draw at (row, column) depends on the key, the row's place in the global batch and the column alone:
rows, micro-batches and devices do not change it. The functions use operators that NumPy arrays and
torch tensors share, so that masks drawn on an accelerator have the same bits.
Shapes: B sequences, L their common width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lilliput.core.seeding import stream_key
from lilliput.tokenization import SpecialIds
from lilliput.training.data.order import mix32

_RANGE = 1 << 32
_ROW_STRIDE = 0x9E3779B1


@dataclass(frozen=True)
class MaskingRule:
    """How masked-LM inputs are corrupted.

    Attributes:
        mlm_probability: Share of eligible positions selected for prediction.
        mask_replace_prob: Share of the selected that becomes `<mask>`.
        random_replace_prob: Share of the selected that becomes a random ordinary token; the rest stays.
        whole_words: All tokens of a word share one draw.
        fixed_count: Each sequence has exactly round(p * eligible) selected positions, at least one.
        special_tokens: `<s>` and `</s>` may be selected (S:B9); pads never are.
    """

    mlm_probability: float = 0.15
    mask_replace_prob: float = 1.0
    random_replace_prob: float = 0.0
    whole_words: bool = False
    fixed_count: bool = False
    special_tokens: bool = False


@dataclass(frozen=True)
class MaskKey:
    """Two 32-bit halves of the key of one draw: integers, or columns (B, 1) with a key for each row."""

    select: Any
    replace: Any

    @classmethod
    def of(cls, seed: int, *names: str | int) -> MaskKey:
        """The key of the stream called `names` under `seed`."""
        key = stream_key(seed, "masks", *names)
        return cls(key & 0xFFFFFFFF, key >> 32)


def select_positions(
    ids_BL: Any,
    rows_B: Any,
    key: MaskKey,
    rule: MaskingRule,
    *,
    special: SpecialIds,
    word_start: Any,
) -> Any:
    """Which positions are predicted, bool of shape (B, L).

    Args:
        ids_BL: Uncorrupted ids with pads.
        rows_B: Place of each row in the global batch.
        key: Of this step or this evaluation.
        rule: Rate and options.
        special: Ids of the special tokens.
        word_start: Whether an id begins a word, bool of shape (vocab_size,); read for whole words only.
    """
    eligible_BL = ids_BL != special.pad if rule.special_tokens else ids_BL >= special.count
    unit_BL = _word_numbers(ids_BL, special, word_start) if rule.whole_words else _columns(ids_BL)
    row_key_B1 = mix32(rows_B[:, None] * _ROW_STRIDE + key.select)
    draws_BL = mix32(row_key_B1 + unit_BL * _ROW_STRIDE)
    if rule.fixed_count:
        return _lowest_draws(draws_BL, eligible_BL, rule.mlm_probability)
    return eligible_BL & (draws_BL < round(rule.mlm_probability * _RANGE))


def corrupt(
    ids_BL: Any,
    selected_BL: Any,
    rows_B: Any,
    key: MaskKey,
    rule: MaskingRule,
    *,
    special: SpecialIds,
    vocab_size: int,
) -> Any:
    """What the model sees: `ids_BL` with the selected positions replaced as the rule says."""
    if rule.mask_replace_prob == 1.0:
        return _where(selected_BL, special.mask, ids_BL)
    row_key_B1 = mix32(rows_B[:, None] * _ROW_STRIDE + key.replace)
    draws_BL = mix32(row_key_B1 + _columns(ids_BL) * _ROW_STRIDE)
    random_BL = special.count + mix32(draws_BL ^ key.replace) % (vocab_size - special.count)
    mask_below = round(rule.mask_replace_prob * _RANGE)
    random_below = round((rule.mask_replace_prob + rule.random_replace_prob) * _RANGE)
    seen_BL = _where(selected_BL & (draws_BL < random_below), random_BL, ids_BL)
    return _where(selected_BL & (draws_BL < mask_below), special.mask, seen_BL)


def _columns(ids_BL: Any) -> Any:
    if isinstance(ids_BL, np.ndarray):
        return np.arange(ids_BL.shape[1], dtype=np.int64)
    return ids_BL.new_ones(ids_BL.shape[1]).cumsum(0) - 1


def _word_numbers(ids_BL: Any, special: SpecialIds, word_start: Any) -> Any:
    begins_BL = word_start[ids_BL] | (ids_BL < special.count)
    return begins_BL.cumsum(1)


def _lowest_draws(draws_BL: Any, eligible_BL: Any, probability: float) -> Any:
    """The round(p * eligible) eligible positions of each row with the lowest draws."""
    # Ineligible positions come last; ties are broken by the column, which is added below the draw.
    width = draws_BL.shape[1]
    keys_BL = (draws_BL + _where(eligible_BL, 0, _RANGE)) * width + _columns(draws_BL)
    ranks_BL = keys_BL.argsort(1).argsort(1)
    eligible_B1 = eligible_BL.sum(1)[:, None]
    wanted_B1 = (eligible_B1 * round(probability * _RANGE) + _RANGE // 2) // _RANGE
    return eligible_BL & (ranks_BL < wanted_B1 + (wanted_B1 == 0))


def _where(condition: Any, yes: Any, no: Any) -> Any:
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    import torch

    return torch.where(condition, yes, no)
