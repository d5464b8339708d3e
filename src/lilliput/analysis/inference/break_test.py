"""Test whether a break is more than noise, and more than an accident of single runs.

A break whose place was searched for has no chi-squared test: its place does not exist under the null. So data are
simulated under the null in two ways, and a break must stand out from both.

Example: ten runs at ln cost 0 to 9, noise of 0.01 in ln loss, 400 simulated sets of each kind.

    truth                        BIC gain   reached by noise   by turned runs   p
    slope -0.1 everywhere           -3.1       335 of 400        320 of 400     0.84
    slope -0.1, then -0.2 from 5    34.9         0 of 400          2 of 400     0.007

The gain is the BIC of the null minus the best BIC with up to three breaks; p counts the data as one more set:
(335 + 1) / 401 = 0.84 and (2 + 1) / 401 = 0.007, the larger of the two kinds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.diagnostics import intraclass_correlation
from lilliput.analysis.laws.curve import CurveFit, plain
from lilliput.analysis.laws.piecewise import AggregatedPoints, every_combination, knot_candidates
from lilliput.analysis.laws.registry import law_label
from lilliput.analysis.laws.segmented import MIN_POINTS
from lilliput.core.arrays import FloatArray
from lilliput.core.seeding import generator

Clusters = NDArray[np.intp]
_NULL_SEARCH = 4_000
_TESTED_BREAKS = 3
# Flipping all runs at once gives the same statistic, so R runs give at most 2^(R-1) of them.
FEWEST_RUNS = 6
SIGNIFICANCE = 0.05
# Signs that restore the observed data tie with it but for rounding.
_TIE = 1e-9


@dataclass(frozen=True)
class BreakTest:
    """Hold the result of a test of a law (the null) against up to three more breaks.

    Attributes:
        null: Law of the null and its number of breaks.
        statistic: BIC of the null minus the best BIC of the alternatives.
        p: The larger of the two below: a break must stand out from both.
        p_noise: Share of data sets with normal noise that have at least this statistic.
        p_runs: The same where the residuals of each run as a whole are kept or change their sign.
        simulations: Number of simulated data sets of each kind.
        runs: Runs behind the points.
        intraclass_correlation: Share of the noise that the points of one run have in common.
    """

    null: str
    statistic: float
    p: float
    p_noise: float
    p_runs: float
    simulations: int
    runs: int
    intraclass_correlation: float

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return plain(vars(self))


def bootstrap_break_test(
    log_flops: FloatArray,
    log_loss: FloatArray,
    runs: Clusters,
    null: CurveFit,
    *,
    simulations: int,
    seed: int,
) -> BreakTest:
    """Test whether breaks beyond those of `null` are more than noise, and more than an accident of single runs.

    The BIC difference is bootstrapped in two ways. The first draws normal noise: an effect of the run plus
    an effect of the point, in the ratio seen in the residuals of the null. The second takes the residuals
    of the null and gives all those of one run the same random sign. Every run then keeps the shape of its
    deviation (a run bends away from a frontier at both its ends), and only agreement between runs can look
    like a break. Observed and simulated data are treated alike: the null is refitted on its tangent space,
    and the alternatives add up to three hinges to it, at places of a grid.

    Args:
        log_flops: Shape (points,).
        log_loss: Shape (points,).
        runs: Run of each point, shape (points,).
        null: Fitted to these points.
        simulations: Data sets of each kind drawn under the null.
        seed: Of the draws.

    Source: the wild cluster bootstrap with the null imposed, Cameron, Gelbach and Miller, "Bootstrap-Based
        Improvements for Inference with Clustered Errors", Review of Economics and Statistics 90(3), 2008.
    """
    residuals = log_loss - null.fitted
    share = intraclass_correlation(residuals, runs)
    codes = np.unique(runs, return_inverse=True)[1].reshape(-1)
    rng = generator(seed, "break-test", null.law, null.breaks.size)
    noise = _normal_noise(rng, codes, simulations, math.sqrt(null.rss / null.n), share)
    turned = _turned_runs(rng, codes, simulations) * residuals
    every = null.fitted + np.concatenate([residuals[None, :], noise, turned])
    gain = _gain(log_flops, every, null)
    p_noise = _p(gain[0], gain[1 : simulations + 1])
    p_runs = _p(gain[0], gain[simulations + 1 :])
    count = int(null.breaks.size)
    return BreakTest(
        null=law_label(null.law, count),
        statistic=float(gain[0]),
        p=max(p_noise, p_runs),
        p_noise=p_noise,
        p_runs=p_runs,
        simulations=simulations,
        runs=int(codes.max()) + 1,
        intraclass_correlation=share,
    )


def gain_of_breaks(log_flops: FloatArray, log_loss: FloatArray, null: CurveFit) -> float:
    """Return BIC of the null minus the best BIC with up to three more breaks; above zero for breaks."""
    return float(_gain(log_flops, log_loss[None, :], null)[0])


def _normal_noise(
    rng: np.random.Generator, codes: Clusters, simulations: int, scale: float, share: float
) -> FloatArray:
    common = rng.standard_normal((simulations, int(codes.max()) + 1))[:, codes]
    own = rng.standard_normal((simulations, codes.size))
    return scale * (math.sqrt(share) * common + math.sqrt(1 - share) * own)


def _turned_runs(rng: np.random.Generator, codes: Clusters, simulations: int) -> FloatArray:
    """Return one random sign for each run (Rademacher), shape (simulations, points)."""
    return rng.choice(np.array([-1.0, 1.0]), (simulations, int(codes.max()) + 1))[:, codes]


def _p(observed: float, simulated: FloatArray) -> float:
    reached = int(np.sum(simulated >= observed - _TIE * (1 + abs(observed))))
    return (1 + reached) / (1 + simulated.size)


def _gain(x: FloatArray, every: FloatArray, null: CurveFit) -> FloatArray:
    """Return the BIC of the null minus the best of the alternatives, for each data set."""
    basis = np.linalg.qr(null.tangent)[0]
    deviation = every - null.fitted
    null_rss = np.sum((deviation - (deviation @ basis) @ basis.T) ** 2, axis=1)
    return _bic(null_rss, null.n, null.n_free) - _best_bic(x, every, null)


def _best_bic(x: FloatArray, every: FloatArray, null: CurveFit) -> FloatArray:
    """Return the lowest BIC of each data set over the null with one, two or three more hinges."""
    distinct, first, codes = np.unique(x, return_index=True, return_inverse=True)
    weight = np.bincount(codes).astype(np.float64)
    means = np.stack([np.bincount(codes, weights=y) for y in every]) / weight
    within = np.sum((every - means[:, codes]) ** 2, axis=1)
    data = AggregatedPoints(distinct, means[0], weight, 0.0)
    best = np.full(every.shape[0], np.inf)
    for more in range(1, _TESTED_BREAKS + 1):
        n_free = null.n_free + 2 * more
        if distinct.size < MIN_POINTS * (more + 1) or null.n <= n_free:
            break
        candidates = knot_candidates(distinct, more, _NULL_SEARCH)
        rss = every_combination(data, means, null.tangent[first], candidates, more, MIN_POINTS)
        lowest = rss.reshape(rss.shape[0], -1).min(axis=1) + within
        best = np.minimum(best, _bic(lowest, null.n, n_free))
    return best


def _bic(rss: FloatArray, n: int, n_free: int) -> FloatArray:
    return n * np.log(np.maximum(rss / n, 1e-16)) + n_free * math.log(n)
