"""Shared data of the analysis tests: the built-in table, its frontier, and tables written to disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from lilliput.analysis import Frontier, Table, frontier, paper_table


@pytest.fixture(scope="session")
def paper() -> Table:
    return paper_table()


@pytest.fixture(scope="session")
def paper_frontier(paper: Table) -> Frontier:
    return frontier(paper)


@pytest.fixture(scope="session")
def frontier_arrays(paper_frontier: Frontier) -> tuple[np.ndarray, np.ndarray]:
    points = paper_frontier.points
    return np.array([p.flops for p in points]), np.array([p.loss for p in points])


@pytest.fixture(scope="session")
def suites(data_folder: Path) -> Path:
    """Public tables of runs with published fits, beside the research data; the project does not ship them."""
    folder = data_folder.parent / "golden" / "suites"
    if not folder.is_dir():
        pytest.skip("needs the public tables: golden/suites beside the folder of LILLIPUT_DATA")
    return folder


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    """A CSV file from columns of cells."""

    def write(columns: Mapping[str, Sequence[object]], name: str = "runs.csv") -> Path:
        rows = zip(*columns.values(), strict=True)
        lines = [",".join(columns), *(",".join(map(str, row)) for row in rows)]
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def run_text() -> Callable[..., str]:
    """Run a verb of `lilliput analyse` and return what it prints."""
    from typer.testing import CliRunner

    from lilliput.cli._frame import build_app

    def run(*arguments: str) -> str:
        done = CliRunner().invoke(build_app(), ["analyse", *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    return run
