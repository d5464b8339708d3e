"""Scores of spans: how long, rare, late learned, compressible or surprising each span of a corpus is.

A scorer is one module in `scorers`, or in another package. Scores are an artefact beside the corpus, and are
joined to spans by their ids; curricula and pruning read them.
"""

from lilliput.language.scores.base import (
    ScorerContext,
    ScorerSettings,
    SpanScorer,
    register_scorer,
)
from lilliput.language.scores.build import score_corpus
from lilliput.language.scores.reading import SpanScores, read_scores

__all__ = [
    "ScorerContext",
    "ScorerSettings",
    "SpanScorer",
    "SpanScores",
    "read_scores",
    "register_scorer",
    "score_corpus",
]
