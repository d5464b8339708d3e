"""Examples of a task, read from tables with Hugging Face's column names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pa_json
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lilliput.core.errors import InputError
from lilliput.evaluation.tasks.definition import TaskDefinition

Table = Any
"""A `pyarrow.Table`; pyarrow publishes no types."""
HIDDEN_LABEL = -1.0
"""What GLUE's test splits hold in place of a label."""

_READERS = {".parquet": pq.read_table, ".jsonl": pa_json.read_json}


@dataclass(frozen=True)
class Examples:
    """Texts and labels of one split.

    Attributes:
        texts: One sequence of strings a field, all of the same length n.
        labels: Class numbers or values, float64, shape (n,); `HIDDEN_LABEL` where unknown.
        ids: Stable number of each example (the column `idx`, else the row), int64, shape (n,).
    """

    texts: tuple[tuple[str, ...], ...]
    labels: NDArray[np.float64]
    ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def none(cls, fields: int) -> Examples:
        """No examples of a task with so many texts."""
        return cls(((),) * fields, np.zeros(0), np.zeros(0, dtype=np.int64))

    @property
    def has_labels(self) -> bool:
        """Whether there are examples and every label is known."""
        return len(self) > 0 and not bool(np.any(self.labels == HIDDEN_LABEL))

    def take(self, rows: NDArray[np.intp]) -> Examples:
        """The examples at `rows`, in that order."""
        texts = tuple(tuple(column[i] for i in rows) for column in self.texts)
        return Examples(texts, self.labels[rows], self.ids[rows])


def find_table(folder: Path, split: str) -> Path | None:
    """The file of a split (Parquet or JSON Lines) in `folder`; None when there is none."""
    candidates = (folder / f"{split}{suffix}" for suffix in _READERS)
    return next((path for path in candidates if path.is_file()), None)


def read_table(path: Path) -> Table:
    """A table from Parquet or JSON Lines.

    Raises:
        InputError: The file cannot be read as what its name says.
    """
    if path.suffix not in _READERS:
        raise InputError("a table must be .parquet or .jsonl", got=path)
    try:
        return _READERS[path.suffix](path)
    except pa.ArrowInvalid as error:
        raise InputError(f"{path} must be a readable table", got=error) from None


def read_examples(task: TaskDefinition, folder: Path, split: str) -> Examples:
    """The examples of one split of `task` from `folder/<split>.parquet` or `.jsonl`.

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
    """The examples in `table`; `name` says in an error where it came from.

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
    labels = table[task.label].to_numpy().astype(np.float64)
    _check_labels(task, labels, name)
    has_ids = "idx" in table.column_names
    ids = table["idx"].to_numpy() if has_ids else np.arange(table.num_rows)
    texts = tuple(tuple(map(_text, table[field].to_pylist())) for field in task.fields)
    return Examples(texts, labels, ids.astype(np.int64))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _check_labels(task: TaskDefinition, labels: NDArray[np.float64], name: str) -> None:
    known = labels[labels != HIDDEN_LABEL]
    if task.is_regression:
        low, high = task.label_range or (-np.inf, np.inf)
        wrong = known[~((known >= low) & (known <= high))]
        allowed = f"numbers from {low:g} to {high:g}"
    else:
        wrong = known[~np.isin(known, np.arange(len(task.labels)))]
        allowed = f"whole numbers from 0 to {len(task.labels) - 1} ({', '.join(task.labels)})"
    if wrong.size:
        raise InputError(
            f"labels of {task.name} in {name} must be {allowed}, or -1 when hidden",
            got=f"{wrong[0]:g}",
        )
