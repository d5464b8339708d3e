"""Cost-effectiveness of the runs of a table: columns, directions, one factor at a time."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.economics.icer import (
    DEFAULT_RESAMPLES,
    Direction,
    IcerResult,
    icer_with_seeds,
)
from lilliput.analysis.table.columns import choose_flops, choose_loss, refuse_swapped
from lilliput.analysis.table.finals import final_rows
from lilliput.analysis.table.tidy import Table
from lilliput.architecture import SIZES
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

_LOWER_IS_BETTER = re.compile(r"(^|_)(loss|perplexity|bits_per_byte|error|ppl)(_|$)")
FACTORS = SIZES


def analyse_icer(
    table: Table,
    *,
    name: str | None = None,
    cost: str | None = None,
    effect: str | None = None,
    direction: Direction | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = 0,
) -> IcerResult:
    """Which strategies of a table are worth their cost, and the price of each step.

    Args:
        table: One row a strategy, or one row a seed of a strategy, or one row a measurement of a run
            (then only final rows count: see `final_rows`).
        name: Column that names strategies; by default `name`, else `shape` where several seeds share
            one, else `run`.
        cost: Cost column; by default `cost`, else the table's FLOPs.
        effect: Effect column; by default `effect`, else the table's loss.
        direction: "higher" or "lower" is better; by default told from the column's name.
        resamples: Bootstrap draws over seeds where a strategy has several.
        seed: Of the draws.

    Raises:
        InputError: A column is missing, or no row has all three.
    """
    warnings = list(table.warnings)
    cost_column = cost or _default(table, "cost", choose_flops, warnings)
    effect_column = effect or _default(table, "effect", choose_loss, warnings)
    name_column = name or _name_column(table)
    finals, said = final_rows(table)
    warnings.extend(said)
    rows = table.select(finals)
    costs, effects = rows.number(cost_column), rows.number(effect_column)
    usable = np.isfinite(costs) & np.isfinite(effects)
    if not usable.any():
        raise InputError(
            f"{table.source} must have rows with both {cost_column} and {effect_column}", got="none"
        )
    if not usable.all():
        warnings.append(f"{int((~usable).sum())} rows lack a cost or an effect and were left out.")
    if cost_column.startswith("flops") and effect_column.startswith("loss"):
        refuse_swapped(costs[usable], effects[usable], cost_column, effect_column)
    if usable.sum() > 1 and np.ptp(costs[usable]) == 0:
        warnings.append(
            f"Every strategy has the same {cost_column}: the best effect is all there is."
        )
    better = direction or _direction_of(effect_column)
    strategies, uncertain = icer_with_seeds(
        rows.text(name_column)[usable].tolist(),
        costs[usable],
        effects[usable],
        direction=better,
        resamples=resamples,
        seed=seed,
    )
    if uncertain is None:
        warnings.append("Each strategy has one measurement: the order carries no interval.")
    return IcerResult(
        strategies=strategies,
        direction=better,
        cost_column=cost_column,
        effect_column=effect_column,
        warnings=tuple(warnings),
        acceptability=uncertain,
        facts={"name_column": name_column, "n_measurements": int(usable.sum())},
    )


def analyse_factors(
    table: Table,
    *,
    base: dict[str, int] | None = None,
    cost: str | None = None,
    effect: str | None = None,
    direction: Direction | None = None,
) -> dict[str, IcerResult]:
    """Cost-effectiveness of each factor alone, the others held at a base point.

    Args:
        table: Needs the size columns.
        base: Factor to the value at which it is held; by default each factor's most common value.
        cost: As for `analyse_icer`.
        effect: As for `analyse_icer`.
        direction: As for `analyse_icer`.

    Returns:
        Factor to its ladder; a factor with fewer than two values at the base is left out.

    Raises:
        InputError: The table has no size columns, or no factor varies alone.
    """
    present = [factor for factor in FACTORS if factor in table]
    if not present:
        raise InputError(f"{table.source} must have size columns", got=", ".join(table.columns))
    rows = table.select(final_rows(table)[0])
    held = {factor: _most_common(rows.number(factor)) for factor in present} | dict(base or {})
    ladders: dict[str, IcerResult] = {}
    for factor in present:
        at_base = np.ones(len(rows), dtype=bool)
        for other in present:
            if other != factor:
                at_base &= rows.number(other) == held[other]
        if np.unique(rows.number(factor)[at_base]).size < 2:
            continue
        ladder = rows.select(at_base)
        labels = _rung_names(ladder, factor)
        result = analyse_icer(
            ladder.with_columns({"name": labels}),
            name="name",
            cost=cost,
            effect=effect,
            direction=direction,
        )
        ladders[factor] = replace(result, facts={**result.facts, "held": dict(held)})
    if not ladders:
        raise InputError(
            "at least one factor must vary while the others stay at the base", got=held
        )
    return ladders


def _rung_names(ladder: Table, factor: str) -> NDArray[np.str_]:
    """The value of the factor, with the layout where several are mixed: they are not replicates."""
    names = [f"{factor}={value:g}" for value in ladder.number(factor).tolist()]
    if "layout" in ladder and np.unique(ladder.text("layout")).size > 1:
        layouts = ladder.text("layout").tolist()
        names = [f"{name} ({layout})" for name, layout in zip(names, layouts, strict=True)]
    return np.array(names)


def _default(table: Table, plain: str, choose: Any, warnings: list[str]) -> str:
    if plain in table:
        return plain
    column, said = choose(table, None)
    warnings.extend(said)
    return str(column)


def _name_column(table: Table) -> str:
    if "name" in table:
        return "name"
    if "shape" in table and "seed" in table and np.unique(table.number("seed")).size > 1:
        return "shape"
    if "run" in table:
        return "run"
    raise InputError(
        f"{table.source} must have a column that names the strategies",
        got=", ".join(table.columns),
        remedy="Choose one with --name COLUMN.",
    )


def _direction_of(effect: str) -> Direction:
    return "lower" if _LOWER_IS_BETTER.search(effect) else "higher"


def _most_common(values: FloatArray) -> int:
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    return int(distinct[np.argmax(counts)])
