"""The account of this folder, from the recipe `distillation`: one command trains, collects, draws and writes.

    python results/distillation/make.py --study STUDY --scale short
    python results/distillation/make.py --study STUDY --collect     # the study is finished: only the account

The first goes on where it was stopped. Writes `tables/arms.csv`, `tables/runs.csv`, `arms.svg` and `account.md`. Every number of
the account is read from the study; the verdicts follow from the rule that the recipe states.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lilliput.analysis import Table, read_table
from lilliput.analysis.findings.distillation import TaughtArm, find_taught_arms
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.runs import rows_by_run
from lilliput.report.pages.distillation import answer_distillation

HERE = Path(__file__).parent
FLOPS = "flops_executed_masked"
COLORS = {"larger": "#0072b2", "like": "#007a5a", "untrained": "#c44f00"}
KINDS = {"larger": "larger teacher", "like": "own twin", "untrained": "untrained teacher"}
VERDICTS = {
    "better": "**better**",
    "worse": "**worse**",
    "unclear": "cannot tell",
    None: "not compared",
}

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


def run_rows(table: Table) -> list[Row]:
    """Every run where it ended."""
    names = (
        "language", "variant", "shape", "seed", "step", "epochs", "tokens_seen", "loss", "unigram_entropy",
        "num_parameters", FLOPS, f"{FLOPS}_and_teacher", "teacher", "teacher_weights", "teacher_ratio", "wall_time_s",
    )  # fmt: skip
    rows: list[Row] = []
    for run, members in rows_by_run(table).items():
        last = int(members[-1])
        cells = {name: table.columns[name][last] for name in names if name in table}
        plain = {k: v.item() if hasattr(v, "item") else v for k, v in cells.items()}
        rows.append({"run": run, **{k: "" if v != v else v for k, v in plain.items()}})
    return sorted(rows, key=lambda row: tuple(str(row[k]) for k in ("language", "variant", "shape", "step", "seed")))  # fmt: skip


def arm_rows(arms: Sequence[TaughtArm]) -> list[Row]:
    """Every arm with its differences."""
    return [
        {
            "text": arm.text, "shape": arm.shape, "arm": arm.arm, "teacher": KINDS[arm.kind], "ratio": arm.ratio,
            "steps": arm.steps, "epochs": "" if arm.epochs is None else arm.epochs, "seeds": arm.seeds,
            **bounds("loss", arm.loss), **bounds("equal_tokens", arm.equal_tokens),
            **bounds("equal_flops", arm.equal_flops), **bounds("best_supervised", arm.best_supervised),
            "best_steps": arm.best_steps or "", **bounds("equal_total", arm.equal_total),
            "verdict_equal_flops": arm.verdict or "", "verdict_best": arm.verdict_against_best or "",
        }
        for arm in arms
    ]  # fmt: skip


def cell(quantity: Quantity) -> str:
    """A difference with its interval, for a table in prose."""
    if not quantity.is_known:
        return "–"
    sign = "+" if (quantity.value or 0.0) > 0 else ""
    return f"{sign}{quantity.figure}" + (f" ({quantity.bounds})" if quantity.has_interval else "")


def figure(arms: Sequence[TaughtArm]) -> str:
    """Differences at equal tokens and against the best supervised budget, one line an arm."""
    lines = [(arm, arm.equal_tokens, arm.best_supervised) for arm in arms]
    known = [q for _, *pair in lines for q in pair if q.is_known]
    ends = [v for q in known for v in (q.value, q.low, q.high) if v is not None] + [0.0]
    low, high = min(ends), max(ends)
    margin = 0.05 * (high - low or 1.0)
    low, high = low - margin, high + margin
    left, width, step, top = 300, 460, 26, 50

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * width

    height = top + step * 2 * len(lines) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 30} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{left + width + 30}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="20">Loss of students minus that of supervised runs, nats; left of the line is better</text>',
        f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="32" y2="{height - 40}" stroke="#777"/>',
    ]
    y = top
    for arm, tokens, best in lines:
        times = "" if arm.epochs is None else f", {arm.epochs:.1f} passes"
        parts.append(f'<text x="10" y="{y + 16}">{arm.arm}{times}</text>')
        for label, quantity, dash in (("tokens", tokens, ""), ("best", best, "4 3")):
            color = COLORS[arm.kind]
            if quantity.is_known:
                if quantity.has_interval:
                    parts.append(
                        f'<line x1="{x(quantity.low or 0):.1f}" x2="{x(quantity.high or 0):.1f}" y1="{y}" y2="{y}" '
                        f'stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"/>'
                    )
                fill = color if label == "tokens" else "white"
                parts.append(
                    f'<circle cx="{x(quantity.value or 0):.1f}" cy="{y}" r="4" fill="{fill}" stroke="{color}"/>'
                )
            y += step
    ticks = [low + (high - low) * k / 4 for k in range(5)]
    parts += [
        f'<text x="{x(t):.1f}" y="{height - 22}" text-anchor="middle">{t:+.2f}</text>'
        for t in ticks
    ]
    parts.append(
        f'<text x="{left}" y="{height - 5}">filled: at equal tokens; open, dashed: against the best supervised budget of at '
        "most equal FLOPs</text></svg>"
    )
    return "\n".join(parts) + "\n"


def hashes_of(tables: Path) -> list[str]:
    """The SHA-256 of every table, as `sha256sum` writes it."""
    return [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  tables/{path.name}"
        for path in sorted(tables.iterdir())
    ]


def account(
    arms: Sequence[TaughtArm], rows: Sequence[Row], scale: str, hashes: Sequence[str]
) -> str:
    """The page in words."""
    answer = answer_distillation(Findings(taught_arms=tuple(arms)))
    assert answer is not None
    teachers = [row for row in rows if row["variant"] == "teacher"]
    plain = [row for row in rows if row["variant"] == ""]
    table = [
        "| text | arm | passes | loss | at equal tokens | at equal FLOPs | against the best supervised (its steps) | equal FLOPs | best |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    table += [
        f"| {arm.text.split()[0]} | {arm.arm} ({KINDS[arm.kind]}, {arm.ratio:.1f}x) | "
        f"{'–' if arm.epochs is None else f'{arm.epochs:.1f}'} | {arm.loss.figure} | {cell(arm.equal_tokens)} | "
        f"{cell(arm.equal_flops)} | {cell(arm.best_supervised)} ({arm.best_steps or '–'}) | "
        f"{VERDICTS[arm.verdict] if arm.kind == 'larger' else ''} | {VERDICTS[arm.verdict_against_best] if arm.kind == 'larger' else ''} |"
        for arm in arms
    ]
    curve: dict[tuple[str, int], list[float]] = {}
    for row in plain:
        curve.setdefault((str(row["language"]), int(row["step"])), []).append(float(row["loss"]))
    supervised = ["| text | steps | loss, mean over seeds |", "|---|---|---|"]
    supervised += [
        f"| {language} | {steps:,} | {sum(losses) / len(losses):.4f} |"
        for (language, steps), losses in sorted(curve.items())
    ]
    taught_by = ["| text | teacher | steps | loss, mean over seeds |", "|---|---|---|---|"]
    groups: dict[tuple[str, str, int], list[float]] = {}
    for row in teachers:
        key = (str(row["language"]), str(row["shape"]), int(row["step"]))
        groups.setdefault(key, []).append(float(row["loss"]))
    taught_by += [
        f"| {language} | {shape} | {steps:,} | {sum(losses) / len(losses):.4f} |"
        for (language, shape, steps), losses in sorted(groups.items())
    ]
    entropy = {
        row["language"]: float(row["unigram_entropy"]) for row in rows if row["unigram_entropy"]
    }
    seconds = sum(float(row["wall_time_s"] or 0.0) for row in rows)
    cost = sum(float(row[FLOPS]) for row in rows)
    parts = [
        "# Does distillation beat pre-training at equal compute, and when?",
        f"**Preliminary: recipe `distillation` at the scale `{scale}`, the {len(rows)} of its runs that were finished when this was written, one size of student, three seeds, two busy "
        "cores.** The full recipe (students of three sizes, teachers of 2 to 16 times their FLOPs) is ready. Every number below is "
        "written by `make.py` from the study's tables; the rule was written into the recipe and the notebook before the runs.",
        f"**Answer, {answer.label}.** " + "\n\n".join(answer.paragraphs),
        "## Every arm",
        "Held-out cross-entropy in nats a token; differences are student minus supervised run of the same shape on the same text, "
        "paired by seed, with Student's 95 % interval over seeds. Equal FLOPs count the teacher's forward passes, and not its training: "
        "what is worse here is worse still when the teacher has to be trained. Ratios are FLOPs of teacher over student.",
        "\n".join(table),
        "![Differences of every arm](arms.svg)",
        "## Supervised runs and teachers",
        "\n".join(supervised),
        "\n".join(taught_by),
        "The unigram entropy is "
        + " and ".join(f"{value:.3f} ({name})" for name, value in sorted(entropy.items()))
        + ". Texts: *plenty* is read at most once; *scarce* is 20,000 words of the same kind, with a tokenizer of its own, so that losses "
        "compare within a text alone.",
        "## What these data do not say",
        "- Three seeds: an interval of Student's with two degrees of freedom is 4.3 standard errors wide to each side. "
        "The intervals are not corrected for the number of arms.\n"
        "- One pair of sizes, one λ and τ (0.5 and 2), one learning rate for all students; a teacher of one length on each text. Where the optimum "
        "over teachers lies (a U-shape is published) was not asked at this scale.\n"
        "- Held-out loss only: no downstream task, and not whether in-context learning suffers, as has been reported.\n"
        "- The teacher on scarce text read it six times, and was stopped before it forgot how to generalise; how much of a student's gain is "
        "that early stop is not separated from what its size knows. At equal FLOPs on scarce text the supervised run reads the text many times "
        "more and grows worse: the best of the supervised budgets that were tried is the fair comparison.",
        f"All runs together: {cost:.2e} executed FLOPs, {seconds / 60:.0f} minutes of workers' time, others at work on the machine.",
        "SHA-256 of the tables:",
        "\n".join(f"    {line}" for line in hashes),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Train if asked, then write the account."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True)
    parser.add_argument("--scale", default="short")
    parser.add_argument("--collect", action="store_true")
    asked = parser.parse_args()
    if not asked.collect:
        command = ["study", "run", "distillation", "--set", f"scale={asked.scale}"]
        line = [sys.executable, "-m", "lilliput", *command, "--out", str(asked.study)]
        subprocess.run(line, check=True)
    table = read_table(asked.study / "tables" / "measurements.csv")
    arms, rows = find_taught_arms(table, [FLOPS]), run_rows(table)
    write(HERE / "tables" / "runs.csv", rows)
    write(HERE / "tables" / "arms.csv", arm_rows(arms))
    (HERE / "arms.svg").write_text(figure(arms), encoding="utf-8")
    (HERE / "account.md").write_text(
        account(arms, rows, asked.scale, hashes_of(HERE / "tables")), encoding="utf-8"
    )


if __name__ == "__main__":
    main()
