"""Fit laws of loss against compute for each group of comparable runs and each FLOPs convention."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from lilliput.analysis import (
    CurveFit,
    FitOptions,
    Frontier,
    LawFit,
    LawForm,
    Table,
    analyse_fit,
    fit_form,
    frontier,
    law_label,
)
from lilliput.analysis.findings.groups import scaling_groups
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.laws.base import CostLaw
from lilliput.analysis.laws.registry import curve_law, laws_of
from lilliput.analysis.table.tidy import Cell
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.wording import listed

_RESAMPLES = 500
_RESAMPLES_ELSEWHERE = 100
_SLOPE_STEP = 1e-4  # Relative, for slopes by differences.
_GRID = 80
_LEAST_DRAWS = 0.5


@dataclass(frozen=True)
class GroupLaw:
    """Hold the law of one group of runs under one FLOPs convention.

    Attributes:
        group: Name of the group; "all runs" where there is only one.
        flops: FLOPs column.
        frontier: Its compute-optimal points.
        fit: The chosen law; None where the data cannot carry one.
        rivals: Other laws fitted to the same points, under the main convention only.
        problem: Why there is no fit, in words.
    """

    group: str
    flops: str
    frontier: Frontier | None
    fit: LawFit | None
    rivals: tuple[CurveFit, ...] = ()
    problem: str = ""


def fit_laws(table: Table, conventions: list[str], resamples: int | None) -> tuple[GroupLaw, ...]:
    """Return one law for each group of several sizes and each convention.

    Laws are compared under the first convention; the one that describes the data best is then fitted
    under the others too, with fewer draws, so that its exponents can be compared. A table
    without a FLOPs column gives no law.
    """
    if not conventions:
        return ()
    laws: list[GroupLaw] = []
    draws = resamples or _RESAMPLES
    for group, members in scaling_groups(table).items():
        main = _group_law(group, members, conventions[0], FitOptions(resamples=draws))
        fewer = FitOptions(resamples=min(draws, _RESAMPLES_ELSEWHERE))
        same = fewer if main.fit is None else _same_form(main.fit, fewer)
        others = [_group_law(group, members, flops, same) for flops in conventions[1:]]
        rivals = () if main.fit is None else _rivals(main.fit)
        laws += [replace(main, rivals=rivals), *others]
    return tuple(laws)


def _same_form(fit: LawFit, options: FitOptions) -> FitOptions:
    return replace(options, law=fit.law, breaks=len(fit.breaks) or None)


def _group_law(group: str, table: Table, flops: str, options: FitOptions) -> GroupLaw:
    try:
        points = frontier(table, flops=flops)
    except InputError as error:
        return GroupLaw(group, flops, None, None, problem=str(error))
    try:
        fit = analyse_fit(table, flops=flops, options=options)
    except InputError as error:
        return GroupLaw(group, flops, points, None, problem=str(error))
    return GroupLaw(group, flops, points, fit)


def _rivals(chosen: LawFit) -> tuple[CurveFit, ...]:
    """Return the best member of every other kind of law, by BIC, on the same points."""
    best = {candidate.law: candidate for candidate in reversed(chosen.candidates)}
    forms = [
        LawForm(law.name, best[law.name].n_breaks)
        for law in laws_of(CostLaw)
        if law.name in best and law.name != chosen.law
    ]
    fits = (fit_form(form, chosen.flops, chosen.loss) for form in forms)
    return tuple(fit for fit in fits if fit is not None)


@dataclass(frozen=True)
class BreakCarriers:
    """The runs that a break rests on most.

    Attributes:
        units: Names of the independent units, such as "run r19".
        survives: Whether the break is preferred without them too.
    """

    units: tuple[str, ...]
    survives: bool

    @property
    def said(self) -> str:
        """The units in a phrase: "run r19 and run r20"."""
        return listed(list(self.units))


def carriers_of_breaks(fit: LawFit) -> BreakCarriers | None:
    """Return the runs without which a claimed break is weakest, or is not preferred at all; None untested."""
    tested = [
        BreakCarriers(tuple(left["units"]), bool(left["survives"]))
        for left in sorted(
            fit.break_tests.get("left_out", ()), key=lambda left: left["statistic"] or -math.inf
        )
    ]
    if fit.breaks:
        return next((one for one in tested if one.survives and len(one.units) == 1), None)
    return next((one for one in tested if not one.survives), None)


def rival_name(rival: CurveFit) -> str:
    """Return a rival law in words, with its number of breaks."""
    return law_label(rival.law, int(rival.breaks.size))


def law_name(fit: LawFit) -> str:
    """Return the law of a fit in words, with its number of breaks."""
    return law_label(fit.law, len(fit.breaks))


def last_exponent(fit: LawFit) -> Quantity:
    """Return the slope -d ln L / d ln C at the largest compute, with its interval over runs.

    For a power law this is the exponent of the last piece. The slope of a law with a floor or smooth breaks
    changes everywhere, and its exponent belongs to one part of it: only slopes can be compared between laws.
    """
    runs = int(fit.facts.get("n_runs", 0)) or None
    law = curve_law(fit.law)
    name = law.last_slope(len(fit.breaks)) if isinstance(law, CostLaw) else None
    if name is not None:
        estimate = fit.parameters[name]
        return Quantity(estimate.value, estimate.low, estimate.high, runs, "runs")
    end = float(fit.flops.max())
    grid = np.array([end * (1 - _SLOPE_STEP), end])
    with np.errstate(invalid="ignore"):
        slopes = np.array([_slope(_predict_draw(fit, draw, grid)) for draw in fit.draws])
    low, high = _bounds(slopes)
    return Quantity(_slope(fit.curve.predict(grid)), low, high, runs, "runs")


def _slope(ends: FloatArray) -> float:
    """Return -d ln L / d ln C between two neighbouring computes."""
    return float(np.log(ends[0] / ends[1]) / -np.log1p(-_SLOPE_STEP))


def _bounds(draws: FloatArray) -> tuple[float | None, float | None]:
    finite = draws[np.isfinite(draws)]
    if finite.size < max(2, _LEAST_DRAWS * draws.size):
        return None, None
    low, high = np.quantile(finite, [0.025, 0.975])
    return float(low), float(high)


def band_of(fit: LawFit) -> list[dict[str, Cell]]:
    """Return the curve over the range of its points, with pointwise 95 % bounds from drawing runs.

    Returns:
        Rows of `flops`, `loss`, `low` and `high`; the bounds are None where too few draws can carry the law.
    """
    grid = _grid(fit)
    draws = [_predict_draw(fit, draw, grid) for draw in fit.draws if np.isfinite(draw).all()]
    enough = len(draws) >= max(2, _LEAST_DRAWS * len(fit.draws))
    bounds = [_bounds(column) for column in np.array(draws).T] if enough else [(None, None)] * _GRID
    rows = zip(grid.tolist(), fit.curve.predict(grid).tolist(), bounds, strict=True)
    return [{"flops": x, "loss": y, "low": low, "high": high} for x, y, (low, high) in rows]


def curve_of(rival: CurveFit, chosen: LawFit) -> list[dict[str, Cell]]:
    """Return a rival's curve over the range of the chosen law's points, as rows of `flops` and `loss`."""
    grid = _grid(chosen)
    rows = zip(grid.tolist(), rival.predict(grid).tolist(), strict=True)
    return [{"flops": x, "loss": y} for x, y in rows]


def _grid(fit: LawFit) -> FloatArray:
    return np.geomspace(fit.flops.min(), fit.flops.max(), _GRID)


def _predict_draw(fit: LawFit, draw: FloatArray, grid: FloatArray) -> FloatArray:
    count = fit.curve.values.size
    curve = replace(fit.curve, values=draw[:count], breaks=draw[count:])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return curve.predict(grid)
