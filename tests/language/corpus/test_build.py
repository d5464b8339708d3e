"""Corpora: counts add up, splits do not leak, and neither workers nor kills change the result."""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics as statistics_of
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from tests.killing import kill_at_every_change
from tests.language.conftest import WORDS, make_documents

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import EmptyCorpusError, InputError, OccupiedFolderError
from lilliput.core.executors import InlineExecutor, ProcessExecutor
from lilliput.core.verification import verify
from lilliput.language import (
    CorpusSettings,
    Document,
    build_corpus,
    build_matched_corpus,
    from_counts,
    iter_texts,
    split_words,
    word_profile,
)

SETTINGS = CorpusSettings(validation_share=0.1, test_share=0.1, min_words=20, span_words=60)


def rows_of(corpus: Path) -> list[dict]:
    return [
        row | {"split": split}
        for split in ("train", "validation", "test")
        for batch in iter_texts(corpus, split)
        for row in batch.to_pylist()
    ]


# Each of the small files below is filtered in a task of its own.
ALONE = SETTINGS.model_copy(update={"shard_bytes": 1000})


def write_shards(folder: Path, documents: list[Document], count: int) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number in range(count):
        part = documents[number::count]
        paths.append(folder / f"{number}.parquet")
        columns = {name: [getattr(d, name) for d in part] for name in ("text", "doc_id", "source")}
        parquet.write_table(pa.table(columns), paths[-1])
    return paths


def test_counts_add_up_and_every_word_is_admitted(
    tmp_path, some_documents, small_vocabulary
) -> None:
    facts = build_corpus(some_documents, small_vocabulary, tmp_path / "c", SETTINGS)
    rows = rows_of(tmp_path / "c")
    assert facts["spans"] == facts["kept"] + sum(facts["dropped"].values())
    assert facts["kept"] == facts["written"] + facts["duplicates"]
    assert facts["written"] == len(rows) > 0
    assert facts["documents"] == len(some_documents)
    assert facts["words"] == sum(len(row["text"].split()) for row in rows)
    assert sum(s["written"] for s in facts["sources"].values()) == len(rows)
    used = {w for row in rows for w in split_words(row["text"], word_profile("modern"))}
    assert used <= set(WORDS)
    assert verify(tmp_path / "c").mismatches == ()
    assert not (tmp_path / "c" / "work").exists()


def test_documents_of_a_group_share_a_split(tmp_path, small_vocabulary) -> None:
    documents = [
        Document(d.text, f"{d.doc_id}-{edition}", d.source, split_group=d.doc_id)
        for d in make_documents(60)
        for edition in "ab"
    ]
    build_corpus(documents, small_vocabulary, tmp_path / "c", SETTINGS)
    splits: dict[str, set[str]] = {}
    for row in rows_of(tmp_path / "c"):
        splits.setdefault(row["doc_id"].split("-")[0], set()).add(row["split"])
    assert {len(found) for found in splits.values()} == {1}
    assert {next(iter(found)) for found in splits.values()} == {"train", "validation", "test"}


def test_the_first_of_equal_spans_is_written_whatever_the_split(tmp_path, small_vocabulary) -> None:
    documents = make_documents(40, unknown_share=0)
    again = [Document(d.text, f"again-{d.doc_id}", d.source) for d in documents]
    once = build_corpus(documents, small_vocabulary, tmp_path / "one", SETTINGS)
    twice = build_corpus(documents + again, small_vocabulary, tmp_path / "two", SETTINGS)
    assert twice["written"] == once["written"]
    assert twice["duplicates"] == once["kept"] + once["duplicates"]
    assert not any(row["doc_id"].startswith("again") for row in rows_of(tmp_path / "two"))


def test_workers_do_not_change_a_byte(tmp_path, some_documents, small_vocabulary) -> None:
    paths = write_shards(tmp_path / "in", some_documents, 5)
    contents = []
    for executor in (InlineExecutor(), ProcessExecutor(2)):
        out = tmp_path / type(executor).__name__
        with executor:
            build_corpus(paths, small_vocabulary, out, ALONE, executor=executor)
        contents.append((read_manifest(out).id, read_manifest(out).content))
    assert contents[0] == contents[1]


def _build_and_die(paths: list[Path], vocabulary, out: Path) -> None:
    from lilliput.language.corpus import build as module

    filter_shard = module.filter_shard

    def dying(task):
        if task.index == 3:
            os.kill(os.getpid(), 9)
        return filter_shard(task)

    module.filter_shard = dying
    build_corpus(paths, vocabulary, out, ALONE)


def test_a_killed_build_goes_on_and_ends_the_same(
    tmp_path, some_documents, small_vocabulary
) -> None:
    paths = write_shards(tmp_path / "in", some_documents, 5)
    build_corpus(paths, small_vocabulary, tmp_path / "whole", ALONE)
    process = multiprocessing.get_context("spawn").Process(
        target=_build_and_die, args=(paths, small_vocabulary, tmp_path / "killed")
    )
    process.start()
    process.join()
    assert process.exitcode == -9
    done = sorted((tmp_path / "killed" / "work" / "filtered").glob("*.json"))
    assert [path.stem for path in done] == ["00000", "00001", "00002"]
    before = [path.stat().st_mtime_ns for path in done]

    build_corpus(
        paths, small_vocabulary, tmp_path / "killed", ALONE, executor=_Watching(done, before)
    )

    whole, resumed = (read_manifest(tmp_path / name) for name in ("whole", "killed"))
    assert (whole.id, whole.content) == (resumed.id, resumed.content)


class _Watching(InlineExecutor):
    """Checks after the first pass that finished shards were not written again."""

    def __init__(self, done: list[Path], before: list[int]) -> None:
        self._done, self._before = done, before

    def map(self, function, items, /):
        yield from super().map(function, items)
        assert [path.stat().st_mtime_ns for path in self._done] == self._before


def test_many_small_files_are_one_task_and_the_same_corpus(
    tmp_path, some_documents, small_vocabulary
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, document in enumerate(some_documents):
        (folder / f"{number:03d}.txt").write_text(document.text)
    (folder / "050.txt").write_bytes(b"\xff")
    found = {}
    for name, rule in (("alone", ALONE), ("together", SETTINGS)):
        settings = rule.model_copy(update={"on_error": "skip"})
        facts = build_corpus([folder], small_vocabulary, tmp_path / name, settings)
        facts.pop("mb_per_s")
        found[name] = facts, rows_of(tmp_path / name)
        assert facts["damaged_places"][0].startswith("050.txt")
    assert found["alone"] == found["together"]
    samples = [parquet.read_table(tmp_path / name / "dropped.parquet") for name in found]
    assert samples[0].equals(samples[1])
    shards = [len(list((tmp_path / name / "shards").iterdir())) for name in found]
    assert shards[0] >= len(some_documents)
    assert shards[1] == 1


def _build_small(folder: Path) -> None:
    settings = SETTINGS.model_copy(update={"shard_bytes": 30_000})
    vocabulary = from_counts(dict.fromkeys(WORDS, 10))
    build_corpus(make_documents(24), vocabulary, folder / "corpus", settings)


def test_killed_before_each_of_its_changes_a_build_ends_the_same(tmp_path: Path) -> None:
    _build_small(tmp_path / "whole")
    kills = kill_at_every_change(_build_small, tmp_path / "killed", ["numba"])
    assert kills > 40
    whole, killed = (read_manifest(tmp_path / name / "corpus") for name in ("whole", "killed"))
    assert killed.files == whole.files
    facts = [{k: v for k, v in m.facts.items() if k != "mb_per_s"} for m in (killed, whole)]
    assert facts[0] == facts[1]
    assert not list(tmp_path.rglob("*.partial-*"))


def test_a_finished_build_is_kept_and_another_is_refused(
    tmp_path, some_documents, small_vocabulary
) -> None:
    first = build_corpus(some_documents, small_vocabulary, tmp_path / "c", SETTINGS)
    stamp = (tmp_path / "c" / "manifest.json").stat().st_mtime_ns
    assert build_corpus(some_documents, small_vocabulary, tmp_path / "c", SETTINGS) == first
    assert (tmp_path / "c" / "manifest.json").stat().st_mtime_ns == stamp
    with pytest.raises(OccupiedFolderError):
        build_corpus(some_documents[1:], small_vocabulary, tmp_path / "c", SETTINGS)


def test_an_empty_corpus_says_how_many_spans_fell_and_what_to_relax(
    tmp_path, some_documents
) -> None:
    with pytest.raises(EmptyCorpusError) as caught:
        build_corpus(some_documents, from_counts({"nothing": 1}), tmp_path / "c", SETTINGS)
    assert "unknown_words" in str(caught.value)
    assert "larger vocabulary" in caught.value.remedy
    # What the message advises can be done in the same folder.
    assert not (tmp_path / "c").exists()
    with pytest.raises(EmptyCorpusError, match="too_short") as caught:
        build_corpus([Document("a b", "d", "s")], from_counts({"a": 1, "b": 1}), tmp_path / "d")
    assert "min_words (now 32)" in caught.value.remedy


def test_the_matched_corpus_has_the_size_of_each_source_and_split(
    tmp_path, small_vocabulary
) -> None:
    documents = make_documents(300, unknown_share=0.02)
    facts = build_corpus(documents, small_vocabulary, tmp_path / "c", SETTINGS)
    matched = build_matched_corpus(documents, tmp_path / "c", tmp_path / "u")
    for source, counts in facts["sources"].items():
        for split, words in counts["words_by_split"].items():
            got = matched["sources"][source]["words_by_split"][split]
            assert words <= got < words + SETTINGS.span_words
    text = " ".join(row["text"] for row in rows_of(tmp_path / "u"))
    assert "zzyzx" in text


def test_the_statistics_name_words_to_add_and_the_age_of_the_words(tmp_path) -> None:
    documents = make_documents(90, unknown_share=0.004)
    ages = {word: 12.0 + rank for rank, word in enumerate(WORDS[:40])}
    small = from_counts(dict.fromkeys(WORDS, 10), ages=ages)
    windows = SETTINGS.model_copy(update={"span_shape": "windows", "min_words": 60})
    paths = write_shards(tmp_path / "in", documents, 3)
    facts = build_corpus(paths, small, tmp_path / "c", windows)
    larger = from_counts(dict.fromkeys([*WORDS, "zzyzx"], 10))
    again = build_corpus(paths, larger, tmp_path / "more", windows)
    gained = again["kept"] - facts["kept"]
    assert facts["words_to_add"] == [["zzyzx", gained]]
    statistics = json.loads((tmp_path / "c" / "statistics.json").read_text())
    assert statistics["unknown_words"] == [["zzyzx", sum(d.text.count("zzyzx") for d in documents)]]
    assert statistics["spans_gained_at_least"] == gained > 0
    means = []
    for row in rows_of(tmp_path / "c"):
        own = [ages[w] for w in split_words(row["text"], word_profile("modern")) if w in ages]
        means.append(sum(own) / len(own))
    found = statistics["mean_age_of_first_use_months"]
    assert found["spans"] == len(means) == sum(n for _, n in found["by_month"])
    assert found["mean"] == pytest.approx(statistics_of.fmean(means))
    assert found["sd"] == pytest.approx(statistics_of.pstdev(means), rel=1e-6)
    card = (tmp_path / "c" / "README.md").read_text()
    assert f"zzyzx ({gained:,})" in card
    assert f"mean age of {found['mean']:.1f} months" in card
    assert "mean_age" not in (tmp_path / "more" / "statistics.json").read_text()


def test_quotas_limit_a_source_and_are_counted(tmp_path, some_documents, small_vocabulary) -> None:
    limited = SETTINGS.model_copy(update={"quotas": {"first": 2000}})
    free = build_corpus(some_documents, small_vocabulary, tmp_path / "free", SETTINGS)
    facts = build_corpus(some_documents, small_vocabulary, tmp_path / "c", limited)
    assert 2000 <= facts["sources"]["first"]["words"] < 2000 + SETTINGS.span_words
    assert facts["sources"]["second"] == free["sources"]["second"]
    assert facts["spans"] == facts["kept"] + sum(facts["dropped"].values())
    assert facts["dropped"]["over_quota"] == free["written"] - facts["written"]


def test_stored_text_is_lower_case_where_the_profile_says_so(tmp_path) -> None:
    documents = [Document("The CAT sat. " * 20, f"d{i}", "s") for i in range(40)]
    vocabulary = from_counts({"the": 3, "cat": 2, "sat": 1})
    for profile, text in (("modern", "the cat sat."), ("cpp", "The CAT sat.")):
        chosen = CorpusSettings(word_profile=profile, validation_share=0, test_share=0)
        build_corpus(documents, vocabulary, tmp_path / profile, chosen)
        assert rows_of(tmp_path / profile)[0]["text"].startswith(text)


def test_a_wrong_input_is_named(tmp_path, small_vocabulary) -> None:
    with pytest.raises(InputError, match="missing\\.txt"):
        build_corpus([tmp_path / "missing.txt"], small_vocabulary, tmp_path / "c")
    with pytest.raises(InputError, match="0 documents"):
        build_corpus([], small_vocabulary, tmp_path / "c")


def test_near_duplicates_are_dropped_and_their_pairs_recorded(tmp_path, small_vocabulary) -> None:
    documents = make_documents(30, words=54, unknown_share=0)
    changed = [
        Document(f"{d.text.rsplit(' ', 1)[0]} bam.", f"near-{d.doc_id}", d.source)
        for d in documents
    ]
    chosen = SETTINGS.model_copy(
        update={"near_duplicates": 0.7, "validation_share": 0, "test_share": 0}
    )
    facts = build_corpus(documents + changed, small_vocabulary, tmp_path / "c", chosen)
    pairs = parquet.read_table(tmp_path / "c" / "near_duplicates.parquet").to_pylist()
    exact = {d.doc_id for d in documents if d.text.endswith(" bam.")}
    assert facts["near_duplicates"] == len(pairs) == 30 - len(exact)
    assert facts["duplicates"] == 30
    assert facts["kept"] == facts["written"] + facts["duplicates"]
    assert {(p["kept_doc_id"], p["dropped_doc_id"]) for p in pairs} == {
        (d.doc_id, f"near-{d.doc_id}") for d in documents if d.doc_id not in exact
    }


def test_near_duplicates_are_refused_beyond_what_memory_should_hold(
    tmp_path, monkeypatch, some_documents, small_vocabulary
) -> None:
    from lilliput.core.errors import ConfigurationError
    from lilliput.language.corpus import near_duplicates as near

    exact = build_corpus(some_documents, small_vocabulary, tmp_path / "all", SETTINGS)
    spans = exact["written"]
    chosen = SETTINGS.model_copy(update={"near_duplicates": 0.9})
    monkeypatch.setattr(near, "MOST_SPANS", spans - 1)
    with pytest.raises(ConfigurationError, match=f"{spans:,} spans"):
        build_corpus(some_documents, small_vocabulary, tmp_path / "c", chosen)
    monkeypatch.setattr(near, "MOST_SPANS", spans)
    assert build_corpus(some_documents, small_vocabulary, tmp_path / "c", chosen)["written"] > 0


@pytest.mark.ray
def test_a_ray_worker_killed_in_the_middle_loses_nothing(
    tmp_path, monkeypatch, some_documents, small_vocabulary
) -> None:
    from lilliput.core.executors import make_executor
    from lilliput.language.corpus import build as module

    paths = write_shards(tmp_path / "in", some_documents, 5)
    build_corpus(paths, small_vocabulary, tmp_path / "whole", ALONE)
    marker, filter_shard = tmp_path / "marker", module.filter_shard

    def kill_once(task):
        if task.index == 2 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), 9)
        return filter_shard(task)

    monkeypatch.setattr(module, "filter_shard", kill_once)
    with make_executor("ray", 2) as executor:
        build_corpus(paths, small_vocabulary, tmp_path / "ray", ALONE, executor=executor)
    assert marker.exists()
    whole, ray = (read_manifest(tmp_path / name) for name in ("whole", "ray"))
    assert (whole.id, whole.content) == (ray.id, ray.content)
