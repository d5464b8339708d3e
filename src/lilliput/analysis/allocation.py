"""Split a budget between size and tokens: by L(N, D), else along the frontier."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lilliput.analysis.inference.options import (
    FitOptions,
    Rows,
    drawn_rows,
    drawn_unit,
    pick_points,
)
from lilliput.analysis.inference.results import Estimate, LawFit, estimates_of
from lilliput.analysis.laws.base import SizedLaw
from lilliput.analysis.laws.power import fit_power
from lilliput.analysis.laws.registry import curve_law
from lilliput.analysis.table.measurements import Measurements
from lilliput.analysis.table.sized import is_ladder
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray

_NEAR_SHAPE = 1.5


@dataclass(frozen=True)
class BudgetSplit:
    """Hold the compute-optimal parameters and tokens at a budget; None where the table lacks the columns."""

    num_parameters: Estimate | None
    tokens: Estimate | None
    shape: str | None
    warnings: tuple[str, ...]


def split_budget(
    table: Table, data: Measurements, fit: LawFit, budget: float, options: FitOptions
) -> BudgetSplit:
    """Return the best size and tokens for a budget, and the shape of the table that comes nearest."""
    law = curve_law(fit.law)
    if isinstance(law, SizedLaw):
        (size, tokens), warnings = _by_law(law, fit, budget, data, options), ()
    else:
        size, tokens, warnings = _by_frontier(table, data, budget, options)
    shape, shape_warnings = _nearest_shape(table, size)
    return BudgetSplit(size, tokens, shape, (*warnings, *shape_warnings))


def _by_law(
    law: SizedLaw, fit: LawFit, budget: float, data: Measurements, options: FitOptions
) -> tuple[Estimate, Estimate]:
    """Return parameters and tokens of the best split of the budget under a law of both."""
    draws = np.array([law.best_split(draw, budget) for draw in fit.draws]).reshape(-1, 2)
    n_runs = int(np.unique(drawn_unit(data, options)[1]).size)
    size, tokens = estimates_of(
        law.best_split(fit.curve.values, budget), draws, n_runs, options.level
    )
    return size, tokens


def _by_frontier(
    table: Table, data: Measurements, budget: float, options: FitOptions
) -> tuple[Estimate | None, Estimate | None, tuple[str, ...]]:
    """Return parameters and tokens on the frontier as power laws of the cost."""
    if "num_parameters" not in table:
        return None, None, ("The table has no num_parameters: no size can be planned.",)
    rows = np.searchsorted(table.lines, data.lines)
    size = _along_frontier(data, table.number("num_parameters")[rows], budget, options)
    token_column = next((c for c in ("tokens_seen", "positions_seen") if c in table), None)
    if token_column is None:
        return size, None, ("The table has no tokens_seen: no tokens can be planned.",)
    tokens = _along_frontier(data, table.number(token_column)[rows], budget, options)
    padded = ("Tokens are input positions, padding included.",)
    said = padded if token_column == "positions_seen" else ()
    sizes, read = (table.number(name)[rows] for name in ("num_parameters", token_column))
    ends = data.is_final & (sizes > 0) & (read > 0)
    if size is None or tokens is None:
        return size, tokens, said
    why = _LADDER if is_ladder(sizes[ends], read[ends]) else _CENSORED
    return Estimate(size.value), Estimate(tokens.value), (*said, why)


_LADDER = (
    "Sizes and tokens of these runs move together: the plan goes on along their ladder, whether that is "
    "the best split or not, and has no interval; runs of several sizes at one cost would say."
)
# 180 simulated studies with sizes from 1e6 to 2e7 and one number of tokens: intervals of the best size held it
# in 0 to 27 % of 30 studies each, and sizes came out two to seven times too small.
_CENSORED = (
    "Sizes and tokens are those of the runs that lie on the frontier, which can only hold what was trained: the "
    "best split is not identified and has no interval; runs of several sizes at one cost with --law isoflop or "
    "--law parametric would say."
)


def _along_frontier(
    data: Measurements, values: FloatArray, budget: float, options: FitOptions
) -> Estimate | None:
    """Return a quantity of the compute-optimal runs, extrapolated to the budget by a power law."""

    def at_budget(rows: Rows) -> float:
        chosen = pick_points(data, rows, options)
        chosen = chosen[values[chosen] > 0]
        if np.unique(data.flops[chosen]).size < 2:
            return math.nan
        return float(fit_power(data.flops[chosen], values[chosen]).predict(budget))

    value = at_budget(np.arange(len(data)))
    if not math.isfinite(value):
        return None
    n_runs = int(np.unique(drawn_unit(data, options)[1]).size)
    drawn = drawn_rows(data, options)
    draws = np.array([[at_budget(rows)] for rows in drawn]).reshape(-1, 1)
    return estimates_of([value], draws, n_runs, options.level)[0]


def _nearest_shape(table: Table, size: Estimate | None) -> tuple[str | None, tuple[str, ...]]:
    """Return the shape of the table that comes nearest to a size, with a warning where that is far."""
    if size is None or "shape" not in table or "num_parameters" not in table:
        return None, ()
    distance = np.abs(np.log(table.number("num_parameters")) - math.log(size.value))
    if not np.isfinite(distance).any():
        return None, ()
    nearest = int(np.nanargmin(distance))
    shape = str(table.text("shape")[nearest])
    if distance[nearest] <= math.log(_NEAR_SHAPE):
        return shape, ()
    return shape, (
        f"No shape of the table comes near {size.value:.3g} parameters: {shape} differs "
        f"by a factor of {math.exp(distance[nearest]):.1f}.",
    )
