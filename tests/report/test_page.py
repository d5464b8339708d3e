"""A page that is registered from outside the package stands in every report, and nothing else changes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.report.conftest import StudyMaker
from tests.report.toy_page import toy
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.errors import ConfigurationError
from lilliput.report import page
from lilliput.report.page import Page, register_page, registered_pages


@pytest.fixture
def toy_page(monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setattr(page.REGISTRY, "_items", page.REGISTRY.items())
    register_page(toy.PAGE)
    return toy.PAGE


def report_by_the_command_line(source: str, out: Path) -> str:
    done = CliRunner().invoke(build_app(), ["report", source, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    assert "toy-figure" in json.loads(done.stdout)["figures"]
    return out.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["table", "study"])
@pytest.mark.usefixtures("toy_page")
def test_a_page_from_outside_stands_between_the_others(
    kind: str, make_study: Callable[..., StudyMaker], data_of: Callable[[str], Any], tmp_path: Path
) -> None:
    source = "paper" if kind == "table" else str(make_study(seeds=1).whole())
    html = report_by_the_command_line(source, tmp_path / "r.html")
    order = re.findall(r'<section id="([\w-]+)"', html)
    assert order[order.index(toy.NAME) - 1 :] == ["runs", toy.NAME, "method", "glossary"]
    assert re.findall(r'<li><a href="#([\w-]+)"', html) == order
    assert "<h2" in html
    assert ">Data cards</h2>" in html
    assert re.search(r"<p>\d+ runs under \d+ laws\.", html)
    # What the template prints is escaped, wherever the template lies.
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert(1)" not in html
    data = data_of(html)
    assert data["tables"]["toy"] == {"x": [1], "y": [1]}
    assert data["controls"][toy.NAME] == []


def test_without_it_the_pages_are_those_of_the_package() -> None:
    names = [each.name for each in registered_pages()]
    assert names == [
        "summary", "language", "tokenizers", "training", "scaling", "break-and-plateau", "choice-of-data",
        "distillation", "downstream", "emergence", "samples", "cost", "next-runs", "runs",
        "method", "glossary",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "Data cards"}, "Data cards"),
        ({"name": "summary"}, "summary"),
        ({"template": "nowhere.html"}, "nowhere.html"),
        ({"template": "../toy_page/toy.html"}, "toy_page/toy.html"),
        ({"template": "/etc/hostname"}, "/etc/hostname"),
    ],
    ids=["no address", "taken", "no file", "another folder", "absolute"],
)
@pytest.mark.usefixtures("toy_page")
def test_a_page_that_cannot_be_shown_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        register_page(replace(toy.PAGE, **change))


@pytest.mark.usefixtures("toy_page")
def test_the_same_page_may_be_registered_again() -> None:
    register_page(toy.PAGE)
    assert [each.name for each in registered_pages()].count(toy.NAME) == 1
