"""The plain splitter finds the words of a text under a profile, with regular expressions.

It is written for the reader and serves as the oracle of the fast scanner; each function follows
the words of the profile's source.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from lilliput.language.words.profiles import APOSTROPHES, CPP_DELIMITERS, WordProfile
from lilliput.language.words.text_form import composed

NUMBER = "number"
LINK = "hlink"

_LEADING_DIGITS = re.compile(r"\b\d+")
_LINK = re.compile(r"http\S*")
_PAPER_WORD = re.compile(r"(?u)\b\w\w+\b")  # CountVectorizer's default token_pattern.
_CPP_WORD = re.compile(f"[0-9]+|[^0-9{re.escape(CPP_DELIMITERS)}]+")
_ASCII_MODERN_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
_APOSTROPHE = re.compile(f"[{APOSTROPHES}]")


def split_words(text: str, profile: WordProfile) -> list[str]:
    """Return the words of `text` in the form in which they are looked up."""
    if profile.characters == "composed":
        text = composed(text, folds_case=True)
    return _SPLITTERS[profile.letters](text)


def passes_unseen(word: str, profile: WordProfile) -> bool:
    """Return whether a word needs no place in the vocabulary (digits under `cpp`)."""
    return profile.numerals == "pass" and word.isascii() and word.isdigit()


def split_pieces(text: str, profile: WordProfile) -> list[str]:
    """Return the pieces that `span_words` counts."""
    return text.split(" ") if profile.pieces == "single_space" else text.split()


def _split_paper(text: str) -> list[str]:
    text = text.lower().replace("-", " ")
    text = _LEADING_DIGITS.sub(f"#{NUMBER.upper()} ", text)
    text = _LINK.sub(f"#{LINK.upper()}", text)
    return _PAPER_WORD.findall(text.lower())


def _split_cpp(text: str) -> list[str]:
    return [
        part.translate(_ASCII_LOWER)
        for piece in text.split()
        for part in _CPP_WORD.findall(piece)
    ]  # fmt: skip


_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def _split_modern(text: str) -> list[str]:
    if text.isascii():
        return [w.replace("'", "") for w in _ASCII_MODERN_WORD.findall(text.lower())]
    words = [_APOSTROPHE.sub("", word) for word in _modern_pattern().findall(text)]
    return ["".join(map(lower_character, word)) for word in words]


def lower_character(character: str) -> str:
    """Return the lower-case form of one character by itself, whatever its neighbours."""
    lowered = character.lower()
    return lowered if len(lowered) == 1 else character


def is_modern_letter(character: str) -> bool:
    """Return whether a character is a letter, digit or combining mark, apostrophes excepted."""
    if character in APOSTROPHES:
        return False
    return character.isalnum() or unicodedata.category(character).startswith("M")


@cache
def _modern_pattern() -> re.Pattern[str]:
    letters = _character_ranges(is_modern_letter)
    return re.compile(f"[{letters}]+(?:[{APOSTROPHES}][{letters}]+)*")


def _character_ranges(accepts: Callable[[str], bool]) -> str:
    """Return the accepted characters as the inside of a character class."""
    ranges: list[str] = []
    start = None
    for code in range(LAST_LETTER + 2):
        accepted = code <= LAST_LETTER and accepts(chr(code))
        if accepted and start is None:
            start = code
        elif not accepted and start is not None:
            ranges.append(f"\\U{start:08x}-\\U{code - 1:08x}")
            start = None
    return "".join(ranges)


# The last assigned letter of Unicode; what lies above separates words.
LAST_LETTER = 0x323FF

_SPLITTERS: dict[str, Callable[[str], list[str]]] = {
    "python_word": _split_paper,
    "not_delimiter": _split_cpp,
    "alphanumeric_and_marks": _split_modern,
}
