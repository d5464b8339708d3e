"""The best size for a budget, from a table: iso-FLOP parabolas or the minimum over training curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.candidates import SIZE_LAWS
from lilliput.analysis.curves import plain_number
from lilliput.analysis.fit_options import FitOptions
from lilliput.analysis.isoflop import (
    Allocation,
    isoflop_allocation,
    isoflop_profiles,
    minimum_over_curves,
)
from lilliput.analysis.measurements import Measurements, measurements_of
from lilliput.analysis.power import fit_power
from lilliput.analysis.resampling import cluster_draws, expanded_bounds, spread
from lilliput.analysis.results import Estimate
from lilliput.analysis.table import Table
from lilliput.core.errors import InputError

FloatArray = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class SizeLaw:
    """N_opt = coefficient x C^exponent with intervals from resampled runs.

    Attributes:
        law: "isoflop" or "minimum".
        allocation: The budgets, the best size at each, and the line through them.
        parameters: `coefficient` (parameters) and `exponent`.
        r2: Share of the variance of ln N_opt explained.
        bic: n ln(RSS/n) + k ln n.
        n: Budgets.
        warnings: One sentence each.
        facts: Columns, runs, draws.
    """

    law: str
    allocation: Allocation
    parameters: dict[str, Estimate]
    r2: float
    bic: float
    n: int
    warnings: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_record(self) -> dict[str, Any]:
        """Plain data for JSON: the keys of a fit, and the best size at each budget."""
        best = zip(self.allocation.budgets, self.allocation.num_parameters, strict=True)
        return {
            "law": self.law,
            "parameters": {name: value.as_record() for name, value in self.parameters.items()},
            "r2": plain_number(self.r2),
            "bic": plain_number(self.bic),
            "n": self.n,
            "breaks": [],
            "candidates": [],
            "warnings": list(self.warnings),
            "best_sizes": [{"flops": float(c), "num_parameters": float(n)} for c, n in best],
            **self.facts,
        }


def analyse_size(
    table: Table,
    *,
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions,
) -> SizeLaw:
    """How the best size grows with the budget.

    Args:
        table: Needs `num_parameters`. For "isoflop", runs of at least four sizes at each of two
            budgets or more; for "minimum", whole training curves.
        flops: Cost column or convention; by default the table's.
        loss: Loss column.
        options: `law`, `points` ("all" lets unfinished points into the parabolas), resampling.

    Raises:
        InputError: There are no sizes, or too few budgets.
    """
    data = measurements_of(table, flops=flops, loss=loss, after_step=options.after_step)
    if "num_parameters" not in table:
        raise InputError(
            f"{table.source} must have a column num_parameters for the law {options.law}",
            got=", ".join(table.columns),
            remedy="Name the column that holds it: --column num_parameters=HEADER",
        )
    sizes = table.number("num_parameters")[np.searchsorted(table.lines, data.lines)]
    rows = np.flatnonzero(sizes > 0)
    if options.law == "isoflop" and options.points != "all":
        rows = rows[data.is_final[rows]]
    found = _allocation(options.law, data, sizes, rows)
    line = fit_power(found.budgets, found.num_parameters)
    runs = data.run[rows]
    draws = np.array([_draw(options, data, sizes, rows[d]) for d in _drawn(runs, options)])
    draws = draws.reshape(-1, 2)
    n_runs = int(np.unique(runs).size)
    low, high = expanded_bounds(draws, n_runs, options.level)
    bounds = zip((found.coefficient, found.exponent), low, high, spread(draws), strict=True)
    estimates = [Estimate(value, _known(a), _known(b), _known(c)) for value, a, b, c in bounds]
    return SizeLaw(
        law=options.law,
        allocation=found,
        parameters=dict(zip(("coefficient", "exponent"), estimates, strict=True)),
        r2=line.r2,
        bic=line.bic,
        n=line.n,
        warnings=(*data.warnings, *found.warnings),
        facts={
            "flops_column": data.flops_column,
            "loss_column": data.loss_column,
            "n_runs": n_runs,
            "resamples": options.resamples,
        },
    )


def _drawn(runs: Rows, options: FitOptions) -> list[Rows]:
    if np.unique(runs).size < 2:
        return []
    return list(cluster_draws(runs, resamples=options.resamples, seed=options.seed))


def _draw(
    options: FitOptions, data: Measurements, sizes: FloatArray, rows: Rows
) -> tuple[float, float]:
    """Coefficient and exponent of drawn runs; undefined where they have too few budgets."""
    try:
        found = _allocation(options.law, data, sizes, rows)
    except InputError:
        return math.nan, math.nan
    return found.coefficient, found.exponent


def _allocation(law: str, data: Measurements, sizes: FloatArray, rows: Rows) -> Allocation:
    assert law in SIZE_LAWS, law
    flops, loss = data.flops[rows], data.loss[rows]
    if law == "isoflop":
        return isoflop_allocation(isoflop_profiles(flops, sizes[rows], loss))
    return minimum_over_curves(data.run[rows], flops, sizes[rows], loss)


def _known(number: float) -> float | None:
    return None if math.isnan(number) else float(number)
