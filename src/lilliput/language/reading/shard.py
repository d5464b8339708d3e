"""A shard: the part of an input file that is read as one; small ones are filtered and resumed together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lilliput.language.reading.columns import Columns
from lilliput.language.reading.files import InputFile

WHOLE = -1
# A task costs about 0.1 s whatever it reads: 300 files of 2 kB took 27 s, a task each.
_GROUP_BYTES = 4 << 20


@dataclass(frozen=True)
class Shard:
    """Name a part of an input file: a byte range of lines, a range of row groups, or all of it.

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

    @property
    def size(self) -> int:
        """Return the bytes of the file that it may read."""
        is_range = self.file.format in ("text", "jsonl") and self.last != WHOLE
        return self.last - self.first if is_range else self.file.size


def grouped(shards: Iterable[Shard], most_bytes: int) -> Iterator[tuple[Shard, ...]]:
    """Yield the shards in order, so many at a time that they make up to 4 MiB or `most_bytes`; a large one stands alone."""
    limit = min(_GROUP_BYTES, most_bytes)
    held: list[Shard] = []
    size = 0
    for shard in shards:
        if held and size + shard.size > limit:
            yield tuple(held)
            held, size = [], 0
        held.append(shard)
        size += shard.size
    if held:
        yield tuple(held)
