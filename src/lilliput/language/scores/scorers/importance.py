"""Importance: how much more likely a span is in a target corpus than in its own, by hashed n-grams (DSIR)."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from lilliput.core.artefacts import read_manifest
from lilliput.core.settings import OUTSIDE_IDENTITY
from lilliput.language.corpus.reading import KIND, iter_texts
from lilliput.language.scores.base import (
    ScorerContext,
    ScorerSettings,
    SpanScorer,
    register_scorer,
)
from lilliput.language.words.profiles import WordProfile
from lilliput.language.words.splitting import split_words

_SMALL = 1e-8  # Added to each probability, as in the published code.


class ImportanceSettings(ScorerSettings):
    """Name the target corpus, and how finely n-grams are told apart."""

    target: str = Field(
        description="Folder of the target corpus; its train split is counted.",
        json_schema_extra=OUTSIDE_IDENTITY,
    )
    buckets: PositiveInt = Field(10_000, description="Buckets that n-grams are hashed into.")

    def inputs(self) -> dict[str, str]:
        """Return the id of the target corpus."""
        return {"target": read_manifest(Path(self.target), KIND).id}


@register_scorer
class Importance(SpanScorer):
    """The logarithm of a span's importance weight, sum over its n-grams of log p_target - log p_own.

    N-grams are words and pairs of neighbours, hashed into buckets. To draw spans by these weights without
    replacement, prune with keep = "gumbel".
    Source: DSIR, Xie et al. 2023, arXiv 2302.03169.
    """

    name = "importance"
    description = "Log importance weight of the span's hashed words and word pairs towards a target corpus (DSIR)."
    settings_type = ImportanceSettings

    def __init__(self, context: ScorerContext) -> None:
        super().__init__(context)
        settings = context.settings
        assert isinstance(settings, ImportanceSettings)
        self._buckets = settings.buckets
        target = self._shares(Path(settings.target))
        self._weights = np.log(target + _SMALL) - np.log(self._shares(context.corpus) + _SMALL)

    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return the log weight of each span."""
        texts = spans.column("text").to_pylist()
        features = (ngram_buckets(text, self.context.profile, self._buckets) for text in texts)
        return np.array([self._weights[found].sum() for found in features], dtype=np.float64)

    def _shares(self, corpus: Path) -> NDArray[np.float64]:
        """Return the share of a corpus's n-grams in each bucket."""
        counts = np.zeros(self._buckets)
        for batch in iter_texts(corpus, "train", ["text"]):
            for text in batch.column("text").to_pylist():
                found = ngram_buckets(text, self.context.profile, self._buckets)
                counts += np.bincount(found, minlength=self._buckets)
        return counts / max(1.0, counts.sum())


def ngram_buckets(text: str, profile: WordProfile, buckets: int) -> NDArray[np.int64]:
    """Return the bucket of each word and of each pair of neighbours of a text."""
    words = split_words(text, profile)
    pairs = (f"{a} {b}" for a, b in itertools.pairwise(words))
    hashes = (xxhash.xxh3_64_intdigest(gram.encode()) % buckets for gram in (*words, *pairs))
    return np.fromiter(hashes, np.int64)
