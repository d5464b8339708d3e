"""Which tokens are predicted, and what the model sees there."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest
import torch

from lilliput.tokenization import SpecialIds
from lilliput.training.objectives.base import DrawKey
from lilliput.training.objectives.masked_lm import MaskingRule, corrupt, select_positions

SPECIAL = SpecialIds()
VOCAB_SIZE = 500
WORD_START = np.arange(VOCAB_SIZE) % 3 != 0


def text_batch(rows: int = 400, width: int = 128, seed: int = 0) -> np.ndarray:
    """`<s>` text `</s>` pads, of random lengths."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(5, VOCAB_SIZE, (rows, width))
    lengths = rng.integers(5, width + 1, rows)
    columns = np.arange(width)
    ids[:, 0] = SPECIAL.bos
    ids[columns == lengths[:, None] - 1] = SPECIAL.eos
    ids[columns >= lengths[:, None]] = SPECIAL.pad
    return ids


def select(ids: np.ndarray, rule: MaskingRule, key: DrawKey | None = None, rows=None):
    rows = np.arange(len(ids)) if rows is None else rows
    key = key or DrawKey.of(0, "train", 1)
    return select_positions(ids, rows, key, rule, special=SPECIAL, word_start=WORD_START)


@pytest.mark.parametrize("p", [0.15, 0.4])
def test_masking_rate_is_within_sampling_error(p):
    ids = text_batch()
    eligible = ids >= SPECIAL.count
    selected = select(ids, MaskingRule(mlm_probability=p))
    n = eligible.sum()
    assert abs(selected.sum() / n - p) < 5 * sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("whole_words", [False, True])
def test_special_tokens_are_never_selected(whole_words):
    ids = text_batch()
    selected = select(ids, MaskingRule(mlm_probability=0.9, whole_words=whole_words))
    assert not selected[ids < SPECIAL.count].any()
    assert selected.any()


def test_the_reference_switch_selects_special_tokens_at_the_same_rate_but_never_pads():
    ids = text_batch(4000, 16)
    selected = select(ids, MaskingRule(special_tokens=True))
    assert not selected[ids == SPECIAL.pad].any()
    for special in (SPECIAL.bos, SPECIAL.eos):
        n = (ids == special).sum()
        rate = selected[ids == special].mean()
        assert abs(rate - 0.15) < 5 * sqrt(0.15 * 0.85 / n)


def test_words_are_selected_whole():
    ids = text_batch()
    selected = select(ids, MaskingRule(whole_words=True))
    inside = (ids >= SPECIAL.count) & ~WORD_START[ids]
    inside[:, 1:] &= ids[:, :-1] >= SPECIAL.count
    inside[:, 0] = False
    before = np.zeros_like(selected)
    before[:, 1:] = selected[:, :-1]
    assert np.array_equal(selected[inside], before[inside])
    # About two thirds of the tokens begin a word of 1.5 tokens on average: fewer independent draws.
    n = (ids >= SPECIAL.count).sum() / 1.5
    rate = selected.sum() / (ids >= SPECIAL.count).sum()
    assert abs(rate - 0.15) < 6 * sqrt(0.15 * 0.85 / n)


def test_a_fixed_count_is_exact_in_every_row_and_as_uniform_as_the_draw():
    ids = text_batch()
    selected = select(ids, MaskingRule(mlm_probability=0.25, fixed_count=True))
    eligible = (ids >= SPECIAL.count).sum(1)
    expected = np.maximum(1, np.floor(0.25 * eligible + 0.5))
    assert np.array_equal(selected.sum(1), expected)
    full = text_batch(5000, 32)[:, :6]
    counts = select(full, MaskingRule(mlm_probability=0.25, fixed_count=True))[:, 1:4].mean(0)
    assert np.abs(counts - counts.mean()).max() < 5 * 0.5 / sqrt(5000)


def test_draws_follow_the_place_in_the_global_batch_and_nothing_else():
    ids = text_batch()
    whole = select(ids, MaskingRule())
    part = np.array([7, 300, 2])
    assert np.array_equal(
        select(ids[part][:, :100], MaskingRule(), rows=part), whole[part][:, :100]
    )
    assert np.array_equal(whole, select(ids, MaskingRule()))
    other = select(ids, MaskingRule(), DrawKey.of(0, "train", 2))
    eligible = ids >= SPECIAL.count
    # Independent draws agree on "selected" with probability 0.15^2.
    both = (whole & other)[eligible].mean()
    assert abs(both - 0.0225) < 5 * sqrt(0.0225 / eligible.sum())


@pytest.mark.parametrize(("mask", "random"), [(0.8, 0.1), (0.5, 0.0), (0.0, 1.0)])
def test_replacement_shares(mask, random):
    rule = MaskingRule(mask_replace_prob=mask, random_replace_prob=random)
    ids = text_batch(2000)
    key, rows = DrawKey.of(1, "train", 5), np.arange(2000)
    selected = select(ids, rule, key)
    seen = corrupt(ids, selected, rows, key, rule, special=SPECIAL, vocab_size=VOCAB_SIZE)
    assert np.array_equal(seen[~selected], ids[~selected])
    n = selected.sum()
    is_mask = (seen == SPECIAL.mask)[selected].mean()
    kept = (seen == ids)[selected].mean()
    assert abs(is_mask - mask) < 5 * 0.5 / sqrt(n)
    # A random token is the old one once in 495 draws.
    expected_kept = 1 - mask - random + random / (VOCAB_SIZE - SPECIAL.count)
    assert abs(kept - expected_kept) < 5 * 0.5 / sqrt(n)
    replaced = seen[selected & (seen != ids) & (seen != SPECIAL.mask)]
    assert replaced.size == 0 or replaced.min() >= SPECIAL.count
    if random:
        assert replaced.max() < VOCAB_SIZE
        assert len(np.unique(replaced)) > 400


def test_always_masking_shows_only_the_mask():
    ids = text_batch()
    key, rule, rows = DrawKey.of(0, "train", 1), MaskingRule(), np.arange(len(ids))
    selected = select(ids, rule, key)
    seen = corrupt(ids, selected, rows, key, rule, special=SPECIAL, vocab_size=VOCAB_SIZE)
    assert (seen[selected] == SPECIAL.mask).all()


@pytest.mark.parametrize("rule", [MaskingRule(), MaskingRule(whole_words=True), MaskingRule(fixed_count=True), MaskingRule(mask_replace_prob=0.8, random_replace_prob=0.1)], ids=["draw", "words", "fixed", "bert"])  # fmt: skip
def test_masks_have_the_same_bits_in_numpy_and_torch(rule):
    ids = text_batch(50)
    key, rows = DrawKey.of(2, "train", 9), np.arange(50)
    expected = select(ids, rule, key)
    ids_t, rows_t = torch.from_numpy(ids), torch.from_numpy(rows)
    words = torch.from_numpy(WORD_START)
    got = select_positions(ids_t, rows_t, key, rule, special=SPECIAL, word_start=words)
    assert np.array_equal(got.numpy(), expected)
    options = {"special": SPECIAL, "vocab_size": VOCAB_SIZE}
    seen = corrupt(ids, expected, rows, key, rule, **options)
    seen_t = corrupt(ids_t, got, rows_t, key, rule, **options)
    assert np.array_equal(seen_t.numpy(), seen)


def test_a_higher_rate_keeps_the_positions_of_a_lower_one():
    ids = text_batch()
    low = select(ids, MaskingRule())
    high = select(ids, replace(MaskingRule(), mlm_probability=0.3))
    assert not (low & ~high).any()
