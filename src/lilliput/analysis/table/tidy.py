"""Read, check, convert and write the tidy table."""

from __future__ import annotations

import difflib
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
from lilliput.analysis.table.foreign import Understood, raised_cells, understand
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


def read_table(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    as_kept: bool = False,
    drop_originals: bool = False,
) -> Table:
    """Return the checked table in a CSV, TSV, JSON Lines or Parquet file.

    Args:
        path: `.csv`, `.tsv`, `.jsonl` or `.parquet`.
        columns: Schema name to the header that holds it in this file ("log10:HEADER" where it holds logarithms).
        as_kept: Whether to understand the table as people keep it (see `understand`): other headers, sizes as
            text, logarithms, perplexity. Otherwise the names and numbers must be those of the schema.
        drop_originals: Whether headers that were found to hold a column of the schema are left out under their own name.

    Raises:
        InputError: The file cannot be read, or a cell breaks the schema; the message names the line.
    """
    understood = _understood(path, columns or {}, as_kept=as_kept)
    raw = understood.without_originals() if drop_originals else understood.raw
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
    said = (*understood.said, *filter(None, (_misspelt(name) for name in columns or {})))
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


def check_table(
    path: Path, *, columns: Mapping[str, str] | None = None, as_kept: bool = False
) -> list[CellProblem]:
    """Return every cell that breaks the schema, in the order of lines; a valid table has none.

    Raises:
        InputError: The file cannot be read at all.
    """
    return problems_of(_understood(path, columns or {}, as_kept=as_kept).raw)


def found_columns(path: Path, *, columns: Mapping[str, str] | None = None) -> Understood:
    """Return the table of a file as it is understood, with the columns that were found and how they were read.

    Raises:
        InputError: The file cannot be read.
    """
    return _understood(path, columns or {}, as_kept=True)


def _understood(path: Path, columns: Mapping[str, str], *, as_kept: bool) -> Understood:
    raw = _renamed(read_raw(path), columns)
    return understand(raw, columns) if as_kept else Understood(raw, {}, ())


def _renamed(raw: RawTable, columns: Mapping[str, str]) -> RawTable:
    mapped: dict[str, Sequence[str]] = {}
    taken: set[str] = set()
    for name, header in columns.items():
        source = header if header in raw.columns else header.partition(":")[2]
        if source not in raw.columns:
            raise InputError(
                f"{raw.source} must have the column mapped to {name}",
                got=header,
                remedy=f"Its columns are: {', '.join(raw.columns)}.",
            )
        raised = None if source == header else raised_cells(name, header, raw.columns[source])
        if source != header and raised is None:
            raise InputError(
                f"{name} may be mapped to HEADER, log10:HEADER, ln:HEADER or log2:HEADER",
                got=header,
            )
        mapped[name] = raw.columns[source] if raised is None else raised
        taken.add(source)
    kept = {n: c for n, c in raw.columns.items() if n not in taken and n not in columns}
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
