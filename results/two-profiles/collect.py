"""The tables of this folder, from the study that `lilliput study run two-profiles` leaves.

    lilliput study run two-profiles --set paths.data=DATA --set scale=cpu --out STUDY
    python results/two-profiles/collect.py STUDY

Writes `tables/` and prints the hash of each file, as they stand in `account.md`.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student

from lilliput.analysis import analyse_correlation, read_table
from lilliput.analysis.escape import escape_index

HERE = Path(__file__).parent
FACTOR_SHAPE = "32/64/256/4/2"
EXECUTED = "flops_executed_masked"
CORRECTED, REFERENCE = "constrained corrected", "constrained reference"
# The first that fits says what a family departs from; a base departs from itself.
BASES = {
    f"{REFERENCE} rotary ": f"{REFERENCE} rotary",
    REFERENCE: REFERENCE,
    f"{CORRECTED} rotary with start ": f"{CORRECTED} rotary with start",
    f"{CORRECTED} rotary theta": f"{CORRECTED} rotary with start",
}
FRONTIERS = ("reference", "corrected", "corrected, tuned", "corrected, rotary with start")
TASKS = ("cola", "sst2", "blimp", "word_order", "coherence", "source")

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """Rows of a CSV file; numbers are numbers."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{key: number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def number(text: str) -> Any:
    """The number that `text` is, or the text."""
    try:
        return float(text)
    except ValueError:
        return text


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A CSV file of rows with the same keys, numbers to six digits."""
    rows = [{k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def timeless(path: Path) -> list[dict[str, str]]:
    """Rows as they stand, without the column that no second study can have the same."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {k: v for k, v in row.items() if k != "wall_time_s"} for row in csv.DictReader(file)
        ]


def runs_of(measurements: list[Row]) -> list[Row]:
    """One row a run: where it ended, and where it left the plateau."""
    curves: dict[str, list[Row]] = defaultdict(list)
    for row in measurements:
        curves[str(row["run"])].append(row)
    runs: list[Row] = []
    for name, points in curves.items():
        points.sort(key=lambda point: point["step"])
        last, entropy = points[-1], points[-1]["unigram_entropy"]
        index = escape_index([point["loss"] for point in points], entropy)
        at = {} if index is None else points[index]
        runs.append(
            {
                "run": name,
                "family": last["family"],
                "shape": last["shape"],
                "seed": int(last["seed"]),
                "num_parameters": int(last["num_parameters"]),
                "updates": int(last["step"]),
                "tokens": int(last["tokens_seen"]),
                "loss": last["loss"],
                "loss_reference": last["loss_reference"],
                "below_entropy": entropy - last["loss"],
                EXECUTED: last[EXECUTED],
                "flops_reference": last["flops_reference"],
                "escape_updates": int(at["step"]) if at else "",
                "escape_tokens": int(at["tokens_seen"]) if at else "",
                f"escape_{EXECUTED}": at.get(EXECUTED, ""),
            }
        )
    return sorted(runs, key=lambda run: (run["family"], run["num_parameters"], run["seed"]))


def factors_of(runs: list[Row]) -> list[Row]:
    """Every family at the shape of part 1, beside the one that it departs from.

    The interval of a difference is Welch's, with the variance between seeds pooled over the families that stayed on
    the plateau, and over those of which a run left it: there seeds differ far more.
    """
    cells: dict[str, list[Row]] = defaultdict(list)
    for run in runs:
        if run["shape"] == FACTOR_SHAPE:
            cells[run["family"]].append(run)
    pools = {
        left: pooled(c for c in cells.values() if has_left(c) == left) for left in (False, True)
    }
    rows: list[Row] = []
    for family, cell in cells.items():
        name = base_of(family)
        base = cells[name]
        change = mean(r["loss"] for r in cell) - mean(r["loss"] for r in base)
        half = half_width(pools, cell, base)
        escaped = [r["escape_updates"] for r in cell if r["escape_updates"] != ""]
        rows.append(
            {
                "family": family,
                "beside": name if cell is not base else "",
                "seeds": len(cell),
                "loss": mean(r["loss"] for r in cell),
                "below_entropy": mean(r["below_entropy"] for r in cell),
                "difference": change if cell is not base else "",
                "low": change - half if cell is not base else "",
                "high": change + half if cell is not base else "",
                "escaped": len(escaped),
                "escape_updates": " ".join(map(str, escaped)),
            }
        )
    return sorted(rows, key=lambda row: row["loss"])


def base_of(family: str) -> str:
    """The family that another one departs from by a single change."""
    return next((base for start, base in BASES.items() if family.startswith(start)), CORRECTED)


def has_left(cell: list[Row]) -> bool:
    """Whether a run of a family left the plateau."""
    return any(run["escape_updates"] != "" for run in cell)


def pooled(cells: Iterable[list[Row]]) -> tuple[float, int]:
    """The variance of the loss between seeds, and its degrees of freedom."""
    several = [[run["loss"] for run in cell] for cell in cells if len(cell) > 1]
    freedom = sum(len(losses) - 1 for losses in several)
    return sum(stdev(losses) ** 2 * (len(losses) - 1) for losses in several) / freedom, freedom


def half_width(pools: Mapping[bool, tuple[float, int]], cell: list[Row], base: list[Row]) -> float:
    """Half of the 95 % interval of the difference of two families' means."""
    shares: dict[bool, float] = defaultdict(float)
    for one in (cell, base):
        left = has_left(one)
        shares[left] += pools[left][0] / len(one)
    total = sum(shares.values())
    freedom = total**2 / sum(share**2 / pools[left][1] for left, share in shares.items())
    return float(student.ppf(0.975, freedom)) * total**0.5


def laws_of(study: Path) -> list[Row]:
    """The law of each group's frontier under each convention, and its breaks."""
    rows: list[Row] = []
    for law in json.loads((study / "analysis" / "laws.json").read_text(encoding="utf-8")):
        if law["group"] not in FRONTIERS:
            continue
        fit = law.get("fit")
        row: Row = {"group": law["group"], "flops": law["flops"], "problem": law.get("problem", "")}
        exponent = (fit or {}).get("parameters", {}).get("exponent", {})
        row |= {
            "law": fit["law"] if fit else "",
            "points": fit["n"] if fit else "",
            "exponent": exponent.get("value", ""),
            "low": exponent.get("low", ""),
            "high": exponent.get("high", ""),
            "breaks": " ".join(f"{b['value']:.3g}" for b in fit["breaks"]) if fit else "",
            "breaks_low": " ".join(f"{b['low']:.3g}" for b in fit["breaks"]) if fit else "",
            "breaks_high": " ".join(f"{b['high']:.3g}" for b in fit["breaks"]) if fit else "",
            "said": " ".join(fit["warnings"]) if fit else "",
        }
        rows.append(row)
    return rows


def costs_of(study: Path) -> list[Row]:
    """ICER of every group's shapes under executed operations, by perplexity."""
    costs = json.loads((study / "analysis" / "costs.json").read_text(encoding="utf-8"))
    kept = ("cost", "effect", "icer", "status", "replicates", "frontier_share")
    return [
        {"group": found["group"], "shape": strategy["name"]}
        | {key: "" if strategy[key] is None else strategy[key] for key in kept}
        for found in costs["results"]
        if (found["cost"], found["effect"]) == (EXECUTED, "perplexity")
        and found["group"] in FRONTIERS
        for strategy in found["result"]["strategies"]
    ]


def gains_of(scores: list[Row]) -> list[Row]:
    """Trained beside untrained, each run and task."""
    kept = ("run", "name", "family", "shape", "task", "n", "value", "low", "high", "baseline", "gain", "gain_low", "gain_high", "chance")  # fmt: skip
    return [{key: row[key] for key in kept} for row in scores if row["start"] == "trained"]


def downstream_of(gains: list[Row], study: Path) -> list[Row]:
    """Each frontier's mean gain by pre-training on each task, and how loss and score go together over all runs."""
    table = read_table(study / "tables" / "measurements.csv")
    rows: list[Row] = []
    for task in TASKS:
        for family in sorted({row["family"] for row in gains}):
            found = [row for row in gains if (row["task"], row["family"]) == (task, family)]
            values = [row["gain"] for row in found]
            half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / len(values) ** 0.5
            rows.append(
                {
                    "task": task,
                    "what": f"mean gain, {family}",
                    "runs": len(values),
                    "value": mean(values),
                    "low": mean(values) - half,
                    "high": mean(values) + half,
                    "runs_with_gain": sum(row["gain_low"] > 0 for row in found),
                }
            )
        found = analyse_correlation(table, x="loss", y=f"score_{task}").spearman
        rows.append(
            {
                "task": task,
                "what": "Spearman's coefficient of loss and score, all runs",
                "runs": found.n,
                "value": found.value,
                "low": "" if found.low is None else found.low,
                "high": "" if found.high is None else found.high,
                "runs_with_gain": "",
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    study = parser.parse_args().study
    tables = HERE / "tables"
    tables.mkdir(exist_ok=True)
    measurements = read(study / "tables" / "measurements.csv")
    runs = runs_of(measurements)
    write(tables / "runs.csv", runs)
    write(tables / "factors.csv", factors_of(runs))
    write(tables / "laws.csv", laws_of(study))
    write(tables / "costs.csv", costs_of(study))
    gains = gains_of(read(study / "tables" / "scores.csv"))
    write(tables / "gains.csv", gains)
    write(tables / "downstream.csv", downstream_of(gains, study))
    write(tables / "measurements.csv", timeless(study / "tables" / "measurements.csv"))
    for path in sorted(tables.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  tables/{path.name}")


if __name__ == "__main__":
    main()
