"""Files that are whole or not there: every write goes to a temporary name and is renamed."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from lilliput.core.errors import ArtefactError, DiskFullError, InputError, SystemRefusalError

_TEMPORARY_MARK = ".partial-"


@contextmanager
def atomic_path(path: Path) -> Generator[Path]:
    """Give a temporary path beside `path`, which is moved onto it when the block ends well and removed otherwise.

    Raises:
        DiskFullError: The disk is full, or the place may not be written.
    """
    temporary = temporary_beside(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _flush_to_disk(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def temporary_beside(path: Path) -> Path:
    """Return a fresh name in the same folder for what is to become `path`, or for what it was."""
    return path.with_name(f"{path.name}{_TEMPORARY_MARK}{os.getpid()}-{secrets.token_hex(4)}")


def is_temporary(path: Path) -> bool:
    """Return whether a write or a removal that was cut short left `path`, whose content nobody needs."""
    return _TEMPORARY_MARK in path.name


def names_below(*folders: Path) -> frozenset[Path]:
    """Return all whole files below the folders, where others may be at work meanwhile."""
    return frozenset(
        Path(parent, name)
        for folder in folders
        for parent, _, names in os.walk(folder)  # It passes over what vanishes meanwhile.
        for name in names
        if _TEMPORARY_MARK not in str(Path(parent, name).relative_to(folder))
    )


@contextmanager
def writing(path: Path) -> Generator[None]:
    """Turn the system's refusals to write into one sentence about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        raise DiskFullError(
            f"{path} must be writable: {_REFUSALS[error.errno]}",
            got=error.strerror,
            remedy="Free some space or choose another folder, then run the same command again: it goes on where it stopped.",
        ) from error


_REFUSALS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EACCES: "permission was denied",
    errno.EPERM: "permission was denied",
    errno.EROFS: "the file system is read-only",
}


# What the system answers where the fault lies in the machine, the folder or a name, and not in this program.
_SYSTEM_FAULTS = {
    *_REFUSALS,
    errno.EIO,
    errno.ENAMETOOLONG,
    errno.ELOOP,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ESTALE,
    errno.ENOLCK,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENXIO,
    errno.ENODEV,
    errno.EFBIG,
    errno.ENOMEM,
    errno.EAGAIN,
    errno.ETXTBSY,
}


def refused_by_system(error: OSError) -> SystemRefusalError | None:
    """Return one sentence about what the system refused; None where the fault may be our own."""
    if error.errno not in _SYSTEM_FAULTS:
        return None
    path = "" if error.filename is None else f" for {error.filename}"
    return SystemRefusalError(
        f"the system must allow what the command needs{path}",
        got=error.strerror,
        remedy="Check the path, its permissions and the disk, then run the same command again.",
    )


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically; not-a-number is refused, since JSON has no word for it."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the parsed content of a JSON file.

    Raises:
        InputError: The file is not there.
        ArtefactError: It is not JSON, is nested too deep, or holds something that JSON has no word for.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError("the file must exist", got=path, remedy="Check the path.") from None
    except IsADirectoryError:
        raise InputError("the file must be a file", got=f"the folder {path}") from None
    except ValueError as error:
        raise ArtefactError(
            f"{path} must hold JSON", got=error, remedy="Delete it and run the command again."
        ) from None


def parse_json(text: str, *, allow_nan: bool = False) -> Any:
    """Return the value that JSON text stands for.

    Python's own reader ends in a RecursionError where lists are nested a few thousand deep, accepts NaN, and
    makes half characters of escapes for lone surrogates, which no file can be written with afterwards.

    Args:
        text: The JSON.
        allow_nan: Accept NaN and Infinity, as other people's files spell missing numbers.

    Raises:
        ValueError: The text is not JSON, in one sentence.
    """
    try:
        value = json.loads(text, parse_constant=None if allow_nan else _refuse_constant)
        # Only an escape can spell half a character, and two of them a whole one.
        if _HALF_A_CHARACTER.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    except UnicodeEncodeError:
        raise ValueError("it spells half a character (a lone surrogate)") from None
    return value


_HALF_A_CHARACTER = re.compile(r"\\u[dD][89a-fA-F]")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"it holds {name}, which is no number of JSON")


def write_json_lines(path: Path, records: Iterable[Any]) -> None:
    """Write one JSON value a line, atomically."""
    write_text(
        path, "".join(json.dumps(r, ensure_ascii=False, allow_nan=False) + "\n" for r in records)
    )


def read_json_lines(path: Path) -> list[Any]:
    """Return all whole lines of a JSON Lines file; a last line cut short by a crash is left out."""
    if not path.exists():
        return []
    values: list[Any] = []
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        for line in lines[:-1]:
            if line:
                values.append(parse_json(line))
    except ValueError as error:
        raise ArtefactError(
            f"{path} must hold JSON Lines", got=f"{error} (line {len(values) + 1})"
        ) from None
    return values


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line of a UTF-8 text that is not blank, with its number in the file, from 1.

    A byte order mark is no part of the text, and only a line feed ends a line: U+2028 and its like may
    stand inside one.

    Raises:
        InputError: The file is not UTF-8.
    """
    try:
        with require_file(path).open(encoding="utf-8-sig", newline="\n") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be UTF-8 text", got=error) from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r")


def numbered_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each object of a JSON Lines file with the number of its line in the file, from 1.

    Raises:
        InputError: A line is not a JSON object; the message names it.
    """
    for number, line in numbered_lines(path):
        try:
            record = parse_json(line, allow_nan=True)
        except ValueError as error:
            raise InputError(f"line {number} of {path} must be a JSON object", got=error) from None
        if not isinstance(record, dict):
            raise InputError(f"line {number} of {path} must be a JSON object", got=line[:80])
        yield number, cast("dict[str, Any]", record)


def remove_partial(folder: Path) -> None:
    """Delete temporary files and folders that a killed process of this machine left in `folder`."""
    for path in list(folder.rglob(f"*{_TEMPORARY_MARK}*")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def remove_folder(folder: Path) -> None:
    """Delete `folder`, if it is there, in one step: a kill leaves it whole, or remains that say so by their name."""
    remains = temporary_beside(folder)
    try:
        folder.replace(remains)
    except FileNotFoundError:
        return
    shutil.rmtree(remains, ignore_errors=True)


def is_hidden(relative: str | Path) -> bool:
    """Return whether a path below a folder leads to a file that its user does not see as one of the folder's.

    Hidden files and folders (`.git/config`, `.DS_Store`, `._story.txt`), what macOS packs beside the
    files of an archive (`__MACOSX`), and the lock files of office programs (`~$story.txt`) are such.
    """
    parts = str(relative).replace("\\", "/").split("/")
    return any(
        (part.startswith(".") and part not in {".", ".."})
        or part.startswith("~$")
        or part == "__MACOSX"
        for part in parts
    )


def path_within(folder: Path, relative: str) -> Path:
    """Return `folder / relative`, if that stays inside `folder`.

    Raises:
        ArtefactError: The path is absolute or climbs out.
    """
    path = (folder / relative).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ArtefactError(f"paths must stay inside {folder}", got=relative)
    return path


def require_file(path: Path, what: str = "the file") -> Path:
    """Return `path`, if a file is there.

    Raises:
        InputError: No such file, or it is a folder.
    """
    if path.is_dir():
        raise InputError(f"{what} must be a file", got=f"the folder {path}")
    if not path.exists():
        raise InputError(f"{what} must exist", got=path, remedy="Check the path.")
    return path
