"""The token store: tokens and document offsets in plain NumPy files, memory-mapped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.core.artefacts import Manifest, damaged, read_manifest
from lilliput.core.errors import ArtefactError, InputError
from lilliput.core.reader import read_array
from lilliput.tokenization.folder import load_tokenizer
from lilliput.tokenization.special import SPECIAL_IDS, SpecialIds

KIND, SCHEMA = "tokens", 1
SPLITS = ("train", "validation", "test")
_LARGEST_UINT16 = 65_535


def token_dtype(vocab_size: int) -> np.dtype[Any]:
    """Return uint16 where every id fits, and uint32 above 65,535 ids."""
    return np.dtype(np.uint16 if vocab_size <= _LARGEST_UINT16 else np.uint32)


def tokens_file(split: str) -> str:
    """Return the name of the file with a split's tokens."""
    return f"{split}.tokens.npy"


def offsets_file(split: str) -> str:
    """Return the name of the file with a split's document offsets."""
    return f"{split}.offsets.npy"


def span_ids_file(split: str) -> str:
    """Return the name of the file with the ids of a split's spans."""
    return f"{split}.span_ids.npy"


@dataclass(frozen=True)
class TokenStore:
    """Hold an encoded corpus.

    Attributes:
        folder: Where it lies.
        manifest: What it was made of.
        token_bytes: Bytes of text that each id stands for, int32 of shape (vocab_size,); 0 if special.
        word_start: Whether each id begins a word, bool of shape (vocab_size,).
        special: Ids of the special tokens; none of them occurs in the store.
    """

    folder: Path
    manifest: Manifest
    token_bytes: NDArray[np.int32]
    word_start: NDArray[np.bool_]
    special: SpecialIds = SPECIAL_IDS

    @property
    def vocab_size(self) -> int:
        """Return the number of rows that a model's vocabulary needs: the tokenizer's ids and any unused ones."""
        return int(self.manifest.facts["vocab_size"])

    @property
    def tokenizer_content(self) -> str:
        """Return the content hash of the tokenizer that wrote it."""
        return self.manifest.inputs["tokenizer"]

    def split(self, name: str) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return the tokens, uint16 or uint32 of shape (tokens,), and offsets, int64 of shape (documents + 1,).

        Document i is `tokens[offsets[i]:offsets[i + 1]]`. Both are memory-mapped, read-only.

        Raises:
            InputError: There is no such split.
            ArtefactError: A file is missing, cut short or does not fit the other.
        """
        if name not in SPLITS:
            raise InputError(f"the split must be one of {', '.join(SPLITS)}", got=repr(name))
        tokens = _checked_array(self.folder, self.manifest, tokens_file(name))
        offsets = _checked_array(self.folder, self.manifest, offsets_file(name))
        if len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(tokens):
            last = int(offsets[-1]) if len(offsets) else None
            raise damaged(
                self.folder / offsets_file(name),
                f"{len(tokens)} tokens but offsets that end at {last}",
            )
        if len(offsets) > 1 and bool((np.diff(offsets) < 0).any()):
            raise damaged(self.folder / offsets_file(name), "offsets that go backwards")
        return tokens, offsets

    def span_ids(self, name: str) -> NDArray[np.uint64]:
        """Return the span id of each document of a split, uint64 of shape (documents,); scores are found by it.

        Raises:
            InputError: The corpus of the store has no span ids.
            ArtefactError: The file is damaged.
        """
        _, offsets = self.split(name)
        if span_ids_file(name) not in self.manifest.files:
            raise InputError(
                "scores are found by span, so that the token store must have the ids of its spans",
                got=f"{self.folder} without them",
                remedy="Encode a corpus of lilliput corpus build again, into another folder.",
            )
        ids = _checked_array(self.folder, self.manifest, span_ids_file(name))
        if len(ids) != len(offsets) - 1:
            raise damaged(
                self.folder / span_ids_file(name),
                f"{len(ids)} span ids for {len(offsets) - 1} documents",
            )
        return ids


def open_store(folder: Path, tokenizer: Path | None = None) -> TokenStore:
    """Return the token store in `folder`.

    Args:
        folder: Where it lies.
        tokenizer: When given, the store must have been written by this very tokenizer.

    Raises:
        InputError: No finished store is there.
        ArtefactError: A file is damaged, or another tokenizer wrote it.
    """
    manifest = read_manifest(folder, KIND, SCHEMA)
    if tokenizer is not None:
        _require_writer(folder, manifest, tokenizer)
    sizes = _checked_array(folder, manifest, "token_bytes.npy")
    starts = _checked_array(folder, manifest, "word_start.npy")
    return TokenStore(folder, manifest, sizes, starts)


def _require_writer(folder: Path, manifest: Manifest, tokenizer: Path) -> None:
    content = load_tokenizer(tokenizer).content
    if manifest.inputs["tokenizer"] != content:
        raise ArtefactError(
            f"{folder} must have been written by the tokenizer {tokenizer.name} ({content})",
            got=f"one written by {manifest.inputs['tokenizer']}",
            remedy="Encode the corpus again with this tokenizer, into another folder.",
        )


def _checked_array(folder: Path, manifest: Manifest, name: str) -> NDArray[Any]:
    """Return a memory-mapped array, if every byte of its file is as it was written.

    Hours of training may rest on it, so that the hash is compared whatever the size: about a second a
    gigabyte, once in a process.
    """
    if name not in manifest.files:
        raise damaged(folder / name, "a file that its manifest does not list")
    array = read_array(folder / name, every_byte=True)
    if array.ndim != 1:
        raise damaged(folder / name, f"an array of {array.ndim} dimensions, not of one")
    return array
