"""A scorer of spans: it gives each span of a corpus one number, shard by shard and in any order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from lilliput.core.registry import Registry
from lilliput.core.settings import Settings
from lilliput.language.words.profiles import WordProfile
from lilliput.language.words.vocabulary import Vocabulary


class ScorerSettings(Settings):
    """The name of a scorer; a subclass adds the settings that it alone needs."""

    name: str = Field(description="Name of the scorer, such as length, rarity or age.")

    def inputs(self) -> dict[str, str]:
        """Return the names of what is read beside corpus and vocabulary, to the hash of each."""
        return {}


@dataclass(frozen=True)
class ScorerContext:
    """Hold what a scorer may read.

    Attributes:
        settings: The scorer's own settings, of its `settings_type`.
        corpus: Folder of the corpus.
        profile: What a word of the corpus is.
        vocabulary: The words of the language, with their ages; None where none was given.
    """

    settings: ScorerSettings
    corpus: Path
    profile: WordProfile
    vocabulary: Vocabulary | None


class SpanScorer(ABC):
    """Give each span a number. Subclass it and write `score`; read the whole corpus, if need be, in `__init__`.

    A scorer is made anew in each worker, so that what it prepares must follow from its context alone.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    settings_type: ClassVar[type[ScorerSettings]] = ScorerSettings

    def __init__(self, context: ScorerContext) -> None:
        self.context = context

    @abstractmethod
    def score(self, spans: Any) -> NDArray[np.float64]:
        """Return one number a span, float64 of shape (spans,); NaN where the span has no score.

        Args:
            spans: An Arrow record batch with the columns `text`, `doc_id`, `source`, `split` and `position`.
        """


ScorerClass = TypeVar("ScorerClass", bound=type[SpanScorer])
REGISTRY: Registry[type[SpanScorer]] = Registry(
    "score of spans", "lilliput.language.scores.scorers"
)


def register_scorer(scorer: ScorerClass) -> ScorerClass:
    """List a scorer under its name, so that recipes and `lilliput corpus score` find it; usable as a decorator.

    For example::

        @register_scorer
        class Questions(SpanScorer):
            name = "questions"
            description = "Number of question marks."

            def score(self, spans):
                texts = spans.column("text").to_pylist()
                return np.array([text.count("?") for text in texts], dtype=float)

    Raises:
        ConfigurationError: Another scorer has that name.
    """
    REGISTRY.add(scorer.name, scorer)
    return scorer
