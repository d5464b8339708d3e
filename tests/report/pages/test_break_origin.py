"""The page Break and plateau: shown for families that can be compared, with the answer in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.analysis.findings.families import FLOPS, broken_at_one_cost, on_a_plateau_until, study
from typer.testing import CliRunner

from lilliput.analysis import write_table
from lilliput.analysis.findings.break_origin import find_break_origins
from lilliput.analysis.findings.findings import Findings
from lilliput.cli._frame import build_app
from lilliput.report.pages.break_origin import answer_break_origin, origin_sentences


def test_the_answer_says_whether_the_break_moves():
    moves = find_break_origins(study(on_a_plateau_until, {"fast": 300, "slow": 6000}), [FLOPS], 40)
    answer = answer_break_origin(Findings(break_origins=moves))
    assert answer is not None
    assert (answer.verdict, answer.page) == ("no", "break-and-plateau")
    assert answer.label == "No: it moves with the end of the plateau"
    said = " ".join(answer.paragraphs)
    assert "the slope of ln(break) on ln(exit) is" in said
    assert re.search(
        r"slow: 6 of 6 shapes leave the plateau, after [\d,]+ to [\d,]+ steps, the first \(a/1\)",
        said,
    )

    stays = find_break_origins(study(broken_at_one_cost, {"fast": 50, "slow": 2000}), [FLOPS], 40)
    answer = answer_break_origin(Findings(break_origins=stays))
    assert answer is not None
    assert (answer.verdict, answer.label) == (
        "yes",
        "Yes: it stays while the end of the plateau moves",
    )


def test_where_the_data_cannot_tell_it_says_why():
    never = find_break_origins(study(on_a_plateau_until, {"fast": 300, "never": 1e9}), [FLOPS], 10)
    answer = answer_break_origin(Findings(break_origins=never))
    assert answer is not None
    assert answer.label == "Cannot tell"
    said = " ".join(origin_sentences(never))
    assert (
        "these data cannot tell: two families need a break and 4 shapes that left the plateau, and only one has"
        in said
    )
    assert "never: no shape left the plateau (6 shapes)." in said
    assert answer_break_origin(Findings()) is None


def report(source: Path | str, out: Path) -> str:
    done = CliRunner().invoke(build_app(), ["report", str(source), "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    return out.read_text(encoding="utf-8")


def test_the_page_stands_in_a_report_of_families_and_in_no_other(
    data_of: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("lilliput.analysis.findings.break_origin._RESAMPLES", 20)
    table = study(on_a_plateau_until, {"fast": 300, "<b>slow</b>": 6000})
    write_table(table, tmp_path / "families.csv")
    html = report(tmp_path / "families.csv", tmp_path / "r.html")
    assert '<section id="break-and-plateau"' in html
    assert "<b>slow</b>" not in html
    tables = data_of(html)["tables"]
    assert set(tables["family-places"]["family"]) == {"fast", "<b>slow</b>"}
    assert len(tables["family-frontiers"]["flops"]) > 40
    exits, places = tables["slope-one"]["exit"], tables["slope-one"]["break"]
    assert exits[1] / exits[0] == pytest.approx(places[1] / places[0], rel=1e-5)
    assert json.dumps(tables["slope-zero"]["break"][:1]) == json.dumps(
        tables["slope-zero"]["break"][1:]
    )
    assert '<section id="break-and-plateau"' not in report("paper", tmp_path / "p.html")
