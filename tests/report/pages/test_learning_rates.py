"""The drift of the best learning rate with width, where a study searched for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import SHAPES, StudyMaker

from lilliput.core.files import write_json
from lilliput.report import write_report
from lilliput.report.pages.training.learning_rates import rate_figures, rate_tables
from lilliput.report.reading.evidence import read_evidence
from lilliput.report.reading.rate_search import read_search
from lilliput.study.planning.learning_rates import FOUND, FoundRate, drift_with_width

SLOPE = -0.7
WIDTHS = (16, 32, 64, 128)


def write_search(study: Path, widths: tuple[int, ...], *, is_at_edge: bool = False) -> None:
    """What the stage leaves for shapes of these widths whose best rate is an exact power of them."""
    found: list[FoundRate] = []
    for width in widths:
        rate = 1e-2 * (width / 32) ** SLOPE
        key = ("constrained", "corrected", "", f"{width}/{width}/64/1/1")
        found.append(FoundRate(key, rate, rate / 2, rate * 2, 3, is_at_edge))
    record = {
        "rates": [one.as_record() for one in found],
        "drift_with_width": drift_with_width(found),
        "trials": [],
    }
    write_json(study / "search" / FOUND, record)


def test_the_slope_is_said_and_drawn(tmp_path: Path) -> None:
    write_search(tmp_path, WIDTHS)
    search = read_search(tmp_path)
    (figure,) = rate_figures(search)
    assert (
        "constrained, corrected training: the best rate goes with width to the power −0.70"
        in figure.text
    )
    assert "4 shapes" in figure.text
    tables = rate_tables(search)
    first, last = tables["rate_lines"].rows()
    assert (first["width"], last["width"]) == pytest.approx((WIDTHS[0], WIDTHS[-1]))
    for row in (first, last):
        # Exact powers lie on their line.
        assert row["learning_rate"] == pytest.approx(1e-2 * (float(row["width"]) / 32) ** SLOPE)
    assert tables["rates"].columns["width"] == list(map(float, WIDTHS))
    assert all(layer.table in tables for layer in figure.layers)


def test_two_widths_are_drawn_without_a_slope_and_an_edge_is_measured(tmp_path: Path) -> None:
    write_search(tmp_path, WIDTHS[:2], is_at_edge=True)
    search = read_search(tmp_path)
    (figure,) = rate_figures(search)
    assert "too few widths for a slope" in figure.text
    assert "Of 2 shapes, 2 had the best rate at the edge" in figure.text
    assert len(rate_tables(search)["rate_lines"]) == 0


def test_one_width_and_no_search_are_not_drawn(tmp_path: Path) -> None:
    assert rate_figures(read_search(tmp_path)) == ()
    write_search(tmp_path, WIDTHS[:1])
    assert rate_figures(read_search(tmp_path)) == ()
    assert rate_tables(read_search(tmp_path)) == {}


def test_the_page_embeds_the_rates(
    tmp_path: Path, data_of: Callable[[str], dict[str, Any]]
) -> None:
    study = StudyMaker(tmp_path / "study", shapes=SHAPES[:2], seeds=1).whole()
    write_search(study, WIDTHS)
    assert read_evidence(study).search is not None
    page = write_report(study, tmp_path / "r.html").report.read_text(encoding="utf-8")
    data = data_of(page)
    assert "learning-rate-by-width" in {figure["id"] for figure in data["figures"]}
    (rates,) = [table for name, table in data["tables"].items() if name.endswith("rates")]
    assert [math.log(rate) for rate in rates["learning_rate"]] == pytest.approx(
        [math.log(1e-2 * (width / 32) ** SLOPE) for width in WIDTHS], abs=1e-5
    )
