"""How often "Is the break a property of scale?" is answered rightly: simulated families of six shapes and two seeds.

    python -m benchmarks.analysis_break_origin --studies 40

Each study draws its runs anew. "moves": nothing is learned until the exit, then loss is a power law of compute. "stays": the
families leave the plateau gently at different steps, and loss falls by a fifth at one compute. "alike": as "moves", but with exits within a
factor of 1.5, about which nothing may be said.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np
from tests.analysis.findings.families import (  # fmt: skip
    FLOPS,
    Loss,
    broken_at_one_cost,
    on_a_plateau_until,
    study,
)

from lilliput.analysis.findings.break_origin import families_of, find_break_origin

SCENARIOS: dict[str, tuple[Loss, dict[str, float], float]] = {
    "moves": (on_a_plateau_until, {"a": 300, "b": 2500, "c": 6000}, 1.0),
    "stays": (broken_at_one_cost, {"a": 50, "b": 400, "c": 2000}, 0.0),
    "alike": (on_a_plateau_until, {"a": 1000, "b": 1200, "c": 1500}, 1.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument(
        "--noise", type=float, default=1.0, help="1: runs deviate by 0.5 %%, exits by 10 %%"
    )
    parser.add_argument("--resamples", type=int, default=100)
    given = parser.parse_args()
    print("| truth | moves | stays | cannot tell | slope, median | its interval holds the truth |\n|---|---|---|---|---|---|")  # fmt: skip
    for name, (loss, exits, truth) in SCENARIOS.items():
        verdicts, slopes, held = Counter[str](), [], 0
        for number in range(given.studies):
            groups = families_of(study(loss, exits, draw=number, noise=given.noise))
            found = find_break_origin(groups, FLOPS, given.resamples)
            verdicts[found.verdict] += 1
            slopes.append(found.slope.value)
            held += found.slope.has_interval and not found.slope.excludes(truth)
        shares = " | ".join(f"{verdicts[each] / given.studies:.2f}" for each in ("moves", "stays", "unclear"))  # fmt: skip
        print(f"| {name} | {shares} | {np.median(slopes):.2f} | {held / given.studies:.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
