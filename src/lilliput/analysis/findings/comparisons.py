"""Comparisons of runs by where they ended: seeds, depth, size, and two sets of models."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lilliput.analysis.findings.groups import group_names
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


@dataclass(frozen=True)
class ShapeMean:
    """Hold where the runs of one shape and group ended.

    Attributes:
        group: The group of comparable runs.
        shape: The shape, or the name of the run where shapes are unknown.
        sizes: The five sizes of the shape, where known.
        num_parameters: Parameters of the model; None where unknown.
        loss: Mean final loss over the seeds, with Student's interval.
    """

    group: str
    shape: str
    sizes: Mapping[str, int]
    num_parameters: float | None
    loss: Quantity


def means_by_shape(runs: Sequence[Run], column: str = "") -> list[ShapeMean]:
    """Return the mean final loss of each shape in each group, the smallest first.

    Args:
        runs: The runs.
        column: The loss to take, such as "bits_per_byte"; by default that of `final_loss`.
    """
    groups = group_names(runs)
    members: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        if _last(run, column) is not None:
            alike = (run.facets.get(name, "") for name in _ALIKE)
            shape = run.facets.get("shape", run.name)
            members.setdefault((groups[run.name], shape, *alike), []).append(run)
    return [_shape_mean(group, shape, some, column) for (group, shape, *_), some in members.items()]


def _last(run: Run, column: str) -> float | None:
    return run.final.get(column) if column else final_loss(run)


def _shape_mean(group: str, shape: str, runs: Sequence[Run], column: str) -> ShapeMean:
    losses = [loss for run in runs if (loss := _last(run, column)) is not None]
    size = runs[0].final.get("num_parameters")
    return ShapeMean(group, shape, runs[0].sizes, size, mean_over_seeds(losses))


@dataclass(frozen=True)
class Ladder:
    """Hold shapes of one group that differ in one thing: depth alone, or all widths at one depth.

    Attributes:
        group: The group of comparable runs.
        held: What they share, such as "hidden 64" or "2 layers".
        steps: The shapes, the smallest first; at least two.
    """

    group: str
    held: str
    steps: tuple[ShapeMean, ...]


def depth_ladders(means: Sequence[ShapeMean]) -> list[Ladder]:
    """Return the shapes that are alike but for their number of layers."""
    return _ladders(
        means, "num_hidden_layers", _DEPTH_PARTNERS, lambda s: f"width {s['hidden_size']}"
    )


def width_ladders(means: Sequence[ShapeMean]) -> list[Ladder]:
    """Return the shapes of one depth, by their hidden size; where two share it, the first is kept."""
    return _ladders(
        means, "hidden_size", ("num_hidden_layers",), lambda s: _layers(s["num_hidden_layers"])
    )


def _layers(count: int) -> str:
    return "1 layer" if count == 1 else f"{count} layers"


def _ladders(
    means: Sequence[ShapeMean],
    step: str,
    held: Sequence[str],
    name: Callable[[Mapping[str, int]], str],
) -> list[Ladder]:
    found: dict[tuple[object, ...], dict[int, ShapeMean]] = {}
    for mean in means:
        if step in mean.sizes and all(size in mean.sizes for size in held):
            key = (mean.group, *(mean.sizes[size] for size in held))
            found.setdefault(key, {}).setdefault(mean.sizes[step], mean)
    by_size = sorted(found.items(), key=lambda item: [int(str(size)) for size in item[0][1:]])
    return [
        Ladder(
            str(group),
            name(next(iter(steps.values())).sizes),
            tuple(steps[s] for s in sorted(steps)),
        )
        for (group, *_), steps in by_size
        if len(steps) > 1
    ]
