"""Find the last row of each run: only that row says where the run ended."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.table.tidy import Table

Flags = NDArray[np.bool_]
_PROGRESS = ("tokens_seen", "positions_seen", "step", "wall_time_s")


def final_rows(table: Table) -> tuple[Flags, tuple[str, ...]]:
    """Return the rows that `is_final` marks; without that column, the row of each run that is furthest along.

    "Furthest" is judged by the first column that exists of FLOPs, tokens, steps and seconds. Rows of a run
    that are equally far are all kept: they are repetitions.

    Args:
        table: Without a column `run` every row is final.

    Returns:
        Flags of shape (rows,), and a warning where no such column exists and several rows of a run were kept.
    """
    if "is_final" in table and table.columns["is_final"].any():
        return table.columns["is_final"].astype(bool), ()
    every = np.ones(len(table), dtype=bool)
    if "run" not in table:
        return every, ()
    run = np.unique(table.text("run"), return_inverse=True)[1].reshape(-1)
    if np.unique(run).size == run.size:
        return every, ()
    columns = [*table.flops_columns(), *_PROGRESS]
    progress = next((name for name in columns if name in table), None)
    if progress is None:
        return every, (
            "Runs have several rows and no column says how far along they are: every row counts.",
        )
    return furthest(run, table.number(progress)), ()


def furthest(run: NDArray[np.intp], progress: NDArray[np.float64]) -> Flags:
    """Mark the rows with the highest progress of their run; both arguments have shape (rows,)."""
    reached = np.nan_to_num(progress, nan=-np.inf)
    highest = np.full(int(run.max()) + 1, -np.inf)
    np.maximum.at(highest, run, reached)
    return (reached == highest[run]) & np.isfinite(reached)
