"""Answers where models learned no more than token frequencies."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.report.conftest import ENTROPY, StudyMaker

from lilliput.analysis.findings.learning import LEARNED_NATS, learning_of, unlearned_groups
from lilliput.report.document import build_pages
from lilliput.report.page import BuiltPage
from lilliput.report.parts import Answer
from lilliput.report.reading.evidence import Evidence, read_evidence


def write_losses(study: Path, loss_of: Callable[[int, int], float]) -> None:
    """Set the losses of a study: number of the run and of the measurement to loss."""
    path = study / "tables" / "measurements.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    runs = list(dict.fromkeys(row["run"] for row in rows))
    seen = dict.fromkeys(runs, 0)
    for row in rows:
        row["loss"] = str(loss_of(runs.index(row["run"]), seen[row["run"]]))
        seen[row["run"]] += 1
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def on_the_plateau(run: int, point: int) -> float:
    """Curves that fall all the way and end from 0.19 nat above the entropy to 0.1 below it."""
    return ENTROPY + 0.21 - 0.015 * run + 0.5 / (1 + point) - 0.5 / 3


@pytest.fixture
def plateau(tmp_path: Path) -> Evidence:
    folder = StudyMaker(tmp_path / "study").whole()
    write_losses(folder, on_the_plateau)
    return read_evidence(folder)


def answer(pages: list[BuiltPage], question: str) -> Answer:
    summary = pages[0].content
    return next(a for a in (*summary["answers"], *summary["unreached"]) if question in a.question)


def test_the_runs_are_told_apart_by_where_they_ended(plateau: Evidence):
    found = learning_of(plateau.runs)
    ends = [run.final["loss"] for run in plateau.runs]
    assert not found.learned
    assert len(found.above) == sum(loss > ENTROPY for loss in ends) > 0
    assert len(found.between) == sum(ENTROPY - LEARNED_NATS < loss <= ENTROPY for loss in ends) > 0
    assert found.is_nothing
    assert unlearned_groups(plateau.runs) == {"constrained", "unconstrained"}


def test_the_first_answer_gives_the_numbers_and_a_next_step(plateau: Evidence):
    found = learning_of(plateau.runs)
    said = answer(build_pages(plateau), "more than how frequent")
    text = " ".join(said.paragraphs)
    assert said.verdict == "no"
    assert "6 nat for constrained" in text
    assert f"{len(found.above)} ended above the entropy" in text
    assert f"{len(found.between)} ended between the entropy and 0.3 nat below it" in text
    lowest = min(run.final["loss"] for run in plateau.runs)
    assert f"ended at {lowest:.3f} nat" in text
    assert f"{len(plateau.runs)} of {len(plateau.runs)} curves still fell" in text
    assert "Next: more tokens" in text


def test_curves_that_stand_still_need_another_learning_rate(tmp_path: Path):
    folder = StudyMaker(tmp_path / "study").whole()
    write_losses(folder, lambda run, point: ENTROPY + 0.1 + 0.01 * (point % 2))
    said = answer(build_pages(read_evidence(folder)), "more than how frequent")
    assert "so most stand still. Next: a higher learning rate" in " ".join(said.paragraphs)


def test_where_some_runs_learned_the_answer_is_yes_in_part(tmp_path: Path):
    folder = StudyMaker(tmp_path / "study").whole()
    write_losses(folder, lambda run, _: ENTROPY - 0.1 * run)
    evidence = read_evidence(folder)
    assert 0 < len(learning_of(evidence.runs).learned) < len(evidence.runs)
    assert answer(build_pages(evidence), "more than how frequent").label == "Yes, in part"


def test_no_step_is_advised_where_something_was_learned(pages: list[BuiltPage]):
    said = answer(pages, "more than how frequent")
    assert said.verdict == "yes"
    assert "Next:" not in " ".join(said.paragraphs)
    assert "0 ended" not in " ".join(said.paragraphs)


def test_both_thresholds_are_explained(pages: list[BuiltPage]):
    figure = next(page for page in pages if page.name == "training").figure("loss-curves")
    assert figure is not None
    assert "two measurements in a row at least 0.5 nat below" in figure.note
    assert "0.3 nat by which an end is judged" in figure.note
