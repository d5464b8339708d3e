"""Comparisons of runs by where they ended: seeds, depth, size, and two sets of models."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.runs import Run
from lilliput.core.arrays import FloatArray
from lilliput.core.intervals import bootstrap_interval, mean_interval

_DEPTH_PARTNERS = ("embedding_size", "hidden_size", "intermediate_size")
_ALIKE = ("family", "language", "profile", "variant", "layout")


def final_loss(run: Run) -> float | None:
    """Return the last loss of a run, or its last `loss_reference`; None where it has neither."""
    return run.final.get("loss", run.final.get("loss_reference"))


def mean_final_loss(runs: Sequence[Run]) -> float:
    """Return the mean final loss of the runs that have one."""
    return float(np.mean([loss for run in runs if (loss := final_loss(run)) is not None]))


def mean_over_seeds(losses: Sequence[float]) -> Quantity:
    """Return the mean with Student's interval, which is named where only two seeds carry it."""
    mean = Quantity.from_interval(mean_interval(losses, unit="seeds"))
    if len(losses) != 2:
        return mean
    return replace(mean, note="n = 2 seeds, Student's interval of two")


def depth_pairs(runs: Sequence[Run]) -> list[tuple[list[Run], list[Run]]]:
    """Return neighbouring depths of shapes that are alike but for it, the shallower first, each with its seeds."""
    groups: dict[tuple[object, ...], dict[int, list[Run]]] = {}
    for run in runs:
        if "num_hidden_layers" not in run.sizes or final_loss(run) is None:
            continue
        sizes = (run.sizes.get(name) for name in _DEPTH_PARTNERS)
        key = (*sizes, *(run.facets.get(name) for name in _ALIKE))
        groups.setdefault(key, {}).setdefault(run.sizes["num_hidden_layers"], []).append(run)
    pairs: list[tuple[list[Run], list[Run]]] = []
    for depths in groups.values():
        pairs += list(itertools.pairwise(depths[depth] for depth in sorted(depths)))
    return pairs


def seed_spread(runs: Sequence[Run]) -> float | None:
    """Return the largest range of final losses among seeds of one shape; None without repeated seeds."""
    groups: dict[tuple[object, ...], list[float]] = {}
    for run in runs:
        loss = final_loss(run)
        if loss is not None and "shape" in run.facets:
            key = tuple(run.facets.get(facet) for facet in ("shape", *_ALIKE))
            groups.setdefault(key, []).append(loss)
    ranges = [max(losses) - min(losses) for losses in groups.values() if len(losses) > 1]
    return max(ranges) if ranges else None


def rank_of_size_and_loss(sizes: FloatArray, losses: FloatArray) -> Quantity:
    """Return Spearman's rank correlation of size and final loss, with an interval from drawing runs."""

    def statistic(rows: NDArray[np.intp]) -> float:
        if np.unique(sizes[rows]).size < 2 or np.unique(losses[rows]).size < 2:
            return math.nan
        ranks = stats.rankdata([sizes[rows], losses[rows]], axis=1)
        return float(np.corrcoef(ranks)[0, 1])

    return Quantity.from_interval(bootstrap_interval(statistic, np.arange(sizes.size), unit="runs"))


def share_of_larger_with_higher_loss(sizes: FloatArray, losses: FloatArray) -> float:
    """Return the share of pairs of different size in which the larger model has the higher loss."""
    larger = sizes[:, None] > sizes[None, :]
    higher = losses[:, None] > losses[None, :]
    return float((larger & higher).sum() / max(1, larger.sum()))


def difference_of_means(one: Sequence[float], other: Sequence[float]) -> Quantity:
    """Return the mean of `one` minus the mean of `other`, with an interval from drawing models."""
    values = np.array([*one, *other])
    is_one = np.arange(values.size) < len(one)

    def statistic(rows: NDArray[np.intp]) -> float:
        chosen = is_one[rows]
        if chosen.all() or not chosen.any():
            return math.nan
        return float(values[rows][chosen].mean() - values[rows][~chosen].mean())

    clusters = np.arange(values.size)
    return Quantity.from_interval(bootstrap_interval(statistic, clusters, unit="models"))
