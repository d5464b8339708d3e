"""How multiple-choice tasks are scored, and how the study's own are made."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveInt

from lilliput.core.settings import Seed, Settings


class ChoiceSettings(Settings):
    """Score each choice by its log-likelihood after the question; the likeliest one is the answer."""

    shots: NonNegativeInt = Field(
        default=0,
        description="Solved examples from the train split before each question; 0 is zero-shot.",
    )
    seeds: tuple[Seed, ...] = Field(
        default=(0,),
        min_length=1,
        description="Draws of the solved examples; unused where shots is 0.",
    )
    max_items: PositiveInt | None = Field(
        default=None,
        description="Most items of a task that are scored, drawn by chance and the same for every run; absent, all.",
    )
    batch_tokens: PositiveInt = Field(
        default=2048, description="Tokens per forward pass; speed decides, results do not."
    )
    resamples: PositiveInt = Field(
        default=1000, description="Bootstrap draws behind each interval."
    )


class ChoiceProbeSettings(Settings):
    """Multiple-choice tasks made from held-out text, so that any language has them."""

    splits: tuple[str, ...] = Field(
        default=("validation", "test"),
        min_length=1,
        description="Splits of the corpus to take text from.",
    )
    question_words: PositiveInt = Field(
        default=12, description="Words of held-out text that stand before the choices."
    )
    choice_words: PositiveInt = Field(
        default=5, description="Words of each choice of the task continuation."
    )
    choices: int = Field(
        default=4, ge=2, le=10, description="Choices of each item; one of them is right."
    )
    max_items: PositiveInt = Field(default=500, description="Most scored items of a task.")
    max_train_items: PositiveInt = Field(
        default=100,
        description="Most items of the train split, from which solved examples are drawn.",
    )
