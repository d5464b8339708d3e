"""Figures for print: one PDF and one SVG each, from the data of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import EVALUATIONS

from lilliput.core.errors import InputError, MissingExtraError
from lilliput.report.drawing.paper import (
    PrintStyle,
    draw_figure,
    draw_figures,
    filled,
    log_ticks,
    moved_apart,
    shared_name,
    tick_text,
)
from lilliput.report.page import BuiltPage


@pytest.fixture(scope="module")
def drawn(pages: list[BuiltPage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    draw_figures(pages, folder)
    return folder


def test_every_figure_is_written_twice(pages: list[BuiltPage], drawn: Path):
    figures = [figure.id for page in pages for figure in page.figures]
    assert len(figures) > 12
    assert len(set(figures)) == len(figures)
    names = {path.name for path in drawn.iterdir()}
    assert names == {f"{figure}.{kind}" for figure in figures for kind in ("pdf", "svg")}


def test_svg_holds_a_curve_for_each_run_and_words_as_text(drawn: Path):
    svg = (drawn / "loss-curves.svg").read_text(encoding="utf-8")
    assert "Loss while training" in svg
    assert "Tokens read" in svg
    curves = re.findall(r'd="([^"]*)"[^>]*clip-path=[^>]*stroke-linecap: square', svg)
    # Five shapes, two languages, two seeds: a move and a line to each further evaluation.
    lines = [path.count("L") for path in curves]
    assert lines.count(EVALUATIONS - 1) >= 20


def test_the_same_figures_give_the_same_bytes(pages: list[BuiltPage], drawn: Path, tmp_path: Path):
    training = [page for page in pages if page.name == "training"]
    for path in draw_figures(training, tmp_path):
        assert path.read_bytes() == (drawn / path.name).read_bytes(), path.name


def test_without_matplotlib_the_error_names_the_extra(
    pages: list[BuiltPage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def missing(module: str, extra: str) -> Any:
        raise MissingExtraError(f"this needs {module}", remedy=f"pip install 'lilliput[{extra}]'")

    monkeypatch.setattr("lilliput.report.drawing.paper.require", missing)
    with pytest.raises(MissingExtraError, match=re.escape("lilliput[paper]")):
        draw_figures(pages, tmp_path)


def test_one_figure_has_the_width_that_was_asked_and_its_fonts_inside(
    pages: list[BuiltPage], tmp_path: Path
):
    style = PrintStyle(("pdf",), 84.0, has_title=False, is_text_outlined=True)
    pdf = draw_figure(pages, "overview", tmp_path / "o.pdf", style).read_bytes()
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) [\d.]+ \]", pdf)
    assert box
    assert float(box[1]) == pytest.approx(84.0 / 25.4 * 72, abs=0.1)
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    svg = draw_figure(
        pages, "overview", tmp_path / "o.svg", PrintStyle(("svg",), is_text_outlined=True)
    )
    assert "<text" not in svg.read_text(encoding="utf-8")


def test_an_unknown_figure_and_a_width_that_no_page_has_are_refused(
    pages: list[BuiltPage], tmp_path: Path
):
    with pytest.raises(InputError, match="'nosuch'.*This report has: overview"):
        draw_figure(pages, "nosuch", tmp_path / "o.pdf", PrintStyle(("pdf",)))
    with pytest.raises(InputError, match="2 mm"):
        PrintStyle(width_mm=2.0)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (90, 1100, [100, 200, 300, 500, 700, 1000]),
        (1e3, 1e12, [1e3, 1e5, 1e7, 1e9, 1e11]),
        (5.3, 6.4, [5.4, 5.6, 5.8, 6.0, 6.2, 6.4]),
    ],
)
def test_ticks_are_round_numbers_as_many_as_fit(low: float, high: float, ticks: list[float]):
    assert log_ticks(low, high, 6) == pytest.approx(ticks)


def test_ticks_are_written_as_on_the_page():
    assert [tick_text(v) for v in (0.5, 2000, 3e7, 1e9)] == ["0.5", "2,000", "3×10⁷", "10⁹"]


def test_a_choice_that_is_not_there_leaves_no_hole_in_a_title():
    assert filled("Training FLOPs ({flops})", {"flops": "6ND"}) == "Training FLOPs (6ND)"
    assert filled("Training FLOPs ({flops})", {}) == "Training FLOPs"


def test_lines_that_lie_together_share_a_name():
    lines = [(5.9, "entropy, basic"), (5.85, "entropy, free"), (3.0, "chance")]
    assert [shared_name(lines, i) for i in range(3)] == ["entropy, basic; free", "", "chance"]


def test_labels_are_moved_apart_and_stay_above_the_axis():
    close = [(0.0, 50.0), (5.0, 49.0), (0.0, 20.0)]
    assert moved_apart(close, room=10.0, floor=5.0) == [50.0, 40.0, 20.0]
    assert moved_apart([(0, 12.0), (0, 11.0), (0, 10.0)], 10.0, 5.0) == [25.0, 15.0, 5.0]
    # Side by side they do not meet.
    assert moved_apart([(0.0, 50.0), (200.0, 49.0)], 10.0, 5.0) == [50.0, 49.0]
