"""Answer questions in SQL about runs and their curves (DuckDB, the extra `sql`)."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path
from typing import Any

from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.reader import MetricsLine, read_records
from lilliput.study.store.index import run_index
from lilliput.study.store.runs import runs_folder

# Nothing is fetched from the network, and a question changes nothing on disk.
_OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def query_runs(study: Path, question: str) -> list[dict[str, Any]]:
    """Return the answer to one SQL question, a row a dictionary.

    Args:
        study: Folder of a study, or of runs.
        question: SQL over the tables `runs` (the index) and `metrics` (every evaluation point, with the
            column `run_id`).

    Raises:
        InputError: The folder is not there, or the question is not good SQL.
        MissingExtraError: DuckDB is not installed.
    """
    duckdb = require("duckdb", "sql")
    folder = runs_folder(study)
    with duckdb.connect(":memory:", config=_OFFLINE) as connection:
        connection.register("runs", run_index(study))
        if "metrics" in question.lower():
            _register_metrics(connection, folder)
        connection.execute("SET enable_external_access = false")
        try:
            answer = connection.execute(question)
        except duckdb.Error as error:
            raise InputError(
                "the question must be SQL over the tables runs and metrics",
                got=str(error).splitlines()[0],
                remedy="For example: select shape, min(loss) from runs group by shape",
            ) from None
        names = [column[0] for column in answer.description or []]
        return [dict(zip(names, map(_plain, row), strict=True)) for row in answer.fetchall()]


def _register_metrics(connection: Any, folder: Path) -> None:
    """Make a table of all curves; it opens every run, so it is made only for questions that name it."""
    curves = sorted(str(path) for path in folder.glob("*/metrics.jsonl"))
    for curve in curves:
        read_records(
            Path(curve), MetricsLine
        )  # DuckDB would leave out, or guess at, what is damaged.
    if curves:
        points = connection.read_json(curves, filename=True, union_by_name=True)
        points.project("parse_path(filename)[-2] AS run_id, * EXCLUDE (filename)").create("metrics")


def _plain(value: Any) -> Any:
    """Return what JSON can hold: exact decimals as floats, dates and the like as text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, (float, Decimal)):
        return float(value) if math.isfinite(value) else None
    return str(value)
