"""Find the best size for a budget from a table: by iso-FLOP parabolas or the minimum over training curves."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from lilliput.analysis.inference.diagnostics import residual_diagnostics
from lilliput.analysis.inference.options import FitOptions, drawn_rows, drawn_unit, resampled_facts
from lilliput.analysis.inference.results import Estimate, estimates_of
from lilliput.analysis.laws.base import BestSizeLaw
from lilliput.analysis.laws.curve import CurveFit, covariance_of, plain_number
from lilliput.analysis.laws.forms import check_breaks
from lilliput.analysis.laws.isoflop import Allocation, IsoFlop, isoflop_budgets
from lilliput.analysis.laws.power import fit_power
from lilliput.analysis.laws.registry import law_named
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.sized import require_column
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

Rows = NDArray[np.intp]
_SHOWN_BUDGETS = 5


@dataclass(frozen=True)
class SizeLaw:
    """Hold N_opt = coefficient x C^exponent with intervals from resampled runs.

    Attributes:
        law: Name of the law of the best size.
        allocation: The budgets, the best size at each, and the line through them.
        parameters: `coefficient` (parameters) and `exponent`.
        r2: Share of the variance of ln N_opt explained.
        bic: n ln(RSS/n) + k ln n.
        aicc: Akaike's criterion corrected for few budgets.
        n: Budgets.
        warnings: One sentence each.
        covariance: Model-based covariance of ln coefficient and exponent, budgets taken as independent;
            None with two budgets.
        diagnostics: Residual checks of the line through the best sizes.
        facts: Columns, points used and refused, runs, draws.
    """

    law: str
    allocation: Allocation
    parameters: dict[str, Estimate]
    r2: float
    bic: float
    aicc: float
    n: int
    warnings: tuple[str, ...]
    covariance: FloatArray | None
    diagnostics: dict[str, float | None]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON: the keys of a fit, and the best size at each budget."""
        best = zip(self.allocation.budgets, self.allocation.num_parameters, strict=True)
        return {
            "law": self.law,
            "parameters": {name: value.as_record() for name, value in self.parameters.items()},
            "r2": plain_number(self.r2),
            "bic": plain_number(self.bic),
            "aicc": plain_number(self.aicc),
            "n": self.n,
            "breaks": [],
            "candidates": [],
            "warnings": list(self.warnings),
            "covariance": None if self.covariance is None else self.covariance.tolist(),
            "covariance_of": ["ln coefficient", "exponent"],
            "diagnostics": self.diagnostics,
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
    """Return how the best size grows with the budget.

    Args:
        table: Needs `num_parameters`. For "isoflop", runs of at least four sizes at each of two
            budgets or more; for "minimum", whole training curves.
        flops: Cost column or convention; by default the table's.
        loss: Loss column.
        options: `law`, `points` ("all" lets unfinished points into the parabolas), resampling.

    Raises:
        InputError: There are no sizes, or too few budgets.
    """
    check_breaks(options.law, options.breaks)
    law = law_named(options.law)
    if not isinstance(law, BestSizeLaw):
        raise InputError("a law of the best size is needed here", got=options.law)
    data = measurements_of(
        table, flops=flops, loss=loss, after_step=options.after_step, cluster=options.cluster
    )
    require_column(table, "num_parameters", f"the law {options.law}")
    sizes = table.number("num_parameters")[np.searchsorted(table.lines, data.lines)]
    rows = np.flatnonzero(sizes > 0)
    if law.takes_finished_runs and options.points != "all":
        rows = rows[data.is_final[rows]]
    refused: dict[str, int] = {}
    said: list[str] = []
    if law.is_judged_by_budget:
        rows, refused, said = _with_a_minimum(data, sizes, rows)
    found = _allocation(law, data, sizes, rows)
    line = fit_power(found.budgets, found.num_parameters)
    if law.is_judged_by_budget:
        estimates, more = _students(found, line, options.level)
        said += more
    else:
        estimates = _from_draws(law, found, data, sizes, rows, options)
    return SizeLaw(
        law=options.law,
        allocation=found,
        parameters=dict(zip(("coefficient", "exponent"), estimates, strict=True)),
        r2=line.r2,
        bic=line.bic,
        aicc=line.aicc,
        n=line.n,
        warnings=(*data.warnings, *said, *found.warnings),
        covariance=_covariance(line),
        diagnostics=residual_diagnostics(
            line, np.log(found.budgets), np.log(found.num_parameters), np.arange(line.n)
        ),
        facts=_facts(law, data, sizes, rows, options, refused),
    )


def _with_a_minimum(
    data: Measurements, sizes: FloatArray, rows: Rows
) -> tuple[Rows, dict[str, int], list[str]]:
    """Return the rows of budgets whose parabola has a minimum; count the others by reason, and name them."""
    judged = isoflop_budgets(data.flops[rows], sizes[rows], data.loss[rows])
    kept = [rows[group] for group, profile in judged if isinstance(profile, IsoFlop)]
    refused: dict[str, int] = {}
    said: list[str] = []
    for group, reason in judged:
        if isinstance(reason, IsoFlop):
            continue
        refused[reason] = refused.get(reason, 0) + group.size
        budget = math.exp(float(np.log(data.flops[rows[group]]).mean()))
        said.append(
            f"The budget of {budget:.3g} FLOPs was left out: {reason.removesuffix(' at the budget')}."
        )
    if len(said) > _SHOWN_BUDGETS:
        more = len(said) - _SHOWN_BUDGETS
        said = [*said[:_SHOWN_BUDGETS], f"{more} more budgets were left out, see refused."]
    return (np.sort(np.concatenate(kept)) if kept else rows), refused, said


def _students(found: Allocation, line: CurveFit, level: float) -> tuple[list[Estimate], list[str]]:
    """Return coefficient and exponent with Student's t intervals of the line through the best sizes.

    Drawing single runs leaves budgets with too few sizes for a parabola. The scatter of the minima about
    their line already holds the noise of the losses.
    """
    covariance = _covariance(line)
    values = found.coefficient, found.exponent
    if covariance is None:
        few = "Two budgets lie on any line: there is no interval; add a third."
        return [Estimate(value) for value in values], [few]
    se = np.sqrt(np.diag(covariance))
    half = float(stats.t.ppf((1 + level) / 2, line.n - 2)) * se
    with np.errstate(over="ignore"):
        low, high = (found.coefficient * float(np.exp(sign * half[0])) for sign in (-1, 1))
    coefficient = Estimate(values[0], low, high, found.coefficient * float(se[0]))
    exponent = Estimate(
        values[1], values[1] - float(half[1]), values[1] + float(half[1]), float(se[1])
    )
    return [coefficient, exponent], []


def _from_draws(
    law: BestSizeLaw,
    found: Allocation,
    data: Measurements,
    sizes: FloatArray,
    rows: Rows,
    options: FitOptions,
) -> list[Estimate]:
    """Return coefficient and exponent with intervals from resampled units."""
    chosen = data.select(rows)
    drawn = _drawn(chosen, options)
    draws = np.array([_draw(law, data, sizes, rows[d]) for d in drawn]).reshape(-1, 2)
    n_units = int(np.unique(drawn_unit(chosen, options)[1]).size)
    return estimates_of((found.coefficient, found.exponent), draws, n_units, options.level)


def _covariance(line: CurveFit) -> FloatArray | None:
    """Return the covariance of ln coefficient and exponent, where a size that grows has a positive exponent."""
    covariance = covariance_of(line)
    return None if covariance is None else covariance * [[1.0, -1.0], [-1.0, 1.0]]


def _facts(
    law: BestSizeLaw,
    data: Measurements,
    sizes: FloatArray,
    rows: Rows,
    options: FitOptions,
    without_minimum: dict[str, int],
) -> dict[str, Any]:
    names = [data.run_names[code] for code in data.run[rows].tolist()]
    used = zip(names, data.flops[rows].tolist(), sizes[rows].tolist(), strict=True)
    missing = len(data) - rows.size - sum(without_minimum.values())
    is_isoflop = law.is_judged_by_budget
    return {
        "flops_column": data.flops_column,
        "loss_column": data.loss_column,
        "n_runs": int(np.unique(data.run[rows]).size),
        "n_measurements": len(data),
        "points": [{"run": r, "flops": c, "num_parameters": n} for r, c, n in used],
        "refused": {
            **data.refused,
            **without_minimum,
            **({"no size or unfinished": missing} if missing else {}),
        },
        "interval": "Student's t on the line" if is_isoflop else "bootstrap",
        **(
            {"resampled": None, "n_resampled": None}
            if is_isoflop
            else resampled_facts(data, options)
        ),
        "after_step": options.after_step,
        "resamples": options.resamples,
        "resample": options.resample,
        "level": options.level,
        "seed": options.seed,
    }


def _drawn(data: Measurements, options: FitOptions) -> list[Rows]:
    if np.unique(data.run).size < 2:
        return []
    return list(drawn_rows(data, options))


def _draw(
    law: BestSizeLaw, data: Measurements, sizes: FloatArray, rows: Rows
) -> tuple[float, float]:
    """Return coefficient and exponent of drawn runs; undefined where they have too few budgets."""
    try:
        found = _allocation(law, data, sizes, rows)
    except InputError:
        return math.nan, math.nan
    return found.coefficient, found.exponent


def _allocation(law: BestSizeLaw, data: Measurements, sizes: FloatArray, rows: Rows) -> Allocation:
    return law.allocation(data.run[rows], data.flops[rows], sizes[rows], data.loss[rows])
