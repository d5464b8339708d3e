"""Define the settings of tokenizers and of their comparison."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from lilliput.core.settings import Settings

KindName = Literal["byte-bpe", "bpe", "wordpiece", "unigram", "sentencepiece-bpe"]
KINDS: tuple[KindName, ...] = ("byte-bpe", "bpe", "wordpiece", "unigram", "sentencepiece-bpe")


class TrainingTextSettings(Settings):
    """Limits on what the training of a tokenizer sees of the corpus, which bound its memory."""

    max_word_types: PositiveInt = Field(
        default=1_000_000,
        description="Distinct words kept; beyond it the rarest are dropped and their share is recorded.",
    )
    max_words: PositiveInt = Field(
        default=200_000_000,
        description="Word occurrences given to the trainer; above it all counts are scaled down alike.",
    )
    character_coverage: float = Field(
        default=0.9995,
        gt=0.5,
        le=1.0,
        description="Share of the text's characters that the alphabet must hold; the rest becomes <unk>. Has no effect on byte-bpe.",
    )
    min_frequency: PositiveInt = Field(
        default=2, description="A pair seen less often in the training text is not merged."
    )


class TokenizerSettings(Settings):
    """One tokenizer to train."""

    kind: KindName = Field(default="byte-bpe", description="The algorithm.")
    vocab_size: PositiveInt = Field(
        default=19_000, description="Ids asked for, the five special tokens included."
    )
    text: TrainingTextSettings = Field(
        default=TrainingTextSettings(),
        description="Limits on what the training sees of the corpus.",
    )


class CompareSettings(Settings):
    """The settings by which tokenizers are measured and one of them is picked."""

    split: Literal["train", "validation", "test"] = Field(
        default="validation", description="Split whose words are counted."
    )
    sample_documents: PositiveInt = Field(
        default=10_000, description="Documents drawn for the split ratios, as in the paper."
    )
    resamples: PositiveInt = Field(
        default=1000, description="Bootstrap draws of documents or words."
    )
    seed: int = Field(
        default=0, description="Seed of the sample of documents and of the bootstrap draws."
    )
    split_ratio_tolerance: float = Field(
        default=0.05,
        ge=0,
        description="Share by which the in-context split ratio of the picked tokenizer may exceed the best one.",
    )
    known_words_only: bool = Field(
        default=True,
        description="Score segmentations of a given reference only on words that occur in the train split.",
    )
