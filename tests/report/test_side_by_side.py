"""Two studies over each other: what differs stands on top, and nothing is compared under two conventions."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import StudyMaker
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.files import read_json, write_json
from lilliput.report.reading.evidence import read_evidence
from lilliput.report.side_by_side import side_by_side_pages


@pytest.fixture
def two(make_study: Callable[..., StudyMaker]) -> tuple[Path, Path]:
    """Two studies that differ in one setting and in nothing else."""
    folders = [make_study(name, seeds=1).whole() for name in ("one", "other")]
    recipe = read_json(folders[1] / "study.json")
    write_json(folders[1] / "study.json", recipe | {"training": {"learning_rate": 0.01}})
    return folders[0], folders[1]


def content(a: Path, b: Path) -> dict[str, Any]:
    (page, _) = side_by_side_pages(read_evidence(a), read_evidence(b))
    return {**page.content, "figures": page.figures, "tables": page.tables}


def rewrite(folder: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    path = folder / "tables" / "measurements.csv"
    with path.open(encoding="utf-8") as file:
        rows = [change(row) for row in csv.DictReader(file)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_the_settings_that_differ_stand_on_top(two: tuple[Path, Path]):
    rows = content(*two)["settings"].rows
    assert [[cell.text for cell in row.cells] for row in rows] == [
        ["training.learning_rate", "–", "0.01"]
    ]


def test_the_same_runs_differ_by_nothing(two: tuple[Path, Path]):
    shapes = content(*two)["shapes"]
    assert len(shapes.rows) == 10  # Five shapes in two languages.
    assert {row.cells[-1].value for row in shapes.rows} == {0.0}


def test_other_tokenizers_are_compared_by_bits_per_byte(two: tuple[Path, Path]):
    for folder, text in zip(two, ("a", "b"), strict=True):
        _tokenizer(folder, text)
    found = content(*two)
    assert any("bits per byte stand for them" in said for said in found["sentences"])
    assert {layer.y for layer in found["figures"][0].layers} == {"bits_per_byte", "loss"}
    assert found["figures"][0].y.title == "Bits per byte"
    rewrite(two[1], lambda row: {k: v for k, v in row.items() if k != "bits_per_byte"})
    without = content(*two)
    assert without["figures"] == ()
    assert any("losses cannot be compared" in said for said in without["sentences"])


def _tokenizer(folder: Path, text: str) -> None:
    from lilliput.core.artefacts import building

    with building(folder / "tokenizers" / "constrained" / "bpe", "tokenizer", 1, {}) as build:
        build.path("tokenizer.json").write_text(text, encoding="utf-8")


def test_two_conventions_of_flops_are_never_compared(two: tuple[Path, Path]):
    def only(name: str) -> Callable[[dict[str, str]], dict[str, str]]:
        return lambda row: {k: v for k, v in row.items() if not k.startswith("flops") or k == name}

    rewrite(two[0], only("flops_reference"))
    rewrite(two[1], only("flops_executed_masked"))
    found = content(*two)
    assert any("no convention in common" in said for said in found["sentences"])
    assert found["figures"][0].x.title == "Tokens read"
    assert len(found["tables"]["laws"]) == 0


def test_the_command_line_writes_one_page_of_two(two: tuple[Path, Path], tmp_path: Path):
    out = tmp_path / "two.html"
    sources = [str(folder) for folder in two]
    done = CliRunner().invoke(build_app(), ["report", *sources, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["figures"] == ["side-by-side-losses"]
    html = out.read_text(encoding="utf-8")
    assert "Settings that differ" in html
    refused = CliRunner().invoke(build_app(), ["report", *sources, "--budget", "1e18"])
    assert refused.exit_code != 0
