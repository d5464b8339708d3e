"""Rarity: how surprising the words of a span are to one who knows only their frequencies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.language.corpus.reading import iter_texts
from lilliput.language.scores.base import ScorerContext, SpanScorer, register_scorer
from lilliput.language.spans.counter import WordCounter


@register_scorer
class Rarity(SpanScorer):
    """The mean unigram surprisal of a span, -(1/n) sum ln p(word), in nats a word.

    p is (occurrences + 1) / (all occurrences + types + 1) over the train split, so that a word of the
    held-out splits alone has a score too.
    Source: Platanios et al. 2019, rarity, there as a sum.
    """

    name = "rarity"
    description = (
        "Mean surprisal of the words by their frequencies in the train split, in nats a word."
    )

    def __init__(self, context: ScorerContext) -> None:
        super().__init__(context)
        counts = WordCounter(context.profile)
        for batch in iter_texts(context.corpus, "train", ["text"]):
            counts.add(batch.column("text"))
        found = counts.counts
        total = sum(found.values()) + len(found) + 1
        others = WordCounter(context.profile)
        for split in ("validation", "test"):
            for batch in iter_texts(context.corpus, split, ["text"]):
                others.add(batch.column("text"))
        words = dict.fromkeys([*found, *others.counts])
        self._surprisals = WordCounter(
            context.profile, {word: -math.log((found[word] + 1) / total) for word in words}
        )

    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return the mean surprisal of each span's words; NaN for a span without words."""
        return self._surprisals.add(spans.column("text"))
