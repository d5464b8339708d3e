"""Score a span by its length, the number of its words."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.language.scores.base import SpanScorer, register_scorer
from lilliput.language.words.splitting import split_words


@register_scorer
class Length(SpanScorer):
    """Count the words of each span by the word profile of the corpus."""

    name = "length"
    description = "Number of words."

    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return the number of words of each span."""
        texts = spans.column("text").to_pylist()
        return np.array(
            [len(split_words(t, self.context.profile)) for t in texts], dtype=np.float64
        )
