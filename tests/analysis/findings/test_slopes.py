"""The slope at the upper end, by which laws of different kinds are compared."""

from __future__ import annotations

import numpy as np
import pytest

from lilliput.analysis import FitOptions, fit_measurements
from lilliput.analysis.findings.laws import last_exponent
from lilliput.analysis.table.measurements import Measurements


def points(loss_of) -> Measurements:
    """Final points of twelve runs on an exact curve."""
    flops = np.geomspace(1e12, 1e16, 12)
    count = np.arange(12)
    always, never = np.ones(12, bool), np.zeros(12, bool)
    return Measurements(
        flops, loss_of(flops), count, count, np.full(12, np.nan), always, never, count + 2,
        tuple(map(str, count)), "flops", "loss",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("law", "loss_of", "slope"),
    [
        ("power", lambda c: 20 * c**-0.05, 0.05),
        # d ln L / d ln C = -a (L - E) / L
        (
            "power_offset",
            lambda c: 2 + 400 * c**-0.2,
            0.2 * 400 * 1e16**-0.2 / (2 + 400 * 1e16**-0.2),
        ),
    ],
)
def test_slope_is_that_of_the_whole_loss(law, loss_of, slope):
    fit = fit_measurements(points(loss_of), FitOptions(law=law, points="final", resamples=20))
    found = last_exponent(fit)
    assert found.value == pytest.approx(slope, rel=1e-3)
    assert found.low <= slope * (1 + 1e-3)
    assert found.high >= slope * (1 - 1e-3)
