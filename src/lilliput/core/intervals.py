"""Numbers that carry their uncertainty: value, interval, count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lilliput.core.arrays import FloatArray
from lilliput.core.seeding import generator

DEFAULT_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """Hold a value with the bounds that its data allow.

    Attributes:
        value: The estimate.
        low: Lower bound; None when the data cannot give one (a single observation).
        high: Upper bound; None for the same reason.
        n: Number of independent observations (examples, runs, seeds: see `unit`).
        level: Share of repetitions in which such an interval covers the truth.
        method: How the bounds came about.
        unit: What `n` counts.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    level: float = 0.95
    method: str = ""
    unit: str = "observations"

    @property
    def is_single(self) -> bool:
        """Return whether there is no interval, because one observation cannot give one."""
        return self.low is None or self.high is None

    def excludes(self, reference: float) -> bool:
        """Return whether the interval lies wholly on one side of `reference`."""
        if self.low is None or self.high is None:
            return False
        return reference < self.low or reference > self.high

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def mean_interval(values: ArrayLike, *, level: float = 0.95, unit: str = "seeds") -> Interval:
    """Return the mean of few independent values with Student's t interval (the right one for 2 to 30 seeds)."""
    x = np.asarray(values, dtype=np.float64)
    if x.size == 0:
        raise ValueError("mean_interval needs at least one value")
    mean = float(x.mean())
    if x.size == 1:
        return Interval(mean, None, None, 1, level, "single", unit)
    from scipy import stats  # A second to import, and every room imports this module.

    half = float(stats.t.ppf((1 + level) / 2, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size))
    return Interval(mean, mean - half, mean + half, int(x.size), level, "student-t", unit)


def proportion_interval(successes: float, n: int, *, level: float = 0.95) -> Interval:
    """Return a share of `n` examples with Wilson's interval, which stays inside 0 and 1.

    `successes` may hold halves, where a tie counts as half a success.
    """
    if n == 0:
        raise ValueError("proportion_interval needs at least one example")
    from scipy import stats

    share = successes / n
    if float(successes).is_integer():
        bounds = stats.binomtest(int(successes), n).proportion_ci(level, method="wilson")
        low, high = float(bounds.low), float(bounds.high)
    else:
        # The same formula; the library takes whole numbers only.
        z2 = float(stats.norm.ppf((1 + level) / 2)) ** 2
        middle = (share + z2 / (2 * n)) / (1 + z2 / n)
        half = (z2 * (share * (1 - share) + z2 / (4 * n)) / n) ** 0.5 / (1 + z2 / n)
        low, high = middle - half, middle + half
    return Interval(share, low, high, n, level, "wilson", "examples")


def bootstrap_interval(
    statistic: Callable[[NDArray[np.intp]], float],
    clusters: ArrayLike,
    *,
    resamples: int = DEFAULT_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
    unit: str = "clusters",
) -> Interval:
    """Return `statistic` with a percentile interval from resampling whole clusters.

    Points of one run, or scores of one seed, are not independent: the cluster is what is drawn.

    Args:
        statistic: Row indices (with repetitions) to a number.
        clusters: Cluster of each row, shape (rows,).
        resamples: Number of draws; draws on which the statistic is not finite are left out.
        level: Coverage.
        seed: Of the draws.
        unit: What a cluster is.

    Returns:
        The statistic on all rows; without bounds when there is one cluster only.
    """
    labels = np.asarray(clusters)
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    value = float(statistic(np.arange(labels.size)))
    if len(members) < 2:
        return Interval(value, None, None, len(members), level, "single", unit)
    draws = bootstrap_draws(statistic, members, resamples=resamples, seed=seed)
    low, high = percentile_bounds(draws, level)
    return Interval(value, low, high, len(members), level, "cluster bootstrap", unit)


def bootstrap_draws(
    statistic: Callable[[NDArray[np.intp]], float],
    members: list[NDArray[np.intp]],
    *,
    resamples: int,
    seed: int,
) -> FloatArray:
    """Return the statistic on `resamples` draws of whole clusters with replacement, shape (resamples,)."""
    rng = generator(seed, "bootstrap")
    count = len(members)
    draws = np.empty(resamples)
    for i in range(resamples):
        chosen = rng.integers(0, count, count)
        draws[i] = statistic(np.concatenate([members[c] for c in chosen]))
    return draws


def two_way_bootstrap_interval(
    statistic: Callable[[NDArray[np.intp], NDArray[np.intp]], float],
    n_seeds: int,
    n_examples: int,
    *,
    resamples: int = DEFAULT_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return `statistic` with a percentile interval over seeds and examples, both drawn anew each time.

    Args:
        statistic: Seed indices and example indices (both with repetitions) to a number.
        n_seeds: Number of seeds; with one, only examples are drawn.
        n_examples: Number of examples scored under each seed.
        resamples: Number of draws.
        level: Coverage.
        seed: Of the draws.
    """
    value = float(statistic(np.arange(n_seeds), np.arange(n_examples)))
    draws = two_way_bootstrap_draws(statistic, n_seeds, n_examples, resamples=resamples, seed=seed)
    low, high = percentile_bounds(draws, level)
    return Interval(
        value, low, high, n_examples, level, "bootstrap over seeds and examples", "examples"
    )


def two_way_bootstrap_draws(
    statistic: Callable[[NDArray[np.intp], NDArray[np.intp]], float],
    n_seeds: int,
    n_examples: int,
    *,
    resamples: int,
    seed: int = 0,
) -> FloatArray:
    """Return the statistic on `resamples` draws of seeds and of examples, shape (resamples,)."""
    rng = generator(seed, "two-way-bootstrap")
    draws = np.empty(resamples)
    for i in range(resamples):
        chosen = rng.integers(0, n_seeds, n_seeds) if n_seeds > 1 else np.arange(n_seeds)
        draws[i] = statistic(chosen, rng.integers(0, n_examples, n_examples))
    return draws


def percentile_bounds(draws: ArrayLike, level: float) -> tuple[float | None, float | None]:
    """Return the middle `level` of the finite draws; none when fewer than half of them are finite."""
    values = np.asarray(draws, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if finite.size < max(2, values.size / 2):
        return None, None
    tail = (1 - level) / 2
    low, high = np.quantile(finite, [tail, 1 - tail])
    return float(low), float(high)
