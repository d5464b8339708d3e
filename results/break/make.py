"""The account of this folder, from the recipe `break`: one command trains, collects, draws and writes.

    python results/break/make.py --study STUDY --scale afternoon
    python results/break/make.py --study STUDY --collect     # the study is finished: only the account

The first goes on where it was stopped. Writes `tables/`, two figures and `account.md`, with the hash of each table. Every
number of the account is read from the tables; the conclusion follows from the rule that the recipe states.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.analysis import Table, paper_table, read_table
from lilliput.analysis.findings.break_origin import (
    BreakOrigin,
    FamilyBreak,
    find_break_origins,
)
from lilliput.analysis.findings.learning import PLATEAU_EXIT_NATS, plateau_crossing
from lilliput.analysis.findings.quantities import Quantity, format_number
from lilliput.analysis.findings.runs import rows_by_run
from lilliput.architecture import FLOPS_CONVENTIONS
from lilliput.core.wording import plural
from lilliput.report.pages.break_origin import origin_sentences

HERE = Path(__file__).parent
MAIN = "flops_executed_masked"
RESAMPLES = 500
# The published losses are diluted by padding: the plateau is at 3.19 (median of 42 runs after 2,000 steps).
PAPER_LEFT_BELOW = 2.9
PAPER_BREAK = 2.2e15
COLORS = ("#c44f00", "#0072b2", "#007a5a", "#a8508a", "#8f6500")

Row = dict[str, Any]


def write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV file of rows with the same keys, numbers to six digits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()})


def bounds(name: str, quantity: Quantity) -> Row:
    """Three columns of a number with its interval."""
    ends = {"": quantity.value, "_low": quantity.low, "_high": quantity.high}
    return {f"{name}{end}": "" if value is None else value for end, value in ends.items()}


def families_of(origins: Iterable[BreakOrigin]) -> list[Row]:
    """Every family under every convention."""
    return [
        {
            "flops": origin.flops,
            "finished_only": origin.finished_only,
            "family": family.group,
            "shapes": family.shapes,
            "left": family.left,
            "cheapest": family.cheapest,
            "fewest_steps": family.fewest_steps or "",
            "most_steps": family.most_steps or "",
            **bounds("exit", family.exit),
            **bounds("break", family.place),
            **bounds("ratio", family.ratio),
            **bounds("exponent_below", family.below),
            **bounds("exponent_after", family.above),
            "breaks_above": "" if family.breaks_above is None else len(family.breaks_above),
            "problem": family.problem,
        }
        for origin in origins
        for family in origin.families
    ]


def slopes_of(origins: Iterable[BreakOrigin]) -> list[Row]:
    """The slope of ln(break) on ln(exit) under every convention, and what follows from it."""
    return [
        {
            "flops": origin.flops,
            "finished_only": origin.finished_only,
            "spread": "" if origin.spread is None else origin.spread,
            **bounds("slope", origin.slope),
            "verdict": origin.verdict,
            "problem": origin.problem,
        }
        for origin in origins
    ]


def differences_of(origins: Iterable[BreakOrigin]) -> list[Row]:
    """Exponents after the plateau, one family minus another."""
    rows = [
        {"flops": origin.flops, "finished_only": origin.finished_only, "one": each.one, "other": each.other}
        | bounds("difference", each.difference)
        for origin in origins
        for each in origin.differences
    ]  # fmt: skip
    return rows or [{"flops": "", "finished_only": "", "one": "", "other": ""} | bounds("difference", Quantity(None))]  # fmt: skip


def published_exits() -> list[Row]:
    """Where each of the 42 published runs left its plateau, by its steps and by the authors' FLOPs."""
    table = paper_table()
    loss, step, flops = (table.number(name) for name in ("loss_reference", "step", "flops_reference"))  # fmt: skip
    rows: list[Row] = []
    for run, of_run in rows_by_run(table).items():
        curve = loss[of_run].tolist()
        steps, cost = (
            plateau_crossing(along[of_run].tolist(), curve, PAPER_LEFT_BELOW, nats=0.0)
            for along in (step, flops)
        )
        rows.append(
            {
                "run": run,
                "shape": str(table.text("shape")[of_run[0]]),
                "family": str(table.text("family")[of_run[0]]),
                "num_parameters": int(table.number("num_parameters")[of_run[0]]),
                "loss_after_2000_steps": float(loss[of_run][step[of_run] == 2000][0]),
                "flops_a_step": float(flops[of_run[-1]] / step[of_run[-1]]),
                "exit_steps": "" if steps is None else steps,
                "exit_flops": "" if cost is None else cost,
            }
        )
    return sorted(rows, key=lambda row: (row["exit_flops"] == "", row["exit_flops"]))


def published_sentences(rows: Sequence[Row]) -> list[str]:
    """What the published break corresponds to, in words."""
    left = [row for row in rows if row["exit_flops"] != ""]
    wide = [row for row in left if _hidden(row) >= 128 and _layers(row) >= 2]
    steps = [row["exit_steps"] for row in wide]
    costs = [row["flops_a_step"] for row in wide]
    first = left[0]["exit_flops"]
    near = sum(row["exit_flops"] <= 1.1 * first for row in left)
    late = np.median([row["loss_after_2000_steps"] for row in rows])
    return [
        f"After 2,000 steps the 42 published runs stand at a median of {late:.2f}, whatever their size ({min(r['num_parameters'] for r in rows) / 1e6:.2f} to "
        f"{max(r['num_parameters'] for r in rows) / 1e6:.1f} million parameters). {len(left)} of them come below {PAPER_LEFT_BELOW} in two evaluations in a row. "
        f"The {len(wide)} with a width of 128 or more and two layers or more do so between {min(steps):,.0f} and {max(steps):,.0f} steps (median {np.median(steps):,.0f}), "
        f"while their FLOPs a step differ by a factor of {max(costs) / min(costs):.1f}.",
        f"The first to leave, by the authors' FLOPs, does so at {first:.2e}; {near} runs leave within a tenth of that. The published break, {PAPER_BREAK:.1e}, is "
        f"{PAPER_BREAK / first:.2f} times the first exit. So it lies where the first shapes leave: at their FLOPs a step, 256 sequences, times the steps that they stay.",
    ]  # fmt: skip


def _hidden(row: Row) -> int:
    return int(row["shape"].split("/")[1])


def _layers(row: Row) -> int:
    return int(row["shape"].split("/")[4])


def measurements_of(study: Path) -> list[Row]:
    """The study's measurements without the column that no second study can have the same."""
    with (study / "tables" / "measurements.csv").open(encoding="utf-8", newline="") as file:
        return [{k: v for k, v in row.items() if k != "wall_time_s"} for row in csv.DictReader(file)]  # fmt: skip


def draw(origin: BreakOrigin, out: Path) -> None:
    """Frontiers over one another with exits and breaks, and break against exit."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot as plt

    plt.rcParams |= {"svg.hashsalt": "lilliput", "font.size": 9}
    convention = FLOPS_CONVENTIONS[origin.flops].label
    figure, axis = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    for family, color in zip(origin.families, COLORS, strict=False):
        axis.plot(
            family.frontier_flops, family.frontier_loss, "o", ms=3, color=color, label=family.group
        )
        axis.plot(family.frontier_flops, family.fitted_loss, "-", lw=0.8, color=color)
        for quantity, style in ((family.exit, ":"), (family.place, "-")):
            if quantity.value is not None:
                axis.axvline(quantity.value, color=color, ls=style, lw=1)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=f"training FLOPs ({convention})",
        ylabel="held-out loss, nats a predicted token",
    )
    axis.set_title("dotted: leaves the plateau; solid: break", fontsize=9)
    axis.legend(frameon=False)
    figure.savefig(out / "frontiers.svg", metadata={"Date": None})
    known = [(f, e, p) for f in origin.families if (e := f.exit.value) and (p := f.place.value)]
    figure, axis = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    for (family, at, place), color in zip(known, COLORS, strict=False):
        low, high = family.place.low or place, family.place.high or place
        axis.errorbar(
            [at],
            [place],
            yerr=[[place - low], [high - place]],
            fmt="o",
            color=color,
            label=family.group,
        )
    if known:
        ends = np.array([min(at for _, at, _ in known), max(at for _, at, _ in known)])
        start = min(known, key=lambda each: each[1])[2]
        axis.plot(
            ends,
            start * ends / ends[0],
            color="black",
            ls="--",
            lw=0.8,
            label="moves with the exit",
        )
        axis.plot(ends, [start, start], color="black", ls=":", lw=0.8, label="stays")
    axis.set(
        xscale="log", yscale="log", xlabel=f"exit, FLOPs ({convention})", ylabel="break, FLOPs"
    )
    if known:
        axis.legend(frameon=False)
    figure.savefig(out / "break_against_exit.svg", metadata={"Date": None})  # fmt: skip


def families_table(origin: BreakOrigin) -> str:
    """The families under one convention, in Markdown."""
    head = "| family | shapes that left | steps to leave | exit, FLOPs | break, FLOPs | break / exit | exponent after |\n|---|---|---|---|---|---|---|"
    return "\n".join([head, *(_family_line(family) for family in origin.families)])


def _family_line(family: FamilyBreak) -> str:
    steps = f"{family.fewest_steps:,.0f} to {family.most_steps:,.0f}" if family.fewest_steps and family.most_steps else "–"  # fmt: skip
    cells = [family.exit, family.place, family.ratio, family.above]
    numbers = " | ".join(_bounded(cell) for cell in cells)
    return f"| {family.group} | {family.left} of {family.shapes} | {steps} | {numbers} |"


def slopes_table(origins: Iterable[BreakOrigin]) -> str:
    """The slope under every convention, in Markdown."""
    head = "| counted by | largest exit / smallest | slope of ln(break) on ln(exit) | by the rule |\n|---|---|---|---|"
    said = {"moves": "the break moves with the exit", "stays": "the break is a property of scale"}
    lines = [
        f"| {FLOPS_CONVENTIONS[o.flops].label}{', finished runs alone' if o.finished_only else ''} | {format_number(o.spread)} | {_bounded(o.slope)} | "
        f"{said.get(o.verdict, 'the data cannot tell: ' + o.problem)} |"
        for o in origins
    ]
    return "\n".join([head, *lines])


def _bounded(quantity: Quantity) -> str:
    return f"{quantity.figure} ({quantity.bounds})" if quantity.has_interval else quantity.figure


def account(table: Table, origins: Sequence[BreakOrigin], scale: str, hashes: Sequence[str]) -> str:
    """The text of the account; every number in it comes from the tables."""
    main = origins[0]
    runs = len(rows_by_run(table))
    shapes = len(set(table.text("shape").tolist()))
    seeds = len(set(table.text("seed").tolist()))
    entropy = float(table.number("unigram_entropy")[0])
    longest, most = table.number("step").max(), table.number("tokens_seen").max()
    largest = table.number("flops_reference").max()
    answer = {
        "moves": "No: it moves with the end of the plateau.",
        "stays": "Yes: it stays where it is while the end of the plateau moves.",
        "unclear": "These data cannot tell.",
    }[main.verdict]
    return f"""# The break of the frontier: scale, or the end of the plateau?

**{answer}** The question, the measures and the rule were written into the recipe's header and the notebook before the runs.

**Runs.** {runs} runs (recipe `break`, scale `{scale}`) of {plural(shapes, "shape")} and {plural(seeds, "seed")} in {len(main.families)} families that differ in optimisation alone, on the same text: the
frequent words of two simple editions of the Bible and a third edition under their list, a byte-level BPE of 1,500, sequences of 32 tokens, 16 a step. The longest has {longest:,.0f} steps,
{most / 1e6:.1f} million tokens. The unigram entropy of the held-out tokens is {entropy:.3f} nats; a shape has left the plateau where it is {PLATEAU_EXIT_NATS} below that. Intervals are 95 %.

{chr(10).join(f"- {sentence}" for sentence in origin_sentences(tuple(origins)))}

## 1. Where each family leaves the plateau and where its frontier breaks

![Frontiers of the families over one another](frontiers.svg)

Under executed FLOPs, logits at masked positions:

{families_table(main)}

## 2. How break and exit move together

![Break against exit](break_against_exit.svg)

{slopes_table(origins)}

## 3. What the published 2.2e15 corresponds to

{chr(10).join(f"- {sentence}" for sentence in published_sentences(published_exits()))}

## 4. What remains

- The largest run here spends {largest:.1e} FLOPs by the authors' formula, {PAPER_BREAK / largest:,.0f} times less than the published break. Whether frontiers of models of 1 to 20 million parameters move in the same
  way, and whether they break once more above that, only a GPU can tell (`two-profiles`, full scale).
- The method sees the largest break only. One of scale that is smaller than the fall at the end of the plateau would not be found, and none beyond the largest budget.
- Exponents rest on less than two decades above the breaks.

## How to make it again

    python results/break/make.py --study STUDY --scale {scale}

SHA-256 of the tables:

{chr(10).join(f"    {line}" for line in hashes)}
"""


def make(study: Path, scale: str, out: Path = HERE, resamples: int = RESAMPLES) -> None:
    """Write tables, figures and account from a finished study."""
    tables = out / "tables"
    write(tables / "measurements.csv", measurements_of(study))
    table = read_table(tables / "measurements.csv")
    conventions = sorted(table.flops_columns(), key=lambda name: name != MAIN)
    origins = find_break_origins(table, conventions, resamples)
    if not origins:
        raise SystemExit(f"{study} holds no two families that can be compared")
    write(tables / "families.csv", families_of(origins))
    write(tables / "slopes.csv", slopes_of(origins))
    write(tables / "exponents.csv", differences_of(origins))
    write(tables / "published.csv", published_exits())
    draw(origins[0], out)
    hashes = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  tables/{path.name}"
        for path in sorted(tables.iterdir())
    ]
    text = account(table, origins, scale, hashes)
    (out / "account.md").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--scale", default="full")
    parser.add_argument("--collect", action="store_true", help="train nothing")
    given = parser.parse_args()
    if not given.collect:
        scale = [] if given.scale == "full" else ["--set", f"scale={given.scale}"]
        command = ["lilliput", "study", "run", "break", *scale, "--out", str(given.study)]
        if code := subprocess.call(command):
            sys.exit(code)
    make(given.study, given.scale)


if __name__ == "__main__":
    main()
