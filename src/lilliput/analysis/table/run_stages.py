"""Find where in its run each row lies: in the warm-up, which laws of scale leave out, or at the end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

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


Flags = NDArray[np.bool_]
# The warm-up of arXiv 2305.17266, 1,773 of 35,475 steps.
USUAL_SHARE = 0.05
_ROWS_PER_RESUME = 10


def warm_up_of(table: Table, run: NDArray[np.intp], flops: FloatArray) -> Flags | None:
    """Return the rows measured in the warm-up of their run; None where the table does not mark one.

    Two things mark it: `warmup_steps` beside `step`, or a `learning_rate` that has not yet reached its
    highest value among the run's rows. Example: with learning rates 1e-4, 5e-4, 1e-3, 5e-4 the first two
    rows are in the warm-up.

    Args:
        table: One row a measurement.
        run: Index of each row's run, shape (rows,).
        flops: Cost of each row, by which a run's rows are ordered, shape (rows,).
    """
    if "warmup_steps" in table and "step" in table:
        return table.number("step") <= table.number("warmup_steps")
    if "learning_rate" not in table:
        return None
    rate = np.nan_to_num(table.number("learning_rate"), nan=-np.inf)
    peaks: dict[int, int] = {}
    for row in np.lexsort((flops, run)).tolist():
        name = int(run[row])
        if name not in peaks or rate[row] > rate[peaks[name]]:
            peaks[name] = row
    at_peak = np.array([flops[peaks[name]] for name in run.tolist()])
    return flops < at_peak


def superseded(table: Table) -> Flags:
    """Return the rows that a resumed run measured again: the later measurement of a step holds.

    A run is taken as resumed where, in the order of the file, its steps fall back, at most once in ten rows, to
    steps that it had measured. Example: with steps 1, 2, 3, 4, 3, 4, 5 the first 3 and 4 are superseded. In a table
    that is sorted another way nothing is.
    """
    flags = np.zeros(len(table), dtype=bool)
    if "run" not in table or "step" not in table:
        return flags
    codes = np.unique(table.text("run"), return_inverse=True)[1].reshape(-1)
    steps = table.number("step")
    for code in range(int(codes.max()) + 1):
        rows = np.flatnonzero((codes == code) & np.isfinite(steps))
        falls = np.flatnonzero(np.diff(steps[rows]) < 0) + 1
        if not 0 < falls.size <= max(1, rows.size // _ROWS_PER_RESUME):
            continue
        for fall in falls.tolist():
            before = rows[:fall]
            if steps[rows[fall]] in steps[before]:
                flags[before[steps[before] >= steps[rows[fall]]]] = True
    return flags


def first_twentieth(run: NDArray[np.intp], flops: FloatArray) -> Flags:
    """Return the rows in the first twentieth of their run's cost, where a warm-up usually lies."""
    longest = np.zeros(int(run.max()) + 1)
    np.maximum.at(longest, run, flops)
    return flops <= USUAL_SHARE * longest[run]


def up_to_step(table: Table, step: int) -> Flags:
    """Return the rows of the first steps.

    Raises:
        InputError: `step` is below zero, or the table has no column `step`.
    """
    if step < 0:
        raise InputError("the number of first steps to leave out must be zero or more", got=step)
    if step == 0:
        return np.zeros(len(table), dtype=bool)
    return table.number("step") <= step
