from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from lilliput.analysis import (
    CorrelationResult,
    FitOptions,
    Frontier,
    IcerResult,
    LawFit,
    Table,
    analyse_correlation,
    analyse_fit,
    analyse_icer,
    frontier,
)
from lilliput.analysis.findings.stored import from_stored, to_stored


@dataclass(frozen=True)
class Odd:
    """Everything that JSON has no word for."""

    undefined: float
    endless: float
    absent: float | None
    empty: NDArray[np.float64]
    whole: NDArray[np.intp]
    words: tuple[str, ...]


def through_json(kind, result):
    return from_stored(kind, json.loads(json.dumps(to_stored(result), allow_nan=False)))


def test_what_json_cannot_say_comes_back():
    odd = Odd(math.nan, math.inf, None, np.empty((0, 7)), np.array([3, 1]), ("a", "b"))
    again = through_json(Odd, odd)
    assert math.isnan(again.undefined)
    assert again.endless == math.inf
    assert again.absent is None
    assert again.empty.shape == (0, 7)
    assert again.whole.dtype == odd.whole.dtype
    assert again.whole.tolist() == [3, 1]
    assert again.words == ("a", "b")


@pytest.mark.parametrize("law", ["power_offset", "segmented_jumps"])
def test_a_law_comes_back_with_its_curve_and_draws(paper: Table, law):
    fit = analyse_fit(paper, options=FitOptions(law=law, resamples=8))
    again = through_json(LawFit, fit)
    assert again.as_record() == fit.as_record()
    np.testing.assert_array_equal(again.draws, fit.draws)
    costs = np.geomspace(1e14, 1e17, 20)
    np.testing.assert_array_equal(again.curve.predict(costs), fit.curve.predict(costs))


def test_frontier_costs_and_correlations_come_back(paper: Table):
    effect = {"cost": "sequence_flops_reference", "effect": "test_perplexity_reference"}
    for kind, result in (
        (Frontier, frontier(paper)),
        (IcerResult, analyse_icer(paper, resamples=10, **effect)),
        (CorrelationResult, analyse_correlation(paper, y="num_parameters", resamples=10)),
    ):
        assert through_json(kind, result).as_record() == result.as_record()
