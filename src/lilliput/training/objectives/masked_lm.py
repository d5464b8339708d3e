"""Masked language modelling: which positions are predicted and what the model sees there, as a function of a key.

The draw at (row, column) depends on the key, the row's place in the global batch and the column alone:
rows, micro-batches and devices do not change it. The functions use operators that NumPy arrays and
torch tensors share, so that masks drawn on an accelerator have the same bits.
Shapes: B sequences, L their common width.

A worked case: ids `<s> the cat sat </s>` with mlm_probability 0.5 have three eligible positions, 1 to 3. Their
draws are 32-bit numbers, here 0.31, 0.77 and 0.12 of 2**32: those below 0.5 are selected, so positions 1 and
3, and the model sees `<s> <mask> cat <mask> </s>`. With fixed_count, round(0.5 * 3) = 2 positions have the
lowest draws: the same two here, and always two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lilliput.architecture import ModelConfig
from lilliput.core.seeding import mix32
from lilliput.tokenization import SpecialIds
from lilliput.training.objectives.base import (
    DrawKey,
    Objective,
    Targets,
    TokenFacts,
    columns,
    register_objective,
    where,
)

if TYPE_CHECKING:
    from lilliput.training.config import TrainingConfig

_RANGE = 1 << 32
_ROW_STRIDE = 0x9E3779B1
_SPECIAL_PER_SEQUENCE = 2
# A draw exceeds its mean by this many standard deviations once in 1e15 batches.
_SPARE_DEVIATIONS = 8.0


@dataclass(frozen=True)
class MaskingRule:
    """Say how masked-LM inputs are corrupted.

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


@register_objective
class MaskedLM(Objective):
    """Predict a random share of the tokens from all the others."""

    name = "masked_lm"
    description = "A random share of the tokens is hidden and predicted from all the others."
    needs_causal_model = False

    def __init__(self, model: ModelConfig, training: TrainingConfig) -> None:
        super().__init__(model, training)
        self.rule = MaskingRule(
            mlm_probability=training.mlm_probability,
            mask_replace_prob=training.mask_replace_prob,
            random_replace_prob=training.random_replace_prob,
            whole_words=training.whole_word_mask,
            fixed_count=training.fixed_mask_count,
            special_tokens=training.switches.mask_special_tokens,
        )

    def targets(self, ids_GL: Any, rows_G: Any, key: DrawKey, facts: TokenFacts) -> Targets:
        """Return the ids with the selected positions hidden, and the ids themselves as targets."""
        selected_GL = select_positions(
            ids_GL, rows_G, key, self.rule, special=facts.special, word_start=facts.word_start
        )
        seen_GL = corrupt(
            ids_GL, selected_GL, rows_G, key, self.rule,
            special=facts.special, vocab_size=facts.vocab_size,
        )  # fmt: skip
        return Targets(seen_GL, ids_GL, selected_GL)

    @property
    def predicted_share(self) -> float:
        """Return the recipe's `mlm_probability`."""
        return self.rule.mlm_probability

    def expected_predictions(self, tokens: int, sequences: int) -> int:
        """Return that share of the tokens that may be selected: `<s>` and `</s>` only under their switch."""
        never = 0 if self.rule.special_tokens else _SPECIAL_PER_SEQUENCE * sequences
        return round(self.predicted_share * (tokens - never))

    def most_predictions(self, rows: int, width: int) -> int:
        """Return the mean number of selected positions with eight standard deviations to spare."""
        rule, total = self.rule, rows * width
        p = rule.mlm_probability
        if rule.fixed_count:
            return min(total, rows * (math.ceil(p * width) + 1))
        # Whole words share a draw: up to `width` positions at once in the worst case, a few in practice.
        clump = 8.0 if rule.whole_words else 1.0
        spare = _SPARE_DEVIATIONS * math.sqrt(total * p * (1.0 - p) * clump)
        return min(total, math.ceil(total * p + spare))


def select_positions(
    ids_BL: Any,
    rows_B: Any,
    key: DrawKey,
    rule: MaskingRule,
    *,
    special: SpecialIds,
    word_start: Any,
) -> Any:
    """Return which positions are predicted, bool of shape (B, L).

    Args:
        ids_BL: Uncorrupted ids with pads.
        rows_B: Place of each row in the global batch.
        key: Of this step or this evaluation.
        rule: Rate and options.
        special: Ids of the special tokens.
        word_start: Whether an id begins a word, bool of shape (vocab_size,); read for whole words only.
    """
    eligible_BL = ids_BL != special.pad if rule.special_tokens else ids_BL >= special.count
    unit_BL = _word_numbers(ids_BL, special, word_start) if rule.whole_words else columns(ids_BL)
    row_key_B1 = mix32(rows_B[:, None] * _ROW_STRIDE + key.select)
    draws_BL = mix32(row_key_B1 + unit_BL * _ROW_STRIDE)
    if rule.fixed_count:
        return _lowest_draws(draws_BL, eligible_BL, rule.mlm_probability)
    return eligible_BL & (draws_BL < round(rule.mlm_probability * _RANGE))


def corrupt(
    ids_BL: Any,
    selected_BL: Any,
    rows_B: Any,
    key: DrawKey,
    rule: MaskingRule,
    *,
    special: SpecialIds,
    vocab_size: int,
) -> Any:
    """Return what the model sees: `ids_BL` with the selected positions replaced as the rule says."""
    if rule.mask_replace_prob == 1.0:
        return where(selected_BL, special.mask, ids_BL)
    row_key_B1 = mix32(rows_B[:, None] * _ROW_STRIDE + key.replace)
    draws_BL = mix32(row_key_B1 + columns(ids_BL) * _ROW_STRIDE)
    random_BL = special.count + mix32(draws_BL ^ key.replace) % (vocab_size - special.count)
    mask_below = round(rule.mask_replace_prob * _RANGE)
    random_below = round((rule.mask_replace_prob + rule.random_replace_prob) * _RANGE)
    seen_BL = where(selected_BL & (draws_BL < random_below), random_BL, ids_BL)
    return where(selected_BL & (draws_BL < mask_below), special.mask, seen_BL)


def _word_numbers(ids_BL: Any, special: SpecialIds, word_start: Any) -> Any:
    begins_BL = word_start[ids_BL] | (ids_BL < special.count)
    return begins_BL.cumsum(1)


def _lowest_draws(draws_BL: Any, eligible_BL: Any, probability: float) -> Any:
    """Return the round(p * eligible) eligible positions of each row with the lowest draws."""
    # Ineligible positions come last; ties are broken by the column, which is added below the draw.
    width = draws_BL.shape[1]
    keys_BL = (draws_BL + where(eligible_BL, 0, _RANGE)) * width + columns(draws_BL)
    ranks_BL = keys_BL.argsort(1).argsort(1)
    eligible_B1 = eligible_BL.sum(1)[:, None]
    wanted_B1 = (eligible_B1 * round(probability * _RANGE) + _RANGE // 2) // _RANGE
    return eligible_BL & (ranks_BL < wanted_B1 + (wanted_B1 == 0))
