"""Read, check, convert and write the tidy table."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.table.cells import (
    CellProblem,
    RawTable,
    checked_column,
    problems_of,
    read_raw,
)
from lilliput.analysis.table.schema import SCHEMA, describe
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.files import atomic_path

# The types of a cell.
Cell = str | float | int | bool | None
_SHOWN_LINES = 5
_NEARLY = 0.8


@dataclass(frozen=True)
class Table:
    """Hold named columns of equal length; numbers are float64 with NaN for an empty cell.

    Attributes:
        source: File name, for messages.
        columns: Header to values, shape (rows,): float64, bool (flags) or text.
        lines: Line (CSV) or row number (Parquet) of each row in its source, shape (rows,).
        warnings: Sentences about things that the reader noticed.
        written: Cells as the file has them, for columns outside the schema that were read as numbers. A name
            may look like a number: "1e3" and "1000" are two strategies.
    """

    source: str
    columns: Mapping[str, NDArray[Any]]
    lines: NDArray[np.int64]
    warnings: tuple[str, ...] = ()
    written: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    def __len__(self) -> int:
        return int(self.lines.size)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def number(self, name: str) -> FloatArray:
        """Return the numbers of one column, NaN where the cell is empty.

        Raises:
            InputError: There is no such column, or it holds text.
        """
        values = self._column(name)
        if values.dtype.kind not in "fb":
            raise InputError(f"column {name} of {self.source} must hold numbers", got="text")
        return values.astype(np.float64)

    def text(self, name: str) -> NDArray[np.str_]:
        """Return one column as text.

        Raises:
            InputError: There is no such column.
        """
        values = self._column(name)
        return self.written[name] if name in self.written else values.astype(np.str_)

    def select(self, rows: NDArray[Any]) -> Table:
        """Return the rows chosen by a mask or by indices."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        written = {name: values[rows] for name, values in self.written.items()}
        return Table(self.source, columns, self.lines[rows], self.warnings, written)

    def with_columns(self, columns: Mapping[str, NDArray[Any]]) -> Table:
        """Return the table with further (or replaced) columns."""
        written = {name: v for name, v in self.written.items() if name not in columns}
        return Table(self.source, {**self.columns, **columns}, self.lines, self.warnings, written)

    def starting_with(self, prefix: str) -> list[str]:
        """Return the headers with this prefix, in the order of the table."""
        return [name for name in self.columns if name.startswith(prefix)]

    def flops_columns(self) -> list[str]:
        """Return the columns of training FLOPs: `flops_<convention>`, then `flops`.

        A rate such as `flops_per_s` or `flops_per_token` is no cost of a run and is left out.
        """
        named = [n for n in self.starting_with("flops_") if not n.startswith("flops_per_")]
        return [*named, *(["flops"] if "flops" in self else [])]

    def _column(self, name: str) -> NDArray[Any]:
        if name in self.columns:
            return self.columns[name]
        raise InputError(
            f"{self.source} must have a column {name}",
            got=", ".join(self.columns),
            remedy=self.how_to_name(name),
        )

    def how_to_name(self, name: str, *words: str) -> str:
        """Return the advice where the column `name` is missing, with a header that looks like it.

        Args:
            name: Of the schema.
            words: Parts of a header that give such a column away; by default its name.
        """
        near = [h for h in self.columns if any(w in h.lower() for w in words or (name.lower(),))]
        header = shlex.quote(near[0]) if near else "HEADER"
        return f"Name the column that holds it: --column {name}={header}"


def read_table(path: Path, *, columns: Mapping[str, str] | None = None) -> Table:
    """Return the checked table in a CSV or Parquet file.

    Args:
        path: `.csv`, `.tsv` or `.parquet`.
        columns: Schema name to the header that holds it in this file.

    Raises:
        InputError: The file cannot be read, or a cell breaks the schema; the message names the line.
    """
    raw = _renamed(read_raw(path), columns or {})
    problems = problems_of(raw)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        first = problems[0]
        raise InputError(
            f"{raw.source} line {first.line}, column {first.column}: {first.rule}",
            got=f"{first.got!r}{more}",
            remedy=first.remedy,
        )
    values = {name: checked_column(name, cells) for name, cells in raw.columns.items()}
    said = tuple(filter(None, (_misspelt(name) for name in columns or {})))
    written = {
        name: np.array(cells, dtype=np.str_)
        for name, cells in raw.columns.items()
        if values[name].dtype.kind == "f" and describe(name) is None
    }
    return _without_duplicates(Table(raw.source, values, raw.lines, said, written))


def _misspelt(name: str) -> str:
    """Return a sentence where a given name is nearly a name of the schema; else nothing."""
    known = [column.name.rstrip("_*") for column in SCHEMA]
    near = difflib.get_close_matches(name, known, n=1, cutoff=_NEARLY)
    if describe(name) or not near:
        return ""
    return f"No analysis looks for a column {name}: the schema has {near[0]}."


def check_table(path: Path, *, columns: Mapping[str, str] | None = None) -> list[CellProblem]:
    """Return every cell that breaks the schema, in the order of lines; a valid table has none.

    Raises:
        InputError: The file cannot be read at all.
    """
    return problems_of(_renamed(read_raw(path), columns or {}))


def header_of(
    path: Path, *, columns: Mapping[str, str] | None = None
) -> tuple[list[str], list[str]]:
    """Return the columns of a file that the schema knows, and those that are merely carried along.

    Raises:
        InputError: The file cannot be read.
    """
    names = list(_renamed(read_raw(path), columns or {}).columns)
    known = [name for name in names if describe(name)]
    return known, [name for name in names if not describe(name)]


# Headers of trackers and of tables that people keep, in lower case and with _ for all other signs.
_LIKELY = {
    "run": ("name", "run_name", "run_id"),
    "step": ("step", "steps", "global_step", "iteration"),
    "loss": ("val_loss", "eval_loss", "valid_loss", "validation_loss", "dev_loss", "train_loss"),
    "num_parameters": ("params", "n_params", "num_params", "parameters", "n_parameters"),
    "tokens_seen": ("tokens", "n_tokens", "num_tokens", "train_tokens", "total_tokens"),
    "wall_time_s": ("runtime", "relative_time_process"),
}


def likely_columns(names: Sequence[str]) -> dict[str, str]:
    """Return columns of the schema that a table lacks, each with the header that probably holds it."""
    plain = {re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_"): name for name in reversed(names)}
    found: dict[str, str] = {}
    for column, headers in _LIKELY.items():
        match = next((plain[header] for header in headers if header in plain), None)
        if column not in names and match is not None and not describe(match):
            found[column] = match
    return found


def _renamed(raw: RawTable, columns: Mapping[str, str]) -> RawTable:
    for name, header in columns.items():
        if header not in raw.columns:
            raise InputError(
                f"{raw.source} must have the column mapped to {name}",
                got=header,
                remedy=f"Its columns are: {', '.join(raw.columns)}.",
            )
    taken = set(columns.values())
    kept = {n: c for n, c in raw.columns.items() if n not in taken and n not in columns}
    mapped = {name: raw.columns[header] for name, header in columns.items()}
    return RawTable(raw.source, {**mapped, **kept}, raw.lines)


def _without_duplicates(table: Table) -> Table:
    """Return the table without rows that repeat an earlier row in every cell."""
    seen: set[tuple[Any, ...]] = set()
    every = {**table.columns, **table.written}
    keep = np.ones(len(table), dtype=bool)
    for row, cells in enumerate(zip(*(v.tolist() for v in every.values()), strict=True)):
        key = tuple(None if cell != cell else cell for cell in cells)  # noqa: PLR0124  (NaN)
        keep[row] = key not in seen
        seen.add(key)
    if keep.all():
        return table
    lines = table.lines[~keep]
    shown = ", ".join(map(str, lines[:_SHOWN_LINES].tolist()))
    warning = (
        f"Rows left out for repeating an earlier one in every cell: {lines.size}, at line {shown}"
        f"{', …' if lines.size > _SHOWN_LINES else ''}."
    )
    unique = table.select(keep)
    return replace(unique, warnings=(*unique.warnings, warning))


def write_table(table: Table, path: Path) -> None:
    """Write the table as CSV or Parquet, by the file's ending, whole or not at all.

    Raises:
        InputError: The ending is neither `.csv` nor `.parquet`.
    """
    import pyarrow as pa
    import pyarrow.csv as pa_csv
    import pyarrow.parquet as pq

    columns = {name: pa.array(v.tolist(), from_pandas=True) for name, v in table.columns.items()}
    content = pa.table(columns)
    if path.suffix not in (".csv", ".parquet"):
        raise InputError("the table's file must end in .csv or .parquet", got=path.name)
    with atomic_path(path) as temporary:
        if path.suffix == ".csv":
            pa_csv.write_csv(content, temporary)
        else:
            pq.write_table(content, temporary)
