"""Compare the runs of a table by cost and effect, all together or one factor at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.economics.direction import Direction, direction_of
from lilliput.analysis.economics.icer import (
    DEFAULT_RESAMPLES,
    FEW_REPLICATES,
    IcerResult,
    Strategy,
    icer_with_seeds,
)
from lilliput.analysis.table.columns import choose_flops, choose_loss, refuse_swapped
from lilliput.analysis.table.run_stages import final_rows
from lilliput.analysis.table.tidy import Table
from lilliput.analysis.table.units import independent_units
from lilliput.architecture import SIZES
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.wording import plural

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
    cluster: str | None = None,
) -> IcerResult:
    """Return which strategies of a table are worth their cost, and the price of each step.

    Args:
        table: One row a strategy, or one row a seed of a strategy, or one row a measurement of a run
            (then only final rows count: see `final_rows`).
        name: Column that names strategies; by default `name`, else `shape` where several seeds share
            one, else `run`.
        cost: Cost column; by default `cost`, else the table's FLOPs.
        effect: Effect column; by default `effect`, else the table's loss.
        direction: "higher" or "lower" is better; by default by the column's name, which must say it.
        resamples: Bootstrap draws over seeds where a strategy has several.
        seed: Of the draws.
        cluster: Column of independent units within a strategy; by default shapes where it has several of
            them with seeds, else runs.

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
            f"Every strategy has the same {cost_column}: only the effect separates the strategies."
        )
    better = direction or direction_of(effect_column)
    names = _names(rows.select(usable), name_column)
    units, word = _units(rows.select(usable), names, cluster)
    strategies, uncertain = icer_with_seeds(
        names,
        costs[usable],
        effects[usable],
        units=units,
        direction=better,
        resamples=resamples,
        seed=seed,
    )
    warnings.extend(_few_replicates(strategies, word))
    return IcerResult(
        strategies=strategies,
        direction=better,
        cost_column=cost_column,
        effect_column=effect_column,
        warnings=tuple(warnings),
        acceptability=uncertain,
        facts={
            "name_column": name_column,
            "n_measurements": int(usable.sum()),
            "resampled": word,
            "n_resampled": int(np.unique(units).size),
        },
    )


def _names(rows: Table, column: str) -> list[str]:
    """Return the names of the strategies as the table has them.

    Raises:
        InputError: A name is empty.
    """
    names = [name.strip() for name in rows.text(column).tolist()]
    empty = [int(line) for name, line in zip(names, rows.lines, strict=True) if not name]
    if empty:
        raise InputError(
            f"every strategy of {rows.source} must have a name in the column {column}",
            got=f"an empty cell in line {empty[0]}",
        )
    return names


def _units(rows: Table, names: list[str], cluster: str | None) -> tuple[NDArray[np.intp], str]:
    """Return the independent units within strategies: shapes where a strategy has several, else rows."""
    count = len(rows)
    run = np.unique(rows.text("run"), return_inverse=True)[1] if "run" in rows else np.arange(count)
    run = run.reshape(-1)
    units, word = independent_units(rows, run, cluster=cluster)
    if cluster is not None:
        return units, word
    strategy = np.unique(np.array(names), return_inverse=True)[1].reshape(-1)
    pairs = np.unique(np.stack([strategy, units]), axis=1)
    if word == "run" or pairs.shape[1] == np.unique(strategy).size:
        return np.arange(count), "measurement"
    return units, word


def _few_replicates(strategies: tuple[Strategy, ...], word: str) -> list[str]:
    """Return a warning for each way in which a strategy has too few measurements."""
    counts = [strategy.replicates for strategy in strategies]
    if max(counts) < 2:
        return ["Each strategy has one measurement: the order carries no interval."]
    sentences: list[str] = []
    if min(counts) < FEW_REPLICATES:
        freedom = sum(count - 1 for count in counts)
        sentences.append(
            f"Strategies have {min(counts)} to {max(counts)} {word}s: their spread is pooled over all "
            f"strategies ({plural(freedom, 'degree')} of freedom), and shares of draws are rough."
        )
    alone = sum(count == 1 for count in counts)
    if alone:
        sentences.append(
            f"{plural(alone, 'strategy').replace('strategys', 'strategies')} with one measurement: assumed to vary as much as the others."
        )
    return sentences


def analyse_factors(
    table: Table,
    *,
    base: dict[str, int] | None = None,
    cost: str | None = None,
    effect: str | None = None,
    direction: Direction | None = None,
) -> dict[str, IcerResult]:
    """Return the cost-effectiveness of each factor alone, with the other factors held at a base point.

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
    """Return a name for each rung: the factor's value, and the layout where there are several layouts."""
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


def _most_common(values: FloatArray) -> int:
    distinct, counts = np.unique(values[np.isfinite(values)], return_counts=True)
    return int(distinct[np.argmax(counts)])
