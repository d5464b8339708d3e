"""Scores of spans: each scorer against a plain computation, and joined by id whatever the order of the work."""

from __future__ import annotations

import math
import random
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.language.conftest import WORDS, make_documents

from lilliput.core.errors import ConfigurationError, InputError
from lilliput.core.executors import ProcessExecutor
from lilliput.language import (
    CorpusSettings,
    build_corpus,
    from_counts,
    iter_texts,
    split_words,
    word_profile,
    write_vocabulary,
)
from lilliput.language.corpus.span_ids import span_id, span_ids
from lilliput.language.scores import read_scores, score_corpus
from lilliput.language.scores.scorers.ngram import BigramModel, half_of

SETTINGS = CorpusSettings(validation_share=0.1, test_share=0.1, min_words=20, span_words=60)
MODERN = word_profile("modern")
AGES = {word: 12.0 + 3 * (number % 7) for number, word in enumerate(WORDS)}


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("words") / "words"
    write_vocabulary(from_counts(dict.fromkeys(WORDS, 10), ages=AGES), out)
    return out


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("corpora") / "corpus"
    words = from_counts(dict.fromkeys(WORDS, 10))
    build_corpus(make_documents(60), words, out, SETTINGS)
    return out


def texts_by_id(corpus: Path, split: str = "train") -> dict[int, str]:
    return {
        span_id(row["source"], row["doc_id"], row["position"]): row["text"]
        for batch in iter_texts(corpus, split)
        for row in batch.to_pylist()
    }


def scores_by_id(corpus: Path, by: object, out: Path, vocabulary: Path | None = None) -> dict:
    score_corpus(corpus, by, out, vocabulary=vocabulary)
    found = read_scores(out)
    return dict(zip(found.ids.tolist(), found.scores.tolist(), strict=True))


def test_each_scorer_equals_its_plain_definition(corpus, vocabulary, tmp_path):
    texts = texts_by_id(corpus)
    counts = Counter(w for text in texts.values() for w in split_words(text, MODERN))
    total = sum(counts.values()) + len(counts) + 1

    def rarity(text: str) -> float:
        words = split_words(text, MODERN)
        return -sum(math.log((counts[w] + 1) / total) for w in words) / len(words)

    def packed(text: str) -> float:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return len(packer.compress(text.encode()) + packer.flush()) / len(text.encode())

    plain = {
        "length": lambda text: len(split_words(text, MODERN)),
        "rarity": rarity,
        "compression": packed,
        "age": lambda text: np.mean([AGES[w] for w in split_words(text, MODERN)]),
        "age-max": lambda text: max(AGES[w] for w in split_words(text, MODERN)),
    }
    for name, score in plain.items():
        given = vocabulary if name.startswith("age") else None
        found = scores_by_id(corpus, name, tmp_path / name, given)
        assert len(texts) > 100
        for identity, text in texts.items():
            assert found[identity] == pytest.approx(score(text), rel=1e-12), name


def test_witten_bell_bigrams_by_hand():
    model = BigramModel(types=3)
    model.add(["a", "b", "a"])
    # N = 3 words of T = 2 types, V = 3: p(b) = (1 + 2/3) / 5 = 1/3; a was followed once, by b.
    assert model.probability("zz", "b") == pytest.approx(1 / 3)
    assert model.probability("a", "b") == pytest.approx((1 + 1 / 3) / 2)
    # p(a) = (2 + 2/3) / 5 = 8/15; a span begins with a: (1 + 8/15) / 2 = 23/30.
    expected = -(math.log(23 / 30) + math.log(2 / 3)) / 2
    assert model.surprisal(["a", "b"]) == pytest.approx(expected, abs=1e-12)
    for before in ("", "a", "b", "unseen"):
        assert sum(model.probability(before, w) for w in ("a", "b", "other")) == pytest.approx(1)


def test_no_span_is_scored_by_a_model_that_read_its_document(corpus, tmp_path):
    found = scores_by_id(corpus, "ngram", tmp_path / "ngram")
    rows = [row for batch in iter_texts(corpus, "train") for row in batch.to_pylist()]
    every = {w for s in ("train", "validation", "test") for t in texts_by_id(corpus, s).values()
             for w in split_words(t, MODERN)}  # fmt: skip
    row = rows[7]
    half = half_of(row["source"], row["doc_id"])
    model = BigramModel(len(every) + 1)
    for other in rows:
        if half_of(other["source"], other["doc_id"]) != half:
            model.add(split_words(other["text"], MODERN))
    identity = span_id(row["source"], row["doc_id"], row["position"])
    assert found[identity] == pytest.approx(model.surprisal(split_words(row["text"], MODERN)))


def test_a_column_of_a_shuffled_table_reaches_its_own_spans(corpus, tmp_path):
    rows = [row for s in ("train", "test", "validation") for batch in iter_texts(corpus, s)
            for row in batch.to_pylist()]  # fmt: skip
    random.Random(3).shuffle(rows)
    table = {name: [row[name] for row in rows] for name in ("source", "doc_id", "position")}
    parquet.write_table(
        pa.table(table | {"mine": [len(r["text"]) for r in rows]}), tmp_path / "t.parquet"
    )
    by = {"name": "column", "table": str(tmp_path / "t.parquet"), "column": "mine"}
    found = scores_by_id(corpus, by, tmp_path / "mine")
    assert {identity: found[identity] for identity in texts_by_id(corpus)} == {
        identity: len(text) for identity, text in texts_by_id(corpus).items()
    }


def test_any_workers_and_an_interrupted_call_give_the_same_scores(corpus, tmp_path):
    score_corpus(corpus, "ngram", tmp_path / "one")
    with ProcessExecutor(2) as pool:
        score_corpus(corpus, "ngram", tmp_path / "two", executor=pool)
    one, two = read_scores(tmp_path / "one"), read_scores(tmp_path / "two")
    assert one.manifest.content == two.manifest.content


def test_scores_of_other_spans_and_missing_scores_are_refused(corpus, tmp_path):
    score_corpus(corpus, "length", tmp_path / "length")
    found = read_scores(tmp_path / "length")
    with pytest.raises(InputError, match="1 of 2 spans that they do not know"):
        found.of(np.array([found.ids[0], 5], np.uint64))
    table = {"span_id": found.ids[1:], "mine": found.scores[1:]}
    parquet.write_table(pa.table(table), tmp_path / "t.parquet")
    by = {"name": "column", "table": str(tmp_path / "t.parquet"), "column": "mine"}
    score_corpus(corpus, by, tmp_path / "mine")
    with pytest.raises(InputError, match="every span must have a finite score"):
        read_scores(tmp_path / "mine").of(found.ids)


@pytest.mark.parametrize(
    ("by", "message"),
    [
        ("lenght", "must be a known score of spans: got 'lenght'. Did you mean 'length'"),
        ("age", "needs a vocabulary with the age of first use"),
        ({"name": "column", "table": "none.parquet", "column": "x"}, "the table of scores"),
        ({"name": "length", "start": 1}, "keys must be known"),
    ],
)  # fmt: skip
def test_a_wrong_score_is_one_sentence_and_leaves_nothing(corpus, tmp_path, by, message):
    with pytest.raises((ConfigurationError, InputError), match=message):
        score_corpus(corpus, by, tmp_path / "scores")
    assert not (tmp_path / "scores").exists()


def test_ids_follow_from_source_document_and_position_alone():
    table = pa.table(
        {"source": ["a", "a"], "doc_id": ["d", "d"], "position": [0, 30], "text": ["x", "y"]}
    )
    assert span_ids(table).tolist() == [span_id("a", "d", 0), span_id("a", "d", 30)]
    assert span_id("a", "d", 0) != span_id("ad", "", 0)
