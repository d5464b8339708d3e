"""The normalizer that travels in `tokenizer.json` does to a text what was done to the corpus."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from lilliput.language import TextForm
from lilliput.tokenization.normalizer import (
    AS_WRITTEN,
    joined_steps,
    normalizer_steps,
    split_normalizer,
    with_text_form,
)

LOWER = TextForm(characters="as_written", lower_case=True)
ALL = [
    TextForm(characters=characters, lower_case=lower)
    for characters in ("as_written", "composed")
    for lower in (False, True)
]
NAMES = {choice: f"{choice.characters}-{choice.lower_case}" for choice in ALL}
# Characters that Python's Unicode does not know yet are left out: the library's is newer and lower-cases some.
TEXT = st.text(st.characters(exclude_categories=("Cn", "Cs")))
# Letters whose lower case depends on more than themselves, with what stands between them in words.
TRICKY = st.text("ΑΣΣσςİIıẞßǅ'’.\u00ad\u0301\u0307\u0345\ufeff\u2060 aA1ΌJ\u030c")
STEPS = [
    {"type": "Replace", "pattern": {"String": "ab"}, "content": "c"},
    {"type": "StripAccents"},
]


def normalizer(text_form):
    """The library's normalizer, made as a tokenizer file makes it."""
    record = json.loads(Tokenizer(models.BPE()).to_str())
    record["normalizer"] = joined_steps(normalizer_steps(text_form))
    return Tokenizer.from_str(json.dumps(record)).normalizer


LIBRARY = {choice: normalizer(choice) for choice in ALL[1:]}


@pytest.mark.parametrize("choice", ALL[1:], ids=NAMES.get)
@given(text=TEXT | TRICKY)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example("İstanbul")
@example("STRAẞE")
@example("DON’T don’t")
@example("ΟΔΟΣ ΟΔΟΣ. Σ ΑΣ'Σ")
@example("Cafe\u0301 CAFÉ")
@example("hap\u00adpy J\u030c")
def test_the_library_changes_a_text_as_we_do(choice, text):
    assert LIBRARY[choice].normalize_str(text) == choice.apply(text)


def test_every_assigned_character_by_itself():
    ours = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) not in ("Cn", "Cs")]
    library = LIBRARY[LOWER]
    wrong = [c for c in ours if library.normalize_str(f"a{c}b") != LOWER.apply(f"a{c}b")]
    assert not wrong


@pytest.mark.parametrize("choice", ALL, ids=NAMES.get)
@given(text=TEXT | TRICKY)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_doing_it_twice_changes_nothing_more(choice, text):
    once = choice.apply(text)
    assert choice.apply(once) == once


@pytest.mark.parametrize("choice", ALL, ids=NAMES.get)
@pytest.mark.parametrize("own", [[], STEPS[:1], STEPS], ids=len)
def test_a_normalizer_is_split_as_it_was_joined(choice, own):
    whole = with_text_form(joined_steps(own), choice)
    assert split_normalizer(whole) == (choice, own)
    assert with_text_form(whole, choice) == whole


def test_a_foreign_normalizer_keeps_its_steps_after_ours():
    foreign = {"type": "Lowercase"}
    whole = with_text_form(foreign, LOWER)
    assert whole == {"type": "Sequence", "normalizers": [*normalizer_steps(LOWER), foreign]}
    assert split_normalizer(foreign) == (AS_WRITTEN, [foreign])
