"""The token store: what lies in it, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lilliput.core.artefacts import building, read_manifest
from lilliput.core.errors import ArtefactError, ConfigurationError, InputError, OccupiedFolderError
from lilliput.core.verification import verify
from lilliput.tokenization import (
    KINDS,
    encode_corpus,
    estimate_store,
    load_tokenizer,
    open_store,
)
from lilliput.tokenization.counting.texts import batches_of_shard, row_group_ranges, texts_of


@pytest.fixture(scope="module")
def tokenizer(tokenizers_folder: Path) -> Path:
    return tokenizers_folder / "byte-bpe-330"


@pytest.fixture
def store(corpus: Path, tokenizer: Path, tmp_path: Path) -> Path:
    encode_corpus(corpus, tokenizer, tmp_path / "tokens")
    return tmp_path / "tokens"


def test_three_lines_of_numpy_read_a_document(store: Path, corpus: Path, tokenizer: Path) -> None:
    tokens = np.load(store / "train.tokens.npy", mmap_mode="r")
    offsets = np.load(store / "train.offsets.npy")
    document = tokens[offsets[7] : offsets[8]]
    text = [t for texts in texts_of(corpus, "train") for t in texts][7]
    assert load_tokenizer(tokenizer).backend.decode(document.tolist()) == text
    assert tokens.dtype == np.uint16


@pytest.mark.parametrize("kind", KINDS)
def test_the_store_holds_what_the_tokenizer_gives(
    corpus: Path, tokenizers_folder: Path, tmp_path: Path, kind: str
) -> None:
    folder = tokenizers_folder / f"{kind}-330"
    found = encode_corpus(corpus, folder, tmp_path / "tokens")
    store = open_store(tmp_path / "tokens", folder)
    backend = load_tokenizer(folder).backend
    for split in ("train", "validation"):
        texts = [t for batch in texts_of(corpus, split) for t in batch]
        whole = [e.ids for e in backend.encode_batch(texts, add_special_tokens=False)]
        tokens, offsets = store.split(split)
        assert tokens.tolist() == [i for ids in whole for i in ids]
        assert np.diff(offsets).tolist() == [len(ids) for ids in whole]
        assert found.by_split[split] == {"tokens": len(tokens), "documents": len(texts)}
    assert len(store.split("test")[0]) == 0
    assert verify(tmp_path / "tokens").mismatches == ()


def test_bytes_and_word_starts_add_up_to_the_text(store: Path, corpus: Path) -> None:
    opened = open_store(store)
    tokens, offsets = opened.split("train")
    texts = [t for batch in texts_of(corpus, "train") for t in batch]
    assert opened.token_bytes[tokens].sum() == sum(len(text.encode()) for text in texts)
    starts = opened.word_start[tokens].copy()
    starts[offsets[:-1]] = True  # The first word of a document is known by its place.
    assert starts.sum() == sum(len(text.split()) for text in texts)
    assert opened.token_bytes[:5].tolist() == [0] * 5


def test_two_workers_write_the_same_bytes(
    store: Path, corpus: Path, tokenizer: Path, tmp_path: Path
) -> None:
    encode_corpus(corpus, tokenizer, tmp_path / "two", workers=2)
    assert read_manifest(tmp_path / "two").content == read_manifest(store).content


def test_one_shard_is_cut_into_parts_and_gives_the_same_bytes(
    tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"the {word} was cooking, don't" for word in "abcdefghijklmnopqrstuvwxyz" * 9]
    split = [("train", "train", "test", "validation")[i % 4] for i in range(len(texts))]
    with building(tmp_path / "corpus", "corpus", 1, {}) as build:
        table = pa.table({"text": texts, "split": split})
        pq.write_table(table, build.path("shards/00000.parquet"), row_group_size=20)
    contents = {}
    for name, most_bytes, workers in (("whole", 10**9, 1), ("cut", 1000, 1), ("apart", 1000, 2)):
        monkeypatch.setattr("lilliput.tokenization.encoding.encode._PART_BYTES", most_bytes)
        encode_corpus(tmp_path / "corpus", tokenizer, tmp_path / name, workers=workers)
        contents[name] = read_manifest(tmp_path / name).content
    assert len(row_group_ranges(tmp_path / "corpus/shards/00000.parquet", 1000)) > 2
    assert len(set(contents.values())) == 1, contents


@pytest.mark.parametrize("most_bytes", [1, 1000, 10**9])
def test_parts_cover_a_shard_once(tmp_path: Path, most_bytes: int) -> None:
    table = pa.table({"text": ["some text"] * 95, "split": ["train"] * 95})
    pq.write_table(table, tmp_path / "shard.parquet", row_group_size=10)
    ranges = row_group_ranges(tmp_path / "shard.parquet", most_bytes)
    assert [i for first, end in ranges for i in range(first, end)] == list(range(10))


def test_long_documents_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    letters = "".join(map(chr, range(97, 123)))
    texts = [f"{i} {letters} " * 40_000 for i in range(12)]  # Over a megabyte each.
    table = pa.table({"text": texts, "split": ["train"] * len(texts)})
    pq.write_table(table, tmp_path / "shard.parquet", use_dictionary=False)
    batches = list(batches_of_shard(tmp_path / "shard.parquet"))
    assert max(batch.nbytes for batch in batches) < 5_000_000
    assert sum(batch.num_rows for batch in batches) == len(texts)


def test_an_interrupted_build_goes_on_and_gives_the_same_bytes(
    store: Path, corpus: Path, tokenizer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lilliput.tokenization.encoding import encode

    class KilledError(Exception):
        pass

    real, calls = encode._encode_part, []

    def dies_at_the_second(work: encode._Work) -> None:
        calls.append(work.shard.name)
        if len(calls) == 2:
            raise KilledError
        real(work)

    monkeypatch.setattr(encode, "_encode_part", dies_at_the_second)
    with pytest.raises(KilledError):
        encode_corpus(corpus, tokenizer, tmp_path / "again")
    encode_corpus(corpus, tokenizer, tmp_path / "again")
    assert calls == ["00000.parquet", "00001.parquet", "00001.parquet"]
    assert read_manifest(tmp_path / "again").content == read_manifest(store).content


def test_a_finished_store_is_found_and_another_one_is_left_alone(
    store: Path, corpus: Path, tokenizer: Path, tokenizers_folder: Path
) -> None:
    assert encode_corpus(corpus, tokenizer, store).skipped
    with pytest.raises(OccupiedFolderError, match="hold this very tokens"):
        encode_corpus(corpus, tokenizers_folder / "byte-bpe-290", store)


def test_a_larger_model_vocabulary_is_recorded_and_needs_wider_ids(
    corpus: Path, tokenizer: Path, tmp_path: Path
) -> None:
    encode_corpus(corpus, tokenizer, tmp_path / "wide", vocab_size=65_536)
    store = open_store(tmp_path / "wide")
    assert store.split("train")[0].dtype == np.uint32
    assert store.manifest.facts["unused_rows"] == 65_536 - 330
    assert store.token_bytes.shape == store.word_start.shape == (65_536,)
    with pytest.raises(ConfigurationError, match="the tokenizer's 330 ids: got 300"):
        encode_corpus(corpus, tokenizer, tmp_path / "narrow", vocab_size=300)


def test_the_size_is_estimated(corpus: Path, tokenizer: Path, store: Path) -> None:
    coming = estimate_store(corpus, tokenizer)
    # The corpus is smaller than the sample, so that the forecast is the truth.
    assert coming.tokens.value == pytest.approx(read_manifest(store).facts["tokens"])
    files = [p for p in store.iterdir() if p.suffix == ".npy"]
    headers = 128 * len(files)
    extra = 8 * 3  # Each split's offsets have one more entry than documents.
    assert coming.disk_bytes.value == sum(p.stat().st_size for p in files) - headers - extra


def test_a_store_cut_short_is_refused(store: Path) -> None:
    path = store / "train.tokens.npy"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(
        ArtefactError, match=rf"{size - 10:,} bytes where its manifest says {size:,}"
    ):
        open_store(store).split("train")


def test_offsets_that_do_not_fit_are_refused(store: Path) -> None:
    path = store / "train.offsets.npy"
    offsets = np.load(path)
    offsets[-1] += 3
    np.save(path, offsets)
    with pytest.raises(ArtefactError, match=r"train\.offsets\.npy must be as it was written"):
        open_store(store).split("train")


def test_a_store_of_another_tokenizer_is_refused(store: Path, tokenizers_folder: Path) -> None:
    other = tokenizers_folder / "byte-bpe-290"
    with pytest.raises(ArtefactError, match=load_tokenizer(other).content):
        open_store(store, other)


def test_an_unknown_split_is_named(store: Path) -> None:
    with pytest.raises(InputError, match="'dev'"):
        open_store(store).split("dev")


def test_an_unfinished_store_is_not_a_store(store: Path) -> None:
    manifest = store / "manifest.json"
    record = json.loads(manifest.read_text())
    manifest.unlink()
    (store / "building.json").write_text(json.dumps({"kind": "tokens", "id": record["id"]}))
    with pytest.raises(InputError, match="an unfinished build"):
        open_store(store)
