# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Prune a corpus: keep a share of its train split by a score, and leave the held-out splits whole.

Whatever is kept, validation and test stay the unpruned corpus's, so that models of all pruned corpora are
measured on the same text.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from lilliput.core.artefacts import (
    ArtefactBuild,
    Manifest,
    artefact_id,
    building,
    is_artefact,
    read_manifest,
    whole,
)
from lilliput.core.errors import ConfigurationError, EmptyCorpusError
from lilliput.core.files import atomic_path, read_json, write_json, write_text
from lilliput.core.seeding import stream_key
from lilliput.language.corpus.card import corpus_card
from lilliput.language.corpus.reading import KIND, SCHEMA, shard_paths
from lilliput.language.corpus.settings import SPLITS
from lilliput.language.corpus.span_ids import span_ids
from lilliput.language.corpus.writing import CORPUS_SCHEMA
from lilliput.language.scores.build import profile_of
from lilliput.language.scores.reading import read_scores
from lilliput.language.scores.settings import BY_SCORE, PruningSettings
from lilliput.language.spans.counter import WordCounter
from lilliput.language.words.splitting import split_words


def prune_corpus(
    corpus: Path,
    out: Path,
    settings: PruningSettings,
    *,
    scores: Path | None = None,
    like: Path | None = None,
) -> dict[str, Any]:
    """Build the corpus that is left of `corpus`, or find it done.

    Args:
        corpus: Folder of the whole corpus.
        out: Folder of the pruned one.
        settings: What is kept.
        scores: Scores of the corpus's spans; needed for low, middle, high and gumbel.
        like: Pruned corpus whose spans of each source random-mix copies in number.

    Returns:
        The facts of a corpus, and `train_spans`, `train_words`, `kept_spans`, `kept_words`.

    Raises:
        ConfigurationError: Scores or `like` are missing, or are of another corpus.
        EmptyCorpusError: Nothing is left.
    """
    origin = read_manifest(corpus, KIND, SCHEMA)
    inputs = {"corpus": origin.id} | _inputs(origin, settings, scores, like)
    described = dict(origin.settings) | {"pruning": settings.model_dump(mode="json")}
    if is_artefact(out) and read_manifest(out).id == artefact_id(KIND, SCHEMA, described, inputs):
        return dict(read_manifest(out).facts)
    ids, sources = _train_spans(corpus)
    if settings.keep == "random-mix":
        assert like is not None
        kept = _same_mix(ids, sources, _counts(_train_spans(like)[1]), settings.seed)
    else:
        values = np.zeros(len(ids)) if scores is None else read_scores(scores).of(ids)
        kept = ids[chosen_spans(ids, values, settings)]
    if not len(kept):
        raise EmptyCorpusError(
            "pruning must leave at least one span to train on",
            got=f"rate {settings.rate:g} of {len(ids):,} spans",
            remedy="Raise rate.",
        )
    with building(out, KIND, SCHEMA, described, inputs) as build:
        build.facts |= _write(corpus, origin, np.sort(kept), build)
        return dict(build.facts)


def _inputs(
    origin: Manifest, settings: PruningSettings, scores: Path | None, like: Path | None
) -> dict[str, str]:
    """Return the ids of scores and of the corpus to be like, each of which belongs to this corpus."""
    inputs: dict[str, str] = {}
    if settings.keep in BY_SCORE:
        if scores is None:
            raise ConfigurationError(
                f"keep = {settings.keep!r} needs the scores of the corpus",
                remedy="Make them with: lilliput corpus score CORPUS --by NAME --out FOLDER.",
            )
        of_corpus = read_manifest(scores, "span-scores")
        inputs["scores"] = of_corpus.id
        if of_corpus.inputs.get("corpus") != origin.id:
            raise ConfigurationError(
                "scores must be of the corpus that is pruned", got=f"{scores}, of another corpus"
            )
    if settings.keep == "random-mix":
        if like is None:
            raise ConfigurationError(
                "keep = 'random-mix' needs a pruned corpus whose mix of sources it copies",
                remedy="Name one with --like.",
            )
        pruned = read_manifest(like, KIND, SCHEMA)
        inputs["like"] = pruned.id
        if pruned.inputs.get("corpus") != origin.id or "pruning" not in pruned.settings:
            raise ConfigurationError(
                "random-mix must copy a pruned version of the same corpus", got=like
            )
    return inputs


def chosen_spans(
    ids: NDArray[np.uint64], scores: NDArray[np.float64], settings: PruningSettings
) -> NDArray[np.int64]:
    """Return the places of the spans that are kept, rising.

    Spans are ranked by score, those of equal score by a hash of their ids. Of N spans at rate r, `low` keeps
    the ranks below rN, `high` those from N - rN, `middle` those from (1 - r)N/2 to (1 + r)N/2, rounded: at
    r = 1/3 the three are a partition. No choice depends on the order of the spans.

    Args:
        ids: Ids of the spans, uint64 of shape (N,).
        scores: Score of each; not read for random choices.
        settings: What is kept.
    """
    count, rate = len(ids), settings.rate
    size = round(rate * count)
    draws = _uniform(ids, settings.seed)
    if settings.keep == "random":
        keys = draws
    elif settings.keep == "gumbel":
        keys = -(scores - np.log(-np.log(draws)))  # The largest of score + Gumbel noise come first.
    else:
        keys = scores
    order = np.lexsort((ids, _uniform(ids, 0), keys))
    if settings.keep == "high":
        return np.sort(order[count - size :])
    if settings.keep == "middle":
        first, last = round((1 - rate) / 2 * count), round((1 + rate) / 2 * count)
        return np.sort(order[first:last])
    return np.sort(order[:size])


def _uniform(ids: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """Return a number between 0 and 1 for each span that follows from its id and the seed alone."""
    drawn = (stream_key(seed, "pruning", span) for span in ids.tolist())
    return (np.fromiter(drawn, np.float64, count=len(ids)) + 0.5) / 2.0**64


def _same_mix(
    ids: NDArray[np.uint64], sources: list[str], wanted: Counter[str], seed: int
) -> NDArray[np.uint64]:
    """Return as many spans of each source as are wanted, drawn by a hash of their ids."""
    draws, names = _uniform(ids, seed), np.asarray(sources, dtype=object)
    parts: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    for source, count in sorted(wanted.items()):
        own = np.flatnonzero(names == source)
        parts.append(ids[own[np.lexsort((ids[own], draws[own]))[:count]]])
    return np.concatenate(parts)


def _counts(sources: list[str]) -> Counter[str]:
    return Counter(sources)


def _train_spans(corpus: Path) -> tuple[NDArray[np.uint64], list[str]]:
    """Return ids and sources of the train split."""
    ids: list[NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
    sources: list[str] = []
    for path in shard_paths(corpus):
        table = parquet.read_table(path, columns=["source", "doc_id", "position", "split"])
        rows = table.filter(np.asarray(table.column("split").to_pylist(), dtype=object) == "train")
        ids.append(span_ids(rows))
        sources += rows.column("source").to_pylist()
    return np.concatenate(ids), sources


def _write(
    corpus: Path, origin: Manifest, kept: NDArray[np.uint64], build: ArtefactBuild
) -> dict[str, Any]:
    """Write the shards, the statistics and the card; the facts of what was written."""
    profile = profile_of(corpus)
    counter = WordCounter(profile)
    spans: Counter[tuple[str, str]] = Counter()
    words: Counter[tuple[str, str]] = Counter()
    for path in shard_paths(corpus):
        table = parquet.read_table(path)
        splits = np.asarray(table.column("split").to_pylist(), dtype=object)
        rows = table.filter(pa.array((splits != "train") | np.isin(span_ids(table), kept)))
        with atomic_path(build.path(f"shards/{path.name}")) as temporary:
            parquet.write_table(rows.cast(CORPUS_SCHEMA), temporary, compression="zstd")
        texts = rows.column("text").combine_chunks()
        counter.add(texts)
        groups = zip(
            rows.column("source").to_pylist(), rows.column("split").to_pylist(), strict=True
        )
        for group, text in zip(groups, texts.to_pylist(), strict=True):
            spans[group] += 1
            words[group] += len(split_words(text, profile))
    facts = _facts(origin, spans, words)
    types = counter.counts
    statistics = dict(read_json(whole(corpus / "statistics.json"))) | {
        "word_tokens": sum(types.values()),
        "word_types": len(types),
        "most_frequent": sorted(types.items(), key=lambda item: (-item[1], item[0]))[:50],
    }
    write_json(build.path("statistics.json"), statistics)
    write_text(build.path("README.md"), corpus_card(facts, statistics, dict(origin.settings)))
    return facts


def _facts(
    origin: Manifest, spans: Counter[tuple[str, str]], words: Counter[tuple[str, str]]
) -> dict[str, Any]:
    """Return the facts of the whole corpus with the counts of what is left."""
    before = origin.facts["splits"]["train"]
    facts = dict(origin.facts)
    written = sum(spans.values())
    facts |= {
        "written": written,
        "kept": written + facts["duplicates"],
        "dropped": dict(facts["dropped"]) | {"pruned": facts["written"] - written},
        "words": sum(words.values()),
        "splits": {
            split: {
                "spans": sum(n for (_, s), n in spans.items() if s == split),
                "words": sum(n for (_, s), n in words.items() if s == split),
            }
            for split in SPLITS
        },
    }
    facts["sources"] = {
        name: dict(counts)
        | {
            "written": sum(n for (source, _), n in spans.items() if source == name),
            "words": sum(n for (source, _), n in words.items() if source == name),
            "words_by_split": {s: n for (source, s), n in sorted(words.items()) if source == name},
        }
        for name, counts in origin.facts["sources"].items()
    }
    train = facts["splits"]["train"]
    return facts | {
        "train_spans": before["spans"],
        "train_words": before["words"],
        "kept_spans": train["spans"],
        "kept_words": train["words"],
    }
