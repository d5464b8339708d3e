"""Surprisal by a bigram model that has not seen the document it scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from lilliput.language.corpus.reading import iter_texts
from lilliput.language.scores.base import ScorerContext, SpanScorer, register_scorer
from lilliput.language.words.splitting import split_words

FOLDS = 2
_START = ""  # Stands before the first word of a span; no word is empty.


class BigramModel:
    """Predict words by Witten-Bell interpolated bigrams over unigrams over a uniform floor.

    p(w)   = (c(w) + T / V) / (N + T)                 N words, T types seen, V types that may come
    p(w|h) = (c(h w) + T(h) p(w)) / (c(h) + T(h))     c(h) words after h, T(h) types after h; p(w) if none

    For example, after the span "a b a" with V = 3: p(b) = (1 + 2/3) / (3 + 2) = 1/3, and since `a` was
    followed once, by b: p(b|a) = (1 + 1 * 1/3) / (1 + 1) = 2/3.
    Source: Witten and Bell 1991; the interpolated form as in Chen and Goodman 1998.
    """

    def __init__(self, types: int) -> None:
        self._types = types
        self._unigrams: Counter[str] = Counter()
        self._bigrams: Counter[tuple[str, str]] = Counter()
        self._followed: Counter[str] = Counter()
        self._followers: Counter[str] = Counter()
        self._total = 0

    def add(self, words: Sequence[str]) -> None:
        """Count the words of one span."""
        self._unigrams.update(words)
        self._total += len(words)
        for pair in zip((_START, *words), words, strict=False):
            if pair not in self._bigrams:
                self._followers[pair[0]] += 1
            self._bigrams[pair] += 1
            self._followed[pair[0]] += 1

    def surprisal(self, words: Sequence[str]) -> float:
        """Return the mean surprisal of a span in nats a word; NaN for a span without words."""
        if not words:
            return float("nan")
        pairs = zip((_START, *words), words, strict=False)
        return -math.fsum(math.log(self.probability(*pair)) for pair in pairs) / len(words)

    def probability(self, before: str, word: str) -> float:
        """Return p(word | before)."""
        seen = len(self._unigrams)
        floor = 1.0 / self._types
        unigram = (self._unigrams[word] + seen * floor) / (self._total + seen) if seen else floor
        followers = self._followers[before]
        if not followers:
            return unigram
        count = self._bigrams[before, word] + followers * unigram
        return count / (self._followed[before] + followers)


@register_scorer
class NgramSurprisal(SpanScorer):
    """Mean surprisal of a span's words by bigrams counted in the train documents of the other half.

    Documents fall into two halves by a hash of their ids; a model counted in one half scores the other, so
    that no span is scored by a model that has read it.
    """

    name = "ngram"
    description = "Mean surprisal of the words by smoothed bigrams of the other half of the documents, in nats a word."

    def __init__(self, context: ScorerContext) -> None:
        super().__init__(context)
        spans: list[tuple[int, list[str]]] = []
        types: set[str] = set()
        for split in ("train", "validation", "test"):
            for batch in iter_texts(context.corpus, split):
                for half, words in zip(self._halves(batch), self._words(batch), strict=True):
                    types.update(words)
                    if split == "train":
                        spans.append((half, words))
        self._models = [BigramModel(len(types) + 1) for _ in range(FOLDS)]
        for half, words in spans:
            self._models[half].add(words)

    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return the mean surprisal of each span; NaN for a span without words."""
        pairs = zip(self._halves(spans), self._words(spans), strict=True)
        return np.array([self._models[1 - half].surprisal(words) for half, words in pairs])

    def _words(self, spans: Any) -> list[list[str]]:
        profile = self.context.profile
        return [split_words(text, profile) for text in spans.column("text").to_pylist()]

    def _halves(self, spans: Any) -> list[int]:
        columns = (spans.column(name).to_pylist() for name in ("source", "doc_id"))
        return [half_of(*row) for row in zip(*columns, strict=True)]


def half_of(source: str, doc_id: str) -> int:
    """Return the half that a document falls into, 0 or 1."""
    text = f"half\x1f{source}\x1f{doc_id}".encode("utf-8", "surrogatepass")
    return xxhash.xxh3_64_intdigest(text) % FOLDS
