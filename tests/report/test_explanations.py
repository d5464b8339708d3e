"""Names that a newcomer meets are explained where they first stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.report.conftest import StudyMaker

from lilliput.architecture import FLOPS_CONVENTIONS
from lilliput.report.document import build_pages, render
from lilliput.report.page import BuiltPage
from lilliput.report.reading.evidence import read_evidence


def page_of(pages: list[BuiltPage], name: str) -> BuiltPage:
    return next(page for page in pages if page.name == name)


def test_shapes_and_flops_are_explained_on_the_summary(pages: list[BuiltPage]):
    note = pages[0].content["note"]
    assert "E/H/I/A/L: widths of the embedding (E)" in note
    assert (
        "FLOPs are counted by “executed, output layer at predicted tokens”: what is executed here"
        in note
    )


def test_every_convention_has_a_meaning_at_its_choice(study: Path, pages: list[BuiltPage]):
    assert all(each.label and each.meaning for each in FLOPS_CONVENTIONS.values())
    html = render(read_evidence(study), pages)
    assert 'title="the formula of the paper&#39;s authors' in html
    meanings = dict(page_of(pages, "scaling").content["meanings"])
    assert meanings["the paper's formula"] == FLOPS_CONVENTIONS["flops_reference"].meaning
    assert html.count(FLOPS_CONVENTIONS["flops_executed_masked"].meaning) >= 3


def test_reasons_and_statistics_are_said_in_words(tmp_path: Path):
    maker = StudyMaker(tmp_path / "study")
    maker.corpus("matched", {"over_quota": 200, "too_short": 5}, kept=400)
    page = build_pages(read_evidence(maker.folder))[1]
    assert "“over quota” (33.1 % of all spans): it was not needed" in page.content["sentence"]
    (drops,) = page.content["drops"]
    meanings = [row.cells[-1].text for row in drops.rows]
    assert meanings[0].startswith("it was not needed: its source had already given")
    assert meanings[1] == "it held fewer words than a span must have"


@pytest.mark.parametrize(("seeds", "is_named"), [(2, True), (3, False)])
def test_students_interval_of_two_seeds_is_named(tmp_path: Path, seeds: int, is_named: bool):
    maker = StudyMaker(tmp_path / "study", seeds=seeds)
    maker.runs()
    table = page_of(build_pages(read_evidence(maker.folder)), "training").content["seeds"]
    means = [row.cells[-1].quantity for row in table.rows]
    assert all(mean and mean.has_interval for mean in means)
    assert all(mean and ("Student's interval of two" in mean.text) == is_named for mean in means)


def test_no_text_shows_the_hole_of_a_template(study: Path, pages: list[BuiltPage]):
    html = render(read_evidence(study), pages)
    shown = re.sub(r"<(script|style|pre).*?</\1>", "", html, flags=re.S)
    assert re.findall(r"\{\w+\}", shown) == []
    assert ">Training FLOPs</option>" in shown
    # On the axis the choice of convention is quoted.
    progress = next(c for c in page_of(pages, "training").controls if c.name == "progress")
    labels = {option["value"]: option["label"] for option in progress.as_record()["options"]}
    assert labels["$flops"] == "Training FLOPs ({flops})"


def test_a_family_that_repeats_language_and_profile_is_not_shown(tmp_path: Path):
    maker = StudyMaker(tmp_path / "study", seeds=1)
    maker.runs()
    heads = [column.label for _, column in _runs_page(maker).content["columns"]]
    assert "Family" not in heads
    assert {"Shape E/H/I/A/L", "Training profile"} <= set(heads)


def test_families_that_say_more_than_language_and_profile_are_shown(tmp_path: Path):
    maker = StudyMaker(tmp_path / "study", seeds=1)
    maker.runs()
    path = maker.folder / "tables" / "measurements.csv"
    lines = path.read_text(encoding="utf-8").splitlines()
    some = [line.replace(",grid,", ",deep,") if "-1-1-" in line else line for line in lines]
    path.write_text("\n".join(some) + "\n", encoding="utf-8")
    heads = [column.label for _, column in _runs_page(maker).content["columns"]]
    assert "Family" in heads


def _runs_page(maker: StudyMaker) -> BuiltPage:
    return page_of(build_pages(read_evidence(maker.folder)), "runs")
