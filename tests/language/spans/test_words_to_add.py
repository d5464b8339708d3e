"""The words that would keep more spans, against the plain rule applied once more for each of them."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.language.spans.test_finder import RULES, TEXTS, WORDS

from lilliput.language import from_counts, split_words
from lilliput.language.spans.finder import SpanFinder
from lilliput.language.spans.oracle import find_plain
from lilliput.language.spans.settings import SpanSettings
from lilliput.language.spans.verdicts import KEPT, UNKNOWN_WORDS
from lilliput.language.spans.words_to_add import WordsToAdd
from lilliput.language.words.splitting import passes_unseen


def lacking(texts: list[str], rule: SpanSettings, vocabulary) -> tuple[Counter, Counter]:
    finder = SpanFinder(rule, vocabulary)
    tally = WordsToAdd(finder)
    for text in texts:
        tally.add(finder.find(pa.array([text, None], pa.string())))
    rows = tally.as_table().to_pylist()
    occurrences = Counter({row["word"]: row["occurrences"] for row in rows})
    return occurrences, +Counter({row["word"]: row["gained"] for row in rows})


def lacking_plainly(texts: list[str], rule: SpanSettings, vocabulary) -> tuple[Counter, Counter]:
    admitted = vocabulary.looked_up(rule.profile)
    occurrences, gained = Counter(), Counter()
    for text in texts:
        found = SpanFinder(rule, vocabulary).find(pa.array([text], pa.string()))
        raw = found.texts[0].as_py()
        unknown = [
            w for w in split_words(raw, rule.profile)
            if w not in admitted and not passes_unseen(w, rule.profile)
        ]  # fmt: skip
        occurrences.update(unknown)
        for start, verdict in zip(found.start.tolist(), found.verdict.tolist(), strict=True):
            if verdict == UNKNOWN_WORDS:
                rest = raw.encode()[start:].decode()
                gained.update(
                    w for w in set(unknown) if find_plain(rest, rule, admitted | {w})[0].verdict == KEPT
                )  # fmt: skip
    return occurrences, gained


@settings(max_examples=300, deadline=None)
@given(st.lists(TEXTS, max_size=2), RULES)
def test_gains_equal_those_of_the_plain_rule(texts: list[str], rule: SpanSettings) -> None:
    vocabulary = from_counts(dict.fromkeys(WORDS[:7], 1))
    assert lacking(texts, rule, vocabulary) == lacking_plainly(texts, rule, vocabulary)


def test_adding_a_word_keeps_exactly_the_windows_it_gained() -> None:
    words = ["red", "green", "blue", "odd", "rare"]
    text = " ".join(words[(i * i + i // 7) % 5] if i % 6 else "red" for i in range(3000))
    rule = SpanSettings(span_shape="windows", span_words=4, stride_words=3, min_words=1)
    small = from_counts(dict.fromkeys(words[:3], 1))
    _, gained = lacking([text], rule, small)
    assert set(gained) == {"odd", "rare"}
    for word, gain in gained.items():
        kept = [
            int((SpanFinder(rule, v).find(pa.array([text])).verdict == KEPT).sum())
            for v in (small, from_counts(dict.fromkeys([*words[:3], word], 1)))
        ]
        assert kept[1] - kept[0] == gain
