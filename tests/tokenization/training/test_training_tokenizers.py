"""Training: the same file each time, a cut equals a direct training, counts equal text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import ConfigurationError, EmptyCorpusError, OccupiedFolderError
from lilliput.tokenization import (
    SPECIAL_IDS,
    SPECIAL_TOKENS,
    TokenizerSettings,
    TrainingTextSettings,
    load_tokenizer,
    parse_kinds,
    train_tokenizer,
)
from lilliput.tokenization.counting.texts import texts_of
from lilliput.tokenization.counting.words import count_words

BPE_TRAINED = ["byte-bpe", "bpe", "wordpiece", "sentencepiece-bpe"]


def _train(corpus: Path, out: Path, kind: str, size: int) -> Path:
    return train_tokenizer(corpus, out, TokenizerSettings(kind=kind, vocab_size=size))


@pytest.mark.parametrize("kind", BPE_TRAINED)
def test_two_trainings_give_the_same_bytes(corpus: Path, tmp_path: Path, kind: str) -> None:
    one = _train(corpus, tmp_path / "one", kind, 330)
    two = _train(corpus, tmp_path / "two", kind, 330)
    assert read_manifest(one).content == read_manifest(two).content


@pytest.mark.parametrize("kind", BPE_TRAINED)
@pytest.mark.parametrize("size", [290, 301])
def test_a_cut_vocabulary_equals_a_direct_training(
    corpus: Path, tokenizers_folder: Path, tmp_path: Path, kind: str, size: int
) -> None:
    from lilliput.tokenization.counting.words import count_corpus
    from lilliput.tokenization.training.kinds import KIND
    from lilliput.tokenization.training.learned import cut_bpe, learn_bpe
    from lilliput.tokenization.training.pieces import make_pieces

    text = TrainingTextSettings()
    pieces = make_pieces(count_corpus(corpus, "train", 10_000), KIND[kind], text)
    large = learn_bpe(KIND[kind], pieces, 330, text.min_frequency)
    direct = _train(corpus, tmp_path / "direct", kind, size)
    assert cut_bpe(large, KIND[kind], size).to_str() == load_tokenizer_text(direct), (
        "a prefix of the merges must be what a smaller training learns"
    )


def load_tokenizer_text(folder: Path) -> str:
    return Tokenizer.from_file(str(folder / "tokenizer.json")).to_str()


def test_counted_words_train_the_same_merges_as_the_text_itself(
    corpus: Path, tokenizers_folder: Path
) -> None:
    twin = Tokenizer(models.BPE())
    twin.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        min_frequency=2,
        show_progress=False,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    twin.train_from_iterator((t for texts in texts_of(corpus, "train") for t in texts), trainer)
    ours = json.loads(load_tokenizer_text(tokenizers_folder / "byte-bpe-330"))["model"]
    assert ours["merges"] == json.loads(twin.to_str())["model"]["merges"]
    assert ours["vocab"] == twin.get_vocab()


@pytest.mark.parametrize("kind", [*BPE_TRAINED, "unigram"])
def test_special_tokens_have_the_ids_of_roberta(tokenizers_folder: Path, kind: str) -> None:
    backend = load_tokenizer(tokenizers_folder / f"{kind}-330").backend
    ids = [SPECIAL_IDS.bos, SPECIAL_IDS.pad, SPECIAL_IDS.eos, SPECIAL_IDS.unk, SPECIAL_IDS.mask]
    assert [backend.token_to_id(token) for token in SPECIAL_TOKENS] == ids == [0, 1, 2, 3, 4]


def test_only_the_train_split_is_seen(make_corpus: Callable[..., Path], tmp_path: Path) -> None:
    corpus = make_corpus(["the dog and the cat"] * 20, ["zyx zyx zyx zyx"] * 50)
    folder = _train(corpus, tmp_path / "out", "byte-bpe", 400)
    assert not [t for t in load_tokenizer(folder).backend.get_vocab() if "zy" in t]


def test_a_reduced_language_saturates_and_the_size_reached_is_said(
    make_corpus: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = make_corpus(["ab ab cd cd"] * 5)
    folder = _train(corpus, tmp_path / "out", "byte-bpe", 1000)
    # 5 special + 256 bytes + the merges ab, cd, Ġab, Ġcd ("ab" begins every document).
    assert load_tokenizer(folder).vocab_size == 265
    assert read_manifest(folder).facts["vocab_size"] == 265
    assert read_manifest(folder).facts["vocab_size_asked"] == 1000


@pytest.mark.parametrize(("kind", "needed"), [("byte-bpe", 261), ("unigram", 16), ("bpe", 25)])
def test_a_size_below_the_alphabet_is_refused_with_the_size_needed(
    make_corpus: Callable[..., Path], tmp_path: Path, kind: str, needed: int
) -> None:
    # Letters a-j: 10; unigram adds the mark of spaces, bpe a marked copy of each letter.
    corpus = make_corpus(["abcde fghij"] * 9)
    with pytest.raises(ConfigurationError, match=rf"{needed} in all: got 12"):
        _train(corpus, tmp_path / "out", kind, 12)


def test_a_corpus_of_one_repeated_word_is_refused(
    make_corpus: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = make_corpus(["word word word"] * 9)
    with pytest.raises(EmptyCorpusError, match="2 distinct words: got 1 in 9 documents"):
        _train(corpus, tmp_path / "out", "byte-bpe", 300)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="'bytebpe'. Did you mean byte-bpe?"):
        parse_kinds(["bytebpe"])


def test_a_tokenizer_file_of_an_interrupted_build_is_adopted(corpus: Path, tmp_path: Path) -> None:
    done = _train(corpus, tmp_path / "out", "unigram", 120)
    written = (done / "tokenizer.json").read_bytes()
    manifest = json.loads((done / "manifest.json").read_text())
    (done / "manifest.json").unlink()
    (done / "building.json").write_text(json.dumps({"kind": "tokenizer", "id": manifest["id"]}))
    again = _train(corpus, tmp_path / "out", "unigram", 120)
    assert (again / "tokenizer.json").read_bytes() == written
    assert read_manifest(again).facts["vocab_size"] == 120


def test_a_folder_with_another_tokenizer_is_left_alone(corpus: Path, tmp_path: Path) -> None:
    _train(corpus, tmp_path / "out", "byte-bpe", 300)
    with pytest.raises(OccupiedFolderError, match="empty or hold this very tokenizer"):
        _train(corpus, tmp_path / "out", "byte-bpe", 310)


def test_the_table_of_words_stays_within_its_bound_and_says_what_it_dropped() -> None:
    texts = [["common common common rare1"], ["common rare2 pair pair"]]
    counts = count_words(map(pa.array, texts), max_types=2)
    assert dict(counts.inside) == {"common": 2, "pair": 2}
    assert counts.dropped == 2
    assert counts.total + counts.dropped == 8


def test_rare_characters_are_left_out_of_the_alphabet(
    make_corpus: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = make_corpus(["aaaa bbbb"] * 1000 + ["ж"])
    folder = _train(corpus, tmp_path / "out", "wordpiece", 30)
    backend = load_tokenizer(folder).backend
    assert backend.encode("aaaa ж", add_special_tokens=False).tokens[-1] == "<unk>"
