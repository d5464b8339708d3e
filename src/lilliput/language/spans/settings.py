"""The rule that says which spans of a document are looked at, and which of them pass."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from lilliput.core.settings import Settings
from lilliput.language.words.profiles import PROFILES, ProfileName, WordProfile

SpanShape = Literal["windows", "sentences", "runs"]


class SpanSettings(Settings):
    """The span rule; what is left out (None) comes from the word profile."""

    word_profile: ProfileName = Field(
        default="modern", description="What a word is: paper, cpp or modern (see docs/language.md)."
    )
    span_shape: SpanShape | None = Field(
        default=None,
        description="windows: every stride_words words; sentences: whole sentences; runs: from a sentence start as far as the vocabulary admits.",
    )
    span_words: PositiveInt = Field(
        default=110,
        description="Words of a window, and the most words of a chunk; source: arXiv 2305.17266.",
    )
    stride_words: PositiveInt = Field(
        default=30, description="Words from one window to the next; source: arXiv 2305.17266."
    )
    min_words: NonNegativeInt | None = Field(
        default=None, description="Spans with fewer words are dropped as too short."
    )
    max_unknown_share: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Share of a span's words that may be out of vocabulary.",
    )
    overlap: Literal["keep", "remove"] = Field(
        default="keep",
        description="remove: a window that overlaps the last one kept in its document is dropped.",
    )

    @model_validator(mode="after")
    def _windows_can_pass(self) -> SpanSettings:
        if self.least_words > self.span_words:
            raise ValueError(
                f"min_words ({self.least_words}) must not exceed span_words ({self.span_words})"
            )
        return self

    @model_validator(mode="after")
    def _only_windows_overlap(self) -> SpanSettings:
        for name in () if self.shape == "windows" else ("stride_words", "overlap"):
            value = getattr(self, name)
            if value != SpanSettings.model_fields[name].default:
                raise ValueError(
                    f"{name} = {value!r} would do nothing: only windows overlap, and the spans are {self.shape}. "
                    "Leave it out, or set span_shape to windows"
                )
        if self.overlap == "remove" and self.stride_words >= self.span_words:
            raise ValueError(
                f"overlap = 'remove' would do nothing: windows of {self.span_words} words begin every "
                f"{self.stride_words} words. Leave it out, or lower stride_words"
            )
        return self

    @property
    def profile(self) -> WordProfile:
        """Return the word profile itself."""
        return PROFILES[self.word_profile]

    @property
    def shape(self) -> SpanShape:
        """Return the shape asked for, else the profile's."""
        return self.span_shape or self.profile.span_shape

    @property
    def least_words(self) -> int:
        """Return the least number of words asked for, else the profile's."""
        return self.profile.min_words if self.min_words is None else self.min_words

    @property
    def unknown_share(self) -> float:
        """Return the share of unknown words allowed, else the profile's."""
        given = self.max_unknown_share
        return self.profile.max_unknown_share if given is None else given
