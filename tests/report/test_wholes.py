"""Means stand for their parts, and groups of one size for no law of scale."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.conftest import TASKS, StudyMaker
from tests.report.pages.test_learning import answer

from lilliput.analysis.findings.findings import compute_findings
from lilliput.analysis.findings.groups import (
    ALL_RUNS,
    UNCHANGED,
    group_names,
    groups_of,
    groups_of_one_size,
    scaling_groups,
)
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.runs import Run
from lilliput.analysis.findings.scores import TaskScore
from lilliput.core.files import read_json, write_json
from lilliput.report.document import build_pages
from lilliput.report.page import BuiltPage
from lilliput.report.pages.downstream.sentences import gain_sentence, tasks_of, whole_scores
from lilliput.report.reading.evidence import Evidence, read_evidence

PARTS = [f"paradigm_{number}" for number in range(5)]


def page_of(pages: list[BuiltPage], name: str) -> BuiltPage:
    return next(page for page in pages if page.name == name)


@pytest.fixture
def paired(tmp_path: Path) -> Evidence:
    """A study scored on minimal pairs too: five paradigms, of which one shows a gain, and their mean."""
    maker = StudyMaker(tmp_path / "study")
    folder = maker.whole()
    recipe = read_json(folder / "study.json")
    write_json(folder / "study.json", recipe | {"pairs": {"data": "x", "name": "blimp"}})
    for run in sorted((folder / "evaluations").iterdir()):
        record = maker._scores(0, "constrained", "source")[0]
        parts = [record | {"task": part, "gain": 0.0} for part in PARTS]
        parts[0] |= {"gain": 0.2, "gain_low": 0.1, "gain_high": 0.3}
        (run / "pairs").mkdir()
        write_json(run / "pairs" / "scores.json", [*parts, record | {"task": "mean"}])
    return read_evidence(folder)


def test_a_mean_is_called_as_the_recipe_says_and_stands_for_its_parts(paired: Evidence):
    assert set(tasks_of(whole_scores(paired.scores))) == {*TASKS, "blimp"}
    assert set(PARTS) < set(tasks_of(paired.scores))
    pages = build_pages(paired)
    told = answer(pages, "Does pre-training help").paragraphs
    assert any(sentence.startswith("blimp: no gain") for sentence in told)
    assert not any("paradigm" in sentence for sentence in told)
    assert {item.task for item in compute_findings(paired).correlations}.isdisjoint(PARTS)


def test_the_parts_are_counted_and_stay_in_the_figures(paired: Evidence):
    page = page_of(build_pages(paired), "downstream")
    runs = len({score.run for score in paired.scores})
    (said,) = [s for s in page.content["sentences"] if "mean of 5 parts" in s]
    assert f"of {5 * runs} gains on one part {runs} lie beyond the interval" in said
    (tasks,) = [control.options for control in page.controls if control.name == "task"]
    assert [option.value for option in tasks][4:] == PARTS
    assert set(PARTS) < set(page.tables["scores"].columns["task"])


def test_a_gain_over_a_poor_start_is_measured_apart():
    score = TaskScore(
        "run", "sst2", "trained", "accuracy", Quantity(0.57, 0.5, 0.64, 119, "examples"), 2,
        Quantity(0.17, 0.04, 0.3, 119, "examples"), 0.6, "",
    )  # fmt: skip
    assert (score.shows_gain, score.is_learned) == (True, False)
    said = gain_sentence((score,), "sst2")
    assert said.endswith(
        "with the whole interval: the gain may be over a poor initial score alone."
    )
    good = replace(score, chance_level=0.4)
    assert good.is_learned
    assert "poor start" not in gain_sentence((good,), "sst2")
    assert "1 of these scores is not above" in gain_sentence((score, good), "sst2")


def test_a_factor_tried_at_one_size_has_no_law(tmp_path: Path):
    folder = StudyMaker(tmp_path / "study").whole()
    path = folder / "tables" / "measurements.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = rows[0]["shape"]
    for row in rows:
        row["variant"] = "hot" if row["shape"] == first else ""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    evidence = read_evidence(folder)
    assert evidence.table is not None
    left = ["constrained, hot", "unconstrained, hot"]
    assert groups_of_one_size(evidence.table) == left
    assert set(groups_of(evidence.table)) == {*left, *scaling_groups(evidence.table)}
    found = compute_findings(evidence)
    assert {law.group for law in found.laws} == {"constrained", "unconstrained"}
    assert {cost.group for cost in found.costs.results} == {"constrained", "unconstrained"}
    page = page_of(build_pages(evidence), "scaling")
    said = page.content["sentences"][-1]
    assert said.startswith("2 groups of runs of one size (constrained, hot, unconstrained, hot)")


def test_a_run_without_the_variant_is_another_group_than_one_with_it():
    runs = [Run(name, {"variant": name}, {}, {}, True) for name in ("", "hot")]
    assert group_names(runs) == {"": UNCHANGED, "hot": "hot"}
    assert set(group_names(runs[:1]).values()) == {ALL_RUNS}


def test_a_table_of_one_size_alone_keeps_its_groups(tmp_path: Path):
    evidence = read_evidence(StudyMaker(tmp_path / "study", shapes=["16/16/64/2/1"]).whole())
    assert evidence.table is not None
    assert groups_of_one_size(evidence.table) == []
