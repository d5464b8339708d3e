"""How many times larger a model of one language must be to score as well as a model of another."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.emergence.detect import ScoredPoints, item_shares, seed_weights
from lilliput.core.arrays import FloatArray
from lilliput.core.seeding import generator

_LEVELS = 21
_FEWEST_DRAWS = 0.5


@dataclass(frozen=True)
class SizeEquivalence:
    """The ratio of sizes at equal score.

    Attributes:
        ratio: N of the first family divided by N of the second, geometric mean over the scores that both reach;
            None where they have no score in common.
        low: Lower bound of the 95 % interval over seeds and items; None where too few draws have a common score.
        high: Upper bound.
        score_low: Lowest score that both families reach.
        score_high: Highest one.
        why: What must be known, in words.
    """

    ratio: float | None
    low: float | None
    high: float | None
    score_low: float | None
    score_high: float | None
    why: str

    def confirms(self, value: float, against: float) -> bool:
        """Return whether the interval holds `value` and excludes `against`: 6 against 2, for the published claim."""
        if self.low is None or self.high is None:
            return False
        return self.low <= value <= self.high and not self.low <= against <= self.high

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def rising(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the closest values that never fall, by pooling neighbours (isotonic regression)."""
    blocks: list[list[float]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            last, before = blocks.pop(), blocks.pop()
            both = last[1] + before[1]
            mean = (last[0] * last[1] + before[0] * before[1]) / both
            blocks.append([mean, both, last[2] + before[2]])
    return np.concatenate([np.full(int(count), value) for value, _, count in blocks])


def size_equivalence(
    first: ScoredPoints, second: ScoredPoints, *, resamples: int = 500, seed: int = 0
) -> SizeEquivalence:
    """Return N of the first family over N of the second at equal score.

    Each family's mean score by size is made rising and joined by straight lines in ln N; the ratio is averaged over
    the scores that both families reach. Seeds are drawn within each unit, items together for all runs of a family; where both
    families have the same items, the same ones are drawn for both.

    Args:
        first: Axis ln N.
        second: Axis ln N.
        resamples: Draws behind the interval.
        seed: Of the draws.
    """
    whole = _log_ratio(first, first.score, _ones(first), second, second.score, _ones(second))
    if whole is None:
        return SizeEquivalence(
            None, None, None, None, None, "The two families reach no score in common."
        )
    log_ratio, low_score, high_score = whole
    rng = generator(seed, "equivalence")
    drawn: list[float] = []
    for _ in range(resamples):
        items = item_shares(first, rng)
        others = (
            items if first.items.shape[1] == second.items.shape[1] else item_shares(second, rng)
        )
        found = _log_ratio(
            first, first.items @ items, seed_weights(first, rng),
            second, second.items @ others, seed_weights(second, rng),
        )  # fmt: skip
        if found is not None:
            drawn.append(found[0])
    why = f"Mean over the scores {low_score:.3f} to {high_score:.3f}, which both families reach."
    if len(drawn) < _FEWEST_DRAWS * resamples or not drawn:
        why += f" Only {len(drawn)} of {resamples} draws have a score in common: no interval."
        return SizeEquivalence(float(np.exp(log_ratio)), None, None, low_score, high_score, why)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return SizeEquivalence(
        float(np.exp(log_ratio)),
        float(np.exp(low)),
        float(np.exp(high)),
        low_score,
        high_score,
        why,
    )


def _ones(points: ScoredPoints) -> FloatArray:
    return np.ones(len(points.axis))


def _log_ratio(
    first: ScoredPoints,
    first_score: FloatArray,
    first_weights: FloatArray,
    second: ScoredPoints,
    second_score: FloatArray,
    second_weights: FloatArray,
) -> tuple[float, float, float] | None:
    """Return the mean ln ratio of sizes, and the lowest and highest common score."""
    sizes_a, scores_a = _curve(first.axis, first_score, first_weights)
    sizes_b, scores_b = _curve(second.axis, second_score, second_weights)
    low, high = max(scores_a[0], scores_b[0]), min(scores_a[-1], scores_b[-1])
    if not low < high:
        return None
    levels = np.linspace(low, high, _LEVELS)
    gap = _size_at(levels, sizes_a, scores_a) - _size_at(levels, sizes_b, scores_b)
    return float(gap.mean()), float(low), float(high)


def _curve(
    axis: FloatArray, score: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the sizes in order and the rising mean score at each."""
    sizes, place = np.unique(axis, return_inverse=True)
    total: FloatArray = np.bincount(place, weights).astype(np.float64)
    kept = total > 0
    mean = np.bincount(place, weights * score)[kept] / total[kept]
    return sizes[kept], rising(mean, total[kept])


def _size_at(levels: FloatArray, sizes: FloatArray, scores: FloatArray) -> NDArray[np.float64]:
    """Return ln N at each score; of a flat stretch, its middle."""
    unique, place = np.unique(scores, return_inverse=True)
    middle = np.bincount(place, sizes) / np.bincount(place)
    return np.interp(levels, unique, middle)
