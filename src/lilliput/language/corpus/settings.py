"""The settings that decide what a corpus holds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from lilliput.language.spans.settings import SpanSettings

SPLITS = ("train", "validation", "test")


class CorpusSettings(SpanSettings):
    """The span rule and what happens to the spans that pass it."""

    validation_share: float = Field(
        default=0.02, ge=0, lt=1, description="Share of the documents held out for validation."
    )
    test_share: float = Field(default=0.02, ge=0, lt=1, description="Share held out for testing.")
    split_by: Literal["document", "span"] = Field(
        default="document",
        description="document: by the split group of the document; span: at random, as in the published corpus (overlapping spans then leak between splits).",
    )
    seed: NonNegativeInt = Field(
        default=0, description="Seed of the split and of the choice under quotas."
    )
    text_language: str = Field(
        default="",
        pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$",
        description="BCP 47 code of the texts' language (en, de, pt-BR), for the cards; empty: not stated.",
    )
    quotas: dict[str, PositiveInt] = Field(
        default_factory=dict, description="Most words to take of a source; others are not limited."
    )
    max_train_words: PositiveInt | None = Field(
        default=None,
        description="Most words of the train split, spans chosen by hash; all when left out.",
    )
    near_duplicates: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Jaccard similarity of 5-word shingles from which a span is a near-duplicate; needs the extra 'dedup'.",
    )
    max_document_bytes: PositiveInt = Field(
        default=16 << 20,
        description="Longer documents are reported as damaged, which bounds memory.",
    )
    shard_bytes: PositiveInt = Field(
        default=64 << 20, description="Large files are cut into shards of about so many bytes."
    )
    on_error: Literal["stop", "skip"] = Field(
        default="stop", description="Damaged documents and files: stop, or count them and go on."
    )

    @model_validator(mode="after")
    def _something_is_left_to_train_on(self) -> CorpusSettings:
        if self.validation_share + self.test_share >= 1:
            held_out = self.validation_share + self.test_share
            raise ValueError(f"validation_share + test_share must be below 1, got {held_out:g}")
        return self
