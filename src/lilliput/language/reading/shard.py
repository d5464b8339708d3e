"""A shard: the part of an input file that is read, filtered and resumed as one."""

from __future__ import annotations

from dataclasses import dataclass

from lilliput.language.reading.columns import Columns
from lilliput.language.reading.files import InputFile

WHOLE = -1


@dataclass(frozen=True)
class Shard:
    """A part of an input file: a byte range of lines, a range of row groups, or all of it.

    Attributes:
        index: Rank among all shards; the name of its output.
        file: The file.
        first: First byte or row group.
        last: Byte or row group after the last; WHOLE for the end of the file.
        max_document_bytes: Longer documents are reported as damaged.
        columns: The columns of a table to read, the same for all shards of a source; None for plain text.
    """

    index: int
    file: InputFile
    first: int
    last: int
    max_document_bytes: int
    columns: Columns | None = None
