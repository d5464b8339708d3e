"""The settings of pruning, apart from what carries it out: a plan reads them alone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lilliput.core.settings import Seed, Settings

Kept = Literal["low", "middle", "high", "gumbel", "random", "random-mix"]
BY_SCORE: frozenset[Kept] = frozenset({"low", "middle", "high", "gumbel"})


class PruningSettings(Settings):
    """Which share of the train split is kept."""

    keep: Kept = Field(
        description="low, middle or high scores; gumbel: drawn without replacement, with chances "
        "proportional to exp(score); random: any spans; random-mix: any, as many of each source as another "
        "pruned corpus has."
    )
    rate: float = Field(gt=0, le=1, description="Share of the spans of the train split to keep.")
    seed: Seed = Field(0, description="Of random choices.")
