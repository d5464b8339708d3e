"""Estimate how many more runs would make an interval half as wide."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lilliput.analysis.inference.draws import draw_parameters
from lilliput.analysis.inference.few_units import draws_residuals
from lilliput.analysis.inference.options import FitOptions
from lilliput.analysis.inference.results import LawFit
from lilliput.analysis.table.measurements import Measurements
from lilliput.core.arrays import FloatArray

_FEWEST_RUNS = 4
_RATE_DRAWS = 200
# The interval of a straight line shrinks with the root of its points: four times as many halve it.
_OF_A_LINE = 3
_SLOWEST_RATE, _FASTEST_RATE = 0.25, 1.0


def runs_to_halve(data: Measurements, fit: LawFit, options: FitOptions) -> int | None:
    """Return how many runs to add so that the interval of the last exponent is half as wide; None where it has none.

    The rate at which it shrinks is measured, by drawing half as many runs; a mean would shrink with
    the square root, a frontier need not.
    """
    n_runs = int(np.unique(data.run).size)
    column = max((i for i, name in enumerate(fit.curve.names) if "exponent" in name), default=None)
    if column is None or n_runs < _FEWEST_RUNS or fit.draws.shape[0] < 2:
        return None
    if draws_residuals(data, fit.curve, options):
        return _OF_A_LINE * n_runs
    few = replace(options, resamples=min(_RATE_DRAWS, options.resamples))
    half = _width(draw_parameters(data, fit.curve, few, share=0.5)[:, column])
    full = _width(fit.draws[:, column])
    if not (half > 0 and full > 0):
        return None
    rate = min(max(math.log2(half / full), _SLOWEST_RATE), _FASTEST_RATE)
    return math.ceil(n_runs * (2 ** (1 / rate) - 1))


def _width(draws: FloatArray) -> float:
    """Return the interquartile range, which a few extreme draws do not move."""
    finite = draws[np.isfinite(draws)]
    if finite.size < 2:
        return math.nan
    low, high = np.quantile(finite, [0.25, 0.75])
    return float(high - low)
