"""The verdict on one score: threshold, smooth, cannot tell, or artefact of the metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from lilliput.analysis.emergence.forms import (
    Candidates,
    FormFit,
    candidates,
    fit,
    forms_for,
    ranks_first,
)
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.intervals import percentile_bounds
from lilliput.core.seeding import generator

Verdict = Literal["threshold", "smooth", "cannot tell", "artefact of the metric"]
_PIECES = ("threshold", "step")
_SMOOTH = ("straight", "logistic")
LEAD = 2.0
"""Least difference of the criterion for a verdict; 2 is where Kass and Raftery (1995) begin to call it positive."""
SHARE = 0.5
"""Least share of the draws in which the kind of form that the verdict names is the best."""


@dataclass(frozen=True)
class ScoredPoints:
    """Runs on an axis of ability, with the score of each on every item.

    Attributes:
        axis: Place of each run, rising with ability: minus the loss, or ln N; shape (P,).
        units: What seeds share (a shape in a language), shape (P,); runs of a unit are drawn anew together.
        items: Score of each run on each item, (P, I); one column where only the mean is known.
    """

    axis: FloatArray
    units: tuple[str, ...]
    items: FloatArray

    def __post_init__(self) -> None:
        if not len(self.axis) == len(self.units) == len(self.items):
            raise InputError(
                "every run must have a place, a unit and a score",
                got=f"{len(self.axis)}, {len(self.units)} and {len(self.items)}",
            )
        if not (np.isfinite(self.axis).all() and np.isfinite(self.items).all()):
            raise InputError("places and scores must be finite numbers", got="others among them")

    @property
    def score(self) -> FloatArray:
        """Return the mean over items of each run, (P,)."""
        return self.items.mean(1)

    @property
    def can_be_drawn(self) -> bool:
        """Return whether there are seeds or items to draw anew."""
        return self.items.shape[1] > 1 or len(set(self.units)) < len(self.units)


@dataclass(frozen=True)
class Emergence:
    """What the data say of one score on one axis.

    Attributes:
        verdict: "threshold", "smooth", "cannot tell", or "artefact of the metric".
        why: One sentence with the numbers behind it.
        best: Form with the lowest criterion.
        lead: Criterion of the best form of the other kind, minus that of the best.
        share: Share of the draws in which the best form is of the same kind; None without draws.
        place: Threshold on the axis where the best form has one, with its bounds from the draws.
        place_low: Lower bound.
        place_high: Upper bound.
        fits: Every form's fit.
        points: Runs.
        draws: Draws behind share and bounds.
    """

    verdict: Verdict
    why: str
    best: str = ""
    lead: float | None = None
    share: float | None = None
    place: float | None = None
    place_low: float | None = None
    place_high: float | None = None
    fits: tuple[FormFit, ...] = ()
    points: int = 0
    draws: int = 0

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def detect_emergence(points: ScoredPoints, *, resamples: int = 500, seed: int = 0) -> Emergence:
    """Return whether a score rises all along its axis or from a threshold on.

    The forms of `forms` are compared by BIC. A verdict needs a lead of 2 over the best form of the other kind, and that
    kind must also be the best in at least half of the draws of seeds (within each unit) and items (the same for all
    runs). Otherwise the data cannot tell.

    Args:
        points: Runs with their scores.
        resamples: Draws.
        seed: Of the draws.
    """
    forms = forms_for(points.axis)
    if not forms or len(points.axis) < 6:
        return Emergence(
            "cannot tell",
            f"{len(points.axis)} runs at {len(np.unique(points.axis))} places are too few to tell forms apart.",
            points=len(points.axis),
        )
    known = [candidates(form, points.axis) for form in forms]
    fits = _fits(known, points.score, np.ones(len(points.axis)))
    best = ranks_first(fits)
    kind = _kind(best.form)
    lead = min(one.bic for one in fits if _kind(one.form) != kind) - best.bic
    count = resamples if points.can_be_drawn else 0
    drawn = [_fits(known, *draw) for draw in _draws(points, count, seed)]
    firsts = [ranks_first(one) for one in drawn]
    share = float(np.mean([_kind(one.form) == kind for one in firsts])) if firsts else None
    places = [one.place for fits in drawn for one in fits if one.form == best.form]
    known_places = np.array([place for place in places if place is not None])
    low, high = percentile_bounds(known_places, 0.95) if len(known_places) else (None, None)
    is_clear = lead >= LEAD and (share is None or share >= SHARE)
    verdict: Verdict = "cannot tell"
    if is_clear and kind != "flat":
        verdict = "threshold" if kind == "pieces" else "smooth"
    return Emergence(
        verdict,
        _why(verdict, best, lead, share),
        best.form,
        float(lead),
        share,
        best.place,
        low,
        high,
        tuple(fits),
        len(points.axis),
        count,
    )


def _fits(known: list[Candidates], score: FloatArray, weights: FloatArray) -> list[FormFit]:
    return [fit(one, score, weights) for one in known]


def _kind(form: str) -> str:
    return "pieces" if form in _PIECES else "smooth" if form in _SMOOTH else "flat"


def _draws(points: ScoredPoints, count: int, seed: int) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield scores and weights of the runs, seeds and items drawn anew."""
    rng = generator(seed, "emergence")
    for _ in range(count):
        yield points.items @ item_shares(points, rng), seed_weights(points, rng)


def seed_weights(points: ScoredPoints, rng: np.random.Generator) -> FloatArray:
    """Return the weights of the runs in one draw of seeds within each unit; those of a unit add up to its runs.

    Of k seeds, k - 1 are drawn with replacement, so that a mean over draws varies as much as it should: k of k would
    give (k - 1) / k of the variance, half of it with two seeds. One seed alone is kept.

    Source: the bootstrap of McCarthy and Snowden (1985) for few units in a stratum.
    """
    _, unit_P = np.unique(np.array(points.units), return_inverse=True)
    weights = np.zeros(len(unit_P))
    for unit in range(unit_P.max() + 1):
        rows = np.flatnonzero(unit_P == unit)
        drawn = max(1, len(rows) - 1)
        np.add.at(weights, rng.choice(rows, drawn), len(rows) / drawn)
    return weights


def item_shares(points: ScoredPoints, rng: np.random.Generator) -> FloatArray:
    """Return the share of each item in one draw of items, the same for all runs."""
    count = points.items.shape[1]
    return rng.multinomial(count, np.full(count, 1.0 / count)) / count


def _why(verdict: Verdict, best: FormFit, lead: float, share: float | None) -> str:
    drawn = "" if share is None else f", and such a form is the best in {share:.0%} of the draws"
    if verdict != "cannot tell":
        return f"The form {best.form} leads the other kind by {lead:.1f} in BIC{drawn}."
    if best.form == "flat":
        return f"The score does not rise with ability: a flat line is the best form{drawn}."
    return (
        f"The form {best.form} is the best, but it leads the other kind by {lead:.1f} in BIC (2 are needed){drawn} "
        "(half are needed)."
    )


def judge_metric(accuracy: Emergence, continuous: Emergence) -> Emergence:
    """Return the verdict on an accuracy, given the verdict on a continuous score of the same items.

    A threshold that the continuous score does not have comes from counting only whole hits: the metric makes it.

    Source: the argument of Schaeffer et al. 2023 (arXiv 2304.15004).
    """
    if accuracy.verdict != "threshold":
        return accuracy
    if continuous.verdict == "smooth":
        why = f"{accuracy.why} The continuous margin of the same items rises smoothly: {continuous.why}"
        return replace(accuracy, verdict="artefact of the metric", why=why)
    if continuous.verdict == "threshold":
        return replace(accuracy, why=f"{accuracy.why} The continuous margin has a threshold too.")
    why = f"{accuracy.why} The continuous margin cannot tell: {continuous.why}"
    return replace(accuracy, why=why)
