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


def independent_units(table: Table, run: Codes, *, cluster: str | None = None) -> tuple[Codes, str]:
    """Return the independent unit of each row, and what such a unit is called.

    Runs are the units, unless several of them share sizes and settings and differ by seed: then the shape
    is the unit. Runs of one shape with the same seed, or in a table without seeds, belong together only
    where they cost the same within 5 % (an iso-FLOP grid trains one shape at several budgets).

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
    group = _split_where_seeds_repeat(key, seeds, _cost_of_runs(table, run))
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


def _split_where_seeds_repeat(
    key: Codes, seeds: NDArray[np.str_] | None, cost: FloatArray | None
) -> Codes:
    """Return the unit of each run: runs of one key, split by cost where their seeds are not all different."""
    units = np.zeros(key.size, dtype=np.intp)
    count = 0
    for code in range(int(key.max()) + 1):
        runs = np.flatnonzero(key == code)
        by_seed = seeds is not None and np.unique(seeds[runs]).size == runs.size
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
