"""Warn of what the data cannot show, in one sentence each."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.break_test import FEWEST_RUNS, SIGNIFICANCE
from lilliput.analysis.inference.choice import LawChoice, WithoutWorstUnits
from lilliput.analysis.inference.draws import FEW_UNITS, draws_residuals
from lilliput.analysis.inference.sample import FitSample
from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.registry import cost_law, law_label
from lilliput.analysis.table.measurements import Measurements
from lilliput.core.arrays import FloatArray
from lilliput.core.wording import plural

# Differences of BIC below 2 are "not worth more than a bare mention" (Kass and Raftery 1995).
_CLEAR_BIC = 2.0
_FEW_POINTS = 3
_LOST_DRAWS = 0.05
# Points of a run from which its slopes can be compared, and how much steeper than the rest an exit is.
_LONG_RUN, _STEEPER = 10, 4.0
FRONTIER_CAVEAT = (
    "Points of a frontier are the best of several runs: intervals hold the truth less often than "
    "they say (in 79 of 100 simulated studies instead of 95); read them as a lower bound."
)


def fit_warnings(
    choice: LawChoice, ranked: list[CurveFit], sample: FitSample, draws: FloatArray
) -> tuple[str, ...]:
    """Return warnings about the choice of law, its breaks and its intervals."""
    chosen, flops = choice.law, sample.flops
    is_early = sample.data.is_early[sample.rows]
    found = [
        *_clustered(sample),
        *_close_rivals(chosen, ranked),
        *_breaks_not_shown(choice, ranked, sample),
        *_what_carries(choice),
        *_thin_pieces(chosen, flops),
        *_breaks_outside(chosen, flops),
        *_breaks_in_warm_up(chosen, flops, is_early),
        *cost_law(chosen.law).warnings(chosen),
        *_few_units(sample, chosen, draws),
        *(_short_on_frontiers(draws) if sample.options.points == "frontier" else []),
    ]
    return tuple(found)


def _name(fit: CurveFit) -> str:
    return law_label(fit.law, int(fit.breaks.size))


def _bic(fit: CurveFit) -> str:
    return f"(BIC {fit.bic:.1f})".replace("-", "−")


def _close_rivals(chosen: CurveFit, ranked: list[CurveFit]) -> list[str]:
    rivals = [
        fit
        for fit in ranked
        if fit is not chosen and abs(fit.bic - chosen.bic) < _CLEAR_BIC and _says_else(fit, chosen)
    ]
    if not rivals:
        return []
    names = ", ".join(f"the {_name(fit)} {_bic(fit)}" for fit in rivals)
    return [f"The data cannot decide between the {_name(chosen)} {_bic(chosen)} and {names}."]


def _says_else(rival: CurveFit, chosen: CurveFit) -> bool:
    """Return whether two laws differ: one with an offset of zero is the plain power law again."""
    pairs = ((rival, chosen), (chosen, rival))
    return all(cost_law(one.law).reduces_to(one) != other.law for one, other in pairs)


def _breaks_not_shown(choice: LawChoice, ranked: list[CurveFit], sample: FitSample) -> list[str]:
    """Warn of breaks that BIC would claim and the tests do not, or that were asked for and are not shown."""
    chosen, best = choice.law, ranked[0]
    is_more = best.breaks.size > chosen.breaks.size
    is_asked = chosen.breaks.size > 0 and all(fit.breaks.size > 0 for fit in ranked)
    if not is_more and not is_asked:
        return []
    start = (
        f"BIC alone would choose the {_name(best)}"
        if is_more
        else f"The {_name(chosen)} was asked for"
    )
    unsure = "the data cannot show whether there are " + ("more breaks." if is_more else "breaks.")
    word, n_units = sample.data.unit, sample.n_units
    if n_units < FEWEST_RUNS:
        return [
            f"{start}, but the points come from {plural(n_units, word)}, and with fewer than {FEWEST_RUNS} "
            f"a break cannot be separated from an accident of one {word}: {unsure}"
        ]
    carried = [left for left in choice.left_out if not left.survives]
    if carried and is_more:
        rest = "it" if len(carried[-1].units) == 1 else "them"
        return [
            f"{start}, but a break rests on {_both(carried[-1])}: without {rest} none is preferred. It is "
            "not claimed; check whether training went wrong there."
        ]
    failed = next((test for test in reversed(choice.tests) if test.p >= SIGNIFICANCE), None)
    if failed is None:
        odd = f"{start}, but one side of a break holds points of a single {word}: {unsure}"
        return [odd] if is_more else []
    how = f" when whole {word}s deviate the other way" if failed.p_runs >= failed.p_noise else ""
    return [
        f"{start}, but {failed.p:.0%} of data simulated from the {failed.null} improve as much{how}: {unsure}"
    ]


def _thin_pieces(chosen: CurveFit, flops: FloatArray) -> list[str]:
    if cost_law(chosen.law).pieces(chosen, flops) is None:
        return []
    edges = [0.0, *chosen.breaks.tolist(), np.inf]
    sentences: list[str] = []
    for low, high in itertools.pairwise(edges):
        count = int(np.unique(flops[(flops > low) & (flops <= high)]).size)
        if count < _FEW_POINTS:
            span = f"from {low:.3g} to {high:.3g}" if low else f"below {high:.3g}"
            sentences.append(f"The piece {span} rests on {count} points; its exponent is weak.")
    return sentences


def _breaks_outside(chosen: CurveFit, flops: FloatArray) -> list[str]:
    outside = chosen.breaks[(chosen.breaks < flops.min()) | (chosen.breaks > flops.max())]
    return [
        f"The break at {place:.3g} lies outside the points: its place and sharpness are extrapolated."
        for place in outside.tolist()
    ]


def _breaks_in_warm_up(
    chosen: CurveFit, flops: FloatArray, is_early: NDArray[np.bool_]
) -> list[str]:
    """Warn of a break whose lower piece has most of its points from the warm-up of a run."""
    sentences: list[str] = []
    for low, place in itertools.pairwise([0.0, *chosen.breaks.tolist()]):
        piece = is_early[(flops > low) & (flops <= place)]
        if piece.sum() * 2 > piece.size:
            sentences.append(
                f"{piece.sum()} of the {piece.size} points just below the break at {place:.3g} are from "
                "the first steps of a run: the break may show the warm-up and not scale; lilliput analyse fit "
                "--after-step N leaves the first N steps out."
            )
    return sentences


def _clustered(sample: FitSample) -> list[str]:
    """Say where seeds of a shape were taken together."""
    data = sample.data
    if data.unit != "shape" or sample.options.cluster is not None:
        return []
    runs, shapes = int(np.unique(data.run).size), int(np.unique(data.group).size)
    return [
        f"{runs} runs are seeds of {plural(shapes, 'shape')}: shapes are resampled and tested, as seeds of "
        "one shape are not independent."
    ]


def plateau_exits(data: Measurements) -> tuple[list[float], int]:
    """Return the costs at which runs begin to fall steeply after a plateau, and how many runs are long enough to tell.

    A run leaves a plateau where its loss begins to fall half as steeply as it ever does, if that is four times as steep
    as the median of what went before (in ln loss against ln cost). Example: slopes 0.02, 0.02, 0.03, 0.40, 0.12, 0.06.
    """
    exits: list[float] = []
    long_runs = 0
    for run in range(len(data.run_names)):
        rows = np.flatnonzero(data.run == run)
        rows = rows[np.argsort(data.flops[rows], kind="stable")]
        x, y = np.log(data.flops[rows]), np.log(data.loss[rows])
        if np.unique(x).size < _LONG_RUN or np.unique(x).size < x.size:
            continue
        long_runs += 1
        slopes = -(y[2:] - y[:-2]) / (x[2:] - x[:-2])
        start = int(np.argmax(slopes >= slopes.max() / 2))
        if start >= _FEW_POINTS and slopes.max() >= _STEEPER * max(
            float(np.median(slopes[:start])), 0.0
        ):
            exits.append(float(np.exp(x[start + 1])))
    return exits, long_runs


def _both(left: WithoutWorstUnits) -> str:
    return " and ".join(left.units)


def _what_carries(choice: LawChoice) -> list[str]:
    """Name the unit that moves a claimed break most."""
    if not choice.law.breaks.size:
        return []
    ones = [left for left in choice.left_out if len(left.units) == 1 and left.survives]
    if not ones:
        return []
    weakest = min(ones, key=lambda left: left.statistic)
    return [f"The breaks rest most on {weakest.units[0]}; they are still claimed without it."]


def _few_units(sample: FitSample, chosen: CurveFit, draws: FloatArray) -> list[str]:
    word, count = sample.data.unit, sample.n_units
    sentences: list[str] = []
    if count < 2:
        sentences.append(
            f"All points come from one {word}: there is nothing to resample, no intervals."
        )
    elif draws_residuals(sample.data, chosen, sample.options):
        sentences.append(
            f"The points come from {plural(count, word)} only: intervals follow Student's t, from residuals taken "
            "as normal and independent."
        )
    elif count < FEW_UNITS:
        sentences.append(
            f"The points come from {plural(count, word)} only: the intervals are rough."
        )
    lost = float(np.mean(~np.isfinite(draws).all(axis=1))) if draws.size and count > 1 else 0.0
    if lost > _LOST_DRAWS:
        sentences.append(f"{lost:.0%} of the resamples could not carry the law.")
    return sentences


def _short_on_frontiers(draws: FloatArray) -> list[str]:
    if not np.isfinite(draws).any():
        return []
    return [FRONTIER_CAVEAT]
