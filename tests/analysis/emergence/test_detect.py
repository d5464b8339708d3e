"""The detector on families whose truth is known: few false thresholds, and those that are there are found."""

from __future__ import annotations

import numpy as np
import pytest

from lilliput.analysis.emergence.detect import ScoredPoints, detect_emergence, judge_metric
from lilliput.analysis.emergence.forms import candidates, fit
from lilliput.core.errors import InputError

NOISE = 0.01


def family(truth: str, rng: np.random.Generator, *, shapes: int = 12, seeds: int = 2):
    """Runs along an axis from 0 to 1 whose score rises by 0.2 to 0.5 in the given way, with noise 0.01."""
    places = np.linspace(0, 1, shapes) + rng.normal(0, 0.02, shapes)
    axis = np.repeat(places, seeds)
    rise, knee = rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.7)
    shape = {
        "straight": axis,
        "threshold": np.maximum(axis - knee, 0) / (1 - knee),
        "logistic": 1 / (1 + np.exp(-rng.uniform(5, 15) * (axis - knee))),
        "saturating": np.minimum(axis, knee) / knee,
    }[truth]
    score = 0.3 + rise * shape + rng.normal(0, NOISE, len(axis))
    units = tuple(f"shape {i}" for i in range(shapes) for _ in range(seeds))
    return ScoredPoints(axis, units, score[:, None]), knee


def share_of_thresholds(truth: str, count: int, **sizes: int) -> float:
    rng = np.random.default_rng(7)
    found = [
        detect_emergence(family(truth, rng, **sizes)[0], resamples=60).verdict == "threshold"
        for _ in range(count)
    ]
    return float(np.mean(found))


def test_few_false_thresholds_and_much_power():
    # 30 families a truth: with a true rate of 3 %, six or more false ones come once in 5,000 times.
    assert share_of_thresholds("straight", 30) <= 0.08
    assert share_of_thresholds("threshold", 30) > 0.8


@pytest.mark.slow
def test_the_rates_on_300_families_and_on_other_smooth_forms():
    assert share_of_thresholds("straight", 150) < 0.08
    assert share_of_thresholds("threshold", 150) > 0.8
    assert share_of_thresholds("logistic", 150) < 0.08
    assert share_of_thresholds("saturating", 150) < 0.08
    assert share_of_thresholds("straight", 150, shapes=9, seeds=1) < 0.08
    assert share_of_thresholds("threshold", 150, shapes=9, seeds=2) > 0.8


def test_a_threshold_is_found_where_it_is():
    rng = np.random.default_rng(1)
    points, knee = family("threshold", rng, shapes=18)
    found = detect_emergence(points)
    assert (found.verdict, found.best) == ("threshold", "threshold")
    assert found.place_low <= found.place <= found.place_high
    assert found.place == pytest.approx(knee, abs=0.06)
    smooth = detect_emergence(family("straight", rng, shapes=18)[0])
    assert smooth.verdict == "smooth"


def test_a_fit_is_that_of_least_squares():
    rng = np.random.default_rng(2)
    axis, score = rng.uniform(0, 1, 20), rng.normal(0, 1, 20) + np.linspace(0, 3, 20)
    axis.sort()
    one = fit(candidates("straight", axis), score, np.ones(20))
    slope, start = np.polyfit(axis, score, 1)
    residuals = score - start - slope * axis
    assert one.bic == pytest.approx(20 * np.log((residuals**2).mean()) + 2 * np.log(20))
    twice = fit(candidates("straight", np.repeat(axis, 2)), np.repeat(score, 2), np.ones(40))
    assert fit(candidates("straight", axis), score, np.full(20, 2.0)).bic == pytest.approx(
        twice.bic
    )


def items_of(shapes: int, rng: np.random.Generator, ability, count: int = 400):
    """Runs whose margin on each item is `ability` minus the item's difficulty, with little noise."""
    difficulty = rng.normal(0, 0.05, count)
    margin = ability[:, None] - difficulty + rng.normal(0, 0.02, (shapes, count))
    units = tuple(map(str, range(shapes)))
    axis = np.linspace(0, 1, shapes)
    return ScoredPoints(axis, units, (margin > 0) * 1.0), ScoredPoints(axis, units, margin)


def test_a_threshold_that_counting_whole_hits_makes_is_an_artefact():
    """The margin of all items rises in a straight line; the accuracy jumps where it passes zero near the end."""
    rng = np.random.default_rng(3)
    hits, margin = items_of(16, rng, np.linspace(-0.8, 0.06, 16))
    accuracy, continuous = detect_emergence(hits), detect_emergence(margin)
    assert accuracy.verdict == "threshold"
    assert continuous.verdict == "smooth"
    assert judge_metric(accuracy, continuous).verdict == "artefact of the metric"
    assert judge_metric(accuracy, accuracy).verdict == "threshold"
    assert judge_metric(continuous, accuracy).verdict == "smooth"


def test_a_step_in_depth_is_a_threshold_and_a_line_in_depth_is_not():
    rng = np.random.default_rng(4)
    depth = np.log2(np.repeat([1.0, 2.0, 4.0], 6))
    units = tuple(f"{d}/{i // 2}" for d in (1, 2, 4) for i in range(6))
    copying = np.where(depth > 0, 2.0, 0.1) + rng.normal(0, 0.1, 18)
    found = detect_emergence(ScoredPoints(depth, units, copying[:, None]))
    assert (found.verdict, found.best, found.place) == ("threshold", "step", 0.5)
    line = depth + rng.normal(0, 0.1, 18)
    assert detect_emergence(ScoredPoints(depth, units, line[:, None])).verdict == "smooth"


def test_what_cannot_be_told_is_not_told():
    rng = np.random.default_rng(5)
    flat = ScoredPoints(np.linspace(0, 1, 12), tuple("abcdefghijkl"), rng.normal(0, 1, (12, 1)))
    found = detect_emergence(flat)
    assert found.verdict == "cannot tell"
    few = ScoredPoints(np.arange(3.0), ("a", "b", "c"), np.arange(3.0)[:, None])
    assert detect_emergence(few).verdict == "cannot tell"
    assert "3 runs at 3 places are too few" in detect_emergence(few).why
    with pytest.raises(InputError, match="finite"):
        ScoredPoints(np.array([0.0, np.nan]), ("a", "b"), np.zeros((2, 1)))
