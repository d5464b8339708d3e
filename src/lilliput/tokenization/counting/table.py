"""A growing table of distinct words, as bytes; each has a number, in the order in which they were met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lilliput.tokenization.counting import scan
from lilliput.tokenization.counting.scan import ByteArray, IntArray, NumberArray

Texts = Any  # A pyarrow array of strings; pyarrow publishes no types.

_FIRST_SLOTS = 1 << 16
_FILL = 2  # Slots for each word at least: chains stay short.


@dataclass(frozen=True)
class NumberedWords:
    """Hold the words of texts as numbers in a table.

    Attributes:
        numbers: Of all words, one text after another, int32 of shape (words,).
        counts: Words of each text, shape (texts,).
    """

    numbers: NumberArray
    counts: IntArray


class WordTable:
    """Hold the distinct words of everything numbered so far."""

    def __init__(self) -> None:
        self.size = 0
        self._slots: NumberArray = np.zeros(_FIRST_SLOTS, np.int32)
        self._keys: NDArray[np.uint64] = np.zeros(0, np.uint64)
        self._held: ByteArray = np.zeros(0, np.uint8)
        self._ends: IntArray = np.zeros(1, np.int64)

    @property
    def nbytes(self) -> int:
        """Return the number of bytes of the words held."""
        return int(self._ends[self.size])

    def number_pieces(self, texts: Texts) -> NumberedWords:
        """Number the pieces of texts, cut before spaces that stand alone; new ones are added."""
        return self._number(scan.number_pieces, texts)

    def number_words(self, texts: Texts) -> NumberedWords:
        """Number the words of texts, cut at white space as by `str.split`; new ones are added."""
        return self._number(scan.number_words, texts)

    def words(self, first: int = 0) -> list[str]:
        """Return the words numbered `first` and above, in the order of their numbers."""
        ends = self._ends[first : self.size + 1]
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(self._held)]
        return pa.Array.from_buffers(pa.large_string(), len(ends) - 1, buffers).to_pylist()

    def keep(self, kept: IntArray) -> None:
        """Leave only the words with these numbers, given in rising order; they are numbered anew."""
        scan.keep_words(self._held, self._ends, self._keys, kept)
        self.size = len(kept)
        self._slots[:] = 0
        scan.fill_slots(self._slots, self._keys, self.size)

    def _number(self, scanner: Any, texts: Texts) -> NumberedWords:
        offsets, data = text_buffers(texts)
        most = _most_words(data[offsets[0] : offsets[-1]], len(texts))
        self._make_room(most, int(offsets[-1] - offsets[0]))
        numbers, counts = np.empty(most, np.int32), np.empty(len(texts), np.int64)
        written, self.size = scanner(
            data, offsets, self._slots, self._keys, self._held, self._ends, self.size, numbers, counts
        )  # fmt: skip
        return NumberedWords(numbers[:written], counts)

    def _make_room(self, words: int, nbytes: int) -> None:
        """Grow so that this many more words fit, each of them new."""
        self._held = _grown(self._held, self.nbytes + nbytes)
        self._keys = _grown(self._keys, self.size + words)
        self._ends = _grown(self._ends, self.size + words + 1)
        needed = _FILL * (self.size + words)
        if needed > len(self._slots):
            self._slots = np.zeros(1 << (needed - 1).bit_length(), np.int32)
            scan.fill_slots(self._slots, self._keys, self.size)


def text_buffers(texts: Texts) -> tuple[IntArray, ByteArray]:
    """Return the offsets, int64 of shape (texts + 1,), and the UTF-8 bytes into which they point; absent is empty."""
    plain = texts.fill_null("").cast(pa.large_string())
    _, offsets, data = plain.buffers()
    if len(plain) == 0 or data is None:
        places, nbytes = np.zeros(len(plain) + 1, np.int64), np.zeros(0, np.uint8)
    else:
        places = np.frombuffer(offsets, np.int64)[plain.offset : plain.offset + len(plain) + 1]
        nbytes = np.frombuffer(data, np.uint8)
    for array in (places, nbytes):  # Some are, some are not; alike, the scanner is compiled once.
        array.flags.writeable = False
    return places, nbytes


def _most_words(data: ByteArray, texts: int) -> int:
    """Return a number of words that the texts cannot exceed: one each, and one after each byte that may be white."""
    ascii_white = np.count_nonzero(data <= 0x20)
    other_white = np.count_nonzero((data >= 0xC2) & (data <= 0xE3))
    return texts + int(ascii_white) + int(other_white)


def _grown(array: Any, needed: int) -> Any:
    """Return the array, or one of at least twice its length with the same beginning."""
    if needed <= len(array):
        return array
    larger = np.zeros(max(needed, 2 * len(array)), array.dtype)
    larger[: len(array)] = array
    return larger
