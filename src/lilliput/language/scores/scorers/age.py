"""Age of acquisition: how old children are when they first use the words of a span."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.core.errors import ConfigurationError
from lilliput.language.scores.base import ScorerContext, SpanScorer, register_scorer
from lilliput.language.spans.counter import WordCounter
from lilliput.language.words.splitting import split_words


def _ages(context: ScorerContext) -> dict[str, float]:
    """Return the age of each word form in months."""
    vocabulary = context.vocabulary
    ages = vocabulary.ages_of_forms(context.profile) if vocabulary is not None else {}
    if not ages:
        raise ConfigurationError(
            f"the score {context.settings.name} needs a vocabulary with the age of first use of its words",
            got="no vocabulary" if vocabulary is None else "a vocabulary without ages",
            remedy="Build one from transcripts with: lilliput vocabulary build; or use the score rarity.",
        )
    return ages


@register_scorer
class MeanAge(SpanScorer):
    """The mean age in months at the first use of a span's words; words of unknown age are left out."""

    name = "age"
    description = (
        "Mean age in months at which children first use the words, by the vocabulary's ages."
    )

    def __init__(self, context: ScorerContext) -> None:
        super().__init__(context)
        self._counter = WordCounter(context.profile, _ages(context))

    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return the mean age of each span; NaN where no word has a known age."""
        return self._counter.add(spans.column("text"))


@register_scorer
class LatestAge(SpanScorer):
    """The highest age in months at the first use of one of a span's words."""

    name = "age-max"
    description = "Age in months at which the last-learned of the words is first used."

    def __init__(self, context: ScorerContext) -> None:
        super().__init__(context)
        self._ages = _ages(context)

    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return the highest age of each span; NaN where no word has a known age."""
        return np.array([self._highest(text) for text in spans.column("text").to_pylist()])

    def _highest(self, text: str) -> float:
        known = (self._ages.get(word) for word in split_words(text, self.context.profile))
        return max((age for age in known if age is not None), default=float("nan"))
