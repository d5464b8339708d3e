"""Does the break of a frontier come from scale, or from where the runs leave the plateau?

Families of runs that differ in optimisation alone (positions, initial weights, learning rate, batch) have the same
sizes and the same data. Each family has two numbers, measured apart from each other:

    exit    the lowest compute at which one of its shapes leaves the plateau of the token-unigram entropy
    break   the compute at which its frontier changes from one power law to another

Example, FLOPs:

    family      exit      break     a break of scale would be at
    fast        1e10      2e10      2e10
    slow        1e12      2e12      2e10

The slope of ln(break) on ln(exit) over these families is 1: the break moves with the exit. A slope of 0 would say that
it stays where it is, whatever the exit does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.findings.groups import scaling_groups
from lilliput.analysis.findings.learning import plateau_crossing
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.runs import rows_by_run
from lilliput.analysis.fit import fit_measurements
from lilliput.analysis.frontier import FrontierMethod, frontier_rows
from lilliput.analysis.inference.options import FitOptions
from lilliput.analysis.inference.resampling import expanded_bounds
from lilliput.analysis.laws.segmented import fit_jumps
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.seeding import generator

Rows = NDArray[np.intp]
BreakVerdict = Literal["moves", "stays", "unclear"]
# The exits must differ by this factor before anything can be said of whether the break follows them.
LEAST_SPREAD = 3.0
# Shapes of a family that must have left the plateau.
LEAST_SHAPES = 4
_RESAMPLES = 500
_RESAMPLES_ELSEWHERE = 100
_FRONTIER: FrontierMethod = "log"
# Points of the frontier that each of the two laws must hold.
_LEAST_POINTS = 3
# The exponent above a break is read from this many times its compute on: the end of the plateau is steeper.
_BEYOND = 2.0
_NEEDED = ("run", "shape", "loss", "unigram_entropy")


def _unknown() -> Quantity:
    return Quantity(None)


@dataclass(frozen=True)
class FamilyBreak:
    """Hold where one family leaves the plateau and where its frontier breaks, under one FLOPs convention.

    Attributes:
        group: Name of the family.
        shapes: Shapes of the family.
        left: Shapes of which every seed left the plateau.
        cheapest: The shape that left it at the lowest compute; empty where none did.
        exit: That compute, the geometric mean over its seeds.
        fewest_steps: Fewest steps, over shapes, at which one left.
        most_steps: Most steps, over shapes that left, at which one left.
        place: Where two power laws that need not meet describe the frontier best: the break.
        ratio: Break divided by exit.
        below: Exponent of the law below the break.
        above: Exponent of the frontier from twice the break on, where the fall at the end of the plateau is over.
        breaks_above: Further breaks that the frontier above the break shows, by the test of `analyse fit`; None where it
            has too few points to be asked, or was not asked.
        entropy: Unigram entropy of the held-out tokens, nats.
        frontier_flops: Compute of the points of the frontier.
        frontier_loss: Their losses, nats.
        fitted_loss: What the two laws give there.
        problem: Why there is no break or no exit, in words; empty otherwise.
    """

    group: str
    shapes: int
    left: int = 0
    cheapest: str = ""
    exit: Quantity = field(default_factory=_unknown)
    fewest_steps: float | None = None
    most_steps: float | None = None
    place: Quantity = field(default_factory=_unknown)
    ratio: Quantity = field(default_factory=_unknown)
    below: Quantity = field(default_factory=_unknown)
    above: Quantity = field(default_factory=_unknown)
    breaks_above: tuple[float, ...] | None = None
    entropy: float | None = None
    frontier_flops: tuple[float, ...] = ()
    frontier_loss: tuple[float, ...] = ()
    fitted_loss: tuple[float, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class ExponentDifference:
    """Hold the exponent above the break of one family minus that of another."""

    one: str
    other: str
    difference: Quantity


@dataclass(frozen=True)
class BreakOrigin:
    """Hold the answer to "Is the break a property of scale?" under one FLOPs convention.

    Attributes:
        flops: FLOPs column.
        finished_only: Whether the frontiers are those of finished runs alone.
        families: Every family of several sizes.
        spread: Largest exit divided by the smallest, over families with a break and an exit.
        slope: Of ln(break) on ln(exit) over these families: 1 where the break moves with the exit, 0 where it stays.
        verdict: "moves", "stays", or "unclear" where the data cannot tell.
        problem: Why the data cannot tell, in words; empty otherwise.
        differences: Exponents above the break, each family beside each other one.
    """

    flops: str
    finished_only: bool
    families: tuple[FamilyBreak, ...]
    spread: float | None = None
    slope: Quantity = field(default_factory=_unknown)
    verdict: BreakVerdict = "unclear"
    problem: str = ""
    differences: tuple[ExponentDifference, ...] = ()

    @property
    def share_one_exponent(self) -> bool | None:
        """Return whether no two exponents differ beyond their interval; None where none can be compared."""
        known = [each.difference for each in self.differences if each.difference.has_interval]
        return not any(each.excludes(0.0) for each in known) if known else None


def find_break_origins(
    table: Table, conventions: Sequence[str], resamples: int | None = None
) -> tuple[BreakOrigin, ...]:
    """Return the answer under each FLOPs convention; none where the table has no two families with curves.

    Args:
        table: One row a measurement, with the columns `run`, `shape`, `loss` and `unigram_entropy`.
        conventions: FLOPs columns, the main one first.
        resamples: Draws of shapes and seeds.
    """
    groups = families_of(table)
    if not groups or not conventions:
        return ()
    draws = resamples or _RESAMPLES
    fewer = min(draws, _RESAMPLES_ELSEWHERE)
    main = find_break_origin(groups, conventions[0], draws, asks_above=True)
    others = [find_break_origin(groups, flops, fewer) for flops in conventions[1:]]
    if _has_budgets(groups):
        others.append(find_break_origin(groups, conventions[0], fewer, finished_only=True))
    return (main, *others)


def families_of(table: Table | None) -> dict[str, Table]:
    """Return the families that may be compared: several, of several sizes, on the same held-out tokens.

    Families of two languages are no such pair: their data differ. Where a table has several languages, the one with
    the most families is taken.
    """
    if table is None or not all(name in table for name in _NEEDED):
        return {}
    by_entropy: dict[float, dict[str, Table]] = {}
    for name, group in scaling_groups(table).items():
        entropies = np.unique(np.round(group.number("unigram_entropy"), 6))
        if entropies.size == 1 and np.isfinite(entropies[0]):
            by_entropy.setdefault(float(entropies[0]), {})[name] = group
    most = max(by_entropy.values(), key=len, default={})
    return most if len(most) > 1 else {}


def _has_budgets(groups: Mapping[str, Table]) -> bool:
    """Return whether every family trained its shapes at several budgets, so that finished runs have a frontier."""
    return all(
        np.unique(group.text("run")).size
        > 2 * np.unique([*zip(group.text("shape"), _seeds(group), strict=True)], axis=0).shape[0]
        for group in groups.values()
    )


def _seeds(table: Table) -> NDArray[np.str_]:
    return table.text("seed") if "seed" in table else table.text("run")


def find_break_origin(
    groups: Mapping[str, Table],
    flops: str,
    resamples: int = _RESAMPLES,
    *,
    finished_only: bool = False,
    asks_above: bool = False,
) -> BreakOrigin:
    """Return how break and exit move together over families, under one FLOPs convention.

    Args:
        groups: Families by name.
        flops: FLOPs column.
        resamples: Draws of shapes and seeds.
        finished_only: Whether the frontiers are those of finished runs alone.
        asks_above: Whether to test each frontier above its break for a further break; that takes seconds.
    """
    how = _How(flops, resamples, finished_only, asks_above)
    found = [_find_family(name, table, how) for name, table in groups.items()]
    families = tuple(family for family, _ in found)
    usable = [(f, draws) for f, draws in found if draws is not None and f.left >= LEAST_SHAPES]
    if len(usable) < 2:
        few = "only one has" if usable else "none has"
        problem = (
            f"two families need a break and {LEAST_SHAPES} shapes that left the plateau, and {few}"
        )
        return BreakOrigin(flops, finished_only, families, problem=problem)
    values = np.array([[f.exit.value, f.place.value] for f, _ in usable], dtype=np.float64)
    exits, places = np.log(values).T
    draws = _slope(
        np.stack([draws.exit for _, draws in usable], axis=1),
        np.stack([draws.place for _, draws in usable], axis=1),
    )
    fewest = min(family.shapes for family, _ in usable)
    spread = float(np.exp(np.ptp(exits)))
    slope = _quantity(float(_slope(exits[None, :], places[None, :])[0]), draws, fewest)
    differences = tuple(_difference(*one, *other) for one, other in combinations(usable, 2))
    verdict, problem = _judge(spread, slope)
    return BreakOrigin(flops, finished_only, families, spread, slope, verdict, problem, differences)


def _judge(spread: float, slope: Quantity) -> tuple[BreakVerdict, str]:
    """Return the verdict, and why there is none."""
    if spread < LEAST_SPREAD:
        return "unclear", (
            f"the families leave the plateau within a factor of {spread:.1f} of compute, and a factor of "
            f"{LEAST_SPREAD:g} is needed"
        )
    if not slope.has_interval:
        return "unclear", "too few draws of the shapes have a break"
    may_stay, may_move = not slope.excludes(0.0), not slope.excludes(1.0)
    if may_move != may_stay:
        return ("moves" if may_move else "stays"), ""
    held = "both 0 and 1" if may_stay else "neither 0 nor 1"
    return "unclear", f"the interval of the slope holds {held}"


def _slope(exits: FloatArray, places: FloatArray) -> FloatArray:
    """Return the least-squares slope of places on exits, both of shape (draws, families): one a draw."""
    x = exits - exits.mean(axis=1, keepdims=True)
    y = places - places.mean(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.sum(x * y, axis=1) / np.sum(x * x, axis=1)


@dataclass(frozen=True)
class _How:
    """Say how a family is looked at; the fields are the arguments of `find_break_origin`."""

    flops: str
    resamples: int
    finished_only: bool
    asks_above: bool


@dataclass(frozen=True)
class _Draws:
    """Hold logarithms of exit and break, and both exponents, of each draw; NaN where a draw has none."""

    exit: FloatArray
    place: FloatArray
    below: FloatArray
    above: FloatArray


def _difference(
    one: FamilyBreak, of_one: _Draws, other: FamilyBreak, of_other: _Draws
) -> ExponentDifference:
    first, second = one.above.value, other.above.value
    value = math.nan if first is None or second is None else first - second
    n = min(one.shapes, other.shapes)
    quantity = _quantity(value, of_one.above - of_other.above, n)
    return ExponentDifference(one.group, other.group, quantity)


@dataclass(frozen=True)
class _Trajectory:
    """Hold what one shape and seed left; the budgets that branch from one trunk are one trajectory.

    Attributes:
        rows: Its measurements.
        exit: Logarithm of the compute at which it left the plateau; infinite where it did not.
        steps: Logarithm of the steps at which it did.
    """

    rows: Rows
    exit: float
    steps: float


def _find_family(name: str, table: Table, how: _How) -> tuple[FamilyBreak, _Draws | None]:
    try:
        data = measurements_of(table, flops=how.flops, loss="loss", cluster="shape")
    except InputError as error:
        return FamilyBreak(name, 0, problem=str(error)), None
    shapes = _trajectories(table, data, how.flops)
    exits = {shape: _mean_exit(members) for shape, members in shapes.items()}
    left = [shape for shape, at in exits.items() if math.isfinite(at)]
    used = data.is_final if how.finished_only else np.ones(len(data), dtype=bool)
    whole = _break_of(data, np.flatnonzero(used))
    entropy = float(table.number("unigram_entropy")[0])
    family = FamilyBreak(name, len(shapes), len(left), entropy=entropy)
    if whole is not None:
        family = replace(
            family,
            frontier_flops=tuple(whole.flops.tolist()),
            frontier_loss=tuple(whole.loss.tolist()),
            fitted_loss=tuple(whole.fitted.tolist()),
        )
    if not left:
        return replace(family, problem="no shape left the plateau"), None
    cheapest = min(left, key=lambda shape: exits[shape])
    steps = [float(np.mean([each.steps for each in shapes[shape]])) for shape in left]
    family = replace(
        family,
        cheapest=cheapest,
        fewest_steps=math.exp(min(steps)),
        most_steps=math.exp(max(steps)),
    )
    if whole is None:
        problem = "the frontier has too few points for two laws"
        return replace(family, exit=Quantity(math.exp(exits[cheapest])), problem=problem), None
    draws = _draw(data, used, list(shapes.values()), whole, how.resamples)
    exit_at, place, n = exits[cheapest], whole.place, len(shapes)
    return replace(
        family,
        exit=_exponential(_quantity(exit_at, draws.exit, n)),
        place=_exponential(_quantity(place, draws.place, n)),
        ratio=_exponential(_quantity(place - exit_at, draws.place - draws.exit, n)),
        below=_quantity(whole.below, draws.below, n),
        above=_quantity(whole.above, draws.above, n),
        breaks_above=_breaks_above(data, math.exp(place)) if how.asks_above else None,
    ), draws  # fmt: skip


def _breaks_above(data: Measurements, place: float) -> tuple[float, ...] | None:
    """Return the breaks that the measurements above `place` show; None where they are too few to be asked."""
    options = FitOptions(frontier_method=_FRONTIER, resamples=0, cluster="shape")
    try:
        fit = fit_measurements(data.select(data.flops > place), options)
    except InputError:
        return None
    return tuple(each.value for each in fit.breaks)


def _trajectories(table: Table, data: Measurements, flops: str) -> dict[str, list[_Trajectory]]:
    """Return the trajectories of each shape: one a seed, whatever its number of budgets."""
    losses, costs = table.number("loss"), table.number(flops)
    entropies, shape = table.number("unigram_entropy"), table.text("shape")
    steps = table.number("step") if "step" in table else costs
    seeds = _seeds(table)
    run_of = {run: place for place, run in enumerate(data.run_names)}
    members: dict[tuple[str, str], list[str]] = {}
    curves = rows_by_run(table)
    for run, rows in curves.items():
        if run in run_of:
            members.setdefault((str(shape[rows[0]]), str(seeds[rows[0]])), []).append(run)
    found: dict[str, list[_Trajectory]] = {}
    for (of_shape, _), runs in members.items():
        exits: list[tuple[float, float]] = [(math.inf, math.inf)]
        for run in runs:
            rows = curves[run]
            entropy = float(entropies[rows[-1]])
            curve = losses[rows].tolist()
            at, step = (
                plateau_crossing(along[rows].tolist(), curve, entropy) for along in (costs, steps)
            )
            if at and step:
                exits.append((math.log(at), math.log(step)))
        mine = np.flatnonzero(np.isin(data.run, [run_of[run] for run in runs]))
        found.setdefault(of_shape, []).append(_Trajectory(mine, *min(exits)))
    return found


def _mean_exit(members: Sequence[_Trajectory]) -> float:
    """Return the mean of ln(exit) over seeds; infinite where one of them did not leave."""
    return float(np.mean([each.exit for each in members]))


@dataclass(frozen=True)
class _Break:
    """Hold a frontier and its break: ln of its place and of the gap that it lies in, and both exponents."""

    place: float
    gap: tuple[float, float]
    below: float
    above: float
    flops: FloatArray
    loss: FloatArray
    fitted: FloatArray


def _break_of(data: Measurements, rows: Rows) -> _Break | None:
    """Return where two power laws describe the frontier of these measurements best; None where there are too few."""
    if not rows.size:
        return None
    chosen = rows[frontier_rows(data.flops[rows], data.loss[rows], _FRONTIER)]
    flops, loss = data.flops[chosen], data.loss[chosen]
    fit = fit_jumps(flops, loss, 1, min_points=_LEAST_POINTS)
    if fit is None:
        return None
    place = float(fit.breaks[0])
    gap = math.log(flops[flops <= place].max()), math.log(flops[flops > place].min())
    values = dict(zip(fit.names, fit.values.tolist(), strict=True))
    above = _exponent(flops, loss, _BEYOND * place)
    fitted = np.exp(fit.fitted)
    return _Break(math.log(place), gap, values["exponent_1"], above, flops, loss, fitted)


def _exponent(flops: FloatArray, loss: FloatArray, start: float) -> float:
    """Return minus the slope of ln loss on ln cost from `start` on; NaN where too few points are there."""
    x, y = np.log(flops[flops >= start]), np.log(loss[flops >= start])
    if np.unique(x).size < _LEAST_POINTS:
        return math.nan
    x = x - x.mean()
    return -float(x @ y / (x @ x))


def _draw(
    data: Measurements,
    used: NDArray[np.bool_],
    shapes: Sequence[Sequence[_Trajectory]],
    whole: _Break,
    resamples: int,
) -> _Draws:
    """Return exit and break of draws of shapes, and of seeds within each, with repetition."""
    found = np.full((resamples, 4), np.nan)
    rng = generator(0, "break-origin")
    for row in found:
        drawn = [shapes[place] for place in rng.integers(0, len(shapes), len(shapes))]
        chosen = [
            [members[place] for place in rng.integers(0, len(members), len(members))]
            for members in drawn
        ]
        share = rng.random()
        exit_at = min(map(_mean_exit, chosen))
        rows = np.concatenate([each.rows for members in chosen for each in members])
        broken = _break_of(data, rows[used[rows]])
        if broken is None or not math.isfinite(exit_at):
            continue
        # The data do not show where in its gap a jump lies. A draw lacks points, and has wider gaps than the data.
        low, high = whole.gap if broken.gap[0] < whole.place < broken.gap[1] else broken.gap
        row[:] = exit_at, low + share * (high - low), broken.below, broken.above
    return _Draws(*found.T)


def _quantity(value: float, draws: FloatArray, n: int) -> Quantity:
    """Return a number with bounds from its draws of `n` shapes."""
    if not math.isfinite(value):
        return Quantity(None)
    low, high = (float(bound[0]) for bound in expanded_bounds(draws[:, None], n))
    known = math.isfinite(low) and math.isfinite(high)
    return Quantity(value, low if known else None, high if known else None, n, "shapes")


def _exponential(log: Quantity) -> Quantity:
    """Return a number from its logarithm, with its bounds."""
    value, low, high = (
        None if end is None else math.exp(end) for end in (log.value, log.low, log.high)
    )
    return Quantity(value, low, high, log.n, log.unit)
