# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Input files: found from paths, folders and globs, recognised by their names, opened as streams."""

from __future__ import annotations

import glob
import gzip
import io
from collections.abc import Generator, Iterable, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pyarrow as pa

from lilliput.core.errors import InputError
from lilliput.core.files import is_hidden
from lilliput.language.reading.documents import Source, as_source

_FORMATS = {
    ".txt": "text", ".text": "text", ".train": "text", ".dev": "text", ".test": "text", ".md": "text",
    ".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl",
    ".csv": "csv", ".tsv": "csv",
    ".parquet": "parquet", ".feather": "feather", ".arrow": "feather", ".cha": "transcript",
}  # fmt: skip
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True)
class InputFile:
    """One file to read.

    Attributes:
        path: Local path or URL.
        name: Path relative to what the user named; part of document ids.
        size: Bytes on disk.
        format: "text", "jsonl", "csv", "parquet", "feather" or "transcript".
        compression: "gzip", "zstd" or none.
        source: What the user said about it.
    """

    path: str
    name: str
    size: int
    format: str
    compression: str
    source: Source

    @property
    def label(self) -> str:
        """Return the source of its documents unless its table has a column that says so."""
        return self.source.name or Path(self.name).name.split(".")[0]

    @contextmanager
    def open(self) -> Generator[IO[bytes]]:
        """Give the decompressed bytes as a stream, which is closed with all beneath it."""
        with ExitStack() as stack:
            stream = stack.enter_context(_open_raw(self.path))
            if self.compression == "gzip":
                stream = stack.enter_context(cast("IO[bytes]", gzip.GzipFile(fileobj=stream)))
            elif self.compression == "zstd":
                plain = pa.CompressedInputStream(stream, "zstd")
                stream = stack.enter_context(cast("IO[bytes]", io.BufferedReader(plain)))
            yield stream


def is_remote(path: str) -> bool:
    """Return whether `path` is a URL and not a local file."""
    return "://" in path


def _open_raw(path: str) -> IO[bytes]:
    if not is_remote(path):
        return Path(path).open("rb")
    from lilliput.language.reading.remote import open_remote

    return open_remote(path)


def find_files(
    sources: Iterable[str | Path | Source],
    *,
    hub: bool = False,
    leave_out: Sequence[Path] = (),
) -> list[InputFile]:
    """Return all files that the sources name, in order of their paths.

    Args:
        sources: Paths, globs, folders, URLs, or `hub:NAME`.
        hub: Whether the network may be used.
        leave_out: Files and folders that a source may hold and that are no input: what this very command writes.

    Raises:
        InputError: A source names no readable file.
    """
    own = {path.absolute() for path in leave_out}
    files = [file for given in sources for file in _files_of(as_source(given), hub, own)]
    if not files:
        raise InputError("at least one source must be given", got="none")
    return files


def _files_of(source: Source, hub: bool, leave_out: Set[Path]) -> list[InputFile]:
    is_local = not (is_remote(source.path) or source.path.startswith("hub:"))
    if not is_local:
        from lilliput.language.reading.remote import find_remote

        found = find_remote(source.path, hub=hub)
    else:
        found = [
            one for one in _find_local(source.path)
            if leave_out.isdisjoint((Path(one[0]).absolute(), *Path(one[0]).absolute().parents))
        ]  # fmt: skip
    files = [_describe(path, name, size, source) for path, name, size in found]
    known = [file for file in files if file is not None]
    if not found and is_local and not Path(source.path).expanduser().exists():
        raise InputError(
            "a source must be a file, a folder or a pattern that matches files",
            got=f"{source.path}, which is not there",
            remedy="Check the path; quote it if it holds spaces.",
        )
    if not known:
        raise InputError(
            f"{source.path} must name at least one file of a known kind",
            got=", ".join(name for _, name, _ in found[:5]) or "no file",
            remedy=f"Known endings: {', '.join(_FORMATS)}, each also with .gz or .zst.",
        )
    return known


def _find_local(pattern: str) -> list[tuple[str, str, int]]:
    path = Path(pattern).expanduser()
    if path.is_dir():
        paths: Sequence[Path] = sorted(
            p for p in path.rglob("*") if p.is_file() and not is_hidden(p.relative_to(path))
        )
        return [(str(p), p.relative_to(path).as_posix(), p.stat().st_size) for p in paths]
    if path.is_file():
        return [(str(path), path.name, path.stat().st_size)]
    paths = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207  Also absolute globs.
    return [
        (str(p), p.name, p.stat().st_size) for p in paths if p.is_file() and not is_hidden(p.name)
    ]


def _describe(path: str, name: str, size: int, source: Source) -> InputFile | None:
    suffixes = [suffix.lower() for suffix in Path(name).suffixes]
    compression = _COMPRESSIONS.get(suffixes[-1], "") if suffixes else ""
    kind = suffixes[-2:-1] if compression else suffixes[-1:]
    if not kind or kind[0] not in _FORMATS:
        return None
    return InputFile(path, name, size, _FORMATS[kind[0]], compression, source)
