"""One reader for what artefacts hold: size and hash first, then the shape, and only then use.

Each function raises `ArtefactError` in one sentence that names the file, what is wrong with it, and the
command that makes it again. Nothing here is for files that users bring: those are read where they enter.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    FiniteFloat,
    NonNegativeInt,
    TypeAdapter,
    ValidationError,
)

from lilliput.core.artefacts import damaged, whole
from lilliput.core.errors import ArtefactError, InputError
from lilliput.core.files import read_json, read_json_lines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


CachedT = TypeVar("CachedT")
_MUST_BE_THERE = object()


def read_record(path: Path, shape: Any = dict[str, Any], *, absent: Any = _MUST_BE_THERE) -> Any:
    """Return what a JSON file of an artefact holds.

    Args:
        path: The file.
        shape: The type that its content must have, for pydantic: `dict[str, float]`, a model, …
        absent: What stands for a file that is not there and that no manifest lists.

    Raises:
        InputError: The file is not there, and no manifest lists it.
        ArtefactError: It is gone, changed or cut short, is no JSON, or has another shape.
    """
    whole(path)
    if absent is not _MUST_BE_THERE and not path.exists():
        return absent
    try:
        value = read_json(path)
    except ArtefactError as error:
        raise damaged(path, error.got) from None
    _require_shape(path, value, shape)
    return value


def read_records(path: Path, shape: Any = dict[str, Any]) -> list[Any]:
    """Return the lines of a JSON Lines file, each of the given shape; none where the file is not there.

    A last line without an end, as a crash leaves it, is left out.
    """
    whole(path)
    try:
        values = read_json_lines(path)
    except ArtefactError as error:
        raise damaged(path, error.got) from None
    _require_shape(path, values, list[shape])
    return values


def _require_shape(path: Path, value: Any, shape: Any) -> None:
    try:
        _adapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "its content"
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise damaged(path, f"{key}: {message}") from None


@functools.cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


class _Shape(BaseModel):
    """Keys that must be there, of these types; others may stand beside them."""

    model_config = ConfigDict(extra="ignore", strict=True)


class RunFile(_Shape):
    """`run.json`: a run's configuration, and what it is called."""

    config: _RunConfigShape
    info: dict[str, Any] = {}


class _RunConfigShape(_Shape):
    model: dict[str, Any]
    training: dict[str, Any]
    seed: int


class MetricsLine(_Shape):
    """Describe a line of `metrics.jsonl`: one evaluation."""

    step: NonNegativeInt
    tokens_seen: NonNegativeInt
    loss: FiniteFloat


class ScoreEntry(_Shape):
    """Describe an entry of `scores.json`: a task from one kind of weights, trained or untrained."""

    task: str
    weights: Literal["trained", "untrained"]
    value: FiniteFloat | None


class CheckpointState(_Shape):
    """Describe `state.json` of a checkpoint."""

    step: NonNegativeInt
    hashes: dict[str, str]
    state: dict[str, Any]


@contextmanager
def damage_of(path: Path, *kinds: type[Exception]) -> Generator[None]:
    """Turn what a library raises while it reads `path` into the sentence that the file is damaged."""
    try:
        yield
    except kinds as error:
        raise damaged(path, _first_line(error)) from None


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def read_table(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Return a Parquet file of an artefact as an Arrow table, or some of its columns.

    Raises:
        ArtefactError: It is gone, changed or cut short, is no Parquet, or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    _require(path)
    with damage_of(path, pa.ArrowException, OSError, KeyError):
        table = pq.read_table(whole(path), columns=None if columns is None else list(columns))
    lost = [name for name in columns or () if name not in table.column_names]
    if lost:
        raise damaged(path, f"no column {lost[0]!r}")
    return table


def read_array(path: Path, *, every_byte: bool = False) -> NDArray[np.generic]:
    """Return a NumPy file of an artefact, memory-mapped and read-only."""
    import numpy as np

    _require(path)
    with damage_of(path, ValueError, EOFError, OSError):
        return np.load(whole(path, every_byte=every_byte), mmap_mode="r", allow_pickle=False)


def _require(path: Path) -> None:
    if not path.is_file():
        whole(path)
        raise InputError("the file must exist", got=path, remedy="Check the path.")


def read_cached(path: Path, kind: type[CachedT]) -> CachedT | None:
    """Return a measurement that this machine keeps as a JSON file; None where there is none, or a damaged one.

    What is kept there can be measured again, so that damage costs a moment and no message.
    """
    try:
        return _adapter(kind).validate_python(read_json(path))
    except (ArtefactError, InputError, ValidationError):
        return None
