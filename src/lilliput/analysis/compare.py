"""Compare two sets of runs: exponents, losses at equal cost, and the compute that equal loss needs.

Example: A follows L = 40 C^-0.1 and B follows L = 38 C^-0.1. At equal cost B's loss is 5 % lower. B reaches any
loss with (38 / 40)^(1 / 0.1) = 0.60 times the compute of A.

One law is fitted to both. Units that both sides have in common (the same shape, and the same seed where runs are
the units) are drawn together, so that what they share cancels in the difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.acceptance import Acceptance, compare_means
from lilliput.analysis.inference.options import FitOptions, Rows, pick_points
from lilliput.analysis.inference.results import Estimate, estimates_of
from lilliput.analysis.inference.warnings import FRONTIER_CAVEAT
from lilliput.analysis.laws.curve import CurveFit, cost_of_loss
from lilliput.analysis.laws.forms import LawForm, fit_form, forms_for, unbroken_forms
from lilliput.analysis.laws.registry import AUTO, cost_law, law_label
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.tidy import Table
from lilliput.architecture import SIZES
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator
from lilliput.core.wording import plural

Pairs = list[tuple[int, int]]
_FEWEST_PAIRS = 2
_ROUGH_UNITS = 10
_LOST_DRAWS = 0.05
_SHOWN_COSTS = 3


@dataclass(frozen=True)
class AtCost:
    """Compare the two laws at one cost.

    Attributes:
        flops: The cost.
        loss_a: Loss of A there.
        loss_b: Loss of B there.
        loss_difference: B minus A in nats; below zero where B is better.
        compute_ratio: Compute that B needs for the loss of A there, divided by this cost. Its value is NaN
            where B does not reach that loss.
    """

    flops: float
    loss_a: float
    loss_b: float
    loss_difference: Estimate
    compute_ratio: Estimate

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "flops": self.flops,
            "loss_a": self.loss_a,
            "loss_b": self.loss_b,
            "loss_difference": self.loss_difference.as_record(),
            "compute_ratio": self.compute_ratio.as_record(),
        }


@dataclass(frozen=True)
class Side:
    """Hold one side of a comparison: its name, its points and the law fitted to them."""

    name: str
    curve: CurveFit
    flops: FloatArray
    loss: FloatArray
    runs: tuple[str, ...]
    exponent: Estimate | None


@dataclass(frozen=True)
class Comparison:
    """Hold what separates two sets of runs.

    Attributes:
        a: The side that is compared with.
        b: The side that is judged.
        law: The law fitted to both.
        exponent_difference: Exponent of B minus that of A; None where the law has none.
        at_costs: The comparison at the cheapest, the middle and the costliest cost that both sides cover.
        finals: Final losses of B against those of A; None where no two runs can be compared.
        warnings: One sentence each.
        facts: Columns, units, pairs, draws.
    """

    a: Side
    b: Side
    law: str
    exponent_difference: Estimate | None
    at_costs: tuple[AtCost, ...]
    finals: Acceptance | None
    warnings: tuple[str, ...]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def at_most_cost(self) -> AtCost:
        """Return the comparison at the highest cost that was asked about or that both sides cover."""
        return self.at_costs[-1]

    @property
    def sentence(self) -> str:
        """Return the compute that B needs for equal loss, in a sentence."""
        there, a, b = self.at_most_cost, self.a.name, self.b.name
        ratio = there.compute_ratio
        where = f"the loss that {a} has at {there.flops:.3g} FLOPs ({there.loss_a:.4g})"
        if not np.isfinite(ratio.value):
            return f"{b} does not reach {where} within a thousand times that compute."
        span = "" if ratio.low is None else f" ({ratio.low:.2f} to {ratio.high:.2f})"
        return f"{b} needs {ratio.value:.2f}x the compute of {a}{span} for {where}."

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        exponents = [side.exponent for side in (self.a, self.b)]
        records = [None if one is None else one.as_record() for one in exponents]
        difference = self.exponent_difference
        return {
            "a": self.a.name,
            "b": self.b.name,
            "law": self.law,
            "exponent_a": records[0],
            "exponent_b": records[1],
            "exponent_difference": None if difference is None else difference.as_record(),
            "compute_ratio": self.at_most_cost.compute_ratio.as_record(),
            "loss_difference": self.at_most_cost.loss_difference.as_record(),
            "at_costs": [one.as_record() for one in self.at_costs],
            "finals": None if self.finals is None else self.finals.as_record(),
            "sentence": self.sentence,
            "warnings": list(self.warnings),
            **self.facts,
        }


def split_table(
    table: Table, column: str, values: tuple[str, ...] = ()
) -> tuple[tuple[str, Table], tuple[str, Table]]:
    """Return the rows of two values of a column, each with its name.

    Args:
        table: One row a measurement.
        column: A column of text, such as `profile` or `family`.
        values: The two to compare, A first; by default the only two that there are.

    Raises:
        InputError: There are not exactly two values, or no row has one of those asked for.
    """
    texts = table.text(column)
    present = [value for value in dict.fromkeys(texts.tolist()) if value]
    chosen = values or tuple(present)
    if len(chosen) != 2 or not set(chosen) <= set(present):
        raise InputError(
            f"a comparison needs two values of {column} that the table has",
            got=", ".join(chosen[:6]) or "none",
            remedy=f"Name two of {', '.join(present[:6])}: --values A,B.",
        )
    first, second = ((value, table.select(texts == value)) for value in chosen)
    return first, second


def analyse_comparison(
    a: Table,
    b: Table,
    *,
    names: tuple[str, str] = ("A", "B"),
    flops: str | None = None,
    loss: str | None = None,
    at: float | None = None,
    rule: str | None = None,
    options: FitOptions | None = None,
    reporter: Reporter = SILENT,
) -> Comparison:
    """Return what separates the runs of two tables.

    Args:
        a: The runs that are compared with.
        b: The runs that are judged.
        names: What the two are called.
        flops: Cost column or convention; by default the first that both have.
        loss: Loss column; by default `loss`, else `loss_reference`.
        at: Cost at which to compare; by default three of the costs that both cover.
        rule: Rule of acceptance for final losses (see `compare_means`); by default it follows the pairing.
        options: Law (with "auto", the law without breaks that fits both best), points, resampling.
        reporter: Where progress goes.

    Raises:
        InputError: The tables share no cost column, or one of them has too few points for the law.
    """
    options = options or FitOptions()
    flops = flops or _common_flops(a, b, names)
    both = tuple(
        measurements_of(
            table, flops=flops, loss=loss, after_step=options.after_step, cluster=options.cluster
        )
        for table in (a, b)
    )
    form = _common_form(both, options, names)
    pairs = _pairs((a, b), both)
    fits = tuple(_fit(data, np.arange(len(data)), form, options) for data in both)
    assert fits[0] is not None
    assert fits[1] is not None
    curves = fits[0], fits[1]
    costs = _costs(both, at)
    values = _statistics(curves, costs, form)
    with reporter.task("resampling runs", options.resamples, "draws") as task:
        every = np.full((options.resamples, values.size), np.nan)
        for i, rows in enumerate(_drawn(both, pairs, options)):
            again = [
                _fit(data, drawn, form, options, start)
                for data, drawn, start in zip(both, rows, curves, strict=True)
            ]
            every[i] = _statistics(again, costs, form)
            task.advance()
    return _result(names, both, curves, form, costs, values, every, pairs, rule, options)


def _result(
    names: tuple[str, str],
    both: tuple[Measurements, ...],
    curves: tuple[CurveFit, CurveFit],
    form: LawForm,
    costs: FloatArray,
    values: FloatArray,
    draws: FloatArray,
    pairs: Pairs,
    rule: str | None,
    options: FitOptions,
) -> Comparison:
    """Return the comparison from the statistics of all data and of the draws (see `_statistics`)."""
    units = [int(np.unique(data.group).size) for data in both]
    found = estimates_of(values.tolist(), draws, len(pairs) or min(units), options.level)
    exponents = found[:3] if np.isfinite(values[:2]).all() else (None, None, None)
    at_costs: list[AtCost] = []
    for i, cost in enumerate(costs.tolist()):
        loss_a, loss_b = (float(curve.predict(cost)) for curve in curves)
        at_costs.append(AtCost(cost, loss_a, loss_b, found[3 + 2 * i], found[4 + 2 * i]))
    first, second = (
        _side(name, data, curve, exponent, options)
        for name, data, curve, exponent in zip(names, both, curves, exponents[:2], strict=True)
    )
    return Comparison(
        a=first,
        b=second,
        law=form.law,
        exponent_difference=exponents[2],
        at_costs=tuple(at_costs),
        finals=_finals(both, pairs, rule),
        warnings=(
            *_of_tables(both, names),
            *_warnings(both, units, pairs, costs, draws, form),
            *(
                [FRONTIER_CAVEAT]
                if options.points == "frontier" and np.isfinite(draws).any()
                else []
            ),
        ),
        facts={
            "flops_column": both[0].flops_column,
            "loss_column": both[0].loss_column,
            "n_breaks": form.n_breaks,
            "units": [data.unit for data in both],
            "n_units": units,
            "n_pairs": len(pairs),
            "points_kind": options.points,
            "resamples": options.resamples,
            "level": options.level,
            "seed": options.seed,
        },
    )


def _common_flops(a: Table, b: Table, names: tuple[str, str]) -> str:
    """Return the first cost column that both tables have, that of the reference convention before others."""
    common = [name for name in a.flops_columns() if name in b.flops_columns()]
    if not common:
        raise InputError(
            f"{names[0]} and {names[1]} must share a column of FLOPs",
            got=f"{', '.join(a.flops_columns()) or 'none'} and {', '.join(b.flops_columns()) or 'none'}",
            remedy="Name it the same in both: --column flops_CONVENTION=HEADER.",
        )
    return "flops_reference" if "flops_reference" in common else common[0]


def _common_form(
    both: tuple[Measurements, ...], options: FitOptions, names: tuple[str, str]
) -> LawForm:
    """Return the form of law that fits both sides best, by the sum of their BIC."""
    points = [pick_points(data, np.arange(len(data)), options) for data in both]
    counts = [np.unique(data.flops[rows]).size for data, rows in zip(both, points, strict=True)]
    if options.law == AUTO and not options.breaks:
        forms = [
            form for form in unbroken_forms(min(counts)) if cost_law(form.law).last_exponent(0)
        ]
    else:
        forms = forms_for(options.law, options.breaks, min(counts))
    scores: dict[LawForm, float] = {}
    for form in forms:
        fits = [
            fit_form(form, data.flops[rows], data.loss[rows])
            for data, rows in zip(both, points, strict=True)
        ]
        scores[form] = sum(np.inf if fit is None else fit.bic for fit in fits)
    possible = [form for form in forms if np.isfinite(scores[form])]
    if not possible:
        few = names[int(np.argmin(counts))]
        raise InputError(
            "a comparison needs a law that both sides can carry, with at least four points of different cost",
            got=f"{min(counts)} for {few}",
            remedy="Add runs, or take --points all.",
        )
    return min(possible, key=lambda form: scores[form])


def _fit(
    data: Measurements,
    rows: Rows,
    form: LawForm,
    options: FitOptions,
    start: CurveFit | None = None,
) -> CurveFit | None:
    """Return the law fitted to the points that the options pick among the rows; None where they are too few."""
    try:
        chosen = pick_points(data, rows, options)
    except InputError:
        return None
    if np.unique(data.flops[chosen]).size < form.n_free - 1:
        return None
    return fit_form(form, data.flops[chosen], data.loss[chosen], start=start)


def _costs(both: tuple[Measurements, ...], at: float | None) -> FloatArray:
    """Return the costs at which the laws are compared."""
    if at is not None:
        if not (np.isfinite(at) and at > 0):
            raise InputError("the cost of a comparison must be above zero", got=at)
        return np.array([at])
    low = max(float(data.flops.min()) for data in both)
    high = min(float(data.flops.max()) for data in both)
    if low >= high:
        raise InputError(
            "the costs of the two sides must overlap",
            got=" and ".join(f"{data.flops.min():.3g} to {data.flops.max():.3g}" for data in both),
            remedy="Name the cost at which to compare: --at FLOPS.",
        )
    return np.geomspace(low, high, _SHOWN_COSTS)


def _statistics(fits: Any, costs: FloatArray, form: LawForm) -> FloatArray:
    """Return both exponents and their difference, then loss difference and compute ratio at each cost."""
    result = np.full(3 + 2 * costs.size, np.nan)
    if any(fit is None for fit in fits):
        return result
    name = cost_law(form.law).last_exponent(form.n_breaks)
    if name is not None:
        one, other = (fit.parameters[name] for fit in fits)
        result[:3] = one, other, other - one
    with np.errstate(all="ignore"):
        losses = [fit.predict(costs) for fit in fits]
        result[3::2] = losses[1] - losses[0]
        result[4::2] = cost_of_loss(fits[1], losses[0], costs) / costs
    return result


def _pairs(tables: tuple[Table, Table], both: tuple[Measurements, ...]) -> Pairs:
    """Return the units that both sides have, as (unit of A, unit of B); none where they cannot be matched."""
    if both[0].unit != both[1].unit or both[0].unit not in ("run", "shape"):
        return []
    columns = _key_columns(tables, with_seed=both[0].unit == "run")
    keys = [_units_by_key(table, data, columns) for table, data in zip(tables, both, strict=True)]
    common = [key for key in keys[0] if key in keys[1]]
    if len(common) < max(_FEWEST_PAIRS, min(len(key) for key in keys) / 2):
        return []
    return [(keys[0][key], keys[1][key]) for key in common]


def _key_columns(tables: tuple[Table, Table], *, with_seed: bool) -> list[str]:
    """Return the columns that say which unit of B belongs to which unit of A."""
    shared = [name for name in tables[0].columns if name in tables[1]]
    sizes = (
        ["shape"] if "shape" in shared else [n for n in (*SIZES, "num_parameters") if n in shared]
    )
    seed = ["seed"] if with_seed and "seed" in shared else []
    return [*sizes, *seed]


def _units_by_key(
    table: Table, data: Measurements, columns: list[str]
) -> dict[tuple[str, ...], int]:
    """Return the unit of each key; empty where several units share one."""
    if not columns:
        return {}
    rows = np.searchsorted(table.lines, data.lines)
    cells = [table.text(name)[rows].tolist() for name in columns]
    units: dict[tuple[str, ...], set[int]] = {}
    for key, unit in zip(zip(*cells, strict=True), data.group.tolist(), strict=True):
        units.setdefault(key, set()).add(unit)
    if any(len(found) > 1 for found in units.values()):
        return {}
    return {key: next(iter(found)) for key, found in units.items()}


def _drawn(
    both: tuple[Measurements, ...], pairs: Pairs, options: FitOptions
) -> Iterator[list[Rows]]:
    """Yield the rows of both sides of each draw: pairs are drawn together, all other units apart."""
    rng = generator(options.seed, "comparison-draws")
    members = [_members(data.group) for data in both]
    paired = [np.array([pair[i] for pair in pairs], dtype=np.intp) for i in (0, 1)]
    alone = [np.setdiff1d(np.unique(d.group), p) for d, p in zip(both, paired, strict=True)]
    if min(np.unique(data.group).size for data in both) < 2:
        return
    for _ in range(options.resamples):
        together = rng.integers(0, max(len(pairs), 1), len(pairs))
        rows: list[Rows] = []
        for i in (0, 1):
            apart = alone[i][rng.integers(0, max(alone[i].size, 1), alone[i].size)]
            units = [*paired[i][together].tolist(), *apart.tolist()]
            rows.append(np.concatenate([members[i][unit] for unit in units]))
        yield rows


def _members(group: NDArray[np.intp]) -> dict[int, Rows]:
    return {int(unit): np.flatnonzero(group == unit) for unit in np.unique(group)}


def _finals(both: tuple[Measurements, ...], pairs: Pairs, rule: str | None) -> Acceptance | None:
    """Return the comparison of final losses: of pairs, else of all runs where each side has one cost."""
    ends = [
        {
            int(u): float(d.loss[d.is_final & (d.group == u)].mean())
            for u in np.unique(d.group[d.is_final])
        }
        for d in both
    ]
    matched = [(one, other) for one, other in pairs if one in ends[0] and other in ends[1]]
    if len(matched) >= _FEWEST_PAIRS:
        a, b = (np.array([ends[i][pair[i]] for pair in matched]) for i in (0, 1))
        return compare_means(a, b, rule=rule or "paired-t")
    a, b = (data.loss[data.is_final] for data in both)
    finished = [data.flops[data.is_final] for data in both]
    if min(a.size, b.size) < 2 or any(np.ptp(np.log(cost)) > 0.05 for cost in finished):
        return None
    return compare_means(a, b, rule=rule or "welch")


def _side(
    name: str, data: Measurements, curve: CurveFit, exponent: Estimate | None, options: FitOptions
) -> Side:
    rows = pick_points(data, np.arange(len(data)), options)
    runs = tuple(data.run_names[code] for code in data.run[rows].tolist())
    return Side(name, curve, data.flops[rows], data.loss[rows], runs, exponent)


def _of_tables(both: tuple[Measurements, ...], names: tuple[str, str]) -> list[str]:
    """Return the warnings of the tables; what is said of both is said once."""
    first, second = (data.warnings for data in both)
    said = [text if text in second else f"{names[0]}: {text}" for text in first]
    return [*said, *(f"{names[1]}: {text}" for text in second if text not in first)]


def _warnings(
    both: tuple[Measurements, ...],
    units: list[int],
    pairs: Pairs,
    costs: FloatArray,
    draws: FloatArray,
    form: LawForm,
) -> list[str]:
    word = both[0].unit if both[0].unit == both[1].unit else "unit"
    said = [f"One {law_label(form.law, form.n_breaks)} was fitted to each side."]
    if pairs:
        said.append(f"{plural(len(pairs), word)} that both sides have were drawn together.")
    else:
        said.append("No units of the two sides could be matched: they were drawn apart.")
    count = len(pairs) or min(units)
    if count < 2:
        said.append(f"One side has a single {word}: there is nothing to resample, no intervals.")
    elif count < _ROUGH_UNITS:
        said.append(f"There are {plural(count, word)} only: the intervals are rough.")
    highest = min(float(data.flops.max()) for data in both)
    if costs[-1] > highest * 1.001:
        said.append(
            f"At {costs[-1]:.3g} FLOPs at least one side is extrapolated (data end at {highest:.3g})."
        )
    if draws.size and count >= 2:
        lost = float(np.mean(~np.isfinite(draws[:, 4::2]).all(axis=1)))
        if lost > _LOST_DRAWS:
            said.append(
                f"In {lost:.0%} of the draws B does not reach the loss of A: the ratio is a lower bound."
            )
    return said
