"""Find the independent units of a table: runs that differ only by seed share the effect of their shape.

Twelve shapes with two seeds each are twelve independent units and not twenty-four: the two seeds of a
shape lie on the same side of every law that does not know the shape. Drawing the 24 runs as if they were
independent makes intervals too short and finds breaks where there are none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.table.tidy import Table
from lilliput.architecture import SIZES
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

Codes = NDArray[np.intp]
_SETTINGS = ("family", "language", "profile", "variant", "layout")
_SIZES = (*SIZES, "num_parameters")
_PROGRESS = ("tokens_seen", "positions_seen", "step")
_SAME_COST = 0.05
# Two runs of their own do not have so many first losses in common, to the last digit.
_SAME_START = 3


def independent_units(table: Table, run: Codes, *, cluster: str | None = None) -> tuple[Codes, str]:
    """Return the independent unit of each row, and what such a unit is called.

    Runs are the units, unless several of them share sizes and settings and differ by seed: then the shape
    is the unit. Runs of one shape with the same seed, or in a table without seeds, belong together only
    where they cost the same within 5 % (an iso-FLOP grid trains one shape at several budgets), or where they are
    branches of one trunk, whose curves are the same until they leave it: then the shape is the unit, whatever its budgets.

    Args:
        table: One row a measurement.
        run: Index of each row's run, shape (rows,).
        cluster: Column that names the unit instead, such as `shape` or `family`; `run` for single runs.

    Returns:
        Codes from zero, shape (rows,), and "run", "shape" or the name of the column.

    Raises:
        InputError: There is no such column, or it has several values within one run.
    """
    if cluster is not None:
        return _asked_for(table, run, cluster)
    columns = [name for name in _SETTINGS if name in table]
    sizes = ["shape"] if "shape" in table else [name for name in _SIZES if name in table]
    if not sizes:
        return run, "run"
    first = np.unique(run, return_index=True)[1]
    key = _joined(table, [*columns, *sizes], first)
    seeds = table.text("seed")[first] if "seed" in table else None
    group = _split_where_seeds_repeat(key, seeds, _cost_of_runs(table, run), _trunks(table, run))
    if int(group.max()) + 1 == first.size:
        return run, "run"
    return group[run], "shape"


def _asked_for(table: Table, run: Codes, cluster: str) -> tuple[Codes, str]:
    if cluster == "run":
        return run, "run"
    if cluster not in table:
        raise InputError(
            f"{table.source} must have the column that names independent units",
            got=cluster,
            remedy=f"Its columns are: {', '.join(table.columns)}.",
        )
    codes = _codes(table.text(cluster))
    pairs = np.unique(np.stack([run, codes]), axis=1)
    if pairs.shape[1] > np.unique(run).size:
        raise InputError(
            "a column of independent units must have one value for each run",
            got=f"several of {cluster} within one run",
            remedy="Choose a column such as shape or family.",
        )
    return codes, cluster


def _codes(values: NDArray[Any]) -> Codes:
    return np.unique(values, return_inverse=True)[1].reshape(-1)


def _joined(table: Table, columns: list[str], rows: Codes) -> Codes:
    """Return one code for each different combination of the columns, at the given rows."""
    cells = [table.text(name)[rows].tolist() for name in columns]
    return _codes(np.array(["\x1f".join(row) for row in zip(*cells, strict=True)]))


def _cost_of_runs(table: Table, run: Codes) -> FloatArray | None:
    """Return the largest progress of each run, shape (runs,); None without a column of progress."""
    for name in (*table.flops_columns(), *_PROGRESS):
        if name in table and table.columns[name].dtype.kind == "f":
            highest = np.zeros(int(run.max()) + 1)
            np.maximum.at(highest, run, np.nan_to_num(table.number(name)))
            return highest
    return None


def _trunks(table: Table, run: Codes) -> Codes:
    """Return one code for the runs that share a trunk: those whose first `_SAME_START` measurements are the same.

    A table without steps and losses, or with fewer measurements of a run, has no such runs.
    """
    count = int(run.max()) + 1
    trunks = np.arange(count)
    loss = next((name for name in ("loss", "loss_reference") if name in table), None)
    if loss is None or "step" not in table:
        return trunks
    steps, losses = table.number("step"), table.number(loss)
    order = np.lexsort((steps, run))
    starts: dict[bytes, int] = {}
    for rows in np.split(order, np.flatnonzero(np.diff(run[order])) + 1):
        if rows.size > _SAME_START:
            start = np.stack([steps[rows], losses[rows]])[:, :_SAME_START].tobytes()
            trunks[run[rows[0]]] = starts.setdefault(start, int(run[rows[0]]))
    return trunks


def _split_where_seeds_repeat(
    key: Codes, seeds: NDArray[np.str_] | None, cost: FloatArray | None, trunks: Codes
) -> Codes:
    """Return the unit of each run: runs of one key, split by cost where their seeds are not all different."""
    units = np.zeros(key.size, dtype=np.intp)
    count = 0
    for code in range(int(key.max()) + 1):
        runs = np.flatnonzero(key == code)
        by_seed = seeds is not None and np.unique(seeds[runs]).size == runs.size
        by_seed |= np.unique(trunks[runs]).size < runs.size
        parts = np.zeros(runs.size, dtype=np.intp)
        if not by_seed and cost is not None:
            order = np.argsort(cost[runs], kind="stable")
            steps = np.diff(np.log(np.maximum(cost[runs][order], 1e-300))) > _SAME_COST
            parts[order] = np.concatenate([[0], np.cumsum(steps)])
        elif not by_seed and seeds is None:
            parts = np.arange(runs.size)
        units[runs] = count + parts
        count += int(parts.max()) + 1
    return units
