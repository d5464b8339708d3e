"""Which positions and sequences show how a model uses its context."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from lilliput.core.settings import Seed, Settings

Positions = tuple[int, int]


class ContextSettings(Settings):
    """Two measures of a causal model, both in nats: they need no answers and no learning."""

    early: Positions = Field(
        default=(8, 16),
        description="Positions early in a document, from the first to before the second.",
    )
    late: Positions | None = Field(
        default=None,
        description="Positions late in the same documents; absent, the last quarter of the model's context, at most 96 to 128.",
    )
    max_documents: PositiveInt = Field(
        default=200, description="Most held-out documents, the first that are long enough."
    )
    sequences: PositiveInt = Field(
        default=100, description="Random sequences of tokens, each shown twice in a row."
    )
    sequence_length: PositiveInt = Field(
        default=16, description="Tokens of a random sequence, all different."
    )
    seed: Seed = Field(default=0, description="Seed of the random sequences.")
    batch_tokens: PositiveInt = Field(
        default=4096, description="Tokens per forward pass; speed decides, results do not."
    )
    resamples: PositiveInt = Field(
        default=1000, description="Bootstrap draws behind each interval."
    )

    @model_validator(mode="after")
    def _in_order(self) -> ContextSettings:
        for name, window in (("early", self.early), ("late", self.late)):
            if window is not None and not 1 <= window[0] < window[1]:
                raise ValueError(
                    f"{name} must be two positions, the first at least 1 and below the second"
                )
        if self.late is not None and self.late[0] < self.early[1]:
            raise ValueError("late must begin where early ends, or after it")
        return self

    def late_within(self, context: int) -> Positions:
        """Return the late positions for a model that reads `context` tokens."""
        return self.late or (3 * min(context, 128) // 4, min(context, 128))
