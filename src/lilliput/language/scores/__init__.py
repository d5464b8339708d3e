"""Scores of spans: how long, rare, late learned, compressible or surprising each span of a corpus is.

A scorer is one module in `scorers`, or in another package. Scores are an artefact beside the corpus, and are
joined to spans by their ids; curricula and pruning read them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.core.lazy import lazy_attributes

if TYPE_CHECKING:
    from lilliput.language.scores.base import (
        ScorerContext,
        ScorerSettings,
        SpanScorer,
        register_scorer,
    )
    from lilliput.language.scores.build import score_corpus
    from lilliput.language.scores.pruning import prune_corpus
    from lilliput.language.scores.reading import SpanScores, read_scores
    from lilliput.language.scores.settings import PruningSettings

_LATER = {
    "PruningSettings": "settings",
    "ScorerContext": "base",
    "ScorerSettings": "base",
    "SpanScorer": "base",
    "SpanScores": "reading",
    "prune_corpus": "pruning",
    "read_scores": "reading",
    "register_scorer": "base",
    "score_corpus": "build",
}

__all__ = [
    "PruningSettings",
    "ScorerContext",
    "ScorerSettings",
    "SpanScorer",
    "SpanScores",
    "prune_corpus",
    "read_scores",
    "register_scorer",
    "score_corpus",
]

__getattr__ = lazy_attributes(__name__, _LATER)
