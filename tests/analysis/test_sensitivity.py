"""The same law under other choices: the rows are the fits that they say they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lilliput.analysis import (
    FitOptions,
    Table,
    analyse_fit,
    analyse_sensitivity,
    fit_parametric,
    write_table,
)


def grid() -> Table:
    n, d = (
        v.reshape(-1) for v in np.meshgrid(np.geomspace(1e7, 1e10, 6), np.geomspace(1e9, 1e12, 6))
    )
    scatter = np.exp(np.random.default_rng(2).normal(0, 0.003, n.size))
    columns = {
        "run": np.array([f"r{i}" for i in range(n.size)]),
        "num_parameters": n,
        "num_parameters_non_embedding": n - 3e6,
        "tokens_seen": d,
        "loss": (1.7 + 400 / n**0.34 + 410 / d**0.28) * scatter,
    }
    return Table("grid.csv", columns, np.arange(n.size))


def test_each_row_is_the_fit_of_its_choice() -> None:
    table = grid()
    found = analyse_sensitivity(table, options=FitOptions(law="parametric", points="all"))
    rows = {row.choice: row for row in found.rows}
    asked = analyse_fit(table, options=FitOptions(law="parametric", points="all", resamples=0))
    assert found.rows[0].choice == "as asked"
    assert rows["as asked"].alpha == asked.parameters["alpha"].value
    points = [table.number(name) for name in ("num_parameters", "tokens_seen", "loss")]
    assert rows["delta 0.0001"].beta == pytest.approx(fit_parametric(*points, delta=1e-4).beta)
    other = [table.number("num_parameters_non_embedding"), *points[1:]]
    assert rows["num_parameters_non_embedding"].alpha == pytest.approx(fit_parametric(*other).alpha)
    assert rows["law parametric_tied"].alpha == rows["law parametric_tied"].beta
    assert rows["the cheaper half"].n + rows["the dearer half"].n == 36
    assert rows["as asked"].size_exponent == pytest.approx(0.28 / 0.62, abs=0.02)
    assert found.span[0] < rows["as asked"].size_exponent < found.span[1]
    assert (
        rows["law parametric_tied"].size_exponent == 0.5
    )  # By its form: it is no part of the span.
    assert 0.5 not in found.span
    assert not found.warnings


def test_the_command(tmp_path: Path, run_text: Callable[..., str]) -> None:
    write_table(grid(), tmp_path / "grid.csv")
    said = run_text("sensitivity", str(tmp_path / "grid.csv"), "--points", "all")
    assert said.splitlines()[1].startswith("as asked")
    assert "The same runs give a size exponent of 0." in said
