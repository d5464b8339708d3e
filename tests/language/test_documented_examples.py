"""The table of word profiles in the documentation says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lilliput.language import split_words, word_profile

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
PROFILES = ("paper", "cpp", "modern")


def documented() -> list[tuple[str, str, list[str]]]:
    table = PAGE.read_text(encoding="utf-8").split("| text |")[1].split("\n\n")[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines()[2:]]
    return [
        (name, re.findall("`([^`]*)`", row[0])[0], re.findall("`([^`]*)`", cell))
        for row in rows
        for name, cell in zip(PROFILES, row[1:], strict=True)
    ]


@pytest.mark.parametrize(("profile", "text", "words"), documented())
def test_the_documented_words(profile: str, text: str, words: list[str]) -> None:
    assert split_words(text, word_profile(profile)) == words


def test_the_table_was_found() -> None:
    assert len(documented()) >= 27
