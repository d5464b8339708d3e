"""Take from a table the measurements that an analysis uses, and count the rows that it leaves out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lilliput.analysis.table.columns import (
    SIX_ND,
    choose_flops,
    choose_loss,
    is_six_nd,
    refuse_logarithms,
    refuse_swapped,
    with_six_nd,
)
from lilliput.analysis.table.run_stages import (
    first_twentieth,
    furthest,
    superseded,
    up_to_step,
    warm_up_of,
)
from lilliput.analysis.table.tidy import Table
from lilliput.analysis.table.units import independent_units
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

_WARM_UP = "in the warm-up"


@dataclass(frozen=True)
class Measurements:
    """Hold the usable measurements, one entry for each row of the table; all arrays are of shape (points,).

    Attributes:
        flops: Training FLOPs, above zero.
        loss: Loss, above zero.
        run: Index into `run_names`.
        group: Index of the independent unit: the run, or the runs of a shape that differ by seed only.
        step: Optimizer steps, NaN where not given.
        is_final: Whether training was finished at this point.
        is_early: Whether the run was in its warm-up; where the table does not mark a warm-up, in the
            first twentieth of its cost.
        lines: Line of the source.
        run_names: Names of the runs.
        flops_column: Column that `flops` came from.
        loss_column: Column that `loss` came from.
        refused: Reason to number of rows left out for it.
        warnings: One sentence each.
        unit: Word for what `group` counts: "run", "shape", or the column that was asked for.
    """

    flops: FloatArray
    loss: FloatArray
    run: NDArray[np.intp]
    group: NDArray[np.intp]
    step: FloatArray
    is_final: NDArray[np.bool_]
    is_early: NDArray[np.bool_]
    lines: NDArray[np.int64]
    run_names: tuple[str, ...]
    flops_column: str
    loss_column: str
    refused: Mapping[str, int] = field(default_factory=dict[str, int])
    warnings: tuple[str, ...] = ()
    unit: str = "run"

    def __len__(self) -> int:
        return int(self.flops.size)

    def select(self, rows: NDArray[Any]) -> Measurements:
        """Return the points chosen by a mask or by indices."""
        names = ("flops", "loss", "run", "group", "step", "is_final", "is_early", "lines")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def measurements_of(
    table: Table,
    *,
    flops: str | None = None,
    loss: str | None = None,
    after_step: int | None = None,
    cluster: str | None = None,
) -> Measurements:
    """Return the rows that have both cost and loss, without the warm-up of each run.

    Args:
        table: One row a measurement.
        flops: Cost column or convention; by default the table's. "6ND" makes it: 6 x parameters x tokens.
        loss: Loss column; by default `loss`, else `loss_reference` with a warning.
        after_step: Rows up to this step are left out, none with 0; by default those of the warm-up
            where the table marks it (see `warm_up_of`).
        cluster: Column of independent units; by default runs, or shapes where seeds share one.

    Raises:
        InputError: A column is missing, no row has both, or the two columns look swapped.
    """
    if is_six_nd(flops):
        table, flops = with_six_nd(table), SIX_ND
    flops_column, flops_warnings = choose_flops(table, flops)
    loss_column, loss_warnings = choose_loss(table, loss)
    x, y = table.number(flops_column), table.number(loss_column)
    refused = {
        f"no {flops_column}": int(np.isnan(x).sum()),
        f"no {loss_column}": int((np.isnan(y) & ~np.isnan(x)).sum()),
        "not above zero": int(((x <= 0) | (y <= 0)).sum()),
    }
    usable = np.flatnonzero((x > 0) & (y > 0))
    if usable.size == 0:
        raise InputError(
            f"{table.source} must have rows with both {flops_column} and {loss_column} above zero",
            got="none",
        )
    x, y = x[usable], y[usable]
    refuse_swapped(x, y, flops_column, loss_column)
    refuse_logarithms(x, flops_column)
    kept = table.select(usable)
    again = superseded(kept)
    if again.any():
        refused["from before a resume"] = int(again.sum())
        x, y, kept = x[~again], y[~again], kept.select(~again)
    run_names, run, run_warnings = _runs(kept)
    group, unit = independent_units(kept, run, cluster=cluster)
    is_final = _final_rows(kept, run, x)
    warm_up = warm_up_of(kept, run, x)
    if warm_up is not None:
        warm_up = warm_up & ~is_final
    data = Measurements(
        flops=x,
        loss=y,
        run=run,
        group=group,
        unit=unit,
        step=kept.number("step") if "step" in kept else np.full(x.size, np.nan),
        is_final=is_final,
        is_early=first_twentieth(run, x) if warm_up is None else warm_up,
        lines=kept.lines,
        run_names=run_names,
        flops_column=flops_column,
        loss_column=loss_column,
        refused={reason: count for reason, count in refused.items() if count},
        warnings=(
            *table.warnings,
            *flops_warnings,
            *loss_warnings,
            *run_warnings,
            *_resumed_warning(int(again.sum())),
            *_one_cost_warning(x, flops_column),
            *_rising_warning(x, y, flops_column, loss_column),
        ),
    )
    if after_step is not None:
        return _without(data, up_to_step(kept, after_step), f"up to step {after_step}")
    return data if warm_up is None else _without(data, warm_up, _WARM_UP)


def _without(data: Measurements, left_out: NDArray[np.bool_], reason: str) -> Measurements:
    """Return the measurements without those left out, which are counted under `refused`."""
    count = int(left_out.sum())
    if count == 0:
        return data
    if count == len(data):
        raise InputError(
            "some measurements must lie after the first steps of their runs",
            got=f"all {count} {reason}",
            remedy="Leave out fewer steps with --after-step.",
        )
    warning = f"Measurements left out: {count} {reason}"
    warning += "; lilliput analyse fit --after-step 0 keeps them." if reason == _WARM_UP else "."
    return replace(
        data.select(~left_out),
        refused={**data.refused, reason: count},
        warnings=(*data.warnings, warning),
    )


def _runs(table: Table) -> tuple[tuple[str, ...], NDArray[np.intp], tuple[str, ...]]:
    if "run" not in table:
        names = tuple(f"line {line}" for line in table.lines.tolist())
        warning = "The table has no column run: every row counts as a run of its own."
        return names, np.arange(len(table)), (warning,)
    names, codes = np.unique(table.text("run"), return_inverse=True)
    codes = codes.reshape(-1)
    warnings: tuple[str, ...] = ()
    if "step" in table:
        pairs = np.stack([codes.astype(np.float64), table.number("step")], axis=1)
        pairs = pairs[np.isfinite(pairs[:, 1])]
        repeats = pairs.shape[0] - np.unique(pairs, axis=0).shape[0]
        if repeats:
            warnings = (
                f"Rows that have the run and step of another row, with other values: {repeats}.",
            )
    return tuple(names.tolist()), codes, warnings


def _final_rows(table: Table, run: NDArray[np.intp], flops: FloatArray) -> NDArray[np.bool_]:
    """Return the column `is_final`; without it, mark the costliest row of each run."""
    return table.columns["is_final"].astype(bool) if "is_final" in table else furthest(run, flops)


def _resumed_warning(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    return (
        f"Rows left out because their run was resumed before them and measured these steps again: {count}.",
    )


def _one_cost_warning(x: FloatArray, flops: str) -> tuple[str, ...]:
    if x.size < 2 or np.ptp(x) > 0:
        return ()
    return (f"Every measurement has the same {flops}, {x[0]:.6g}: nothing depends on it.",)


def _rising_warning(x: FloatArray, y: FloatArray, flops: str, loss: str) -> tuple[str, ...]:
    if x.size < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return ()
    centred = stats.rankdata(x) - (x.size + 1) / 2
    if float(centred @ stats.rankdata(y)) <= 0:
        return ()
    return (f"{loss} rises with {flops}: check that the columns are what their names say.",)
