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
from statistics import mean, variance
from typing import Any

import numpy as np
from scipy.stats import t as student

from lilliput.analysis import FitOptions, Table, analyse_correlation, analyse_fit, read_table
from lilliput.analysis.findings.groups import groups_of
from lilliput.analysis.findings.laws import last_exponent
from lilliput.analysis.findings.learning import plateau_exit_index
from lilliput.core.errors import InputError

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
FAMILIES = tuple(f"constrained {name.replace(',', '')}" for name in FRONTIERS)
STEPS = (
    ("layers", "32/64/256/4/1", "32/64/256/4/2"),
    ("embedding", "32/64/256/4/2", "64/64/256/4/2"),
    ("hidden", "64/64/256/4/2", "64/128/512/8/2"),
)
RESAMPLES = 200
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
        index = plateau_exit_index([point["loss"] for point in points], entropy)
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

    Seeds share data order and masks, so that differences are taken seed by seed. Their variance is pooled over families
    with learned positions, and over those with rotary ones: there seeds differ far more.
    """
    cells: dict[str, dict[int, Row]] = defaultdict(dict)
    for run in runs:
        if run["shape"] == FACTOR_SHAPE:
            cells[run["family"]][run["seed"]] = run
    changes = {
        family: [cell[seed]["loss"] - cells[base_of(family)][seed]["loss"] for seed in sorted(cell)]
        for family, cell in cells.items()
        if family != base_of(family)
    }
    pools = pools_of(changes.items())
    rows: list[Row] = []
    for family, cell in cells.items():
        escaped = [run["escape_updates"] for run in cell.values() if run["escape_updates"] != ""]
        row: Row = {
            "family": family,
            "beside": "",
            "seeds": len(cell),
            "loss": mean(run["loss"] for run in cell.values()),
            "below_entropy": mean(run["below_entropy"] for run in cell.values()),
            "escaped": len(escaped),
            "escape_updates": " ".join(map(str, escaped)),
            **dict.fromkeys(("difference", "low", "high"), ""),
        }
        if family in changes:
            change = mean(changes[family])
            half = half_width(pools[is_rotary(family)], len(cell))
            row |= {"beside": base_of(family), "difference": change}
            row |= {"low": change - half, "high": change + half}
        rows.append(row)
    return sorted(rows, key=lambda row: row["loss"])


def base_of(family: str) -> str:
    """The family that another one departs from; a base departs from itself."""
    return next((base for start, base in BASES.items() if family.startswith(start)), CORRECTED)


def is_rotary(family: str) -> bool:
    """Whether positions are rotary, the only models that leave the plateau."""
    return "rotary" in family


def pools_of(changes: Iterable[tuple[str, list[float]]]) -> dict[bool, tuple[float, int]]:
    """The pooled variance of families with learned positions, and of those with rotary ones."""
    groups: dict[bool, list[list[float]]] = defaultdict(list)
    for family, values in changes:
        groups[is_rotary(family)].append(values)
    return {kind: pooled(several) for kind, several in groups.items()}


def pooled(groups: Iterable[list[float]]) -> tuple[float, int]:
    """Variance within groups, and its degrees of freedom."""
    several = [values for values in groups if len(values) > 1]
    freedom = sum(len(values) - 1 for values in several)
    return sum(variance(values) * (len(values) - 1) for values in several) / freedom, freedom


def half_width(pool: tuple[float, int], n: int) -> float:
    """Half of the 95 % interval of a mean of n."""
    spread, freedom = pool
    return float(student.ppf(0.975, freedom)) * (spread / n) ** 0.5


def sizes_of(runs: list[Row]) -> list[Row]:
    """Pairs of shapes that differ in one size, seed by seed, on each frontier; pooled as the factors are."""
    losses: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for run in runs:
        if run["family"] in FAMILIES:
            losses[run["family"], run["shape"]][run["seed"]] = run["loss"]
    changes = {
        (family, what, small, large): [
            losses[family, large][seed] - loss for seed, loss in losses[family, small].items()
        ]
        for family in FAMILIES
        for what, small, large in STEPS
    }
    pools = pools_of((family, values) for (family, *_), values in changes.items())
    rows: list[Row] = []
    for (family, what, small, large), values in changes.items():
        half = half_width(pools[is_rotary(family)], len(values))
        change = mean(values)
        rows.append(
            {"family": family, "larger": what, "from": small, "to": large}
            | {"difference": change, "low": change - half, "high": change + half}
        )
    return rows


def laws_of(table: Table) -> list[Row]:
    """The law of each frontier under each convention, each chosen and tested for breaks by itself."""
    rows: list[Row] = []
    groups = groups_of(table)
    for group in FRONTIERS:
        for flops in table.starting_with("flops_"):
            fit = analyse_fit(groups[group], flops=flops, options=FitOptions(resamples=RESAMPLES))
            slope = last_exponent(fit)
            floor = fit.parameters.get("offset")
            last = int(fit.flops.argmax())
            row: Row = {"group": group, "flops": flops, "law": fit.law, "breaks": len(fit.breaks)}
            row |= {
                "places": "; ".join(
                    f"{b.value:.2g} ({b.low or 0:.2g} to {b.high or 0:.2g})" for b in fit.breaks
                )
            }
            row |= {"points": fit.n, "runs": fit.facts["n_runs_on_points"]}
            row |= {"floor": floor.value if floor else ""}
            row |= {
                "floor_low": floor.low if floor else "",
                "floor_high": floor.high if floor else "",
            }
            row |= {"end_slope": slope.value, "slope_low": slope.low, "slope_high": slope.high}
            row |= {"largest_flops": float(fit.flops[last]), "loss_there": float(fit.loss[last])}
            row |= {"law_there": float(fit.curve.predict(fit.flops[last : last + 1])[0])}
            rows.append(row | {"said": " ".join(fit.warnings)})
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
    kept = ("run", "name", "family", "shape", "task", "n", "value", "low", "high", "baseline", "gain", "gain_low", "gain_high", "chance_level")  # fmt: skip
    return [{key: row[key] for key in kept} for row in scores if row["weights"] == "trained"]


def downstream_of(gains: list[Row], runs: list[Row]) -> list[Row]:
    """Each frontier on each task: trained, untrained, gain, and how loss and score go together within it."""
    loss = {run["run"]: run["loss"] for run in runs}
    rows: list[Row] = []
    for task in TASKS:
        for family in FAMILIES:
            found = [row for row in gains if (row["task"], row["family"]) == (task, family)]
            by_shape: dict[str, list[float]] = defaultdict(list)
            for row in found:
                by_shape[row["shape"]].append(row["gain"])
            means = [mean(values) for values in by_shape.values()]
            half = half_width((variance(means), len(means) - 1), len(means))
            above = [
                row for row in found if row["gain_low"] > 0 and row["low"] > row["chance_level"]
            ]
            rows.append(
                {
                    "task": task,
                    "family": family,
                    "runs": len(found),
                    "chance_level": mean(row["chance_level"] for row in found),
                    "untrained": mean(row["baseline"] for row in found),
                    "trained": mean(row["value"] for row in found),
                    "gain": mean(means),
                    "gain_low": mean(means) - half,
                    "gain_high": mean(means) + half,
                    "runs_with_gain": sum(row["gain_low"] > 0 for row in found),
                    "and_above_chance": len(above),
                    **rank_of([(loss[row["run"]], row["value"]) for row in found]),
                }
            )
    return rows


def rank_of(pairs: list[tuple[float, float]]) -> Row:
    """Spearman's coefficient of loss and score with its interval over runs; empty where scores do not vary."""
    losses, scores = np.array(pairs).T
    names = np.array([str(place) for place in range(len(pairs))])
    columns = {"run": names, "loss": losses, "score": scores}
    table = Table("runs", columns, np.arange(len(pairs)))
    try:
        found = analyse_correlation(table, x="loss", y="score").spearman
    except InputError:
        return {"rho": "", "rho_low": "", "rho_high": ""}
    return {"rho": found.value, "rho_low": found.low, "rho_high": found.high}


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
    write(tables / "sizes.csv", sizes_of(runs))
    write(tables / "laws.csv", laws_of(read_table(study / "tables" / "measurements.csv")))
    write(tables / "costs.csv", costs_of(study))
    gains = gains_of(read(study / "tables" / "scores.csv"))
    write(tables / "gains.csv", gains)
    write(tables / "downstream.csv", downstream_of(gains, runs))
    write(tables / "measurements.csv", timeless(study / "tables" / "measurements.csv"))
    for path in sorted(tables.iterdir()):
        print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  tables/{path.name}")


if __name__ == "__main__":
    main()
