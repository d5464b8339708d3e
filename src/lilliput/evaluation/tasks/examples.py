"""Examples of a task, read from tables with Hugging Face's column names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lilliput.core.errors import InputError
from lilliput.core.files import numbered_records
from lilliput.evaluation.tasks.definition import TaskDefinition

Table = Any
"""A `pyarrow.Table`; pyarrow publishes no types."""
HIDDEN = float("nan")
"""The label of an example whose label is not published."""

_HIDDEN_NUMBER = -1.0  # What Hugging Face's tables hold in place of a hidden label.
_HIDDEN_NAMES = ("", "-")  # SNLI and MNLI write a dash where the annotators did not agree.
_SUFFIXES = (".parquet", ".jsonl")


@dataclass(frozen=True)
class Examples:
    """Texts and labels of one split.

    Attributes:
        texts: One sequence of strings a field, all of the same length n.
        labels: Class numbers or values, float64, shape (n,); not a number where the label is hidden.
        ids: Stable number of each example, int64, shape (n,): the column `idx` where it holds whole
            numbers, each once, else the row.
    """

    texts: tuple[tuple[str, ...], ...]
    labels: NDArray[np.float64]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def none(cls, fields: int) -> Examples:
        """Return no examples of a task with so many texts."""
        return cls(((),) * fields, np.zeros(0), np.zeros(0, dtype=np.int64))

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Return which examples have a label, shape (n,)."""
        return ~np.isnan(self.labels)

    @property
    def hidden(self) -> int:
        """Return how many labels are hidden."""
        return int(np.isnan(self.labels).sum())

    def take(self, rows: NDArray[np.intp]) -> Examples:
        """Return the examples at `rows`, in that order."""
        texts = tuple(tuple(column[i] for i in rows) for column in self.texts)
        return Examples(texts, self.labels[rows], self.ids[rows])


def find_table(folder: Path, split: str) -> Path | None:
    """Return the file of a split (Parquet or JSON Lines) in `folder`; None when there is none."""
    candidates = (folder / f"{split}{suffix}" for suffix in _SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def read_table(path: Path) -> Table:
    """Return a table from Parquet or JSON Lines.

    Raises:
        InputError: The file cannot be read as what its name says.
    """
    if path.suffix not in _SUFFIXES:
        raise InputError("a table must be .parquet or .jsonl", got=path)
    try:
        if path.suffix == ".parquet":
            return pq.read_table(path)
        # Not pyarrow's reader: it takes strings that look like a date for dates, and stops at a byte order mark.
        records = [record for _, record in numbered_records(path)]
        names = dict.fromkeys(name for record in records for name in record)
        return pa.table({name: [record.get(name) for record in records] for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(f"{path} must be a readable table", got=error) from None


def read_examples(task: TaskDefinition, folder: Path, split: str) -> Examples:
    """Return the examples of one split of `task` from `folder/<split>.parquet` or `.jsonl`.

    Raises:
        InputError: The file is missing, lacks a column, is empty, or holds a label out of range.
    """
    path = find_table(folder, split)
    if path is None:
        raise InputError(
            f"the split {split!r} of {task.name} must be a .parquet or .jsonl file",
            got=folder / f"{split}.parquet",
            remedy="Check the data folder: it holds one sub-folder a task.",
        )
    return examples_of(task, read_table(path), str(path))


def examples_of(task: TaskDefinition, table: Table, name: str) -> Examples:
    """Return the examples in `table`; `name` says in an error where it came from.

    Raises:
        InputError: A column is missing, the table is empty, or a label is out of range.
    """
    missing = [column for column in (*task.fields, task.label) if column not in table.column_names]
    if missing:
        raise InputError(
            f"{name} must have the columns {', '.join((*task.fields, task.label))}",
            got=f"{', '.join(table.column_names)} (no {missing[0]})",
        )
    if table.num_rows == 0:
        raise InputError(
            f"{name} must hold at least one example",
            got="0 rows",
            remedy="If a vocabulary filter made it, use a larger vocabulary or leave the task out.",
        )
    labels = _labels(task, table[task.label].to_pylist(), name)
    texts = tuple(tuple(map(_text, table[field].to_pylist())) for field in task.fields)
    return Examples(texts, labels, _ids(table))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _ids(table: Table) -> NDArray[np.int64]:
    """Return the column `idx`, or the rows where it does not number them."""
    rows = np.arange(table.num_rows, dtype=np.int64)
    if "idx" not in table.column_names:
        return rows
    values = table["idx"].to_pylist()
    are_numbers = all(isinstance(value, int) and abs(value) < 1 << 63 for value in values)
    return np.array(values, np.int64) if are_numbers and len(set(values)) == len(values) else rows


def _labels(task: TaskDefinition, values: Sequence[object], name: str) -> NDArray[np.float64]:
    read = _value if task.is_regression else _class
    labels = np.array([read(task, value) for value in values], np.float64)
    # What cannot be read is infinite here: no number of a class, and outside every range.
    if task.is_regression:
        low, high = task.label_range or (-np.finfo(np.float64).max, np.finfo(np.float64).max)
        fits = (labels >= low) & (labels <= high)
        allowed = "numbers" if task.label_range is None else f"numbers from {low:g} to {high:g}"
    else:
        fits = np.isin(labels, np.arange(len(task.labels)))
        names = ", ".join(task.labels)
        allowed = f"whole numbers from 0 to {len(task.labels) - 1} or their names ({names})"
    wrong = np.flatnonzero(~fits & ~np.isnan(labels))
    if wrong.size:
        raise InputError(
            f"labels of {task.name} in {name} must be {allowed}, or -1 when hidden",
            got=f"{values[int(wrong[0])]!r} in row {int(wrong[0]) + 1}",
        )
    return labels


def _value(task: TaskDefinition, value: object) -> float:
    """Return a label on a scale; -1 is one like others where the scale reaches that far."""
    number = _number(value)
    low, high = task.label_range or (-np.inf, np.inf)
    is_on_scale = low <= _HIDDEN_NUMBER <= high
    return HIDDEN if number == _HIDDEN_NUMBER and not is_on_scale else number


def _class(task: TaskDefinition, value: object) -> float:
    """Return the number of a class, given by its number or its name."""
    names = [_folded(label) for label in task.labels]
    if isinstance(value, str) and _folded(value) in names:
        return float(names.index(_folded(value)))
    if isinstance(value, str) and value.strip() in _HIDDEN_NAMES:
        return HIDDEN
    number = _number(value)
    return HIDDEN if number == _HIDDEN_NUMBER else number


def _folded(name: str) -> str:
    return name.strip().casefold().replace("-", "_").replace(" ", "_")


def _number(value: object) -> float:
    """Return the number that a cell holds; `HIDDEN` for an empty cell, infinity for what is no number."""
    if value is None:
        return HIDDEN
    try:
        number = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError, OverflowError):
        return np.inf
    return np.inf if np.isnan(number) else number
