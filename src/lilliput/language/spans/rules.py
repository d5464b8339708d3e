"""A profile and a vocabulary compiled into the arrays that the scanner reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lilliput.language.spans.kernels import codes
from lilliput.language.spans.kernels.codes import APOSTROPHE, DIGIT, LETTER, OTHER, SPACE
from lilliput.language.words.profiles import APOSTROPHES, CPP_DELIMITERS, WordProfile
from lilliput.language.words.splitting import (
    LAST_LETTER,
    LINK,
    NUMBER,
    is_modern_letter,
    lower_character,
)

_NUMERALS = {"looked_up": codes.LOOKED_UP, "number": codes.NUMBER, "pass": codes.PASSES}

ByteArray = NDArray[np.uint8]


@dataclass(frozen=True)
class ScannerRules:
    """The arrays from which the scanner reads a profile and a vocabulary.

    Attributes:
        classes: Class of each code point up to the last letter of Unicode; uint8.
        lower: Lower-case code point of each; int32.
        switches: Small integers, at the positions that `kernels.codes` names; int64.
        table: Open-addressed keys of the vocabulary, shape (slots, 2); uint64, (0, 0) is empty.
        admits_all: No vocabulary: every word is known.
    """

    classes: ByteArray
    lower: NDArray[np.int32]
    switches: NDArray[np.int64]
    table: NDArray[np.uint64]
    admits_all: bool


def compile_rules(profile: WordProfile, words: Sequence[str] | None) -> ScannerRules:
    """Return the arrays for `profile` and the looked-up forms `words`, the most frequent first.

    None for `words`: every word is known.
    """
    from lilliput.language.spans.kernels.keys import key_table

    forms = list(words or ())
    classes, lower = _character_tables(profile.letters)
    switches = np.zeros(codes.SWITCHES, np.int64)
    switches[codes.NUMERALS] = _NUMERALS[profile.numerals]
    switches[codes.REPLACES_LINKS] = profile.replaces_links
    switches[codes.LEAST] = profile.min_word_length
    switches[codes.SINGLE_SPACE] = profile.pieces == "single_space"
    switches[codes.NUMBER_KNOWN] = NUMBER in forms
    switches[codes.LINK_KNOWN] = LINK in forms
    switches[codes.BEYOND] = LETTER if profile.letters == "not_delimiter" else OTHER
    if profile.replaces_links:
        forms = [word for word in forms if "http" not in word]  # A link begins inside them.
    return ScannerRules(classes, lower, switches, key_table(forms), admits_all=words is None)


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
