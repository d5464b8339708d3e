"""The account of `distillation` is written from a study's tables: its verdicts, its numbers and its figure."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from tests.analysis.findings.test_distillation import FLOPS, study

from lilliput.analysis import write_table

SCRIPT = Path(__file__).parents[2] / "results" / "distillation" / "make.py"


def test_the_account_says_what_the_tables_hold(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("make_distillation", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    table = study(gain_once=-0.05, gain_again=0.02)
    lines = len(table)
    more = {
        "unigram_entropy": np.full(lines, 5.0), "wall_time_s": np.ones(lines),
        "num_parameters": np.full(lines, 1000.0), "tokens_seen": table.number("step"),
    }  # fmt: skip
    (tmp_path / "tables").mkdir()
    write_table(table.with_columns(more), tmp_path / "tables" / "measurements.csv")
    out = tmp_path / "out"
    monkeypatch.setattr(make, "HERE", out)
    monkeypatch.setattr("sys.argv", ["make.py", "--study", str(tmp_path), "--collect"])
    make.main()
    text = (out / "account.md").read_text(encoding="utf-8")
    assert "**Answer, Yes, in part.**" in text
    assert "| simple | from big (larger teacher, 9.0x) | 0.1 |" in text
    assert "(300) | **better** | **better** |" in text
    assert "| simple | 300 | 3.1000 |" in text
    ElementTree.parse(out / "arms.svg")
    assert (out / "tables" / "arms.csv").read_text().count("\n") == 4
    assert FLOPS in (out / "tables" / "runs.csv").read_text()
