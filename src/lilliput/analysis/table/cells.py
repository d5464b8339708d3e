"""Read the cells of a file and check them; every fault is reported with its line."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.table.schema import SchemaColumn, describe
from lilliput.core.artefacts import whole
from lilliput.core.errors import InputError
from lilliput.core.files import require_file

EMPTY = {"", "na", "n/a", "#n/a", "null", "none", "-", "–", "—"}
_TRUE, _FALSE = {"true", "1", "1.0", "yes"}, {"false", "0", "0.0", "no", ""}
# "125m" as people write the size of a model.
_SCALED = re.compile(r"(\d+(?:\.\d+)?) ?([kmbgt])", re.IGNORECASE)
_SCALES = {"k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
# Where several delimiters cut a header into as many cells, the first of them is taken.
_DELIMITERS = {".csv": ",;\t", ".tsv": "\t,;"}


@dataclass(frozen=True)
class CellProblem:
    """Hold a cell that breaks the schema: its line and column, the broken rule, and its text."""

    line: int
    column: str
    rule: str
    got: str

    @property
    def remedy(self) -> str:
        """Return what to write instead, in a sentence."""
        scaled = _SCALED.fullmatch(self.got.strip())
        if self.rule == "must be a number" and scaled:
            return f"Write all digits: {float(scaled[1]) * _SCALES[scaled[2].lower()]:.0f}."
        if self.rule == "must be above zero" and self.got.strip("0.") == "":
            return "Leave out the rows from before the first step, or leave the cell empty."
        if self.rule == "must be finite":
            return "Leave out the rows of a run that diverged, or leave the cell empty."
        return "Correct the cell, or leave it empty where nothing was measured."

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"line": self.line, "column": self.column, "rule": self.rule, "got": self.got}


@dataclass(frozen=True)
class RawTable:
    """Hold unchecked cells as text, with the line of each row in its source."""

    source: str
    columns: Mapping[str, Sequence[str]]
    lines: NDArray[np.int64]


def read_raw(path: Path) -> RawTable:
    """Return the cells of a CSV, TSV, JSON Lines or Parquet file.

    Raises:
        InputError: No such file, an unknown ending, no rows, or a malformed line.
        ArtefactError: It is a study's own table, and is not as it was written.
    """
    whole(require_file(path, "the table"))
    ending = path.suffix.lower()
    if ending in _DELIMITERS:
        raw = _read_csv(path, _DELIMITERS[ending])
    elif ending == ".parquet":
        raw = _read_parquet(path)
    elif ending in (".jsonl", ".ndjson"):
        raw = _read_json_lines(path)
    else:
        raise InputError("the table must be a .csv, .tsv, .jsonl or .parquet file", got=path.name)
    if raw.lines.size == 0:
        raise InputError(f"{raw.source} must hold at least one row", got="none")
    return raw


def _read_csv(path: Path, delimiters: str) -> RawTable:
    rows: list[list[str]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = _delimiter_of(file.readline(), delimiters)
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            headers = [cell.strip() for cell in next(reader, [])]
            for cells in reader:
                if cells:
                    _check_width(path, reader.line_num, headers, cells)
                    rows.append(cells)
                    lines.append(reader.line_num)
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} must be UTF-8 text", got=error) from None
    except csv.Error as error:
        raise InputError(f"{path.name} must be a well-formed table", got=error) from None
    _check_headers(path, headers)
    columns = {name: [row[i].strip() for row in rows] for i, name in enumerate(headers)}
    return RawTable(path.name, columns, np.array(lines, dtype=np.int64))


def _delimiter_of(header: str, delimiters: str) -> str:
    """Return the delimiter that cuts the header into the most cells."""
    return max(delimiters, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def _check_width(path: Path, line: int, headers: list[str], cells: list[str]) -> None:
    if len(cells) != len(headers):
        raise InputError(
            f"{path.name} line {line} must have {len(headers)} cells like the header",
            got=len(cells),
        )


def _check_headers(path: Path, headers: list[str]) -> None:
    if not headers:
        raise InputError(f"{path.name} must begin with the names of its columns", got="no header")
    repeated = sorted({name for name in headers if headers.count(name) > 1})
    if repeated:
        raise InputError(f"{path.name} must name each column once", got=", ".join(repeated))


def _read_parquet(path: Path) -> RawTable:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path.name} must be a Parquet file", got=error) from None
    columns = {
        name: ["" if value is None else str(value) for value in content.column(name).to_pylist()]
        for name in content.column_names
    }
    return RawTable(path.name, columns, np.arange(1, content.num_rows + 1))


def _read_json_lines(path: Path) -> RawTable:
    """Return the cells of a file with one flat JSON object a line; a key that a line lacks is an empty cell."""
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    rows.append(_flat_object(path, number, line))
                    lines.append(number)
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} must be UTF-8 text", got=error) from None
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [_cell_of(row.get(name)) for row in rows] for name in names}
    return RawTable(path.name, columns, np.array(lines, dtype=np.int64))


def _flat_object(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        # Numbers stay as they are written: no digit is lost on the way.
        row = json.loads(line, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path.name} line {number} must be one JSON object", got=error) from None
    if not isinstance(row, dict):
        raise InputError(
            f"{path.name} line {number} must be one JSON object", got=line.strip()[:40]
        )
    return cast("dict[str, Any]", row)


def _cell_of(value: Any) -> str:
    if value is None or isinstance(value, (dict, list)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def problems_of(raw: RawTable) -> list[CellProblem]:
    """Return every cell of a known column that breaks its rule, in the order of lines."""
    found: list[CellProblem] = []
    for name, cells in raw.columns.items():
        column = describe(name)
        if column is None:
            continue
        for line, cell in zip(raw.lines.tolist(), cells, strict=True):
            rule = _broken_rule(column, cell)
            if rule:
                found.append(CellProblem(line, name, rule, cell))
    return sorted(found, key=lambda problem: problem.line)


def _broken_rule(column: SchemaColumn, cell: str) -> str:
    """Return the rule that `cell` breaks, in words; empty when it breaks none."""
    if column.kind == "text":
        return "" if cell or column.name != "run" else "must name the run"
    if column.kind == "flag":
        return "" if cell.lower() in _TRUE | _FALSE else "must be true or false"
    if cell.lower() in EMPTY:
        return ""
    return _broken_number_rule(column, cell)


def _broken_number_rule(column: SchemaColumn, cell: str) -> str:
    value = as_number(cell)
    if value is None and as_number(cell.replace(",", "")) is not None:
        return "must be a number with a decimal point and no commas"
    if value is None:
        return "must be a number"
    if not math.isfinite(value):
        return "must be finite"
    if column.positive and value <= 0:
        return "must be above zero"
    if column.kind == "count" and value < 0:
        return "must not be negative"
    return ""


def checked_column(name: str, cells: Sequence[str]) -> NDArray[Any]:
    """Return the values of a column without faults.

    A column outside the schema is read as numbers if each of its cells is a number or empty, else as text.
    """
    column = describe(name)
    if column is not None and column.kind == "text":
        return np.array(cells, dtype=np.str_)
    if column is not None and column.kind == "flag":
        return np.array([cell.lower() in _TRUE for cell in cells])
    numbers = [math.nan if cell.lower() in EMPTY else as_number(cell) for cell in cells]
    if any(number is None for number in numbers):
        return np.array(cells, dtype=np.str_)
    return np.array(numbers, dtype=np.float64)


def as_number(cell: str) -> float | None:
    """Return the number that a cell holds; None where it holds none."""
    try:
        return float(cell)
    except ValueError:
        return None
