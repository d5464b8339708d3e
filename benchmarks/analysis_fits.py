"""How fast laws are fitted, against public libraries called in a loop on the same data.

Two comparisons, ours and the peer in turns, one process, times of the processor:
the segmented law with run bootstraps on the frontier against `pwlf` (one call a draw), and the
parametric law from 4,500 starts against `scipy.optimize.minimize` (one L-BFGS-B call a start, with the
analytic gradient). A peer's loop is timed on evenly chosen parts of it and scaled up, unless --whole.

    python benchmarks/analysis_fits.py --rounds 3
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pwlf
from scipy.optimize import minimize

from lilliput.analysis import (
    FitOptions,
    cluster_draws,
    fit_measurements,
    fit_parametric,
    frontier_rows,
    measurements_of,
    paper_table,
)
from lilliput.analysis.laws.parametric import ParametricProblem, starts_grid

DRAWS = 500
POINTS = Path(__file__).parents[1] / "tests" / "golden" / "chinchilla_points.csv"


def timed(work: Callable[[], float]) -> tuple[float, float]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def segmented_ours(breaks: int) -> float:
    options = FitOptions(law="segmented", breaks=breaks, resamples=DRAWS)
    return fit_measurements(measurements_of(paper_table()), options).curve.rss


def segmented_peer(breaks: int, calls: int) -> float:
    """The first call fits the frontier itself; the others, frontiers of resampled runs."""
    data = measurements_of(paper_table())
    every = [np.arange(len(data)), *cluster_draws(data.run, resamples=calls - 1, seed=0)]
    sums = []
    for rows in every:
        kept = rows[frontier_rows(data.flops[rows], data.loss[rows])]
        model = pwlf.PiecewiseLinFit(np.log(data.flops[kept]), np.log(data.loss[kept]), seed=0)
        model.fit(breaks + 1)
        sums.append(float(model.ssr))
    return sums[0]


def chinchilla() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with POINTS.open() as file:
        rows = list(csv.DictReader(file))
    names = ("num_parameters", "flops", "loss")
    n, c, loss = np.array([[float(row[name]) for name in names] for row in rows]).T
    keep = np.argsort(loss)[:-5]
    return n[keep], (c / (6 * n))[keep], loss[keep]


def parametric_peer(every: int) -> float:
    problem = ParametricProblem(*chinchilla())
    starts = problem.centred(starts_grid()[::every])
    results = [
        minimize(problem.objective, start, args=(1e-3,), jac=True, method="L-BFGS-B").fun
        for start in starts
    ]
    return float(min(results))


def compare(
    name: str, ours: Callable[[], float], peer: Callable[[], float], scale: float, rounds: int
):
    mine, theirs, found = [], [], (0.0, 0.0)
    for _ in range(rounds):
        own_time, own = timed(ours)
        peer_time, other = timed(peer)
        mine.append(own_time)
        theirs.append(peer_time * scale)
        found = (own, other)
    return {
        "task": name,
        "ours_s": statistics.median(mine),
        "ours_range_s": [min(mine), max(mine)],
        "peer_s": statistics.median(theirs),
        "peer_range_s": [min(theirs), max(theirs)],
        "ratio": statistics.median(theirs) / statistics.median(mine),
        "ours_objective": found[0],
        "peer_objective": found[1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--breaks", type=int, default=1)
    parser.add_argument("--calls", type=int, default=5, help="pwlf calls timed of 501")
    parser.add_argument("--every", type=int, default=50, help="start timed of so many")
    parser.add_argument("--whole", action="store_true", help="time the peers' whole loops")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    calls, every = (DRAWS + 1, 1) if a.whole else (a.calls, a.every)
    rows = [
        compare(
            f"segmented, {a.breaks} break(s), {DRAWS} run bootstraps / pwlf",
            lambda: segmented_ours(a.breaks),
            lambda: segmented_peer(a.breaks, calls),
            (DRAWS + 1) / calls,
            a.rounds,
        ),
        compare(
            "parametric, 4,500 starts / scipy loop",
            lambda: fit_parametric(*chinchilla()).objective,
            lambda: parametric_peer(every),
            every,
            a.rounds,
        ),
    ]
    versions = {name: version(name) for name in ("lilliput", "numpy", "scipy", "pwlf")}
    if a.json:
        print(json.dumps({"rows": rows, "versions": versions}))
        return
    print(versions)
    for r in rows:
        print(
            f"{r['task']}: ours {r['ours_s']:.2f} s, peer {r['peer_s']:.1f} s, ratio {r['ratio']:.1f}; "
            f"objectives {r['ours_objective']:.10f} and {r['peer_objective']:.10f}"
        )


if __name__ == "__main__":
    main()
