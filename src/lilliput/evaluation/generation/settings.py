"""How a text is made from a model's probabilities."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, PositiveInt

from lilliput.core.settings import Seed, Settings


class GenerationSettings(Settings):
    """Choose each next token from the probabilities that a causal model gives."""

    max_new_tokens: PositiveInt = Field(
        default=64,
        description="Most tokens added to a prompt; fewer where the text ends or the context is full.",
    )
    temperature: NonNegativeFloat = Field(
        default=0.0,
        description="0 takes the likeliest token (greedy); 1 draws from the model's probabilities; below 1 sharpens them, above 1 flattens them.",
    )
    top_p: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Draw only among the likeliest tokens that together have at least this probability; 1 draws among all. Without effect where temperature is 0.",
    )
    samples: PositiveInt = Field(default=1, description="Texts made from each prompt.")
    seed: Seed = Field(
        default=0,
        description="Seed of the draws. A text depends on it, its prompt's place in the list and its sample's number, not on the batch.",
    )
    batch_size: PositiveInt = Field(
        default=32, description="Texts made at once; speed and memory decide, results do not."
    )
    use_cache: bool = Field(
        default=True,
        description="Keep the keys and values of earlier tokens. Without it every token costs a pass over the whole text: the slow twin, for checks.",
    )
