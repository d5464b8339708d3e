"""From logits to the next token: the likeliest one, or a draw among the likeliest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lilliput.core.arrays import FloatArray
from lilliput.evaluation.generation.settings import GenerationSettings


def nucleus(probabilities_V: FloatArray, top_p: float) -> NDArray[np.intp]:
    """Return the fewest tokens that together have at least `top_p`, the likeliest first.

        probabilities .5 .3 .2    top_p .5 -> the first token    top_p .6 -> the first two

    Source: Holtzman et al. 2020 (arXiv 1904.09751).
    """
    # All tokens below this bound together have less than 1 - top_p, so that none of them is needed.
    bound = (1.0 - top_p) / len(probabilities_V)
    candidates = np.flatnonzero(probabilities_V >= bound)
    ranked = candidates[np.argsort(-probabilities_V[candidates], kind="stable")]
    mass = np.cumsum(probabilities_V[ranked])
    return ranked[: int(np.searchsorted(mass, top_p * (1.0 - 1e-12))) + 1]


def probabilities(logits_V: NDArray[np.float32], temperature: float) -> FloatArray:
    """Return the softmax of `logits_V / temperature` in float64."""
    scaled = logits_V.astype(np.float64) / temperature
    weights = np.exp(scaled - scaled.max())
    return weights / weights.sum()


def choose(
    logits_MV: NDArray[np.float32],
    settings: GenerationSettings,
    draws: Sequence[np.random.Generator],
) -> list[int]:
    """Return the next token of each text; of equally likely ones the greedy choice is the first."""
    if settings.temperature == 0:
        return logits_MV.argmax(1).tolist()
    return [_drawn(row, settings, rng) for row, rng in zip(logits_MV, draws, strict=True)]


def _drawn(
    logits_V: NDArray[np.float32], settings: GenerationSettings, rng: np.random.Generator
) -> int:
    found = probabilities(logits_V, settings.temperature)
    among = nucleus(found, settings.top_p) if settings.top_p < 1 else np.arange(len(found))
    mass = np.cumsum(found[among])
    place = int(np.searchsorted(mass, rng.random() * mass[-1], side="right"))
    return int(among[min(place, len(among) - 1)])
