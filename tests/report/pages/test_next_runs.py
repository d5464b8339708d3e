"""A table that Lilliput did not make has pages of its own: its law, its next runs, no questions of the paper."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from lilliput.report import write_report


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("mine")
    lines = ["run,num_parameters,tokens_seen,loss"]
    for n in np.geomspace(1e5, 1e7, 5):
        for d in np.geomspace(1e6, 1e9, 4):
            lines.append(f"r{len(lines)},{n:.0f},{d:.0f},{1.7 + 40 / n**0.3 + 60 / d**0.3:.6f}")
    (folder / "mine.csv").write_text("\n".join(lines) + "\n")
    result = write_report(folder / "mine.csv", folder / "r.html", title="My <models>", budget=1e19)
    assert {"overview", "size-and-tokens", "prediction-check"} <= set(result.figures)
    return result.report.read_text(encoding="utf-8")


def test_the_title_is_the_readers(html: str):
    assert "<h1>My &lt;models&gt;</h1>" in html


def test_the_summary_plans_and_asks_no_question_of_the_paper(html: str):
    summary = html[html.index('<section id="summary"') : html.index('<section id="training"')]
    assert "With 1 × 10¹⁹ FLOPs the law predicts a loss of" in summary
    assert "Fitted without the costliest runs" in summary
    assert "In the paper" not in summary
    assert "Honey" not in summary


def test_no_figure_shows_the_papers_numbers(html: str):
    assert "the paper's 42 runs" not in html
    assert "exponent-by-cut" not in html


def test_the_papers_own_table_keeps_its_questions(tmp_path: Path):
    text = write_report(Path("paper"), tmp_path / "p.html").report.read_text(encoding="utf-8")
    assert "In the paper" in text
    assert re.search(r"<h3[^>]*>Does the compute-optimal law break\?", text)
