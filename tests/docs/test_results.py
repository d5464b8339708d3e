"""Published results: what an account says of its tables is true of the tables beside it."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

RESULTS = Path(__file__).parents[2] / "results"
FOLDERS = sorted(path.parent for path in RESULTS.glob("*/account.md"))
LARGEST = 5_000_000


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request) -> Path:
    return request.param


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_table_has_its_hash_in_the_account(folder: Path):
    account = (folder / "account.md").read_text("utf-8")
    said = {name: digest for digest, name in re.findall(r"^ +(\w{64})  (\S+)$", account, re.M)}
    tables = {f"tables/{path.name}": sha256(path) for path in (folder / "tables").iterdir()}
    assert said == tables


def test_an_account_shows_figures_that_are_there_and_nothing_is_large(folder: Path):
    account = (folder / "account.md").read_text("utf-8")
    figures = re.findall(r"!\[.+?\]\((.+?)\)", account)
    assert figures
    assert all((folder / figure).is_file() for figure in figures)
    assert all(path.stat().st_size < LARGEST for path in folder.rglob("*") if path.is_file())


def collected() -> ModuleType:
    spec = importlib.util.spec_from_file_location("collect", RESULTS / "two-profiles/collect.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_factors_of_two_profiles_follow_from_its_runs():
    collect, tables = collected(), RESULTS / "two-profiles" / "tables"
    again = collect.factors_of(collect.read(tables / "runs.csv"))
    kept = collect.read(tables / "factors.csv")
    assert [row["family"] for row in again] == [row["family"] for row in kept]
    for one, other in zip(again, kept, strict=True):
        for key in ("loss", "difference", "low", "high"):
            assert one[key] == pytest.approx(other[key], abs=1e-4)


def test_the_runs_of_two_profiles_follow_from_its_measurements():
    collect, tables = collected(), RESULTS / "two-profiles" / "tables"
    again = collect.runs_of(collect.read(tables / "measurements.csv"))
    kept = collect.read(tables / "runs.csv")
    key = "escape_updates"
    assert [(run["run"], run[key]) for run in again] == [(run["run"], run[key]) for run in kept]
