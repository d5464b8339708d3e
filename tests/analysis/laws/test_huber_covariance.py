"""Standard errors of fits by the Huber loss: against statsmodels and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from lilliput.analysis.laws.curve import CurveFit, huber_covariance_of

DELTA = 1e-3


def line(noise: np.ndarray, delta: float):
    """A straight line of 2 - 0.1 x fitted by the Huber loss, and its residuals."""
    design = np.stack([np.ones(noise.size), np.linspace(-1, 1, noise.size)], axis=1)
    y = design @ [2.0, -0.1] + noise

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        rest = design @ theta - y
        size = np.abs(rest)
        value = np.where(size <= delta, size**2 / 2, delta * (size - delta / 2)).sum()
        scale = 1 / (delta * noise.size)
        return value * scale, design.T @ np.clip(rest, -delta, delta) * scale

    least = np.linalg.lstsq(design, y, rcond=None)[0]
    theta = minimize(loss, least, jac=True, method="BFGS", options={"gtol": 1e-7}).x
    fitted = design @ theta
    rss = float(np.sum((y - fitted) ** 2))
    fit = CurveFit("power", ("a", "b"), theta, np.empty(0), 3, rss, 1.0, fitted, ("a", "b"), design)
    return fit, fitted - y, y, design


def test_standard_errors_are_those_of_a_simulation():
    """Noise of 1 % and a threshold a tenth of it: nearly least absolute deviations."""
    rng = np.random.default_rng(0)
    slopes, reported = [], []
    for _ in range(400):
        fit, rest, *_ = line(0.01 * rng.standard_normal(100), DELTA)
        slopes.append(fit.values[1])
        reported.append(np.sqrt(huber_covariance_of(fit, rest, DELTA)[1, 1]))
    # The spread of 400 slopes is known to 3.5 %.
    assert np.mean(reported) == pytest.approx(np.std(slopes), rel=0.10)


def test_standard_errors_are_those_of_statsmodels():
    """At a threshold of 1.345 standard deviations nothing is smoothed."""
    robust = pytest.importorskip("statsmodels.api")
    fit, rest, y, design = line(0.01 * np.random.default_rng(1).standard_normal(200), 0.01345)
    norm = robust.robust.norms.HuberT(t=0.01345)
    model = robust.RLM(y / 1.0, design, M=norm)
    found = model.fit(scale_est=_Unit(), cov="H1")
    ours = np.sqrt(np.diag(huber_covariance_of(fit, rest, 0.01345)))
    # The two differ by a correction for few points, 1 + 2 / 200 times a variance ratio.
    assert ours == pytest.approx(found.bse, rel=0.05)


class _Unit:
    """A scale of one, so that the threshold is in units of the residuals."""

    def __call__(self, *_: object) -> float:
        return 1.0
