"""Measures, by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lilliput.tokenization import KINDS, CompareSettings, compare_tokenizers, load_tokenizer
from lilliput.tokenization.comparison.measures import (
    Resampling,
    WordIds,
    Words,
    fertility_by_band,
    ids_after_a_word,
    sizes_isolated,
    unigram_bits_per_byte,
)
from lilliput.tokenization.comparison.word_sample import sample_words


@pytest.fixture
def byte_level() -> Tokenizer:
    """Knows the merges Ġt, he and Ġthe only."""
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), "Ġt", "he", "Ġthe"]
    vocab = {token: i for i, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab, [("Ġ", "t"), ("h", "e"), ("Ġt", "he")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return tokenizer


@pytest.mark.parametrize("kind", KINDS)
def test_words_joined_into_texts_have_the_ids_of_words_one_by_one(
    tokenizers_folder: Path, kind: str
) -> None:
    backend = load_tokenizer(tokenizers_folder / f"{kind}-330").backend
    characters = (chr(code) for code in range(0x21, 0x3400))
    words = [f"cook{c}{c}ing{c}" for c in characters if not c.isspace()] + ["a", "the,", "é"]
    joined, single = Words(words).ids_in_context(backend), ids_after_a_word(backend, words)
    np.testing.assert_array_equal(joined.ids, single.ids)
    np.testing.assert_array_equal(joined.sizes, single.sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_words_alone_have_the_sizes_of_words_encoded_alone(
    tokenizers_folder: Path, kind: str
) -> None:
    backend = load_tokenizer(tokenizers_folder / f"{kind}-330").backend
    characters = [chr(c) for c in range(0x21, 0x3400) if not chr(c).isspace()]
    marked = [f"{c}cook{c}ing" for c in characters]
    for texts in (marked, [word for word in marked if not word.startswith("▁")]):
        words = Words(texts)
        sizes = words.sizes_isolated(backend, words.ids_in_context(backend))
        assert sizes.tolist() == sizes_isolated(backend, texts).tolist()


FIVE = ["the", "them", "then", "a", "tan"]


def test_word_split_ratio_of_five_words_by_hand(byte_level: Tokenizer) -> None:
    # alone: t he | t he m | t he n | a | t a n; in context: Ġthe | Ġthe m | Ġthe n | Ġ a | Ġt a n
    assert sizes_isolated(byte_level, FIVE).tolist() == [2, 3, 3, 1, 3]
    assert Words(FIVE).ids_in_context(byte_level).sizes.tolist() == [1, 2, 2, 2, 3]


def test_the_table_weighs_words_by_their_occurrences(
    byte_level: Tokenizer, make_corpus: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "toy").mkdir()
    byte_level.save(str(tmp_path / "toy" / "tokenizer.json"))
    corpus = make_corpus(["the tan"], ["the them then a tan", "the the the a a"])
    row = compare_tokenizers(corpus, [tmp_path / "toy"]).rows[0]
    assert row.word_split_ratio_isolated == (12 + 8) / 10
    assert row.word_split_ratio_in_context == (10 + 7) / 10
    # 4 the, 3 a, 1 them, 1 then, 1 tan, a space each: 16 + 6 + 5 + 5 + 4 = 36 characters, 17 tokens.
    assert row.characters_per_token == pytest.approx(36 / 17)
    assert row.kept_whole == 1 / 2  # "the" of "the" and "tan"
    assert row.unknown_rate == 0
    low, high = row.intervals["word_split_ratio_isolated"]
    assert low is not None
    assert high is not None
    # Two documents with 2.4 and 1.6 tokens a word: no draw can leave that range.
    assert (low, high) == (1.6, 2.4)


def test_unigram_bits_per_byte_by_hand() -> None:
    train = WordIds(np.array([0, 1, 1]), np.array([1, 2]))  # word A = 0; word B = 1 1
    counts = np.array([5, 1])
    held_out = WordIds(np.array([0, 2]), np.array([2]))
    # Counts with one added: 6, 3, 1 of 10. One word "0 2" seen twice, 8 bytes in all.
    expected = 2 * -(math.log2(0.6) + math.log2(0.1)) / 8
    found = unigram_bits_per_byte(train, counts, held_out, np.array([2]), 8, 3)
    assert found == pytest.approx(expected, rel=1e-12)


def test_fertility_by_band_by_hand() -> None:
    sizes, counts = np.array([1, 2, 4, 6]), np.array([10, 1, 3, 2])
    bands = fertility_by_band(sizes, counts, np.array([1000, 999, 100, 0]))
    assert bands == {"1000+": 1.0, "100-999": (2 + 12) / 4, "unseen": 6.0}


def test_intervals_shrink_with_the_root_of_the_sample() -> None:
    rng = np.random.default_rng(0)
    widths: list[float] = []
    for n in (400, 1600):
        found = Resampling(n, "documents", resamples=1000, seed=0).ratio(
            rng.poisson(20, n), np.full(n, 10)
        )
        assert found.low is not None
        assert found.high is not None
        widths.append(found.high - found.low)
    # Exactly 2 in expectation; a width from 1000 draws has a relative error of about 5 %.
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.25)


def test_more_ids_never_make_more_tokens(corpus: Path, tokenizers_folder: Path) -> None:
    small = load_tokenizer(tokenizers_folder / "byte-bpe-290").backend
    large = load_tokenizer(tokenizers_folder / "byte-bpe-330").backend
    sample = sample_words(corpus, CompareSettings())
    total = [
        int((Words(sample.words).ids_in_context(t).sizes * sample.counts).sum())
        for t in (small, large)
    ]
    assert total[1] <= total[0]
