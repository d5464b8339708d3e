# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Select the passing spans that are written: duplicates fall, then quotas and targets choose by hash.

The lowest (shard, row) of equal texts wins, so the result depends neither on the order of the work
nor on the number of workers. Only hashes are read, one prefix of them at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet

from lilliput.language.corpus.filtering import selection_keys

# 32 bytes each, a few times over while they are sorted.
_HASHES_AT_ONCE = 1 << 19

BoolArray = NDArray[np.bool_]


@dataclass
class Selection:
    """For each shard, which of its passing spans are written.

    Attributes:
        masks: One array of shape (passing spans,) a shard.
        duplicates: Spans equal to an earlier one.
        near_duplicates: Spans nearly equal to an earlier one.
        over_quota: Spans beyond their source's quota or target.
    """

    masks: list[BoolArray]
    duplicates: int = 0
    near_duplicates: int = 0
    over_quota: int = 0

    @property
    def all_duplicates(self) -> int:
        """Return the exact and the near ones together."""
        return self.duplicates + self.near_duplicates


def drop_exact_duplicates(tables: Sequence[Path]) -> Selection:
    """Return a selection of all passing spans but those whose text came before."""
    rows = [parquet.read_metadata(path).num_rows for path in tables]
    selection = Selection([np.ones(count, np.bool_) for count in rows])
    partitions = max(1, -(-sum(rows) // _HASHES_AT_ONCE))
    for partition in range(partitions):
        selection.duplicates += _drop_in_partition(tables, selection, partition, partitions)
    return selection


def _drop_in_partition(
    tables: Sequence[Path], selection: Selection, partition: int, partitions: int
) -> int:
    parts: list[NDArray[np.uint64]] = [np.empty((4, 0), np.uint64)]  # All that remains of no shard.
    for shard, path in enumerate(tables):
        columns = parquet.read_table(path, columns=["hash_high", "hash_low"])
        high, low = (columns.column(i).to_numpy() for i in (0, 1))
        rows = np.flatnonzero(high % np.uint64(partitions) == partition)
        shards = np.full(rows.size, shard, np.uint64)
        parts.append(np.stack([high[rows], low[rows], shards, rows.astype(np.uint64)]))
    high, low, shards, rows = np.concatenate(parts, axis=1)
    order = np.lexsort((rows, shards, low, high))
    equal = (np.diff(high[order]) == 0) & (np.diff(low[order]) == 0)
    repeated = order[1:][equal]
    for index in repeated:
        selection.masks[int(shards[index])][int(rows[index])] = False
    return int(repeated.size)


def limit_words(
    tables: Sequence[Path],
    selection: Selection,
    limits: Mapping[tuple[str, ...], int],
    columns: Sequence[str],
    seed: int,
) -> None:
    """Keep at most so many words of each group, spans with the lowest keys first.

    Args:
        tables: The passing spans, a file a shard.
        selection: Changed in place.
        limits: Group (values of `columns`) to words; other groups are not limited.
        columns: What makes a group: `source`, or `source` and `split`.
        seed: Of the choice.
    """
    members: dict[tuple[str, ...], list[NDArray[np.uint64]]] = {group: [] for group in limits}
    for shard, path in enumerate(tables):
        table = parquet.read_table(path, columns=[*columns, "words", "hash_low"])
        values = [table.column(name).to_numpy() for name in columns]
        keys = selection_keys(table.column("hash_low").to_numpy(), seed)
        words = table.column("words").to_numpy().astype(np.uint64)
        for group, parts in members.items():
            hit = selection.masks[shard].copy()
            for column, value in zip(values, group, strict=True):
                hit &= column == value
            rows = np.flatnonzero(hit)
            shards = np.full(rows.size, shard, np.uint64)
            parts.append(np.stack([keys[rows], words[rows], shards, rows.astype(np.uint64)]))
    for group, parts in members.items():
        if parts:
            _keep_lowest(np.concatenate(parts, axis=1), limits[group], selection)


def _keep_lowest(entries: NDArray[np.uint64], limit: int, selection: Selection) -> None:
    keys, words, shards, rows = entries
    order = np.lexsort((rows, shards, keys))
    before = np.cumsum(words[order]) - words[order]
    for index in order[before >= limit]:
        selection.masks[int(shards[index])][int(rows[index])] = False
        selection.over_quota += 1
