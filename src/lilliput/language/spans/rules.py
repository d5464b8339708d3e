"""A profile and a vocabulary compiled into the arrays that the scanner reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lilliput.language.words.profiles import APOSTROPHES, CPP_DELIMITERS, WordProfile
from lilliput.language.words.splitting import (
    LAST_LETTER,
    LINK,
    NUMBER,
    is_modern_letter,
    lower_character,
)

# Classes of characters; a character is of exactly one.
OTHER, LETTER, DIGIT, APOSTROPHE, SPACE = range(5)

_NUMERALS = {"looked_up": 0, "number": 1, "pass": 2}
_MASK = (1 << 64) - 1
_MIX = 0x9E3779B97F4A7C15
_LONG_LOW, _LONG_HIGH = 0x100000001B3, 0xC2B2AE3D27D4EB4F
_SLOTS_PER_WORD = 2

ByteArray = NDArray[np.uint8]


@dataclass(frozen=True)
class Rules:
    """What the scanner needs to know, as arrays and small integers.

    Attributes:
        classes: Class of each code point up to the last letter of Unicode; uint8.
        lower: Lower-case code point of each; int32.
        plain_end: For each byte, whether it ends a word of ASCII letters, whatever follows; uint8.
        beyond: Class of the code points above.
        switches: [numerals, replaces_links, min_word_length, single_space]; int64.
        table: Open-addressed keys of the vocabulary, shape (slots, 2); uint64, (0, 0) is empty.
        number_known: Whether `number` is in the vocabulary.
        link_known: Whether `hlink` is.
        admits_all: No vocabulary: every word is known.
    """

    classes: ByteArray
    lower: NDArray[np.int32]
    plain_end: ByteArray
    beyond: int
    switches: NDArray[np.int64]
    table: NDArray[np.uint64]
    number_known: bool
    link_known: bool
    admits_all: bool


def compile_rules(profile: WordProfile, words: frozenset[str] | None) -> Rules:
    """The arrays for `profile` and the looked-up forms `words` (None: every word is known)."""
    ranked = sorted(words or ())
    if profile.replaces_links:
        ranked = [word for word in ranked if "http" not in word]  # A link begins inside them.
    classes, lower = _character_tables(profile.letters)
    switches = [
        _NUMERALS[profile.numerals],
        profile.replaces_links,
        profile.min_word_length,
        profile.pieces == "single_space",
    ]
    return Rules(
        classes=classes,
        lower=lower,
        plain_end=_plain_end(classes),
        beyond=LETTER if profile.letters == "not_delimiter" else OTHER,
        switches=np.array(switches, dtype=np.int64),
        table=_word_table(ranked),
        number_known=NUMBER in (words or ()),
        link_known=LINK in (words or ()),
        admits_all=words is None,
    )


def _plain_end(classes: ByteArray) -> ByteArray:
    ends = np.zeros(256, np.uint8)
    ends[:128] = (classes[:128] == OTHER) | (classes[:128] == SPACE)
    return ends


@cache
def _character_tables(letters: str) -> tuple[ByteArray, NDArray[np.int32]]:
    characters = list(map(chr, range(LAST_LETTER + 1)))
    classify = _CLASSIFIERS[letters]
    classes = np.fromiter(map(classify, characters), np.uint8, len(characters))
    lowered = _ascii_lower if letters == "not_delimiter" else lower_character
    lower = np.fromiter((ord(lowered(c)) for c in characters), np.int32, len(characters))
    classes.flags.writeable = lower.flags.writeable = False
    return classes, lower


def _ascii_lower(character: str) -> str:
    return character.lower() if character.isascii() else character


def _classify_paper(character: str) -> int:
    if character.isdecimal():
        return DIGIT
    if character.isalnum() or character == "_":
        return LETTER
    return SPACE if character.isspace() else OTHER


def _classify_cpp(character: str) -> int:
    if character.isspace():
        return SPACE
    if character in CPP_DELIMITERS:
        return OTHER
    return DIGIT if "0" <= character <= "9" else LETTER


def _classify_modern(character: str) -> int:
    if character in APOSTROPHES:
        return APOSTROPHE
    if is_modern_letter(character):
        return LETTER
    return SPACE if character.isspace() else OTHER


_CLASSIFIERS = {
    "python_word": _classify_paper,
    "not_delimiter": _classify_cpp,
    "alphanumeric_and_marks": _classify_modern,
}


def word_key(word: str) -> tuple[int, int]:
    """128 bits that stand for a word: its own bytes up to 16 of them, a hash beyond."""
    low = high = 0
    for position, byte in enumerate(word.encode("utf-8")):
        if position < 8:
            low |= byte << (8 * position)
        elif position < 16:
            high |= byte << (8 * (position - 8))
        else:
            low = ((low ^ byte) * _LONG_LOW) & _MASK
            high = ((high ^ byte) * _LONG_HIGH) & _MASK
    return low, high


def first_slot(low: int, high: int, mask: int) -> int:
    """Where the search for a key begins in a table of `mask + 1` slots."""
    mixed = ((low ^ (high * _LONG_HIGH)) * _MIX) & _MASK
    return (mixed >> 32) & mask


def _word_table(words: list[str]) -> NDArray[np.uint64]:
    slots = 1 << max(4, (_SLOTS_PER_WORD * len(words)).bit_length())
    table = np.zeros((slots, 2), dtype=np.uint64)
    for word in words:
        key = word_key(word)
        slot = first_slot(*key, slots - 1)
        while table[slot].any():
            slot = (slot + 1) & (slots - 1)
        table[slot] = key
    return table
