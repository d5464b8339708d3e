"""Draw independent units with repetition: runs (never the points of one run), seeds within a shape, or both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from lilliput.core.arrays import FloatArray
from lilliput.core.seeding import generator

Rows = NDArray[np.intp]
Resample = Literal["unit", "run", "seed", "both"]
RESAMPLE_WAYS: tuple[Resample, ...] = get_args(Resample)


def cluster_draws(
    runs: ArrayLike,
    *,
    resamples: int,
    seed: int,
    way: Resample = "run",
    groups: ArrayLike | None = None,
    share: float = 1.0,
) -> Iterator[Rows]:
    """Yield the row indices, with repetitions, of `resamples` draws of whole runs.

    Args:
        runs: Run of each row, shape (rows,).
        resamples: Number of draws.
        seed: Of the draws.
        way: "unit" draws groups whole, "run" runs; "seed" draws, within each group, its runs (replicates that differ by
            seed); "both" draws groups and then runs within each of them.
        groups: Group of each row (runs that differ only by seed), needed for all but "run".
        share: Runs or units drawn with "run" and "unit", as a share of those there are; below one it shows
            how intervals shrink with more of them.
    """
    rng = generator(seed, "cluster-draws", way)
    whole = runs if way != "unit" or groups is None else groups
    members = _members(np.asarray(whole))
    if way in ("run", "unit") or groups is None:
        size = max(2, round(share * len(members)))
        for _ in range(resamples):
            yield _rows(members, rng.integers(0, len(members), size))
        return
    of_group = np.asarray(groups)[[rows[0] for rows in members]]
    replicates = _members(of_group)
    for _ in range(resamples):
        chosen = np.arange(len(replicates))
        if way == "both":
            chosen = rng.integers(0, len(replicates), len(replicates))
        drawn = [
            replicates[g][rng.integers(0, replicates[g].size, replicates[g].size)] for g in chosen
        ]
        yield _rows(members, np.concatenate(drawn))


def _members(labels: NDArray[np.generic]) -> list[Rows]:
    """Return the rows of each distinct label."""
    codes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _rows(members: list[Rows], chosen: NDArray[np.intp]) -> Rows:
    return np.concatenate([members[c] for c in chosen])


def expanded_bounds(
    draws: ArrayLike, n_clusters: ArrayLike, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return percentile bounds of each column of `draws`, widened for few clusters; NaN where there are none.

    A percentile interval from n clusters is narrow by sqrt((n-1)/n) and by the normal's thinner tail;
    taking the percentiles at the level that Student's t asks for corrects both to first order.

    Args:
        draws: Bootstrap draws, shape (resamples, parameters); a NaN draw is left out.
        n_clusters: Number of independent clusters behind each column, or one number for all.
        level: Coverage.

    Source: Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician
        69(4), 2015, section 5.3 (expanded percentile interval).
    """
    values = np.atleast_2d(np.asarray(draws, dtype=np.float64))
    clusters = np.broadcast_to(np.asarray(n_clusters), values.shape[1:]).tolist()
    low, high = (np.full(values.shape[1], np.nan) for _ in range(2))
    for column, n in enumerate(clusters):
        kept = values[np.isfinite(values[:, column]), column]
        if n < 2 or kept.size < max(2, values.shape[0] / 2):
            continue
        t = stats.t.ppf((1 + level) / 2, n - 1)
        tail = float(stats.norm.cdf(-math.sqrt(n / (n - 1)) * t))
        low[column], high[column] = np.quantile(kept, [tail, 1 - tail])
    return low, high


def spread(draws: ArrayLike) -> FloatArray:
    """Return the standard deviation of each column of `draws` over the finite ones; NaN where fewer than two."""
    values = np.atleast_2d(np.asarray(draws, dtype=np.float64))
    result = np.full(values.shape[1], np.nan)
    for column in range(values.shape[1]):
        kept = values[np.isfinite(values[:, column]), column]
        if kept.size >= 2:
            with np.errstate(over="ignore"):  # The scale of a steep law can span all floats.
                result[column] = kept.std(ddof=1)
    return result
