"""Students beside supervised runs: pairs, equal costs, verdicts and the words that are drawn from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lilliput.analysis.findings.distillation import TaughtArm, find_taught_arms
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.stored import from_stored, to_stored
from lilliput.analysis.table.tidy import Table
from lilliput.report.pages.distillation import answer_distillation, distillation_sentences

FLOPS = "flops_executed_masked"
SHAPE = "32/32/64/2/2"


def table_of(rows: list[dict[str, Any]]) -> Table:
    """A table with a final row for each run."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        is_text = any(isinstance(value, str) for value in values)
        columns[name] = np.array(
            ["" if v is None else v for v in values] if is_text
            else [np.nan if v is None else float(v) for v in values]
        )  # fmt: skip
    return Table("a study", columns, np.arange(1, len(rows) + 1))


def run(
    variant: str, seed: int, steps: int, loss: float, flops: float, **more: Any
) -> dict[str, Any]:
    return {
        "run": f"{variant} {seed} {steps}", "language": "simple", "profile": "corrected", "layout": "llama",
        "variant": variant, "shape": SHAPE, "seed": seed, "step": steps, "loss": loss, FLOPS: flops,
        "teacher": "", "teacher_weights": "", "teacher_ratio": None, "epochs": steps / 100, **more,
    }  # fmt: skip


def study(gain_once: float, gain_again: float) -> Table:
    """Three seeds that differ by 0.5 nat; students of 10 and of 1,000 steps, which cost four times as much."""
    rows: list[dict[str, Any]] = []
    for seed, level in enumerate((3.0, 3.5, 2.5)):
        noise = 0.001 * seed
        for steps, loss in ((10, 0.5), (40, 0.3), (300, 0.1), (1000, 0.2), (4000, 0.6)):
            rows.append(run("", seed, steps, level + loss, steps))
        taught = {"teacher": "big", "teacher_weights": "trained", "teacher_ratio": 9.0}
        for steps, loss in ((10, 0.3 - gain_once), (1000, 0.1 - gain_again)):
            more = taught | {f"{FLOPS}_and_teacher": steps * 4 + 1e4}
            rows.append(run("from big", seed, steps, level + loss + noise, steps * 4.02, **more))
        control = taught | {"teacher_weights": "untrained"}
        rows.append(run("random", seed, 1000, level + 0.25 + noise, 4000, **control))
    return table_of(rows)


def arms_of(table: Table) -> dict[tuple[str, int], TaughtArm]:
    return {(arm.arm, arm.steps): arm for arm in find_taught_arms(table, [FLOPS])}


def test_arms_are_paired_by_seed_at_equal_tokens_at_equal_flops_and_with_the_best_budget():
    arms = arms_of(study(gain_once=-0.05, gain_again=0.02))
    once, again, control = arms["from big", 10], arms["from big", 1000], arms["random", 1000]
    # Seeds differ by half a nat, pairs by a thousandth: unpaired, nothing could be told.
    assert once.equal_flops.value == pytest.approx(0.051)
    assert once.equal_flops.low == pytest.approx(0.051 - 4.3027 * 0.001 / 3**0.5, abs=1e-4)
    assert once.verdict == "worse"
    assert once.equal_tokens.value == pytest.approx(-0.149)
    assert (once.is_read_once, again.is_read_once) == (True, False)
    # At equal FLOPs the supervised run has forgotten; the one that stopped in time has not.
    assert again.equal_flops.value == pytest.approx(-0.519)
    assert again.best_steps == 300
    assert again.best_supervised.value == pytest.approx(-0.019)
    assert (again.verdict, again.verdict_against_best) == ("better", "better")
    assert (control.kind, control.equal_tokens.value) == ("untrained", pytest.approx(0.051))
    assert not once.equal_total.is_known  # No supervised run is as long as that.


def test_the_answer_says_when():
    both = Findings(taught_arms=find_taught_arms(study(-0.05, 0.02), [FLOPS]))
    answer = answer_distillation(both)
    assert answer is not None
    assert (answer.verdict, answer.label) == ("yes", "Yes, in part")
    said = " ".join(answer.paragraphs)
    assert "Where the text is read once, at equal FLOPs of 1 arm 1 is worse" in said
    assert "Where the text is read again and again, at equal FLOPs of 1 arm 1 is better" in said
    assert "A teacher of untrained weights" in said
    assert "raises the loss" in said
    never = Findings(taught_arms=find_taught_arms(study(-0.05, -0.3), [FLOPS]))
    answer = answer_distillation(never)
    assert answer is not None
    assert answer.verdict == "no"
    assert from_stored(Findings, to_stored(both)) == both


def test_without_teachers_or_without_supervised_runs_nothing_is_claimed():
    plain = table_of([run("", 0, 10, 3.0, 10.0)])
    assert find_taught_arms(plain, [FLOPS]) == ()
    assert answer_distillation(Findings()) is None
    taught = {"teacher": "big", "teacher_weights": "trained", "teacher_ratio": 9.0}
    alone = find_taught_arms(table_of([run("from big", 0, 10, 3.0, 40.0, **taught)]), [FLOPS])
    answer = answer_distillation(Findings(taught_arms=alone))
    assert answer is not None
    assert answer.verdict == "absent"
    assert distillation_sentences(alone) == [
        "No student of a larger teacher stands beside a supervised run of equal FLOPs."
    ]
    single = table_of([run("", 0, 40, 3.0, 40.0), run("from big", 0, 10, 2.9, 40.0, **taught)])
    assert find_taught_arms(single, [FLOPS])[0].verdict == "unclear"  # One seed has no interval.
