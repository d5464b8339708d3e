"""Texts to token ids, fast: each distinct word is tokenized once.

Where no token can cross a space, the ids of a text are those of its words, one after another. Words
repeat, so a look-up replaces nearly all of the work. The short cut is taken only for tokenizers that are
known to be so built, and only for texts whose words are separated by single spaces; all others go
through the tokenizer whole. Both ways give the same ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lilliput.tokenization.symbols import describe

_IRREGULAR_SPACE = re.compile(r"[^\S ]|  |^ | $")
_MOST_WORDS = 1_000_000  # Remembered at once, about 300 MB.
_SAFE_TYPES = {
    "BertPreTokenizer": {},
    "ByteLevel": {"add_prefix_space": False, "use_regex": True},
    "Metaspace": {"replacement": "▁", "prepend_scheme": "always", "split": True},
    "Punctuation": {},
    "WhitespaceSplit": {},
}

IdArray = NDArray[np.int64]


def is_word_local(backend: Tokenizer) -> bool:
    """Whether the ids of a text are surely those of its space-separated words, one after another."""
    record = describe(backend)
    pre_tokenizer = record["pre_tokenizer"]
    if record["normalizer"] is not None or pre_tokenizer is None:
        return False
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    cuts_at_spaces = parts[0]["type"] != "Punctuation"
    added = [t for t in record["added_tokens"] if not t["special"]]
    return cuts_at_spaces and not added and all(_is_safe(part) for part in parts)


def _is_safe(part: dict[str, Any]) -> bool:
    wanted = _SAFE_TYPES.get(part["type"])
    return wanted is not None and all(part.get(key) == value for key, value in wanted.items())


class TextEncoder:
    """Encodes batches of texts without special tokens, remembering words.

    Args:
        backend: A tokenizer that takes the names of special tokens as text.
    """

    def __init__(self, backend: Tokenizer) -> None:
        self._backend = backend
        self._is_word_local = is_word_local(backend)
        self._forget()

    def _forget(self) -> None:
        self._number: dict[str, int] = {}
        self._ids = np.zeros(0, np.int64)
        self._starts = np.zeros(1, np.int64)

    def encode(self, texts: Sequence[str]) -> tuple[IdArray, IdArray]:
        """The ids of all texts in one array, and the number of ids of each text, shape (texts,)."""
        if not self._is_word_local:
            return self._encode_whole(texts)
        regular = [not _IRREGULAR_SPACE.search(text) for text in texts]
        if all(regular):
            return self._encode_by_word(texts)
        return self._encode_mixed(texts, regular)

    def _encode_whole(self, texts: Sequence[str]) -> tuple[IdArray, IdArray]:
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        lists = [encoding.ids for encoding in encodings]
        sizes = np.fromiter(map(len, lists), np.int64, len(lists))
        ids = np.fromiter((i for ids in lists for i in ids), np.int64, int(sizes.sum()))
        return ids, sizes

    def _encode_mixed(
        self, texts: Sequence[str], regular: Sequence[bool]
    ) -> tuple[IdArray, IdArray]:
        chosen = np.array(regular)
        sizes = np.zeros(len(texts), np.int64)
        parts: list[tuple[IdArray, IdArray]] = []
        for mask, encode in ((chosen, self._encode_by_word), (~chosen, self._encode_whole)):
            places = np.flatnonzero(mask)
            ids, lengths = encode([texts[i] for i in places.tolist()])
            sizes[places] = lengths
            parts.append((places, ids))
        starts = np.cumsum(sizes) - sizes
        out = np.empty(int(sizes.sum()), np.int64)
        for places, ids in parts:
            out[_ranges(starts[places], sizes[places])] = ids
        return out, sizes

    def _encode_by_word(self, texts: Sequence[str]) -> tuple[IdArray, IdArray]:
        words: list[str] = []
        counts = np.empty(len(texts), np.int64)
        for place, text in enumerate(texts):
            before = len(words)
            if text:
                first, *rest = text.split(" ")
                words.append(first)
                words.extend([" " + word for word in rest])
            counts[place] = len(words) - before
        numbers = self._numbers_of(words)
        lengths = self._starts[numbers + 1] - self._starts[numbers]
        ids = self._ids[_ranges(self._starts[numbers], lengths)]
        ends = np.concatenate([[0], np.cumsum(lengths)])
        text_ends = np.concatenate([[0], np.cumsum(counts)])
        return ids, np.diff(ends[text_ends])

    def _numbers_of(self, words: list[str]) -> IdArray:
        """The number of each word, learning those not met before."""
        if len(self._number) > _MOST_WORDS:
            self._forget()
        get = self._number.get
        try:
            return np.fromiter(map(self._number.__getitem__, words), np.int64, len(words))
        except KeyError:
            self._learn([word for word in dict.fromkeys(words) if get(word) is None])
        return np.fromiter(map(self._number.__getitem__, words), np.int64, len(words))

    def _learn(self, words: list[str]) -> None:
        ids, sizes = self._encode_whole(words)
        self._number.update(
            zip(words, range(len(self._number), len(self._number) + len(words)), strict=True)
        )
        self._starts = np.concatenate([self._starts, self._starts[-1] + np.cumsum(sizes)])
        self._ids = np.concatenate([self._ids, ids])


def _ranges(starts: IdArray, lengths: IdArray) -> IdArray:
    """The numbers start, start + 1, … of each range, one range after another."""
    ends = np.cumsum(lengths)
    shift = np.repeat(starts - (ends - lengths), lengths)
    return shift + np.arange(len(shift))
