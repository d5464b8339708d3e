"""One table for trained and existing tokenizers, and the command line's contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from typer.testing import CliRunner

from lilliput.cli._frame import build_app
from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import InputError, LilliputError
from lilliput.tokenization import (
    CompareSettings,
    compare_tokenizers,
    default_tokenizer,
    exact_match_score,
    find_corpus,
    find_tokenizer,
    load_tokenizer,
)
from lilliput.tokenization.counting.texts import texts_of

_QUICK = CompareSettings(resamples=50)


@pytest.fixture(scope="module")
def existing(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer in the manner of bert-base-uncased, as others would have saved it."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=200, show_progress=False, special_tokens=["[UNK]", "[CLS]", "[SEP]"]
    )
    backend.train_from_iterator((t for texts in texts_of(corpus, "train") for t in texts), trainer)
    folder = tmp_path_factory.mktemp("existing") / "bert-like"
    folder.mkdir()
    backend.save(str(folder / "tokenizer.json"))
    return folder


def test_existing_tokenizers_stand_in_the_same_table(
    corpus: Path, tokenizers_folder: Path, existing: Path, tmp_path: Path
) -> None:
    task = tmp_path / "task.csv"
    task.write_text("text,label\nthe dog,1\nthe ж,0\n", encoding="utf-8")
    folders = [tokenizers_folder / "byte-bpe-330", tokenizers_folder / "wordpiece-330", existing]
    out = tmp_path / "comparison"
    found = compare_tokenizers(corpus, folders, out, settings=_QUICK, task_data=task)
    byte, wordpiece, bert = found.rows
    assert (byte.name, bert.name, bert.kind) == ("byte-bpe-330", "bert-like", "wordpiece")
    assert byte.unknown_rate_tasks == 0
    assert wordpiece.unknown_rate_tasks == bert.unknown_rate_tasks == 1 / 4
    # Without the space before it a word is cut finer by a byte-level tokenizer (S: the paper's way).
    assert byte.word_split_ratio_isolated > byte.word_split_ratio_in_context
    assert bert.word_split_ratio_isolated == bert.word_split_ratio_in_context
    written = json.loads((out / "comparison.json").read_text())
    assert [row["name"] for row in written["tokenizers"]] == [folder.name for folder in folders]
    again = compare_tokenizers(corpus, folders, out, settings=_QUICK, task_data=task)
    assert again == found


def test_a_comparison_made_twice_has_the_same_content(
    corpus: Path, tokenizers_folder: Path, tmp_path: Path
) -> None:
    folders = [tokenizers_folder / "byte-bpe-290", tokenizers_folder / "byte-bpe-330"]
    for name in ("one", "two"):
        compare_tokenizers(corpus, folders, tmp_path / name, settings=_QUICK)
    assert read_manifest(tmp_path / "one").content == read_manifest(tmp_path / "two").content


def test_gold_words_that_the_corpus_lacks_are_left_out(
    corpus: Path, tokenizers_folder: Path, tmp_path: Path
) -> None:
    gold = tmp_path / "gold.tsv"
    gold.write_text("cooking\tcook ing\ncooks\tcook s\nxylophonist\txylophon ist\n")
    folders = [tokenizers_folder / "unigram-330"]
    row = compare_tokenizers(corpus, folders, settings=_QUICK, morphology=gold).rows[0]
    assert row.boundary_words == 2
    backend = load_tokenizer(folders[0]).backend
    pieces = {w: backend.encode(w, add_special_tokens=False).tokens for w in ("cooking", "cooks")}
    words = {"cooking": ("cook", "ing"), "cooks": ("cook", "s")}
    assert row.exact_match_score == exact_match_score(pieces, words)
    low, high = row.intervals["exact_match_score"]
    assert low <= row.exact_match_score <= high


@pytest.mark.parametrize("name", ["morphology", "task_data"])
def test_a_file_that_is_not_there_is_refused_even_when_a_comparison_is_there(
    corpus: Path, tokenizers_folder: Path, tmp_path: Path, name: str
) -> None:
    folders = [tokenizers_folder / "byte-bpe-330"]
    compare_tokenizers(corpus, folders, tmp_path / "out", settings=_QUICK)
    with pytest.raises(InputError, match=f"{name} must exist: got .*nowhere"):
        compare_tokenizers(
            corpus, folders, tmp_path / "out", settings=_QUICK, **{name: tmp_path / "nowhere"}
        )


def test_two_tokenizers_of_one_name_are_refused(corpus: Path, tokenizers_folder: Path) -> None:
    folder = tokenizers_folder / "byte-bpe-330"
    with pytest.raises(InputError, match="byte-bpe-330 twice"):
        compare_tokenizers(corpus, [folder, folder])


def test_the_command_line_keeps_its_contract(corpus: Path, tmp_path: Path) -> None:
    run = CliRunner()
    options = ["--kind", "byte-bpe", "--vocab-size", "290", "--vocab-size", "300", "--json"]
    out = str(tmp_path / "tokenizers")
    result = run.invoke(build_app(), ["tokenizer", "compare", str(corpus), "--out", out, *options])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert {
        "kind", "vocab_size_asked", "vocab_size", "word_split_ratio_isolated",
        "word_split_ratio_in_context", "exact_match_score", "boundary_f1",
    } <= record["tokenizers"][0].keys()  # fmt: skip
    picked = str(tmp_path / "tokenizers" / record["picked"]["name"])
    store = ["--out", str(tmp_path / "tokens"), "--json"]
    result = run.invoke(build_app(), ["tokenizer", "encode", str(corpus), *store])
    record = json.loads(result.stdout)
    assert record["tokenizer"] == picked, "without --tokenizer the picked one beside it is used"
    assert record["documents"] == 680
    assert record["tokens"] > 680


def test_several_tokenizers_without_a_comparison_are_refused(tokenizers_folder: Path) -> None:
    with pytest.raises(InputError, match="byte-bpe-290, byte-bpe-330"):
        find_tokenizer(tokenizers_folder)


def test_without_any_tokenizer_the_default_one_is_trained(corpus: Path, tmp_path: Path) -> None:
    folder = default_tokenizer(corpus, tmp_path / "tokens")
    assert folder == (tmp_path / "tokenizers" / "byte-bpe-19000").resolve()
    assert find_tokenizer(tmp_path / "tokenizers").name == "byte-bpe-19000"


def test_a_pair_of_corpora_stands_for_its_constrained_one(corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "constrained").symlink_to(corpus)
    assert find_corpus(tmp_path) == tmp_path / "constrained"
    assert find_corpus(corpus) == corpus


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--vocab-size", "0"], "vocab_size"),
        (["--morphology", "nowhere.tsv"], "nowhere.tsv"),
        (["--task-data", "nowhere.csv"], "nowhere.csv"),
        (["--existing", "nowhere"], "nowhere"),
        (["--kind", "bytebpe"], "byte-bpe"),
    ],
)
def test_bad_input_is_refused_before_anything_is_trained(
    corpus: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    out = tmp_path / "tokenizers"
    command = ["tokenizer", "compare", str(corpus), "--out", str(out), "--json", *options]
    result = CliRunner().invoke(build_app(), command)
    assert isinstance(result.exception, LilliputError)
    assert message in str(result.exception)
    assert not out.exists()
