"""The figures of the account, from its tables and the paper's.

python results/two-profiles/figures.py        # needs the extra `paper`
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from lilliput.analysis import frontier as published
from lilliput.analysis import load_table

HERE = Path(__file__).parent
EXECUTED = "flops_executed_masked"
# Okabe and Ito's colours, distinct for the colour-blind; a marker each besides.
FRONTIERS = {
    "constrained reference": ("#D55E00", "s", "reference"),
    "constrained corrected": ("#0072B2", "o", "corrected"),
    "constrained corrected tuned": ("#009E73", "^", "pre-norm, rate tuned"),
    "constrained corrected rotary with start": ("#CC79A7", "D", "rotary, Xavier start, pre-norm"),
}
BASES = {
    "constrained corrected": FRONTIERS["constrained corrected"],
    "constrained reference": FRONTIERS["constrained reference"],
    "constrained reference rotary": ("#8F6500", "v", "reference, rotary, pre-norm"),
    "constrained corrected rotary with start": FRONTIERS["constrained corrected rotary with start"],
}
plt.rcParams |= {"svg.hashsalt": "lilliput", "svg.fonttype": "none", "font.size": 9, "axes.grid": True, "grid.alpha": 0.25}  # fmt: skip


def read(name: str) -> list[dict[str, str]]:
    """Rows of a table beside this file."""
    with (HERE / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def frontier(rows: list[dict[str, str]], flops: str) -> list[tuple[float, float]]:
    """The lowest loss so far, at each cost where it falls."""
    kept: list[tuple[float, float]] = []
    for cost, loss in sorted((float(row[flops]), float(row["loss"])) for row in rows):
        if not kept or loss < kept[-1][1]:
            kept.append((cost, loss))
    return kept


def draw_frontiers(axes: Any) -> None:
    """Held-out loss against executed operations; every run a line, the frontier a strong one."""
    measurements = read("measurements")
    for family, (color, marker, label) in FRONTIERS.items():
        rows = [row for row in measurements if row["family"] == family]
        for run in dict.fromkeys(row["run"] for row in rows):
            line = sorted((float(r[EXECUTED]), float(r["loss"])) for r in rows if r["run"] == run)
            axes.plot(*zip(*line, strict=True), color=color, alpha=0.18, linewidth=0.8)
        best = frontier(rows, EXECUTED)
        axes.plot(*zip(*best, strict=True), color=color, marker=marker, markersize=3.5, label=label)
    axes.axhline(
        float(measurements[0]["unigram_entropy"]), color="black", linestyle=":", linewidth=1
    )
    axes.set(xscale="log", xlabel="executed FLOPs", ylabel="held-out loss, nats a predicted token", ylim=(None, 7.6), xlim=(6e9, None))  # fmt: skip
    axes.legend(frameon=False)


def draw_beside_the_paper(figure: Any) -> None:
    """The frontiers under the authors' formula, over the paper's own 42 runs, whose loss its pads dilute."""
    ours, papers = figure.subplots(2, 1, sharex=True)
    measurements = read("measurements")
    for family, (color, marker, label) in FRONTIERS.items():
        rows = [row for row in measurements if row["family"] == family]
        best = frontier(rows, "flops_reference")
        ours.plot(*zip(*best, strict=True), color=color, marker=marker, markersize=3, label=label)
    ours.set(ylabel="held-out loss, nats", ylim=(5, 7.6), title="here")
    ours.legend(frameon=False)
    points = published(load_table("paper")).points
    papers.plot([p.flops for p in points], [p.loss for p in points], "k.-", linewidth=1)
    papers.axvline(2.2e15, color="black", linestyle=":", linewidth=1)
    papers.annotate("published break", (2.2e15, 3.9), xytext=(4, 0), textcoords="offset points")
    papers.set(xscale="log", xlabel="FLOPs by the authors' formula", ylabel="loss, diluted by pads", title="arXiv 2305.17266, 42 runs")  # fmt: skip


def draw_factors(axes: Any) -> None:
    """What each change does, in nats, with its interval, in groups by what is changed; to the left is better."""
    rows = [row for row in read("factors") if row["difference"]]
    rows.sort(key=lambda row: (list(BASES).index(row["beside"]), -float(row["difference"])))
    for place, row in enumerate(rows):
        color, marker, _ = BASES[row["beside"]]
        low, high = float(row["low"]), float(row["high"])
        axes.plot([low, high], [place, place], color=color, linewidth=1.5)
        axes.plot(float(row["difference"]), place, marker, color=color, markersize=4)
    axes.set_yticks(range(len(rows)), [row["family"].removeprefix("constrained ") for row in rows])
    for color, marker, label in BASES.values():
        axes.plot([], [], marker=marker, color=color, markersize=4, label=f"beside {label}")
    axes.legend(frameon=False, loc="lower left")
    axes.axvline(0, color="black", linewidth=1)
    axes.set_xlabel("change of the held-out loss, nats")


def main() -> None:
    for name, draw, size in (
        ("frontiers", draw_frontiers, (7.2, 4.6)),
        ("factors", draw_factors, (7.2, 6.4)),
    ):
        figure, axes = plt.subplots(figsize=size, layout="constrained")
        draw(axes)
        save(figure, name)
    figure = plt.figure(figsize=(7.2, 5.4), layout="constrained")
    draw_beside_the_paper(figure)
    save(figure, "beside_the_paper")


def save(figure: Any, name: str) -> None:
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
