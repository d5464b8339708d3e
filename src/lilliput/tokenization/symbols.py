"""The meaning of each id: how many bytes of text it stands for, and whether it begins a word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lilliput.tokenization.folder import LoadedTokenizer

SPACE_MARK = "▁"
_BYTE_SPACE = "Ġ"
# Code points that byte-level tokenizers write for the bytes of tab, line feed, return and space.
_BYTE_WHITESPACE = ("ĉ", "Ċ", "č", _BYTE_SPACE)
_BYTE_TOKEN_LENGTH = len("<0x0A>")


def describe(backend: Tokenizer) -> dict[str, Any]:
    """Return the tokenizer's own description, without its vocabulary."""
    record: dict[str, Any] = json.loads(backend.to_str())
    for key in ("vocab", "merges"):
        record["model"].pop(key, None)
    return record


def parts_named(part: Any, name: str) -> Iterator[dict[str, Any]]:
    """Yield every component of this type in a description, however deep."""
    if isinstance(part, dict):
        if part.get("type") == name:
            yield part
        for value in part.values():
            yield from parts_named(value, name)
    elif isinstance(part, list):
        for value in part:
            yield from parts_named(value, name)


def marking(backend: Tokenizer) -> str:
    """Return how tokens show where words begin: "bytes", "spaces", or the mark of pieces inside a word."""
    record = describe(backend)
    if any(parts_named([record["pre_tokenizer"], record["decoder"]], "ByteLevel")):
        return "bytes"
    if any(parts_named([record["pre_tokenizer"], record["decoder"]], "Metaspace")):
        return "spaces"
    return str(record["model"].get("continuing_subword_prefix") or "")


def token_bytes(tokenizer: LoadedTokenizer, vocab_size: int) -> NDArray[np.int32]:
    """Return the number of bytes of text that each id stands for, int32 of shape (vocab_size,); 0 for special ids.

    Tokenizers that drop spaces (those with `##`) are credited with the space before each word, so that
    their sums come close to the text's bytes.
    """
    scheme = marking(tokenizer.backend)
    sizes = np.zeros(vocab_size, np.int32)
    for token, position in tokenizer.backend.get_vocab(with_added_tokens=True).items():
        if position not in tokenizer.special_ids:
            sizes[position] = _bytes_of(token, scheme)
    return sizes


def _bytes_of(token: str, scheme: str) -> int:
    if scheme == "bytes":
        return len(token)  # One code point a byte.
    if token.startswith("<0x") and len(token) == _BYTE_TOKEN_LENGTH:
        return 1
    if scheme == "spaces":
        return len(token.replace(SPACE_MARK, " ").encode())
    if scheme and token.startswith(scheme):
        return len(token.removeprefix(scheme).encode())
    return len(token.encode()) + token[:1].isalnum()


def word_start(tokenizer: LoadedTokenizer, vocab_size: int) -> NDArray[np.bool_]:
    """Return whether each id begins a word, bool of shape (vocab_size,).

    A word here is what stands between spaces; for tokenizers with `##`, punctuation is one too. The
    first word of a document has no space before it and is known by its place.
    """
    scheme = marking(tokenizer.backend)
    starts = np.zeros(vocab_size, np.bool_)
    for token, position in tokenizer.backend.get_vocab(with_added_tokens=True).items():
        starts[position] = position not in tokenizer.special_ids and _begins_word(token, scheme)
    return starts


def _begins_word(token: str, scheme: str) -> bool:
    if scheme == "bytes":
        return token.startswith(_BYTE_WHITESPACE)
    if scheme == "spaces":
        return token.startswith(SPACE_MARK)
    return not (scheme and token.startswith(scheme))
