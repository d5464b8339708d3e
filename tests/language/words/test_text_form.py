"""The form of a text: composed letters, invisible characters, case."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.language import PROFILES, split_words
from lilliput.language.words.text_form import INVISIBLE, TextForm

MODERN = PROFILES["modern"]
TEXTS = st.text(
    alphabet=st.one_of(
        st.sampled_from("aeJT \u0301\u030c\u0327\u00ad\u2060\ufeffÅİΣ"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Cafe\u0301", "café"),
        ("CAFÉ", "café"),
        ("hap\u00adpy", "happy"),
        ("\ufeffThe", "the"),
        ("J\u030ca", "\u01f0a"),
        ("\u1112\u1161\u11ab", "한"),
        ("fi\u200bne", "fi\u200bne"),  # A zero-width space separates words.
    ],
)
def test_modern_stores_what_a_reader_sees(written: str, stored: str) -> None:
    assert MODERN.text_form.apply(written) == stored


@pytest.mark.parametrize("name", ["paper", "cpp"])
def test_published_profiles_change_no_character(name: str) -> None:
    text = "Cafe\u0301 hap\u00adpy"
    form = PROFILES[name].text_form
    assert form.apply(text) == (text.lower() if name == "paper" else text)
    assert PROFILES[name].version == 1


@given(TEXTS)
def test_applying_the_form_twice_changes_nothing_more(text: str) -> None:
    form = TextForm(characters="composed", lower_case=True)
    once = form.apply(text)
    assert form.apply(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert not set(once) & set(INVISIBLE)


@given(TEXTS)
def test_two_ways_to_write_a_text_have_the_same_words(text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert split_words(decomposed, MODERN) == split_words(text, MODERN)
