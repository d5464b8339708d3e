"""Find the compute-optimal size without a law of loss: by iso-FLOP parabolas or minima over curves.

Sources: Hoffmann et al., arXiv 2203.15556, approaches 2 (parabolas of loss against ln N at one budget)
and 1 (the run of lowest loss at each cost, by interpolation along its curve).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.laws.base import BestSizeLaw
from lilliput.analysis.laws.curve import plain_number
from lilliput.analysis.laws.power import fit_power
from lilliput.analysis.laws.registry import register_law
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError

_SAME_BUDGET = 0.05
_LEAST_SIZES = 4
FEW_SIZES, NO_MINIMUM = "fewer than four sizes at the budget", "no minimum at the budget"
_CURVE_VALUES = 1500


@dataclass(frozen=True)
class IsoFlop:
    """Hold the parabola of loss against ln N at one budget.

    Attributes:
        flops: Budget (geometric mean of its points).
        num_parameters: Where the parabola is lowest.
        loss: The loss there.
        curvature: Coefficient of (ln N)^2.
        n: Points.
        inside: True where the minimum lies between the smallest and the largest size.
    """

    flops: float
    num_parameters: float
    loss: float
    curvature: float
    n: int
    inside: bool


@dataclass(frozen=True)
class Allocation:
    """Hold the power law N_opt = coefficient x C^exponent.

    Attributes:
        coefficient: In parameters.
        exponent: The "a" of Hoffmann et al.; that of the tokens is 1 - a when C = 6 N D.
        se: Standard error of the exponent; None with two budgets.
        budgets: Costs used, shape (budgets,).
        num_parameters: Optimal sizes there, shape (budgets,).
        warnings: One sentence each.
    """

    coefficient: float
    exponent: float
    se: float | None
    budgets: FloatArray
    num_parameters: FloatArray
    warnings: tuple[str, ...] = ()

    def size(self, flops: float) -> float:
        """Return the optimal parameters at a budget."""
        return self.coefficient * flops**self.exponent

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "coefficient": plain_number(self.coefficient),
            "exponent": plain_number(self.exponent),
            "se": plain_number(self.se),
            "budgets": self.budgets.tolist(),
            "num_parameters": self.num_parameters.tolist(),
            "warnings": list(self.warnings),
        }


def isoflop_profiles(flops: FloatArray, parameters: FloatArray, loss: FloatArray) -> list[IsoFlop]:
    """Return one parabola for each budget; costs within 5 % of each other are one budget.

    Args:
        flops: Shape (points,).
        parameters: Shape (points,).
        loss: Shape (points,).

    Returns:
        Ascending budgets; those with fewer than four sizes or without a minimum are left out.
    """
    judged = isoflop_budgets(flops, parameters, loss)
    return [profile for _, profile in judged if isinstance(profile, IsoFlop)]


def isoflop_budgets(
    flops: FloatArray, parameters: FloatArray, loss: FloatArray
) -> list[tuple[NDArray[np.intp], IsoFlop | str]]:
    """Return the rows of each budget with its parabola, or with the reason why it has none.

    Args:
        flops: Shape (points,).
        parameters: Shape (points,).
        loss: Shape (points,).
    """
    order = np.argsort(flops, kind="stable")
    gaps = np.diff(np.log(flops[order])) > _SAME_BUDGET
    groups = np.split(order, np.flatnonzero(gaps) + 1)
    return [(g, _parabola(flops[g], parameters[g], loss[g])) for g in groups]


def _parabola(flops: FloatArray, parameters: FloatArray, loss: FloatArray) -> IsoFlop | str:
    if np.unique(parameters).size < _LEAST_SIZES:
        return FEW_SIZES
    centre = float(np.log(parameters).mean())
    x = np.log(parameters) - centre
    curvature, slope, level = np.polyfit(x, loss, 2).tolist()
    if curvature <= 0:
        return NO_MINIMUM
    place = -slope / (2 * curvature)
    return IsoFlop(
        flops=math.exp(float(np.log(flops).mean())),
        num_parameters=math.exp(centre + place),
        loss=level - slope**2 / (4 * curvature),
        curvature=curvature,
        n=int(loss.size),
        inside=bool(x.min() <= place <= x.max()),
    )


def isoflop_allocation(profiles: list[IsoFlop]) -> Allocation:
    """Return the power law of optimal size against budget through the minima of the parabolas.

    Raises:
        InputError: Fewer than two budgets have a minimum.
    """
    if len(profiles) < 2:
        raise InputError(
            "iso-FLOP profiles need at least two budgets with four sizes and a minimum each",
            got=len(profiles),
        )
    outside = [profile for profile in profiles if not profile.inside]
    warnings = (
        f"{len(outside)} of {len(profiles)} minima lie outside the sizes tried: they are extrapolated.",
    )
    return _allocation(
        np.array([profile.flops for profile in profiles]),
        np.array([profile.num_parameters for profile in profiles]),
        warnings if outside else (),
    )


def minimum_over_curves(
    run: NDArray[np.intp],
    flops: FloatArray,
    parameters: FloatArray,
    loss: FloatArray,
    *,
    values: int = _CURVE_VALUES,
) -> Allocation:
    """Return the power law of the best run's size against cost, over log-spaced costs.

    Each run's loss is interpolated in ln cost between its points, never beyond them.

    Args:
        run: Run of each point, shape (points,).
        flops: Shape (points,).
        parameters: Shape (points,).
        loss: Shape (points,).
        values: Number of costs.

    Raises:
        InputError: No cost is covered by two runs.
    """
    grid = np.linspace(np.log(flops.min()), np.log(flops.max()), values)
    runs = np.unique(run)
    curves = np.full((runs.size, values), np.inf)
    sizes = np.empty(runs.size)
    for i, name in enumerate(runs):
        rows = np.flatnonzero(run == name)
        rows = rows[np.argsort(flops[rows])]
        x = np.log(flops[rows])
        sizes[i] = parameters[rows[0]]
        inside = (grid >= x[0]) & (grid <= x[-1])
        curves[i, inside] = np.interp(grid[inside], x, loss[rows])
    shared = np.isfinite(curves).sum(axis=0) >= 2
    if not shared.any():
        raise InputError("at least two runs must reach a common cost", got=f"{runs.size} runs")
    best = np.argmin(curves[:, shared], axis=0)
    warning = "Costs between a run's points are not independent: the standard error is too small."
    return _allocation(np.exp(grid[shared]), sizes[best], (warning,))


def _allocation(budgets: FloatArray, sizes: FloatArray, warnings: tuple[str, ...]) -> Allocation:
    line = fit_power(budgets, sizes)
    x = np.log(budgets)
    room = budgets.size - 2
    spread = float(np.sum((x - x.mean()) ** 2))
    return Allocation(
        coefficient=line.parameters["coefficient"],
        exponent=-line.parameters["exponent"],
        se=math.sqrt(line.rss / room / spread) if room > 0 else None,
        budgets=budgets,
        num_parameters=sizes,
        warnings=warnings,
    )


class IsoFlopLaw(BestSizeLaw):
    """Find the best size by a parabola through the sizes tried at each budget."""

    name = "isoflop"
    label = "best size by iso-FLOP parabolas"
    help = "By a parabola at each budget"
    takes_finished_runs = True
    is_judged_by_budget = True

    def allocation(
        self, run: NDArray[np.intp], flops: FloatArray, parameters: FloatArray, loss: FloatArray
    ) -> Allocation:
        """Return the best sizes and the power law through them."""
        del run
        return isoflop_allocation(isoflop_profiles(flops, parameters, loss))


class MinimumLaw(BestSizeLaw):
    """The best size by the lowest of all training curves at each cost."""

    name = "minimum"
    label = "best size by the lowest training curve"
    help = "By the lowest of all curves"

    def allocation(
        self, run: NDArray[np.intp], flops: FloatArray, parameters: FloatArray, loss: FloatArray
    ) -> Allocation:
        """Return the best sizes and the power law through them."""
        return minimum_over_curves(run, flops, parameters, loss)


register_law(IsoFlopLaw())
register_law(MinimumLaw())
