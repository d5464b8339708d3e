"""Words, documents and settings that the tests of the room share."""

from __future__ import annotations

import random

import pytest

from lilliput.language import Document, Vocabulary, from_counts

WORDS = [f"{a}{b}{c}" for a in "bdg" for b in "aeiou" for c in "klmnp"]


def make_documents(count: int, words: int = 300, unknown_share: float = 0.002, seed: int = 0):
    """Documents of sentences over WORDS, with a rare word that no vocabulary holds."""
    draw = random.Random(seed)
    documents = []
    for number in range(count):
        text = []
        for position in range(words):
            word = "zzyzx" if draw.random() < unknown_share else draw.choice(WORDS)
            text.append(word + (". " if position % 9 == 8 else " "))
        source = ("first", "second")[number % 2]
        documents.append(Document("".join(text).strip(), f"d{number}", source))
    return documents


@pytest.fixture(scope="session")
def small_vocabulary() -> Vocabulary:
    return from_counts(dict.fromkeys(WORDS, 10))


@pytest.fixture(scope="session")
def some_documents() -> list[Document]:
    return make_documents(120)
