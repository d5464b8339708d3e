# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Build a corpus: the two passes, the selection between them, and the artefact around them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from lilliput.core.artefacts import (
    ArtefactBuild,
    artefact_id,
    building,
    claim_folder,
    is_artefact,
    read_manifest,
)
from lilliput.core.errors import EmptyCorpusError
from lilliput.core.executors import Executor, InlineExecutor
from lilliput.core.files import atomic_path, remove_folder, write_json, write_text
from lilliput.core.progress import SILENT, Reporter
from lilliput.language.corpus.card import corpus_card
from lilliput.language.corpus.counts import sum_counts
from lilliput.language.corpus.facts import corpus_facts, require_text, sum_damage, sum_transcripts
from lilliput.language.corpus.filtering import FilterTask, filter_shard
from lilliput.language.corpus.inputs import CorpusInput, resolve_input
from lilliput.language.corpus.near_duplicates import drop_near_duplicates
from lilliput.language.corpus.reading import KIND, SCHEMA, TEXT_FORM_KEY
from lilliput.language.corpus.selection import Selection, drop_exact_duplicates, limit_words
from lilliput.language.corpus.settings import SPLITS, CorpusSettings
from lilliput.language.corpus.statistics import corpus_statistics, sum_unknown, unknown_statistics
from lilliput.language.corpus.writing import WriteTask, count_types, write_shard
from lilliput.language.reading.documents import Damage, Document, Source
from lilliput.language.reading.shard import grouped
from lilliput.language.words.vocabulary import Vocabulary

_WORK = "work"
_LISTED_PLACES = 20
DROPPED_SCHEMA = pa.schema(
    [
        ("text", pa.string()),
        ("doc_id", pa.string()),
        ("source", pa.string()),
        ("position", pa.int64()),
        ("reason", pa.string()),
    ]
)
T = TypeVar("T")


@dataclass(frozen=True)
class BuildPlan:
    """The order for one build.

    Attributes:
        given: The input.
        vocabulary: Admitted words; None admits all.
        settings: The rules.
        targets: (source, split) to the words wanted; None takes all.
        rates: Share of each source's spans that pass 1 writes, enough for the targets.
        matched: Id of the corpus whose size is matched.
        matched_by: Columns whose groups have the same size in both.
    """

    given: CorpusInput
    vocabulary: Vocabulary | None
    settings: CorpusSettings
    targets: Mapping[tuple[str, ...], int] | None = None
    rates: Mapping[str, float] | None = None
    matched: str | None = None
    matched_by: tuple[str, ...] = ("source", "split")

    @property
    def inputs(self) -> dict[str, str]:
        """Return the names of the inputs to their ids."""
        ids = {"documents": self.given.identity}
        if self.vocabulary is not None:
            ids["vocabulary"] = self.vocabulary.hash
        if self.matched is not None:
            ids["matched_corpus"] = self.matched
        return ids

    @property
    def described(self) -> dict[str, Any]:
        """Return the settings that affect the result, the profile's version among them."""
        described = self.settings.model_dump()
        if self.settings.max_train_words is None:
            del described["max_train_words"]  # A corpus without the limit is the one of before.
        described["word_profile_version"] = self.settings.profile.version
        described[TEXT_FORM_KEY] = self.settings.profile.text_form.model_dump()
        if self.matched is not None:
            described["matched_by"] = list(self.matched_by)
        return described


def build_corpus(
    documents: Iterable[Document] | Sequence[str | Path | Source],
    vocabulary: Vocabulary,
    out: Path,
    settings: CorpusSettings | None = None,
    *,
    reporter: Reporter = SILENT,
    executor: Executor | None = None,
    hub: bool = False,
    leave_out: Sequence[Path] = (),
) -> dict[str, Any]:
    """Build the corpus of all spans that `vocabulary` admits; its facts come back.

    Args:
        documents: Documents in memory, or paths, globs, folders and sources.
        vocabulary: The words admitted.
        out: The artefact's folder; an interrupted build in it goes on, a finished one is kept.
        settings: The rules.
        reporter: Where progress goes.
        executor: Where shards are worked on; this process when None.
        hub: Whether sources may be fetched from the network.
        leave_out: Files and folders that a source may hold and that are no input; `out` never is.

    Returns:
        The keys of `lilliput corpus build --json`, and counts by source and split.

    Raises:
        EmptyCorpusError: No span passes; says why and what to relax.
        InputError: A source cannot be read.
    """
    settings = settings or CorpusSettings()
    given = resolve_input(documents, settings, hub=hub, leave_out=[out, *leave_out])
    plan = BuildPlan(given, vocabulary, settings)
    return run_plan(plan, out, reporter, executor or InlineExecutor())


def run_plan(plan: BuildPlan, out: Path, reporter: Reporter, executor: Executor) -> dict[str, Any]:
    """Carry out `plan` in `out`, unless it is done already."""
    identity = artefact_id(KIND, SCHEMA, plan.described, plan.inputs)
    if is_artefact(out) and read_manifest(out).id == identity:
        return dict(read_manifest(out).facts)
    claim_folder(out.resolve(), identity, KIND)
    started = time.monotonic()
    with building(out, KIND, SCHEMA, plan.described, plan.inputs) as build:
        try:
            facts = _run(plan, build, reporter, executor)
        except EmptyCorpusError:
            remove_folder(
                out.resolve()
            )  # Nothing to go on with: other settings may use the folder.
            raise
        seconds = time.monotonic() - started
        build.facts.update(facts | {"mb_per_s": round(facts["bytes_in"] / 1e6 / seconds, 3)})
        return dict(build.facts)


def _run(
    plan: BuildPlan, build: ArtefactBuild, reporter: Reporter, executor: Executor
) -> dict[str, Any]:
    work = build.scratch(_WORK) / "filtered"
    work.mkdir(exist_ok=True)
    damage = Damage(plan.settings.on_error)
    shards = plan.given.shards(build.path(f"{_WORK}/documents"), damage, reporter)
    tasks = [
        FilterTask(index, group, plan.vocabulary, plan.settings, work, plan.rates)
        for index, group in enumerate(grouped(shards, plan.settings.shard_bytes))
    ]
    records = _map(executor, filter_shard, tasks, reporter, "filter")
    read_counts = sum_counts(records)
    tables = [task.table_path for task in tasks]
    selection = _select(plan, tables, build.path("near_duplicates.parquet"))
    write_tasks = _write_tasks(plan, tables, selection, build)
    written = _map(executor, write_shard, write_tasks, reporter, "write")
    facts = corpus_facts(read_counts, selection, written)
    read = [damage.as_record(), *(record["damage"] for record in records)]
    facts["damaged"] = sum_damage(read)
    if places := [place for record in read for place in record["examples"]]:
        facts["damaged_places"] = places[:_LISTED_PLACES]
    if transcripts := sum_transcripts(read):
        facts["transcripts"] = transcripts
    unknown = None
    if plan.vocabulary is not None:
        unknown = unknown_statistics(
            sum_unknown([task.words_to_add_path for task in tasks]), plan.settings.unknown_share
        )
        facts["words_to_add"] = unknown["words_to_add"]
    require_text(facts, plan.settings)
    _write_samples(records, build.path("dropped.parquet"))
    types = count_types(task.record for task in write_tasks)
    statistics = corpus_statistics(types, written, read_counts, plan.vocabulary, plan.settings)
    statistics |= unknown or {}
    write_json(build.path("statistics.json"), statistics)
    write_text(build.path("README.md"), corpus_card(facts, statistics, plan.described))
    return facts


def _map(
    executor: Executor, function: Any, tasks: Sequence[T], reporter: Reporter, name: str
) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = [{} for _ in tasks]
    with reporter.task(name, total=len(tasks), unit="shards") as progress:
        for position, record in executor.map(function, tasks):
            results[position] = record
            progress.advance()
    return results


def _select(plan: BuildPlan, tables: Sequence[Path], pairs: Path) -> Selection:
    selection = drop_exact_duplicates(tables)
    if plan.settings.near_duplicates is not None:
        threshold = plan.settings.near_duplicates
        selection.near_duplicates = drop_near_duplicates(tables, selection, threshold, pairs)
    seed = plan.settings.seed
    if plan.settings.quotas:
        quotas = {(name,): words for name, words in plan.settings.quotas.items()}
        limit_words(tables, selection, quotas, ("source",), seed)
    if plan.settings.max_train_words is not None:
        most = {("train",): plan.settings.max_train_words}
        limit_words(tables, selection, most, ("split",), seed)
    if plan.targets is not None:
        limit_words(tables, selection, plan.targets, plan.matched_by, seed)
    return selection


def _write_tasks(
    plan: BuildPlan, tables: Sequence[Path], selection: Selection, build: ArtefactBuild
) -> list[WriteTask]:
    tasks: list[WriteTask] = []
    profile = plan.settings.profile
    ages = plan.vocabulary.ages_of_forms(profile) if plan.vocabulary else {}
    for table, mask in zip(tables, selection.masks, strict=True):
        mask_path = table.with_suffix(".npy")
        with atomic_path(mask_path) as temporary, temporary.open("wb") as file:
            np.save(file, mask)
        out = build.path(f"shards/{table.name}")
        record = build.path(f"{_WORK}/written/{table.stem}.json")
        tasks.append(WriteTask(table, mask_path, out, record, profile, ages))
    return tasks


def _write_samples(records: Sequence[Mapping[str, Any]], out: Path) -> None:
    rows = [row for record in records for row in record["samples"]]
    with atomic_path(out) as temporary:
        parquet.write_table(
            pa.Table.from_pylist(rows[:1000], schema=DROPPED_SCHEMA), temporary, compression="zstd"
        )


def build_matched_corpus(
    documents: Iterable[Document] | Sequence[str | Path | Source],
    corpus: Path,
    out: Path,
    *,
    by_source: bool = True,
    reporter: Reporter = SILENT,
    executor: Executor | None = None,
    hub: bool = False,
    leave_out: Sequence[Path] = (),
) -> dict[str, Any]:
    """Build the unconstrained twin of `corpus`: as many words of each source and split.

    The span rule and the split are the same; no word is out of vocabulary, and spans are chosen by
    hash.

    Args:
        documents: What `corpus` was built from, or its counterpart in an unconstrained language.
        corpus: The finished constrained corpus.
        out: The artefact's folder.
        by_source: Whether each source has the same size in both; otherwise only each split, for
            counterparts whose sources have other names.
        reporter: Where progress goes.
        executor: Where shards are worked on; this process when None.
        hub: Whether sources may be fetched from the network.
        leave_out: Files and folders that a source may hold and that are no input; `out` never is.
    """
    manifest = read_manifest(corpus, KIND, SCHEMA)
    settings = CorpusSettings.model_validate(
        {k: v for k, v in manifest.settings.items() if k in CorpusSettings.model_fields}
    )
    facts = manifest.facts
    targets, rates = _targets(facts["sources"]) if by_source else (_totals(facts["splits"]), None)
    plan = BuildPlan(
        given=resolve_input(documents, settings, hub=hub, leave_out=[out, corpus, *leave_out]),
        vocabulary=None,
        settings=settings.model_copy(update={"quotas": {}, "max_train_words": None}),
        targets=targets,
        rates=rates,
        matched=manifest.id,
        matched_by=("source", "split") if by_source else ("split",),
    )
    return run_plan(plan, out, reporter, executor or InlineExecutor())


def _totals(splits: Mapping[str, Mapping[str, int]]) -> dict[tuple[str, ...], int]:
    """Return the words wanted of each split."""
    return {(split,): counts["words"] for split, counts in splits.items()}


def _targets(
    sources: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[tuple[str, ...], int], dict[str, float]]:
    """Return the words wanted of each source and split, and a share of spans that surely holds them."""
    targets: dict[tuple[str, ...], int] = {}
    rates: dict[str, float] = {}
    for name, counts in sources.items():
        for split in SPLITS:
            targets[name, split] = int(counts["words_by_split"].get(split, 0))
        wanted = counts["words"] / max(1, counts["span_words"])
        rates[name] = min(1.0, max(2 * wanted, 5000 / max(1, counts["spans"])))
        rates[name] = rates[name] if counts["words"] else 0.0
    return targets, rates
