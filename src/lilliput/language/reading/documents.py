# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Documents, the sources they come from, and a count of damaged ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field

from lilliput.core.errors import InputError
from lilliput.core.settings import Settings
from lilliput.language.reading.speakers import TranscriptCounts

OnError = Literal["stop", "skip"]
TextUnit = Literal["auto", "file", "section", "line"]

BATCH_SCHEMA = pa.schema(
    [
        ("text", pa.large_string()),
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("split_group", pa.string()),
    ]
)
BATCH_BYTES = 8 << 20
BATCH_DOCUMENTS = 8192


@dataclass(frozen=True)
class Document:
    """Hold one text with its provenance.

    Attributes:
        text: The whole text.
        doc_id: Unique within its source.
        source: The collection it belongs to.
        split_group: Documents of one group share a split (parallel editions of one chapter);
            the document alone when None.
    """

    text: str
    doc_id: str
    source: str
    split_group: str | None = None


class Source(Settings):
    """Name a source of documents: a file, a folder, a glob, an fsspec URL or `hub:NAME`."""

    path: str = Field(description="File, folder, glob, URL, or hub:NAME with --hub.")
    name: str | None = Field(
        default=None,
        description="Source of its documents; the table's own column or the file's name if absent.",
    )
    text_column: str | None = Field(
        default=None, description="Column of the text; found if absent."
    )
    id_column: str | None = Field(
        default=None, description="Column of the document id; found if absent."
    )
    split_group_column: str | None = Field(
        default=None, description="Column whose equal values share a split."
    )
    text_unit: TextUnit = Field(
        default="auto",
        description="Plain text: one document a file, a line, a section (4 KiB of whole lines), or (auto) a file up to 1 MiB and a MiB of lines beyond.",
    )


def as_source(given: str | Path | Source) -> Source:
    """Return a source from a path, or itself."""
    return given if isinstance(given, Source) else Source(path=str(given))


@dataclass
class Damage:
    """Counts what could not be read, or stops at the first of it; and what transcripts held.

    Args:
        on_error: "stop" raises; "skip" counts and goes on.
    """

    on_error: OnError = "stop"
    counts: Counter[str] = field(default_factory=Counter[str])
    examples: list[str] = field(default_factory=list[str])
    transcripts: TranscriptCounts = field(default_factory=TranscriptCounts)

    def report(self, reason: str, where: str, got: object) -> None:
        """Note one damaged document or file.

        Raises:
            InputError: The policy is to stop.
        """
        if self.on_error == "stop":
            raise InputError(
                f"{where} must be readable: {reason.replace('_', ' ')}",
                got=got,
                remedy="Repair it, or pass --on-error skip to count it and go on.",
            )
        self.counts[reason] += 1
        if len(self.examples) < 20:
            self.examples.append(f"{where}: {reason}")

    def as_record(self) -> dict[str, Any]:
        """Return plain data for the shard's record."""
        record: dict[str, Any] = {
            "counts": dict(sorted(self.counts.items())),
            "examples": self.examples,
        }
        if self.transcripts.files:
            record["transcripts"] = self.transcripts.as_record()
        return record


class BatchMaker:
    """Collects documents into record batches of bounded size."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str, str, str | None]] = []
        self._bytes = 0

    def add(self, document: Document) -> pa.RecordBatch | None:
        """Take one document in; a full batch comes back."""
        self._rows.append((document.text, document.doc_id, document.source, document.split_group))
        self._bytes += len(document.text)
        full = self._bytes >= BATCH_BYTES or len(self._rows) >= BATCH_DOCUMENTS
        return self.flush() if full else None

    def flush(self) -> pa.RecordBatch | None:
        """Return what has been collected; None when that is nothing."""
        if not self._rows:
            return None
        columns = [
            pa.array(values, kind)
            for values, kind in zip(zip(*self._rows, strict=True), BATCH_SCHEMA.types, strict=True)
        ]
        self._rows, self._bytes = [], 0
        return pa.RecordBatch.from_arrays(columns, schema=BATCH_SCHEMA)


def batches_of(documents: Iterable[Document]) -> Iterable[pa.RecordBatch]:
    """Yield documents as record batches of bounded size."""
    maker = BatchMaker()
    for document in documents:
        if batch := maker.add(document):
            yield batch
    if batch := maker.flush():
        yield batch
