"""Read a corpus's texts a few megabytes at a time, whatever the size of its shards and documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lilliput.core.artefacts import is_artefact, whole_files
from lilliput.core.errors import InputError
from lilliput.tokenization.counting.table import Texts

_BATCH_BYTES = 4_000_000
_BATCH_ROWS = 8192


def find_corpus(folder: Path) -> Path:
    """Return `folder`, or the constrained corpus in it when it holds a pair of corpora."""
    pair = folder / "constrained"
    return pair if not is_artefact(folder) and is_artefact(pair) else folder


def shard_paths(corpus: Path) -> list[Path]:
    """Return the shards of a corpus, in order.

    Raises:
        InputError: There are none.
    """
    paths = whole_files(corpus, "shards/*.parquet")
    if not paths:
        raise InputError(
            "a corpus must hold shards/*.parquet",
            got=corpus,
            remedy="Make one with: lilliput corpus build",
        )
    return paths


def batches_of_shard(
    shard: Path, row_groups: Sequence[int] | None = None, more_columns: Sequence[str] = ()
) -> Iterator[Any]:
    """Yield record batches with the columns `text` and `split`, each of about four megabytes of text at most.

    Args:
        shard: A Parquet file.
        row_groups: Those to read; all when None.
        more_columns: Columns to read beside these two.
    """
    with pq.ParquetFile(shard) as file:
        groups = list(range(file.num_row_groups) if row_groups is None else row_groups)
        yield from file.iter_batches(
            _rows_at_once(file), row_groups=groups, columns=["text", "split", *more_columns]
        )


def row_group_ranges(shard: Path, most_bytes: int) -> list[tuple[int, int]]:
    """Return ranges (first, end) of row groups that together cover a shard, of about `most_bytes` of text each."""
    metadata = pq.read_metadata(shard)
    ranges: list[tuple[int, int]] = []
    first, held = 0, 0
    for group in range(metadata.num_row_groups):
        size = text_bytes(metadata, group)
        if group > first and held + size > most_bytes:
            ranges.append((first, group))
            first, held = group, 0
        held += size
    return [*ranges, (first, metadata.num_row_groups)]


def rows_of(batch: Any, split: str) -> Any:
    """Return the rows of one split in a record batch."""
    return batch.filter(pc.call_function("equal", [batch.column("split"), pa.scalar(split)]))


def column_of(batch: Any, split: str) -> Texts:
    """Return the texts of one split in a record batch."""
    return rows_of(batch, split).column("text")


def columns_of(corpus: Path, split: str) -> Iterator[Texts]:
    """Yield the texts of one split of a corpus, in order."""
    for shard in shard_paths(corpus):
        for batch in batches_of_shard(shard):
            yield column_of(batch, split)


def texts_of(corpus: Path, split: str) -> Iterator[list[str]]:
    """Yield the texts of one split of a corpus, in order, as lists of strings."""
    for column in columns_of(corpus, split):
        yield column.fill_null("").to_pylist()


def _rows_at_once(file: pq.ParquetFile) -> int:
    """Return the number of rows whose texts have about `_BATCH_BYTES`, by what the file says of its row groups."""
    sizes = [text_bytes(file.metadata, group) for group in range(file.num_row_groups)]
    mean = sum(sizes) / max(1, file.metadata.num_rows)
    return int(min(_BATCH_ROWS, max(1.0, _BATCH_BYTES / max(1.0, mean))))


def text_bytes(metadata: Any, group: int) -> int:
    """Return the number of uncompressed bytes of the column `text` in one row group."""
    columns = [metadata.row_group(group).column(i) for i in range(metadata.num_columns)]
    return sum(c.total_uncompressed_size for c in columns if c.path_in_schema == "text")
