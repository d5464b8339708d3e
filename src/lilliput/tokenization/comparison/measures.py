"""Measures of what a tokenizer does to counted words (pieces, bits, losses); each distinct word is looked at once."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lilliput.core.arrays import FloatArray
from lilliput.core.intervals import Interval, percentile_bounds
from lilliput.core.seeding import generator
from lilliput.tokenization.encoding.cut import CutWords
from lilliput.tokenization.encoding.encoder import ignores_first_space, is_word_local
from lilliput.tokenization.symbols import SPACE_MARK

IdArray = NDArray[np.int64]

_ANCHOR = "a"  # A word in context follows this word and a space.
# Least occurrences in the train split, most frequent band first.
BANDS = (("1000+", 1000), ("100-999", 100), ("10-99", 10), ("1-9", 1), ("unseen", 0))
_BATCH = 50_000
_DRAWS_AT_ONCE = 50


@dataclass(frozen=True)
class WordIds:
    """Hold words in context as ids.

    Attributes:
        ids: All ids, one word after another, shape (tokens,).
        sizes: Ids of each word, shape (words,).
    """

    ids: IdArray
    sizes: IdArray


class Words:
    """Distinct words, made ready once for all tokenizers that are measured on them."""

    def __init__(self, words: Sequence[str]) -> None:
        self.words = words
        self._cutting = threading.Lock()
        self._cuts: dict[bytes, CutWords] = {}

    def _cut(self, pre_tokenizer: Any) -> CutWords:
        """Return the words after a space, cut; tokenizers with equal pre-tokenizers share the work."""
        key: bytes = pre_tokenizer.__getstate__()
        with self._cutting:
            if key not in self._cuts:
                self._cuts[key] = CutWords.of((f" {word}" for word in self.words), pre_tokenizer)
            return self._cuts[key]

    @cached_property
    def _begin_with_a_mark(self) -> bool:
        """Return whether any word begins with the mark of a space, before which Metaspace puts no second one."""
        return any(word.startswith(SPACE_MARK) for word in self.words)

    def ids_in_context(self, backend: Tokenizer) -> WordIds:
        """Return the ids of each word as it follows another word and a space."""
        if is_word_local(backend):
            return WordIds(*self._cut(backend.pre_tokenizer).encode(backend))
        return ids_after_a_word(backend, self.words)

    def sizes_isolated(self, backend: Tokenizer, in_context: WordIds) -> IdArray:
        """Return the number of tokens of each word when it stands alone, as the paper counted, shape (words,).

        Args:
            backend: A tokenizer.
            in_context: What `ids_in_context` gave for it.
        """
        if ignores_first_space(backend) and not self._begin_with_a_mark:
            return in_context.sizes
        return sizes_isolated(backend, self.words)


def ids_after_a_word(backend: Tokenizer, words: Sequence[str]) -> WordIds:
    """Return the ids of words in context for any tokenizer: each word is put behind another one, whose ids are left out."""
    anchor = len(backend.encode(_ANCHOR, add_special_tokens=False).ids)
    ids: list[IdArray] = [np.zeros(0, np.int64)]
    sizes: list[int] = []
    for start in range(0, len(words), _BATCH):
        texts = [f"{_ANCHOR} {word}" for word in words[start : start + _BATCH]]
        found = [e.ids[anchor:] for e in backend.encode_batch_fast(texts, add_special_tokens=False)]
        sizes.extend(map(len, found))
        ids.append(np.array([i for part in found for i in part], np.int64))
    return WordIds(np.concatenate(ids), np.array(sizes, np.int64))


def sizes_isolated(backend: Tokenizer, words: Sequence[str]) -> IdArray:
    """Return the same for any tokenizer: each word is encoded alone."""
    sizes: list[int] = []
    for start in range(0, len(words), _BATCH):
        batch = list(words[start : start + _BATCH])
        encodings = backend.encode_batch_fast(batch, add_special_tokens=False)
        sizes.extend(len(encoding.ids) for encoding in encodings)
    return np.array(sizes, np.int64)


def pieces_isolated(backend: Tokenizer, words: Sequence[str]) -> dict[str, list[str]]:
    """Return the tokens of each word when it stands alone, as the tokenizer writes them."""
    encodings = backend.encode_batch(list(words), add_special_tokens=False)
    return {word: encoding.tokens for word, encoding in zip(words, encodings, strict=True)}


def cuts_in_context(backend: Tokenizer, words: Sequence[str]) -> list[set[int]]:
    """Return the places inside each word where a token begins, in characters, the word following a space."""
    skip = len(_ANCHOR) + 1
    encodings = backend.encode_batch(
        [f"{_ANCHOR} {word}" for word in words], add_special_tokens=False
    )
    return [
        {start - skip for start, _ in encoding.offsets if 0 < start - skip < len(word)}
        for word, encoding in zip(words, encodings, strict=True)
    ]


def unigram_bits_per_byte(
    train: WordIds,
    train_counts: IdArray,
    held_out: WordIds,
    held_out_counts: IdArray,
    held_out_bytes: int,
    vocab_size: int,
) -> float:
    """Return the bits per byte of held-out text under token frequencies of the train split (add one).

    Unlike a loss per token, it can be compared across vocabularies: more ids make each token dearer and
    tokens fewer. Text that becomes `<unk>` is cheap and lost; look at the unknown rate beside it.

    Args:
        train: Ids of the train split's words.
        train_counts: Occurrences of each of them.
        held_out: Ids of the held-out split's words.
        held_out_counts: Occurrences of each of them.
        held_out_bytes: UTF-8 bytes of the held-out text, spaces included.
        vocab_size: Ids, special ones included.
    """
    weights = np.repeat(train_counts, train.sizes)
    seen = np.bincount(train.ids, weights, minlength=vocab_size) + 1.0
    bits = -np.log2(seen / seen.sum())
    total = float((bits[held_out.ids] * np.repeat(held_out_counts, held_out.sizes)).sum())
    return total / held_out_bytes


def fertility_by_band(sizes: IdArray, counts: IdArray, train_counts: IdArray) -> dict[str, float]:
    """Return the number of tokens per occurrence of words of each train-frequency band; bands without words are absent."""
    fertility: dict[str, float] = {}
    upper = math.inf
    for name, least in BANDS:
        chosen = (train_counts >= least) & (train_counts < upper)
        upper = least
        if chosen.any():
            fertility[name] = float((sizes * counts)[chosen].sum() / counts[chosen].sum())
    return fertility


class Resampling:
    """Bootstrap weights shared by all tokenizers, so that their intervals differ by nothing else."""

    def __init__(self, units: int, unit: str, *, resamples: int, seed: int) -> None:
        self.units, self.unit = units, unit
        rng = generator(seed, "tokenizers", unit)
        self._weights: NDArray[np.uint8] | None = None
        if units > 1:
            draws = (rng.integers(0, units, units) for _ in range(resamples))
            # One is expected; that a unit is drawn above 255 times has a chance below 1e-500.
            counted = [np.bincount(draw, minlength=units).astype(np.uint8) for draw in draws]
            self._weights = np.array(counted)

    def ratio(self, numerator: IdArray, denominator: IdArray, factor: float = 1.0) -> Interval:
        """Return the sum of `numerator` over sum of `denominator`, times `factor`, with a 95 % interval.

        Args:
            numerator: One value a unit, shape (units,).
            denominator: Likewise.
            factor: 2 for an F1 as twice the correct over produced and gold together.
        """
        value = factor * float(numerator.sum()) / max(1.0, float(denominator.sum()))
        if self._weights is None:
            return Interval(value, None, None, self.units, method="single", unit=self.unit)
        below, above = _sums(self._weights, denominator), _sums(self._weights, numerator)
        draws = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
        low, high = percentile_bounds(factor * draws, 0.95)
        return Interval(value, low, high, self.units, method="bootstrap", unit=self.unit)


def _sums(weights: NDArray[np.uint8], values: IdArray) -> FloatArray:
    """Return the weighted sum of each draw, a few draws at a time, since float64 takes eight times the memory.

    Sums of integers are exact in float64, so they do not depend on the number of threads.
    """
    exact = values.astype(np.float64)
    starts = range(0, len(weights), _DRAWS_AT_ONCE)
    parts = [weights[i : i + _DRAWS_AT_ONCE].astype(np.float64) @ exact for i in starts]
    return np.concatenate(parts)
