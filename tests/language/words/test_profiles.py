"""What a word is, against scikit-learn and against examples."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from lilliput.core.errors import ConfigurationError
from lilliput.language import split_words, word_profile

TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("aAbBzZ hHtTpP-'’019_.,!\n\t éÉßΣσςİıK½²٣中\u0301\u030c\u00adJ\u2060"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)


def test_paper_splits_as_countvectorizer_does_where_nothing_is_replaced() -> None:
    analyse = CountVectorizer().build_analyzer()
    text = "The isn't 'we’ll' naïve É_x a I u2 well known ÇA"
    assert split_words(text, word_profile("paper")) == analyse(text)


@given(TEXTS)
def test_paper_equals_countvectorizer_after_its_three_replacements(text: str) -> None:
    # arXiv 2305.17266, vocab_utils.py:34-44 and 85: hyphens, numbers, links, then the vectorizer.
    analyse = CountVectorizer().build_analyzer()
    replaced = re.sub(r"\b\d+", "#NUMBER ", text.lower().replace("-", " "))
    replaced = re.sub(r"http\S*", "#HLINK", replaced)
    assert split_words(text, word_profile("paper")) == analyse(replaced)


@pytest.mark.parametrize(
    ("profile", "text", "words"),
    [
        ("paper", "isn't", ["isn"]),
        ("paper", "5th of 12 http://a.b/c-d", ["number", "th", "of", "number", "hlink"]),
        ("cpp", "Isn't 5th I’m", ["isn", "t", "5", "th", "i’m"]),
        ("modern", "Isn't 5th I’m well-known café", ["isnt", "5th", "im", "well", "known", "café"]),
        ("modern", "rock 'n' roll dogs' 3.14", ["rock", "n", "roll", "dogs", "3", "14"]),
        ("modern", "CAFE\u0301 hap\u00adpy \ufeffthe", ["café", "happy", "the"]),
        ("paper", "CAFE\u0301 hap\u00adpy", ["cafe", "hap", "py"]),
        ("cpp", "CAFE\u0301 hap\u00adpy", ["cafe\u0301", "hap\u00adpy"]),
    ],
)
def test_examples(profile: str, text: str, words: list[str]) -> None:
    assert split_words(text, word_profile(profile)) == words


def test_an_unknown_profile_is_named() -> None:
    with pytest.raises(ConfigurationError, match="'papper'"):
        word_profile("papper")
