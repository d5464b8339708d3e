"""Compare two studies or tables group by group, under one convention of FLOPs and one loss that both have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lilliput.analysis import Comparison, FitOptions, Table, analyse_comparison
from lilliput.analysis.findings.comparisons import ShapeMean, means_by_shape
from lilliput.analysis.findings.groups import ALL_RUNS, scaling_groups
from lilliput.analysis.findings.runs import Run
from lilliput.core.errors import InputError

_RESAMPLES = 200
_GRID = 60


@dataclass(frozen=True)
class TwoGroups:
    """Hold the comparison of one group of runs in A with one in B.

    Attributes:
        group: Name of the group; of both, where they are called alike.
        found: The comparison; None where it could not be made.
        problem: Why not, in words.
        lines: Rows of (side, FLOPs, loss) along the law of each side.
    """

    group: str
    found: Comparison | None
    problem: str
    lines: tuple[tuple[str, float, float], ...] = ()


@dataclass(frozen=True)
class TwoShapes:
    """Hold where the same shape ended in A and in B."""

    group: str
    shape: str
    a: ShapeMean
    b: ShapeMean

    @property
    def difference(self) -> float | None:
        """Return the mean of B minus that of A."""
        one, other = self.a.loss.value, self.b.loss.value
        return None if one is None or other is None else other - one


def compare_groups(
    a: Table, b: Table, names: tuple[str, str], flops: str, loss: str
) -> tuple[TwoGroups, ...]:
    """Return the comparison of each group that both have, or of the only one of each.

    Args:
        a: The table that is compared with.
        b: The table that is judged.
        names: What the two are called.
        flops: Cost column that both have.
        loss: Loss column that both have.
    """
    ones, others = scaling_groups(a), scaling_groups(b)
    pairs = [(name, ones[name], others[name]) for name in ones if name in others]
    if not pairs and len(ones) == len(others) == 1:
        pairs = [(ALL_RUNS, next(iter(ones.values())), next(iter(others.values())))]
    return tuple(_two_groups(group, one, other, names, flops, loss) for group, one, other in pairs)


def _two_groups(
    group: str, a: Table, b: Table, names: tuple[str, str], flops: str, loss: str
) -> TwoGroups:
    options = FitOptions(resamples=_RESAMPLES)
    try:
        found = analyse_comparison(a, b, names=names, flops=flops, loss=loss, options=options)
    except InputError as error:
        return TwoGroups(group, None, str(error))
    lines: list[tuple[str, float, float]] = []
    for side in (found.a, found.b):
        grid = np.geomspace(side.flops.min(), side.flops.max(), _GRID)
        points = zip(grid.tolist(), side.curve.predict(grid).tolist(), strict=True)
        lines += [(side.name, cost, value) for cost, value in points]
    return TwoGroups(group, found, "", tuple(lines))


def compare_shapes(a: Sequence[Run], b: Sequence[Run], loss: str) -> tuple[TwoShapes, ...]:
    """Return where each shape that both have ended, group by group where both name their groups alike."""
    ones = {(mean.group, mean.shape): mean for mean in means_by_shape(a, loss)}
    others = {(mean.group, mean.shape): mean for mean in means_by_shape(b, loss)}
    return tuple(TwoShapes(*key, ones[key], others[key]) for key in ones if key in others)
