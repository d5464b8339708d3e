"""The compiled counter equals the plain splitter on any text."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.language.spans.test_finder import TEXTS

from lilliput.language import split_words, word_profile
from lilliput.language.spans.counter import WordCounter

PROFILES = ["paper", "cpp", "modern"]


def counted_plainly(texts: list[str | None], profile: str) -> Counter[str]:
    rule = word_profile(profile)
    if rule.letters == "python_word":
        texts = [text and text.lower() for text in texts]
    return Counter(word for text in texts if text for word in split_words(text, rule))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.none() | TEXTS, max_size=3), max_size=3), st.sampled_from(PROFILES))
def test_counts_equal_those_of_the_plain_splitter(batches, profile: str) -> None:
    counter = WordCounter(word_profile(profile))
    for texts in batches:
        counter.add(pa.array(texts, pa.string()))
    assert counter.counts == counted_plainly([t for texts in batches for t in texts], profile)


@pytest.mark.parametrize("profile", PROFILES)
def test_the_table_grows_with_the_words(profile: str) -> None:
    words = [f"{'abcdefghij'[n % 10] * (n % 23 + 2)}{n}x" for n in range(9_000)]
    texts = [" ".join(words[i : i + 700]) + " 12 http://a.b/c don't" for i in range(0, 9_000, 500)]
    counter = WordCounter(word_profile(profile))
    for text in texts:
        counter.add(pa.array([text, None]))
    assert counter.counts == counted_plainly(texts, profile)


@settings(deadline=None)
@given(st.lists(st.lists(st.sampled_from(["a", "be", "the", "x'y", "7"])).map(" ".join)))
def test_the_mean_value_of_each_text_is_over_the_words_that_have_one(texts: list[str]) -> None:
    values = {"a": 10.0, "the": 13.0, "xy": 20.0, "absent": 1.0}
    counter = WordCounter(word_profile("modern"), values)
    got = counter.add(pa.array(texts, pa.string()))
    for text, mean in zip(texts, got, strict=True):
        own = [values[w] for w in split_words(text, word_profile("modern")) if w in values]
        assert np.isnan(mean) if not own else mean == pytest.approx(sum(own) / len(own))
    assert counter.counts == counted_plainly(texts, "modern")
