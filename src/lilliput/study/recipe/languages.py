"""Describe a recipe's languages: from sources, pruned from another, or of several sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, model_validator

from lilliput.core.settings import FolderName, Seed, Settings, parse_settings
from lilliput.language.corpus.settings import CorpusSettings
from lilliput.language.reading.documents import TextUnit
from lilliput.language.scores.settings import BY_SCORE, Kept, PruningSettings

Ranking = Literal["frequency", "age"]


class PrunedLanguage(Settings):
    """Say which share of another language's train split is kept."""

    of: FolderName = Field(description="Language to prune; its held-out splits stay whole.")
    by: FolderName | None = Field(
        None,
        description="Score that low, middle, high and gumbel sort by: its name, or one of [scores].",
    )
    keep: Kept = Field(description="low, middle, high, gumbel, random or random-mix.")
    rate: float = Field(gt=0, le=1, description="Share of the train spans to keep.")
    like: FolderName | None = Field(
        None, description="Pruned language whose spans of each source random-mix copies in number."
    )
    seed: Seed = Field(0, description="Of random choices.")

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> PrunedLanguage:
        if (self.by is not None) != (self.keep in BY_SCORE):
            needs = "needs" if self.by is None else "does not read"
            raise ValueError(f"keep = {self.keep!r} {needs} a score (by)")
        if (self.like is not None) != (self.keep == "random-mix"):
            needs = "needs" if self.like is None else "does not read"
            raise ValueError(f"keep = {self.keep!r} {needs} a language to be like (like)")
        return self

    @property
    def settings(self) -> PruningSettings:
        """Return the settings of the pruning itself."""
        return PruningSettings(keep=self.keep, rate=self.rate, seed=self.seed)


class LanguageWords(Settings):
    """Say which words of the vocabulary a language may use."""

    size: PositiveInt = Field(description="Number of words.")
    by: Ranking = Field(
        "frequency", description="frequency: the most frequent; age: those that children use first."
    )


class LanguageRecipe(Settings):
    """Describe one corpus of the study."""

    sources: tuple[str, ...] = Field(
        default=(), description="Files, folders, globs, or package:NAME for installed texts."
    )
    text_unit: TextUnit = Field(
        default="auto",
        description="What one document of plain text is: file, section (for few long files), line or auto.",
    )
    matched_to: str = Field(
        default="",
        description="Name of the constrained language whose size this one copies, unfiltered.",
    )
    words: LanguageWords | None = Field(
        default=None, description="The words it may use; all of the vocabulary when left out."
    )
    pruned: PrunedLanguage | None = Field(
        default=None,
        description="Another language of which this one is a part; in place of sources.",
    )
    corpus: CorpusSettings = Field(
        default_factory=lambda: parse_settings(CorpusSettings, {}),
        description="How spans are cut and filtered.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> LanguageRecipe:
        if bool(self.sources) == (self.pruned is not None):
            raise ValueError("a language must have either sources or pruned")
        unread = [
            name
            for name in ("text_unit", "matched_to", "words", "corpus")
            if self.pruned is not None
            and name in self.model_fields_set
            # A recipe that was read and written again holds every key.
            and getattr(self, name) != _default(name)
        ]
        if unread:
            raise ValueError(f"{unread[0]} would do nothing beside pruned")
        if self.matched_to and self.corpus != _default("corpus"):
            raise ValueError(
                f"corpus would do nothing beside matched_to: the rule and the splits are those of {self.matched_to!r}. "
                f"Leave it out, or set languages.{self.matched_to}.corpus"
            )
        if self.matched_to and self.words is not None:
            raise ValueError(
                "words would do nothing beside matched_to: that language is unfiltered"
            )
        return self


def _default(name: str) -> Any:
    return LanguageRecipe.model_fields[name].get_default(call_default_factory=True)


class LanguageSizes(Settings):
    """Make one language for each of several numbers of words, with as much text each."""

    sizes: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = Field(
        description="Numbers of words of the vocabulary; a language called SIZE-words for each."
    )
    by: Ranking = Field(
        "frequency",
        description="frequency: the most frequent words; age: those that children use first.",
    )
    sources: tuple[str, ...] = Field(min_length=1, description="Texts of all of them.")
    text_unit: TextUnit = Field("auto", description="What one document of plain text is.")
    train_words: PositiveInt = Field(
        description="Words of each language's train split; one that has not as many is refused."
    )
    twins: bool = Field(
        True,
        description="Whether each has an unfiltered twin of its size, SIZE-words-unconstrained.",
    )
    corpus: dict[str, Any] = Field(
        default_factory=dict,
        description="How spans are cut and filtered, as in [languages.NAME.corpus].",
    )

    def languages(self) -> dict[str, dict[str, Any]]:
        """Return the languages as a recipe would write them."""
        made: dict[str, dict[str, Any]] = {}
        corpus = {**self.corpus, "max_train_words": self.train_words}
        shared = {"sources": list(self.sources), "text_unit": self.text_unit}
        for size in self.sizes:
            name = f"{size}-words"
            words = {"size": size, "by": self.by}
            made[name] = {**shared, "words": words, "corpus": corpus}
            if self.twins:
                made[f"{name}-unconstrained"] = {**shared, "matched_to": name}
        return made


def with_sized_languages(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a recipe with the languages that its table `language_sizes` makes.

    A recipe that was resolved before holds them already; they stay as they are.
    """
    table = values.get("language_sizes")
    if not isinstance(table, Mapping):
        return dict(values)
    sizes = parse_settings(LanguageSizes, table, "language_sizes")
    return {**values, "languages": {**sizes.languages(), **values.get("languages", {})}}
