"""Figures for print: one PDF and one SVG each, from the data of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import EVALUATIONS

from lilliput.core.errors import MissingExtraError
from lilliput.report.drawing.paper import draw_figures
from lilliput.report.page import BuiltPage


@pytest.fixture(scope="module")
def drawn(pages: list[BuiltPage], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    draw_figures(pages, folder)
    return folder


def test_every_figure_is_written_twice(pages: list[BuiltPage], drawn: Path):
    figures = [figure.id for page in pages for figure in page.figures]
    assert len(figures) == 12
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
