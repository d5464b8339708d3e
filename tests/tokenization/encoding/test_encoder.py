"""Encoding word by word gives what encoding whole texts gives; byte-level text comes back unchanged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.tokenization import KINDS, load_tokenizer
from lilliput.tokenization.encoding.encoder import TextEncoder, is_word_local

_WORDS = st.sampled_from(
    [
        "the",
        "dog",
        "don't",
        "mother's,",
        "café",
        "x",
        "…",
        "'",
        "cooking",
        "42nd",
        "<mask>",
        "▁",
        "é",
    ]
)
_SPACES = st.sampled_from([" ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u2028"])
_TEXTS = st.lists(
    st.one_of(
        st.lists(_WORDS, max_size=6).map(" ".join),
        st.lists(st.tuples(_WORDS, _SPACES), max_size=6).map(
            lambda pairs: "".join(word + space for word, space in pairs)
        ),
        st.text(max_size=20),
    ),
    max_size=6,
)


@pytest.mark.parametrize("kind", KINDS)
def test_every_trained_kind_is_word_local(tokenizers_folder: Path, kind: str) -> None:
    assert is_word_local(load_tokenizer(tokenizers_folder / f"{kind}-330").backend)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(texts=_TEXTS)
def test_word_by_word_equals_whole(tokenizers_folder: Path, kind: str, texts: list[str]) -> None:
    backend = load_tokenizer(tokenizers_folder / f"{kind}-330").backend
    ids, sizes = TextEncoder(backend).encode(texts)
    whole = [e.ids for e in backend.encode_batch(texts, add_special_tokens=False)]
    assert sizes.tolist() == [len(part) for part in whole]
    assert ids.tolist() == [i for part in whole for i in part]


@pytest.mark.parametrize("kind", KINDS)
def test_every_character_of_the_basic_plane_is_cut_as_the_tokenizer_cuts(
    tokenizers_folder: Path, kind: str
) -> None:
    backend = load_tokenizer(tokenizers_folder / f"{kind}-330").backend
    characters = [chr(code) for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    texts = [f"the{c} dog {c}cat {c} x" for c in characters]
    ids, sizes = TextEncoder(backend).encode(texts)
    whole = [e.ids for e in backend.encode_batch_fast(texts, add_special_tokens=False)]
    ends = np.cumsum(sizes)
    wrong = [
        text
        for text, expected, end, size in zip(texts, whole, ends, sizes, strict=True)
        if ids[end - size : end].tolist() != expected
    ]
    assert wrong == []


def test_random_merges_go_the_long_way(tokenizers_folder: Path) -> None:
    backend = load_tokenizer(tokenizers_folder / "byte-bpe-330").backend
    assert is_word_local(backend)
    backend.model.dropout = 0.1
    assert not is_word_local(backend)


def test_words_forgotten_for_their_number_are_learned_again(
    tokenizers_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = load_tokenizer(tokenizers_folder / "byte-bpe-330").backend
    texts = ["the dog was cooking", "a cat sings", "the singers dream"]
    expected = TextEncoder(backend).encode(texts)
    monkeypatch.setattr("lilliput.tokenization.encoding.encoder._MOST_WORDS", 2)
    small = TextEncoder(backend, np.dtype(np.uint16))
    parts = [small.encode([text]) for text in texts]
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in parts]), expected[0])
    np.testing.assert_array_equal(np.concatenate([sizes for _, sizes in parts]), expected[1])


@settings(max_examples=300, deadline=None)
@given(text=st.text())
def test_byte_level_text_comes_back_unchanged(tokenizers_folder: Path, text: str) -> None:
    backend = load_tokenizer(tokenizers_folder / "byte-bpe-330").backend
    ids = backend.encode(text, add_special_tokens=False).ids
    assert backend.decode(ids, skip_special_tokens=False) == text
    assert not set(ids) & {0, 1, 2, 3, 4}, "text that spells a special token is text"


def test_a_tokenizer_with_a_normalizer_goes_the_long_way(tokenizers_folder: Path) -> None:
    from tokenizers import normalizers

    backend = load_tokenizer(tokenizers_folder / "byte-bpe-330").backend
    backend.normalizer = normalizers.NFKC()
    assert not is_word_local(backend)


def test_what_was_learned_before_changes_nothing(tokenizers_folder: Path) -> None:
    backend = load_tokenizer(tokenizers_folder / "wordpiece-330").backend
    warm = TextEncoder(backend)
    warm.encode(["the dog", "a cat was cooking"])
    texts = ["cooking the dog", "", "helpless singers"]
    for ours, fresh in zip(warm.encode(texts), TextEncoder(backend).encode(texts), strict=True):
        np.testing.assert_array_equal(ours, fresh)
