"""Agreement with gold segmentations, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lilliput.core.errors import InputError
from lilliput.tokenization import (
    PAPER_WORDS,
    exact_match_score,
    exact_match_score_first,
    read_segmentations,
)
from lilliput.tokenization.comparison.measures import cuts_in_context, pieces_isolated
from lilliput.tokenization.comparison.morphology import boundaries, boundary_counts

# A vocabulary under which the 13 reference words of the released code (history, 0449b9c) are cut thus:
# cook+ing 2, danger+ous 2, pretext whole, fit+n+ess 1, anti+so+cial 1, p+o+d+i+u+m characters,
# uni+verse 2, euro+pean 0, de+code 2, sub+vert 2, pro+active 2, con+cent+ric 1, oct+opus 0.
_PIECES = [
    "cook",
    "##ing",
    "danger",
    "##ous",
    "pretext",
    "fit",
    "##n",
    "##ess",
    "anti",
    "##so",
    "##cial",
    "p",
    "##o",
    "##d",
    "##i",
    "##u",
    "##m",
    "uni",
    "##verse",
    "euro",
    "##pean",
    "de",
    "##code",
    "sub",
    "##vert",
    "pro",
    "##active",
    "con",
    "##cent",
    "##ric",
    "oct",
    "##opus",
    "<unk>",
    "a",
]


@pytest.fixture(scope="module")
def wordpiece() -> Tokenizer:
    vocab = {piece: i for i, piece in enumerate(_PIECES)}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def test_both_versions_of_the_score_on_the_reference_words(wordpiece: Tokenizer) -> None:
    pieces = pieces_isolated(wordpiece, list(PAPER_WORDS))
    assert pieces["fitness"] == ["fit", "##n", "##ess"]
    assert sum(map(len, PAPER_WORDS.values())) == 27
    assert exact_match_score(pieces, PAPER_WORDS) == 15 / 27
    # The same 15, less one each for "pretext" (whole) and "podium" (characters).
    assert exact_match_score_first(pieces, PAPER_WORDS) == 13


def test_the_score_counts_a_repeated_piece_twice_and_ignores_order() -> None:
    gold = {"tartar": ("tar", "t", "ar")}
    assert exact_match_score({"tartar": ["tar", "tar"]}, gold) == 2 / 3
    assert exact_match_score({"tartar": ["▁ar", "t", "tar"]}, gold) == 1.0


def test_boundaries_by_hand(wordpiece: Tokenizer) -> None:
    words = ["cooking", "pretext", "fitness", "concentric", "european"]
    cuts = cuts_in_context(wordpiece, words)
    assert cuts == [{4}, set(), {3, 4}, {3, 7}, {4}]
    gold = [boundaries(PAPER_WORDS[word]) for word in words]
    assert gold == [{4}, {3}, {3}, {3, 8}, {5}]
    correct, made, wanted = boundary_counts(cuts, gold)
    # precision 3/6, recall 3/6
    assert (correct.sum(), made.sum(), wanted.sum()) == (3, 6, 6)


def test_byte_level_cuts_are_counted_in_characters_after_the_space() -> None:
    vocab = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert cuts_in_context(tokenizer, ["né", "abc"]) == [{1}, {1, 2}]


def test_segmentations_are_read_from_text(tmp_path: Path) -> None:
    path = tmp_path / "gold.tsv"
    path.write_text("cats\tcat @@s\nran\trun ed\nredo\tre+do\t010\n", encoding="utf-8")
    assert read_segmentations(path) == {"cats": ("cat", "s"), "redo": ("re", "do")}


def test_a_line_without_a_tab_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gold.tsv"
    path.write_text("cats\tcat s\ndogs dog s\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2.*'dogs dog s'"):
        read_segmentations(path)


@pytest.mark.shared_data
def test_the_gold_words_of_the_reduced_vocabulary(data_folder: Path) -> None:
    gold = read_segmentations(data_folder / "morphology" / "sigmorphon2022_eng_words.parquet")
    # 80,495 rows are concatenative (data/README.md); words that stand in two rows count once.
    assert 80_000 < len(gold) <= 80_495
    assert all("".join(parts) == word for word, parts in gold.items())
