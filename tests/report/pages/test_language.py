"""What the page of the language says of a vocabulary."""

from __future__ import annotations

from typing import Any, cast

from lilliput.report.pages.language import build_language
from lilliput.report.reading.evidence import Evidence
from lilliput.report.reading.language import VocabularyWords


def _page(*frequencies: int):
    words = tuple("abcdefghijklmnop"[: len(frequencies)])
    vocabulary = VocabularyWords(words, frequencies, "id", {})
    evidence = Evidence("study", is_study=True, runs=(), vocabulary=vocabulary)
    return build_language(evidence, cast(Any, None))


def test_a_bare_list_of_words_covers_no_share_of_any_text():
    page = _page(1, 1, 1, 1, 1, 0)
    assert page.figures == ()
    assert {fact.name: fact.value for fact in page.content["facts"]}[
        "Their occurrences"
    ] == "not counted"


def test_counted_words_cover_what_was_counted():
    page = _page(*([9] + [1] * 11))
    assert "the 10 most frequent cover 90" in page.figures[0].text
