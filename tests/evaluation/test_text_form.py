"""What was done to the corpus's text is done to every text that a model of it meets, from a file to the number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tests.evaluation.conftest import Line, train_run
from tokenizers import Tokenizer

from lilliput.core.artefacts import read_manifest
from lilliput.core.files import write_json
from lilliput.core.progress import SilentReporter
from lilliput.evaluation import (
    FineTuningSettings,
    as_summary,
    evaluate_glue,
    evaluate_pairs,
    read_scores,
)
from lilliput.evaluation.weights import text_form_of_run
from lilliput.language import CorpusSettings, Document, TextForm, build_corpus, from_counts
from lilliput.study.publishing.export import export_run
from lilliput.tokenization import (
    TokenizerSettings,
    encode_corpus,
    load_tokenizer,
    open_store,
    train_tokenizer,
)

LOWER = TextForm(characters="as_written", lower_case=True)
WORDS = [
    "the",
    "a",
    "man",
    "dog",
    "king",
    "Ship",
    "tree",
    "sees",
    "likes",
    "finds",
    "red",
    "old",
    "big",
    "now",
    "then",
    "he",
    "she",
    "There",
    "is",
    "was",
]
PAIRS = [
    ("There is the old king.", "There is the king old."),
    ("The man likes a tree.", "The man like a tree."),
    ("He SEES the ship.", "He see the ship."),
    ("Now she was big.", "Now she were big."),
]
ONE_EPOCH = FineTuningSettings(seeds=(0,), num_train_epochs=(1,), learning_rates=(1e-3,))


def _documents(rng):
    for number in range(30):
        sentences = [" ".join(rng.choice(WORDS, 9)).capitalize() + "." for _ in range(12)]
        yield Document(" ".join(sentences), doc_id=str(number), source="books")


@pytest.fixture(scope="module")
def lowered(tmp_path_factory) -> Line:
    """A run of a corpus built here under the profile `modern`, which lower-cases."""
    root = tmp_path_factory.mktemp("lowered")
    vocabulary = from_counts({word.lower(): 5 for word in WORDS})
    settings = CorpusSettings(
        word_profile="modern", validation_share=0.2, test_share=0.1, min_words=5, text_language="de"
    )
    documents = list(_documents(np.random.default_rng(0)))
    build_corpus(documents, vocabulary, root / "corpora" / "language", settings)
    corpus = root / "corpora" / "language"
    tokenizer = train_tokenizer(
        corpus, root / "tokenizers" / "language" / "byte", TokenizerSettings(vocab_size=300)
    )
    tokens = root / "tokens" / "language"
    encode_corpus(corpus, tokenizer, tokens)
    return Line(corpus, tokenizer, tokens, train_run(root / "runs" / "run", tokens))


def _write_pairs(path: Path, pairs) -> Path:
    rows = [json.dumps({"sentence_good": good, "sentence_bad": bad}) for good, bad in pairs]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")
    return path


def _cased_and_lowered(tmp_path: Path) -> list[Path]:
    small = [(good.lower(), bad.lower()) for good, bad in PAIRS]
    return [
        _write_pairs(tmp_path / name / "pairs.jsonl", pairs)
        for name, pairs in (("cased", PAIRS), ("small", small))
    ]


def _likelihoods(folder: Path) -> list[list[float]]:
    table = pq.read_table(folder / "predictions.parquet")
    return [table[name].to_pylist() for name in ("good", "bad")]


def test_every_artefact_records_the_text_form(lowered):
    form = LOWER.model_copy(update={"characters": "composed"})
    for folder in (lowered.corpus, lowered.tokenizer, lowered.tokens):
        assert read_manifest(folder).settings["text_form"] == form.model_dump()
    assert text_form_of_run(lowered.run) == form
    assert load_tokenizer(lowered.tokenizer).text_form == form


def test_the_ids_of_the_corpus_are_those_without_a_normalizer(lowered):
    backend = load_tokenizer(lowered.tokenizer, text_form_of_run(lowered.run), is_corpus_text=True)
    assert backend.backend.normalizer is None
    table = pq.read_table(sorted((lowered.corpus / "shards").glob("*.parquet"))[0])
    texts = [r["text"] for r in table.to_pylist() if r["split"] == "train"]
    ids = [i for text in texts for i in backend.backend.encode(text, add_special_tokens=False).ids]
    assert np.asarray(open_store(lowered.tokens).split("train")[0]).tolist() == ids


def test_cased_and_lowered_pairs_score_the_same(lowered, tmp_path):
    found = []
    for path in _cased_and_lowered(tmp_path):
        evaluate_pairs(lowered.run, path, lowered.tokenizer, path.parent / "out")
        found.append(_likelihoods(path.parent / "out"))
    assert found[0] == found[1]


def test_cased_and_lowered_glue_score_the_same(lowered, tmp_path):
    predictions = []
    for is_cased in (True, False):
        folder = tmp_path / str(is_cased) / "cola"
        folder.mkdir(parents=True)
        for split, size in (("train", 24), ("validation", 16)):
            rows = [
                {"sentence": PAIRS[i % 4][i % 2 == 0], "label": int(i % 2 == 1)}
                for i in range(size)
            ]
            if not is_cased:
                rows = [row | {"sentence": row["sentence"].lower()} for row in rows]
            (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        out = tmp_path / str(is_cased) / "out"
        evaluate_glue(lowered.run, [folder], lowered.tokenizer, out, settings=ONE_EPOCH)
        predictions.append(
            [(score.weights, score.value) for score in read_scores(out)]
            + pq.read_table(out / "predictions.parquet")["prediction"].to_pylist()
        )
    assert predictions[0] == predictions[1]


def test_a_tokenizer_made_elsewhere_reads_texts_as_the_corpus_was_read(lowered, tmp_path):
    """The same vocabulary without a normalizer, as another library would have saved it."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(lowered.tokenizer / name, foreign / name)
    record = json.loads((foreign / "tokenizer.json").read_text()) | {"normalizer": None}
    write_json(foreign / "tokenizer.json", record)
    encode_corpus(lowered.corpus, foreign, tmp_path / "tokens")
    run = train_run(tmp_path / "run", tmp_path / "tokens")
    found = []
    for path in _cased_and_lowered(tmp_path):
        evaluate_pairs(run, path, foreign, path.parent / "out")
        found.append(_likelihoods(path.parent / "out"))
    assert found[0] == found[1]
    export_run(run, tmp_path / "export", tokenizer=foreign)
    exported = Tokenizer.from_file(str(tmp_path / "export" / "tokenizer.json"))
    assert exported.encode("There IS").ids == exported.encode("there is").ids


class _Heard(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def test_a_corpus_without_the_record_is_taken_as_it_stands_and_that_is_said(line, tmp_path):
    heard = _Heard()
    cased, small = _cased_and_lowered(tmp_path)
    for path in (cased, small):
        evaluate_pairs(line.run, path, line.tokenizer, path.parent / "out", reporter=heard)
    assert _likelihoods(cased.parent / "out") != _likelihoods(small.parent / "out")
    assert any("do not say" in text or "say what was done" in text for text in heard.said)
    encode_corpus(line.corpus, line.tokenizer, tmp_path / "tokens", reporter=heard)
    assert any("does not say" in text for text in heard.said)


def test_an_exported_tokenizer_gives_the_ids_we_give(lowered, tmp_path):
    transformers = pytest.importorskip("transformers")
    export_run(lowered.run, tmp_path / "export")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "export")
    ours = load_tokenizer(lowered.tokenizer).backend
    for text in (
        "There IS a Ship.",
        "the İstanbul STRAẞE",
        "Don’t",
        "cafe\u0301 ΟΔΟΣ",
        "hap\u00adpy",
    ):
        assert (
            theirs(text, add_special_tokens=False)["input_ids"]
            == ours.encode(text, add_special_tokens=False).ids
        )
    assert theirs("There is")["input_ids"] == theirs("there is")["input_ids"]


def test_the_cards_say_what_was_done_and_name_no_language_that_was_not_stated(lowered, tmp_path):
    export_run(lowered.run, tmp_path / "export")
    card = (tmp_path / "export" / "README.md").read_text()
    assert "lower-cased" in card
    assert 'language: "de"' in card
    assert "nouns of German" in card
    assert "language: de" in (lowered.corpus / "README.md").read_text()


def test_ties_of_sentences_that_are_one_in_lower_case_count_one_half(lowered, tmp_path):
    path = _write_pairs(tmp_path / "case" / "case.jsonl", [("The man.", "the man.")] * 3)
    scores = evaluate_pairs(lowered.run, path, lowered.tokenizer, tmp_path / "out")
    summary = as_summary(scores)["case"]
    assert summary["value"] == 0.5
    assert 0 < summary["low"] < 0.5 < summary["high"] < 1
