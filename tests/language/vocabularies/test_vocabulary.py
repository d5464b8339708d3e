"""Vocabularies: from lists, from texts, and back from disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.core.errors import InputError
from lilliput.language import (
    Document,
    build_vocabulary,
    from_counts,
    make_vocabulary,
    read_vocabulary,
    word_profile,
    write_vocabulary,
)
from lilliput.language.vocabularies.making import is_word_list

COUNTS = st.dictionaries(
    st.text("abcé,\"'", min_size=1, max_size=6), st.integers(1, 50), min_size=1
)


@pytest.mark.shared_data
def test_the_papers_list_is_read_whole(data_folder: Path) -> None:
    # 21,037 rows, 4,833,144 tokens, a literal `nan`, four damaged entries: arXiv 2305.17266's list.
    vocabulary = read_vocabulary(data_folder / "vocab" / "aochildes_word_frequency.csv")
    assert len(vocabulary) == 21_037
    assert sum(vocabulary.frequencies) == 4_833_144
    assert "nan" in vocabulary
    assert len(vocabulary.damaged) == 4
    assert vocabulary.words[:3] == ("you", "the", "a")
    assert "TRUE" in vocabulary
    assert "true" not in vocabulary.looked_up(word_profile("paper"))
    assert "true" in vocabulary.looked_up(word_profile("modern"))


def test_damaged_entries_are_reported_and_nan_is_a_word(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(",word,frequency\n0,nan,3\n1,j\ufffdnos,1\n2,TRUE,2\n", encoding="utf-8")
    vocabulary = read_vocabulary(path)
    assert vocabulary.words == ("nan", "TRUE", "j\ufffdnos")
    assert vocabulary.as_record()["damaged"] == ["j\ufffdnos"]


@settings(deadline=None)  # It waits for the disk.
@given(COUNTS)
def test_a_vocabulary_comes_back_from_disk(tmp_path_factory, counts: dict[str, int]) -> None:
    folder = tmp_path_factory.mktemp("vocabulary")
    vocabulary = from_counts(counts, ages=dict.fromkeys(list(counts)[::2], 12.5))
    for out in (folder / "v.csv", folder / "v"):
        assert read_vocabulary(write_vocabulary(vocabulary, out)) == vocabulary


@given(COUNTS, st.integers(1, 8), st.floats(0.1, 1))
def test_the_most_frequent_words_are_taken(counts, size: int, coverage: float) -> None:
    top = from_counts(counts, size=size)
    assert min(top.frequencies) >= max([counts[w] for w in counts if w not in top] or [0])
    covering = from_counts(counts, coverage=coverage)
    total = sum(counts.values())
    assert sum(covering.frequencies) >= coverage * total * (1 - 1e-12)
    assert sum(covering.frequencies[:-1]) < coverage * total


def test_coverage_curve_rises_to_the_whole_share() -> None:
    vocabulary = from_counts({"a": 5, "b": 3, "c": 1})
    assert vocabulary.coverage_curve({"a": 2, "c": 1, "x": 1}, [1, 2, 3, 9]) == [
        (1, 0.5), (2, 0.5), (3, 0.75), (9, 0.75),
    ]  # fmt: skip


def test_words_are_counted_under_the_profile() -> None:
    texts = [Document("Don't do THAT, don’t!", "1", "s"), Document("that's that", "2", "s")]
    vocabulary = build_vocabulary(texts, size=2)
    assert vocabulary.words == ("dont", "that")
    assert vocabulary.frequencies == (2, 2)
    assert vocabulary.coverage == pytest.approx(4 / 6)


def test_the_hash_names_the_set_of_words() -> None:
    assert from_counts({"a": 1, "b": 2}).hash == from_counts({"b": 1, "a": 9}).hash
    assert from_counts({"a": 1}).hash != from_counts({"b": 1}).hash


def test_wrong_lists_are_named(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("term,count\nx,1\n")
    with pytest.raises(InputError, match="term, count"):
        read_vocabulary(path)
    path.write_text("word,frequency\nx,many\n")
    with pytest.raises(InputError, match="many"):
        read_vocabulary(path)
    with pytest.raises(InputError, match="at least one word"):
        from_counts({})


def test_added_words_mend_holes_and_change_the_hash() -> None:
    vocabulary = from_counts({"dog": 3, "cat": 2})
    extended = vocabulary.with_words(["children", "cat", "children"])
    assert extended.words == ("dog", "cat", "children")
    assert extended.frequencies == (3, 2, 0)
    assert extended.hash != vocabulary.hash
    assert vocabulary.with_words(["dog"]) == vocabulary
    for wrong in ("", "two words"):
        with pytest.raises(InputError, match="must be single words"):
            vocabulary.with_words([wrong])


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_word_list_may_be_separated_as_spreadsheets_do(tmp_path: Path, mark: str) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"Word{mark}Frequency\nthe{mark}10\ndog{mark}5\n", encoding="utf-8-sig")
    assert is_word_list(path)
    vocabulary = read_vocabulary(path)
    assert (vocabulary.words, vocabulary.frequencies) == (("the", "dog"), (10, 5))


def test_a_word_list_without_frequencies_is_a_list_and_not_a_text(tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text("Word\ndon't\nthe\n")
    assert is_word_list(path)
    make_vocabulary([path], tmp_path / "out.csv")
    assert read_vocabulary(tmp_path / "out.csv").words == ("don't", "the")
    path.write_text("the;10\ndog;5\n")
    with pytest.raises(InputError, match="must have a column 'word': got the columns the;10"):
        read_vocabulary(path)
