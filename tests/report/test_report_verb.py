"""`lilliput report` on the command line: its contract, and what it says when there is nothing to report on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def lilliput(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lilliput", "report", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV that Lilliput did not make: three runs of four measurements."""
    path = tmp_path_factory.mktemp("table") / "mine.csv"
    lines = ["run,loss,flops_reference"]
    for run in range(3):
        for step in range(1, 5):
            cost = 10.0 ** (12 + run / 2) * step
            lines.append(f"run-{run},{50 * cost**-0.1:.6f},{cost:.6e}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_json_is_one_object_with_the_keys_of_the_contract(table: Path, tmp_path: Path) -> None:
    done = lilliput(table, "--out", "page.html", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert {"report", "figures"} <= set(record)
    assert record["report"] == "page.html"
    assert "frontier" in record["figures"]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(f'id="{figure}"' in page for figure in record["figures"])
    assert "lilliput report" in page  # The command that makes it again.


def test_people_are_told_the_path_the_size_and_what_next(study: Path, tmp_path: Path) -> None:
    done = lilliput(study, "--out", "report.html", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.html").is_file()
    assert "Wrote report.html" in done.stdout
    assert "in a browser" in done.stdout


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "nowhere.csv"),
        ("", "page.csv"),
        ("run,colour\na,red\n", "must have a column of losses"),
        ("run,loss,flops_reference\na,nan,1e12\n", "line 2"),
    ],
    ids=["absent", "empty", "no loss", "not a number"],
)
def test_what_cannot_be_reported_is_named(
    content: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / ("nowhere.csv" if content is None else "page.csv")
    if content is not None:
        path.write_text(content)
    done = lilliput(path, "--out", "page.html", "--json", cwd=tmp_path)
    assert done.returncode == 2, done.stdout[:300]
    error = json.loads(done.stdout)["error"]
    assert set(error) == {"code", "rule", "got", "try"}
    if "losses" in message:
        assert "lilliput analyse convert TABLE --column loss=HEADER --out NEW.csv" in error["try"]
    assert message in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_losses_without_costs_are_reported_without_laws(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    path.write_text("run,loss,num_parameters\na,3.1,1000\nb,2.9,2000\n")
    done = lilliput(path, "--out", "page.html", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "loss-by-size" in json.loads(done.stdout)["figures"]


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    done = lilliput(tmp_path, cwd=tmp_path)
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert "table of runs" in done.stderr


def test_the_figures_are_listed_and_one_is_written_for_print(table: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    listed = lilliput(table, "--list-figures", "--json", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    figures = json.loads(listed.stdout)["figures"]
    assert {"name", "title", "page"} == set(figures[0])
    name = figures[0]["name"]
    done = lilliput(table, "--figure", name, "--format", "svg", "--width", "8.4cm", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / f"{name}.svg").is_file()
    assert "84 mm wide" in done.stdout
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--figure", "nosuch"], "nosuch"),
        (["--figure", "overview", "--width", "wide"], "--width 84mm"),
        (["--figure", "overview", "--format", "gif"], "pdf, svg, png"),
        (["--figure", "overview", "--format", "pdf", "--out", "a.png"], "must agree"),
    ],
)
def test_a_figure_that_cannot_be_written_is_named(
    options: list[str], words: str, table: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    done = lilliput(table, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
