"""The page Distillation: shown where a run has a teacher, with nothing of a table taken as markup."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.findings.test_distillation import run, study, table_of
from typer.testing import CliRunner

from lilliput.analysis import write_table
from lilliput.cli._frame import build_app


def report(source: Path, out: Path) -> str:
    done = CliRunner().invoke(build_app(), ["report", str(source), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    return out.read_text(encoding="utf-8")


def test_the_page_stands_in_a_report_with_teachers_and_in_no_other(
    data_of: Callable[[str], Any], tmp_path: Path
):
    table = study(gain_once=-0.05, gain_again=0.02)
    hostile = ["<b>from</b>" if v == "from big" else v for v in table.text("variant").tolist()]
    import numpy as np

    write_table(table.with_columns({"variant": np.array(hostile)}), tmp_path / "taught.csv")
    html = report(tmp_path / "taught.csv", tmp_path / "taught.html")
    assert '<section id="distillation"' in html
    assert "Does distillation beat pre-training at equal compute, and when?" in html
    # A table beside no study is asked what it can answer, and nothing of the paper.
    assert "In the paper" not in html
    assert "The paper is" not in html
    assert "<b>from</b>" not in html
    drawn = data_of(html)["tables"]["taught-arms"]
    assert set(drawn["against"]) == {"equal FLOPs", "best supervised"}
    assert min(drawn["difference"]) == pytest.approx(-0.519)
    plain = table_of([run("", seed, 10, 3.0 + seed, 10.0) for seed in (0, 1)])
    write_table(plain, tmp_path / "plain.csv")
    html = report(tmp_path / "plain.csv", tmp_path / "plain.html")
    assert '<section id="distillation"' not in html
    assert "Does distillation beat" not in html
