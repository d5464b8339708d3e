"""Find the compute-optimal measurements: the lowest loss at each cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray

Rows = NDArray[np.intp]
FrontierMethod = Literal["paper", "log", "envelope"]
FRONTIER_METHODS: tuple[FrontierMethod, ...] = get_args(FrontierMethod)
DEFAULT_BINS_PER_DECADE = 10


@dataclass(frozen=True)
class FrontierPoint:
    """Hold one compute-optimal measurement."""

    run: str
    flops: float
    loss: float
    line: int
    step: int | None
    is_final: bool

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "run": self.run,
            "flops": self.flops,
            "loss": self.loss,
            "line": self.line,
            "step": self.step,
            "is_final": self.is_final,
        }


@dataclass(frozen=True)
class Frontier:
    """Hold the compute-optimal points and how they were found."""

    points: tuple[FrontierPoint, ...]
    method: str
    finished_only: bool
    flops_column: str
    loss_column: str
    n_measurements: int
    warnings: tuple[str, ...]

    @property
    def runs(self) -> tuple[str, ...]:
        """Return the runs that have a point on the frontier, the cheapest first."""
        return tuple(dict.fromkeys(point.run for point in self.points))

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "points": [point.as_record() for point in self.points],
            "runs": list(self.runs),
            "method": self.method,
            "finished_only": self.finished_only,
            "flops_column": self.flops_column,
            "loss_column": self.loss_column,
            "n_measurements": self.n_measurements,
            "warnings": list(self.warnings),
        }


def frontier(
    table: Table,
    *,
    flops: str | None = None,
    loss: str | None = None,
    method: FrontierMethod = "paper",
    finished_only: bool = False,
    after_step: int | None = None,
    bins_per_decade: int = DEFAULT_BINS_PER_DECADE,
) -> Frontier:
    """Return the compute-optimal measurements of a table, with their runs.

    Args:
        table: One row a measurement.
        flops: Cost column or convention; by default the table's.
        loss: Loss column; by default `loss`, else `loss_reference`.
        method: "paper" (the authors' bins), "log" (bins of equal width in log FLOPs) or "envelope"
            (a point stays when no cheaper or equally cheap one has a lower or equal loss).
        finished_only: Leave out the points of unfinished training.
        after_step: Points up to this step are left out, none with 0; by default those of the warm-up
            where the table marks it.
        bins_per_decade: For "log".

    Raises:
        InputError: The columns are missing, or nothing usable is in them.
    """
    data = measurements_of(table, flops=flops, loss=loss, after_step=after_step)
    rows = np.flatnonzero(data.is_final) if finished_only else np.arange(len(data))
    chosen = rows[frontier_rows(data.flops[rows], data.loss[rows], method, bins_per_decade)]
    return Frontier(
        points=tuple(_point(data, row) for row in chosen.tolist()),
        method=method,
        finished_only=finished_only,
        flops_column=data.flops_column,
        loss_column=data.loss_column,
        n_measurements=int(rows.size),
        warnings=data.warnings,
    )


def _point(data: Measurements, row: int) -> FrontierPoint:
    step = float(data.step[row])
    return FrontierPoint(
        run=data.run_names[int(data.run[row])],
        flops=float(data.flops[row]),
        loss=float(data.loss[row]),
        line=int(data.lines[row]),
        step=int(step) if np.isfinite(step) else None,
        is_final=bool(data.is_final[row]),
    )


def frontier_rows(
    flops: FloatArray,
    loss: FloatArray,
    method: FrontierMethod = "paper",
    bins_per_decade: int = DEFAULT_BINS_PER_DECADE,
) -> Rows:
    """Return the indices of the compute-optimal points, cheapest first; both arguments have shape (points,)."""
    if method == "envelope":
        return _envelope(flops, loss)
    edges = paper_edges(flops) if method == "paper" else _log_edges(flops, bins_per_decade)
    return _lowest_in_bins(flops, loss, edges)


def paper_edges(flops: FloatArray) -> FloatArray:
    """Return the authors' bin edges: 5 % percentiles of the pooled FLOPs, the first three bins cut finer.

    The first bin runs from zero to the cheapest point. The first two are cut into tenths, the third
    into fifths; bins are closed on the right.

    Source: history of text-machine-lab/mini_bert, January 2023; reproduces their 34 points exactly.
    """
    coarse = np.concatenate([[0.0], np.percentile(flops, np.arange(0, 101, 5))])
    fine = [np.linspace(coarse[i], coarse[i + 1], parts + 1) for i, parts in enumerate((10, 10, 5))]
    return np.unique(np.concatenate([*fine, coarse]))


def _log_edges(flops: FloatArray, bins_per_decade: int) -> FloatArray:
    """Return edges at whole steps of 1/bins_per_decade in log10, so that they do not move with the data."""
    low, high = np.log10(flops.min()), np.log10(flops.max())
    first, last = np.floor(low * bins_per_decade) - 1, np.ceil(high * bins_per_decade) + 1
    return 10.0 ** (np.arange(first, last + 1) / bins_per_decade)


def _lowest_in_bins(flops: FloatArray, loss: FloatArray, edges: FloatArray) -> Rows:
    """Return the point of lowest loss (the cheaper one of equals) in each bin, bins closed on the right."""
    bins = np.searchsorted(edges, flops, side="left")
    order = np.lexsort((flops, loss, bins))
    first = np.ones(order.size, dtype=bool)
    first[1:] = np.diff(bins[order]) > 0
    return order[first]


def _envelope(flops: FloatArray, loss: FloatArray) -> Rows:
    order = np.lexsort((loss, flops))
    running = np.minimum.accumulate(loss[order])
    better = np.ones(order.size, dtype=bool)
    better[1:] = loss[order][1:] < running[:-1]
    return order[better]
