"""Choose the law to claim: the best one whose breaks the data show and do not rest on single runs.

Example: 20 finished runs on one power law, of which the costliest diverged and ended 30 % too high. A law
with a jump before that run has the lowest BIC, and the break test rejects the power law. Without that run
the power law wins: the break is carried by one run, is not claimed, and the run is named.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.break_test import (
    FEWEST_RUNS,
    SIGNIFICANCE,
    BreakTest,
    bootstrap_break_test,
    gain_of_breaks,
)
from lilliput.analysis.inference.diagnostics import intraclass_correlation
from lilliput.analysis.inference.sample import FitSample, worst_fitting_units
from lilliput.analysis.laws.curve import CurveFit, plain
from lilliput.analysis.laws.forms import LawForm, fit_form, unbroken_forms
from lilliput.analysis.laws.registry import cost_law
from lilliput.core.arrays import FloatArray

SIMULATIONS = 400
# Two units that went wrong together can look like a piece of their own; three that agree are evidence.
_LEFT_OUT = (1, 2)
_RUNS_ON_A_SIDE = 2
# A law without breaks whose BIC is worse than another's by this much is excluded with that other.
_FAR_BIC = 6.0


@dataclass(frozen=True)
class WithoutWorstUnits:
    """Say whether a break is still preferred when the units that fit worst are left out.

    Attributes:
        breaks: Number of breaks in question.
        units: Their names, such as "run r19".
        statistic: BIC of the best law with fewer breaks minus the best with more, without these units.
        survives: Whether the data without them still prefer the breaks.
    """

    breaks: int
    units: tuple[str, ...]
    statistic: float
    survives: bool

    def as_record(self) -> dict[str, object]:
        """Return plain data for JSON."""
        return {**plain(vars(self)), "units": list(self.units)}


@dataclass
class LawChoice:
    """Hold the claimed law with all tests of its breaks."""

    law: CurveFit
    tests: list[BreakTest] = field(default_factory=list[BreakTest])
    left_out: list[WithoutWorstUnits] = field(default_factory=list[WithoutWorstUnits])

    @property
    def verdict(self) -> str:
        """Return "breaks", "curved" (it bends everywhere and has no place of a break) or "no break"."""
        if self.law.breaks.size:
            return "breaks"
        return "curved" if cost_law(self.law.law).is_curved else "no break"


def choose_law(
    fits: list[CurveFit], sample: FitSample, seed: int, *, excluded: LawChoice | None = None
) -> LawChoice:
    """Return the fit of lowest BIC among those with no more breaks than the data can show.

    A number of breaks is no candidate where, in the best law with so many, one unit alone lies on a
    side of a break. First of all, every law without breaks must be excluded, the curved one among them.
    Then the number of breaks is sought from above: the largest whose last break the test shows.
    (Sought from below, a law with one break where there are three fits so badly that its own misfit hides
    the other two.) Each time the breaks must survive leaving out the one, and the two, units that fit a
    law with fewer breaks worst.

    Args:
        fits: All candidates.
        sample: The points that they were fitted to.
        seed: Of the simulations.
        excluded: Tests that have excluded the laws without breaks already.
    """
    fewest = min(int(fit.breaks.size) for fit in fits)
    best_of = {int(fit.breaks.size): fit for fit in sorted(fits, key=lambda fit: -fit.bic)}
    sound = {k for k, fit in best_of.items() if stands_on_units(fit, sample)} | {fewest}
    fits = [fit for fit in fits if int(fit.breaks.size) in sound]
    most = int(min(fits, key=lambda fit: fit.bic).breaks.size)
    choice = excluded or LawChoice(fits[0])
    allowed = fewest
    if (
        most > fewest
        and sample.n_units >= FEWEST_RUNS
        and (excluded or _is_shown(fewest + 1, fits, sample, seed, choice))
    ):
        above = (k for k in range(most, fewest + 1, -1) if k in sound)
        allowed = next((k for k in above if _is_shown(k, fits, sample, seed, choice)), fewest + 1)
    choice.law = best_law([fit for fit in fits if fit.breaks.size <= allowed], sample)
    return choice


def judge_unbroken(fits: list[CurveFit], sample: FitSample, seed: int) -> tuple[LawChoice, bool]:
    """Return the choice among laws without breaks, and whether they are all excluded.

    It needs no law with breaks, so that the costly ones are fitted only where they can be claimed.
    """
    choice = LawChoice(best_law(fits, sample))
    enough = sample.n_units >= FEWEST_RUNS
    return choice, enough and _is_shown(1, fits, sample, seed, choice)


def best_law(fits: list[CurveFit], sample: FitSample) -> CurveFit:
    """Return the fit of lowest BIC; among laws without breaks, of lowest BIC for independent units.

    Points of one unit that deviate together are worth fewer than they are: counted as independent they
    buy a floor that is not there.
    """
    best = min(fits, key=lambda fit: fit.bic)
    if any(fit.breaks.size for fit in fits):
        return best
    units = sample.units
    share = intraclass_correlation(np.log(sample.loss) - best.fitted, units)
    ranked = sorted(fits, key=lambda fit: unit_bic(fit, units, share))
    floors = [fit for fit in ranked if cost_law(fit.law).without_floor]
    if floors and cost_law(ranked[0].law).grows_flatter(ranked[0]):
        # A law that grows flatter has a plainer reading, a floor, unless that fits far worse.
        gap = unit_bic(floors[0], units, share) - unit_bic(ranked[0], units, share)
        return floors[0] if gap < _FAR_BIC else ranked[0]
    return ranked[0]


def unit_bic(fit: CurveFit, units: NDArray[np.intp], share: float) -> float:
    """Return BIC with as many independent points as the units are worth.

    Args:
        fit: The law.
        units: Unit of each point, shape (points,).
        share: Part of the residual variance that points of one unit have in common.

    Source: the design effect 1 + (m - 1) share of clusters of m points, Kish, "Survey Sampling", 1965.
    """
    sizes = np.bincount(np.unique(units, return_inverse=True)[1].reshape(-1)).astype(np.float64)
    n = float(np.sum(sizes / (1 + (sizes - 1) * share)))
    return n * np.log(max(fit.rss / fit.n, 1e-16)) + fit.n_free * np.log(n)


def _is_shown(
    breaks: int, fits: list[CurveFit], sample: FitSample, seed: int, choice: LawChoice
) -> bool:
    """Return whether the last of so many breaks is shown, by test and without the worst units."""
    nulls = _nulls(breaks, fits)
    for null in nulls:
        choice.tests.append(break_test_against(null, sample, seed))
        if choice.tests[-1].p >= SIGNIFICANCE:
            return False
    for count in _LEFT_OUT:
        choice.left_out.append(_leave_out(breaks, count, fits, sample))
        if not choice.left_out[-1].survives:
            return False
    return True


def _nulls(breaks: int, fits: list[CurveFit]) -> list[CurveFit]:
    """Return the laws with fewer breaks to exclude, best first: all unbroken ones that come near the best."""
    fewer = sorted((f for f in fits if f.breaks.size < breaks), key=lambda fit: fit.bic)
    if breaks > 1:
        return fewer[:1]
    return [fit for fit in fewer if fit.bic < fewer[0].bic + _FAR_BIC]


def _leave_out(
    breaks: int, count: int, fits: list[CurveFit], sample: FitSample
) -> WithoutWorstUnits:
    fewer = sorted((f for f in fits if f.breaks.size < breaks), key=lambda fit: fit.bic)
    nulls = fewer if breaks == 1 else fewer[:1]
    units = worst_fitting_units(sample, nulls, count)
    rest = sample.without(units)
    refitted = [
        fit_form(LawForm(null.law, int(null.breaks.size)), rest.flops, rest.loss, start=null)
        for null in nulls
        if np.unique(rest.flops).size > null.n_free
    ]
    again = [fit for fit in refitted if fit is not None]
    statistic = -np.inf
    if again:
        x, y = np.log(rest.flops), np.log(rest.loss)
        statistic = min(gain_of_breaks(x, y, null) for null in _nulls(breaks, again))
    return WithoutWorstUnits(
        breaks, tuple(sample.name_of(u) for u in units), float(statistic), bool(statistic > 0)
    )


def stands_on_units(fit: CurveFit, sample: FitSample) -> bool:
    """Return whether each break has points of two units or more on either side: one run may be an exception."""
    flops, units = sample.flops, sample.units
    sides = [side for place in fit.breaks for side in (flops <= place, flops > place)]
    return all(np.unique(units[side]).size >= _RUNS_ON_A_SIDE for side in sides)


def check_asked_breaks(chosen: CurveFit, sample: FitSample, seed: int) -> list[BreakTest]:
    """Return tests of the laws without breaks, for a broken law that the user asked for."""
    if chosen.breaks.size == 0 or sample.n_units < FEWEST_RUNS:
        return []
    flops, loss = sample.flops, sample.loss
    unbroken = [fit_form(form, flops, loss) for form in unbroken_forms(np.unique(flops).size)]
    nulls = _nulls(1, [fit for fit in unbroken if fit is not None])
    return [break_test_against(null, sample, seed) for null in nulls]


def break_test_against(null: CurveFit, sample: FitSample, seed: int) -> BreakTest:
    """Return the break test at the number of simulations that choices rest on."""
    x: FloatArray = np.log(sample.flops)
    return bootstrap_break_test(
        x, np.log(sample.loss), sample.units, null, simulations=SIMULATIONS, seed=seed
    )
