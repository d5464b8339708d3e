"""Sentences about laws and sizes: by sign, by interval, and by what was learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.report.conftest import StudyMaker
from tests.report.pages.test_learning import answer, on_the_plateau, write_losses

from lilliput.analysis import FRONTIER_CAVEAT, FrontierPoint
from lilliput.analysis.findings.runs import Run
from lilliput.report.document import build_pages
from lilliput.report.page import BuiltPage
from lilliput.report.pages.scaling.page import frontier_sentence
from lilliput.report.pages.summary.answers_from_losses import answer_parameters
from lilliput.report.reading.evidence import Evidence, read_evidence


def runs_with(losses: np.ndarray) -> Evidence:
    """One run a loss, each larger than the one before."""
    runs = [
        Run(f"r{i}", {}, {}, {"num_parameters": 1000.0 * (i + 1), "loss": loss}, True)
        for i, loss in enumerate(losses.tolist())
    ]
    return Evidence("losses", is_study=False, runs=tuple(runs))


@pytest.mark.parametrize(
    ("losses", "verdict", "words"),
    [
        (np.linspace(6, 3, 12), "yes", "Larger models end lower by rank, Spearman's ρ −1"),
        (np.linspace(3, 6, 12), "no", "Larger models end higher by rank, Spearman's ρ 1"),
        (np.tile([5.0, 5.2, 5.1], 4), "unclear", "These runs cannot tell whether larger models"),
    ],
)
def test_size_and_loss_are_worded_by_sign(losses: np.ndarray, verdict: str, words: str):
    said = answer_parameters(runs_with(losses))
    assert said.verdict == verdict
    assert said.paragraphs[0].startswith(words)


def test_only_what_differs_is_named_beside_size():
    losses = np.linspace(6, 3, 12)
    alone = answer_parameters(runs_with(losses))
    assert "differ in" not in alone.paragraphs[0]
    runs = [
        replace(run, facets={"language": "small"}, final={**run.final, "tokens_seen": 10.0 * i})
        for i, run in enumerate(runs_with(losses).runs)
    ]
    said = answer_parameters(Evidence("losses", is_study=False, runs=tuple(runs)))
    assert said.paragraphs[0].endswith("The runs also differ in tokens seen.")


def test_no_exponent_is_claimed_where_nothing_was_learned(tmp_path: Path, pages: list[BuiltPage]):
    assert answer(pages, "How fast").verdict == "yes"
    folder = StudyMaker(tmp_path / "study").whole()
    write_losses(folder, on_the_plateau)
    built = build_pages(read_evidence(folder))
    said = answer(built, "How fast")
    assert said.label == "Cannot tell"
    assert "not how loss falls with compute at scale" in " ".join(said.paragraphs)
    scaling = next(page for page in built if page.name == "scaling")
    assert "says nothing yet about scale" in " ".join(scaling.content["sentences"])


def test_the_coverage_of_frontiers_stands_beside_the_exponent(pages: list[BuiltPage]):
    assert FRONTIER_CAVEAT in answer(pages, "How fast").paragraphs


def test_the_frontier_tells_its_lowest_point_and_what_is_undercut():
    losses = [6.526, 6.4, 6.370, 6.45, 6.477]
    points = [
        FrontierPoint(f"r{i}", 10.0**i, loss, i, i, True) for i, loss in enumerate(losses, start=10)
    ]
    text = frontier_sentence(points)
    assert "from 6.526 at" in text
    assert "to 6.370 at" in text
    assert "6.477 at" in text
    assert "2 points are undercut by a cheaper one" in text
    falling = frontier_sentence(points[:3])
    assert "undercut" not in falling
    assert "the last" not in falling


def test_the_two_frontiers_have_two_names(pages: list[BuiltPage]):
    said = " ".join(answer(pages, "compute-optimal models better").paragraphs)
    assert "frontier of compute and loss" in said
    assert "efficient shapes" in said


def test_the_summary_opens_with_one_figure_over_the_whole_study(pages: list[BuiltPage]):
    summary = pages[0]
    lead = summary.content["lead"]
    assert summary.figures[0] is lead
    tables = {layer.table for layer in lead.layers}
    assert {"runs", "laws", "best", "unigrams"} <= tables
    assert summary.controls == ()  # The first page asks for no choice.
    assert len(summary.content["sentences"]) >= 3


def test_the_best_run_of_each_group_is_marked(pages: list[BuiltPage], study: Path):
    best = pages[0].tables["best"]
    runs = read_evidence(study).runs
    for group, loss in zip(best.columns["group"], best.columns["final_loss"], strict=True):
        ended = [run.final["loss"] for run in runs if run.facets["language"] == group]
        assert loss == min(ended)


def test_questions_that_the_data_do_not_reach_are_set_aside(tmp_path: Path):
    folder = StudyMaker(tmp_path / "study", seeds=1)
    folder.recipe()
    folder.runs()
    content = build_pages(read_evidence(folder.folder))[0].content
    assert {a.verdict for a in content["unreached"]} == {"absent"}
    assert any("pre-training help" in a.question for a in content["unreached"])
    assert all(a.verdict != "absent" for a in content["answers"])
