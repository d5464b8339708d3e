# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""The input of a build: files, or documents handed over in memory and put into files first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import pyarrow as pa
import xxhash
from pyarrow import parquet

from lilliput.core.errors import InputError
from lilliput.core.files import atomic_path
from lilliput.core.progress import Reporter
from lilliput.language.corpus.settings import CorpusSettings
from lilliput.language.reading.documents import (
    BATCH_SCHEMA,
    Damage,
    Document,
    Source,
    batches_of,
)
from lilliput.language.reading.files import InputFile, find_files
from lilliput.language.reading.packages import with_packages
from lilliput.language.reading.shard import Shard
from lilliput.language.reading.shards import identify, plan_shards

_DOCUMENTS_A_SHARD = 20_000


class CorpusInput(Protocol):
    """Something that documents can be read from, with an identity."""

    @property
    def identity(self) -> str:
        """Return a name for the content."""
        ...

    def shards(self, folder: Path, damage: Damage, reporter: Reporter) -> list[Shard]:
        """Return the units of work; `folder` may be used for files, unreadable files go to `damage`."""
        ...


@dataclass(frozen=True)
class FileInput:
    """Take files on disk or elsewhere as input."""

    files: tuple[InputFile, ...]
    settings: CorpusSettings

    @property
    def identity(self) -> str:
        """Return a name for the content."""
        return identify(self.files)

    def shards(self, folder: Path, damage: Damage, reporter: Reporter) -> list[Shard]:
        """Return byte ranges and row groups of the files."""
        del folder
        settings = self.settings
        return plan_shards(
            self.files,
            settings.max_document_bytes,
            damage,
            settings.shard_bytes,
            reporter,
        )


@dataclass(frozen=True)
class MemoryInput:
    """Take documents in memory as input."""

    documents: tuple[Document, ...]
    settings: CorpusSettings

    @property
    def identity(self) -> str:
        """Return a name for the content."""
        state = xxhash.xxh3_128()
        for document in self.documents:
            parts = (document.source, document.doc_id, document.split_group or "", document.text)
            state.update("\x1f".join(parts).encode() + b"\x1e")
        return state.hexdigest()

    def shards(self, folder: Path, damage: Damage, reporter: Reporter) -> list[Shard]:
        """Write the documents as Parquet files into `folder`, one a shard, and return the shards."""
        del reporter
        paths: list[Path] = []
        for first in range(0, len(self.documents), _DOCUMENTS_A_SHARD):
            path = folder / f"{len(paths):05d}.parquet"
            paths.append(path)
            part = self.documents[first : first + _DOCUMENTS_A_SHARD]
            with atomic_path(path) as temporary:
                table = pa.Table.from_batches(batches_of(part), BATCH_SCHEMA)
                parquet.write_table(table, temporary, compression="zstd")
        files = find_files([Source(path=str(path)) for path in paths])
        return plan_shards(files, self.settings.max_document_bytes, damage)


def resolve_input(
    given: Iterable[Document] | Sequence[str | Path | Source],
    settings: CorpusSettings,
    *,
    hub: bool = False,
    leave_out: Sequence[Path] = (),
) -> CorpusInput:
    """Return the input for what a user may give; what lies in `leave_out` is none.

    Raises:
        InputError: Nothing was given, or documents are mixed with paths.
    """
    if isinstance(given, str | Path | Source):
        given = [given]
    items = list(with_packages(given))
    are_documents = [isinstance(item, Document) for item in items]
    if not items or any(are_documents) != all(are_documents):
        raise InputError(
            "the input must be documents or sources, at least one and not both",
            got=f"{sum(are_documents)} documents and {len(items) - sum(are_documents)} sources",
        )
    if are_documents[0]:
        return MemoryInput(tuple(cast("list[Document]", items)), settings)
    sources = cast("list[str | Path | Source]", items)
    return FileInput(tuple(find_files(sources, hub=hub, leave_out=leave_out)), settings)
