"""A page of what is there so far, while a study runs."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from lilliput.core.errors import InputError
from lilliput.study import load_recipe, run_study
from lilliput.study.pipeline.stages import analysis


def _runs_in_tables(study: Path) -> int:
    path = study / "tables" / "measurements.csv"
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8", newline="") as file:
        return len({row["run"] for row in csv.DictReader(file)})


def test_a_first_page_stands_before_training_and_grows_with_the_runs(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, made = tmp_path / "study", list[int]()
    original = analysis.write_report

    def watched(source: Path, *arguments: Any, **more: Any) -> Any:
        made.append(_runs_in_tables(source))
        return original(source, *arguments, **more)

    monkeypatch.setattr(analysis, "write_report", watched)
    monkeypatch.setattr(analysis, "_LEAST_WAIT_S", 0.0)
    monkeypatch.setattr(analysis, "_WAIT_FACTOR", 0.0)
    run_study(load_recipe(str(recipe_file)), out, executor="inline")
    # Before training, then as runs end, once all are trained, and when everything is there.
    assert made[0] == 0
    assert made == sorted(made)
    assert set(made) >= {0, 4}
    assert made[-2:] == [4, 4]
    # A whole page is not replaced, nor made again.
    page, calls = (out / "report.html").read_bytes(), len(made)
    run_study(load_recipe(str(recipe_file)), out, executor="inline")
    assert (out / "report.html").read_bytes() == page
    assert len(made) == calls


def test_an_early_page_that_cannot_be_made_stops_nothing(
    recipe_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = analysis.write_report, list[Path]()

    def failing(source: Path, *arguments: Any, **more: Any) -> Any:
        calls.append(source)
        if len(calls) == 1:
            raise InputError("a page must be possible", got="nothing")
        return original(source, *arguments, **more)

    monkeypatch.setattr(analysis, "write_report", failing)
    result = run_study(load_recipe(str(recipe_file)), tmp_path / "study", executor="inline")
    assert result.report.is_file()
    assert len(calls) > 1
