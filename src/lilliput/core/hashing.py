"""Identities: the same settings or the same bytes give the same short name everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import xxhash

_CHUNK_BYTES = 1 << 20
ID_LENGTH = 16


def canonical_json(value: Any) -> str:
    """Return `value` as JSON with sorted keys and no spaces: equal values, equal text."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def content_id(value: Any) -> str:
    """Return a 16-digit hexadecimal name for plain data (numbers, strings, lists, dictionaries)."""
    return xxhash.xxh3_128_hexdigest(canonical_json(value).encode("utf-8"))[:ID_LENGTH]


def file_hash(path: Path) -> str:
    """Return the XXH3-128 of a file's bytes, 32 hexadecimal digits; detects damage, not forgery."""
    state = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()


def lines_hash(lines: Iterable[str]) -> str:
    """Return the XXH3-128 of lines joined by line feeds, 32 hexadecimal digits."""
    state = xxhash.xxh3_128()
    for line in lines:
        state.update(line.encode("utf-8"))
        state.update(b"\n")
    return state.hexdigest()
