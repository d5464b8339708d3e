# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Score a corpus: one output shard for each of its shards, on any number of workers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from lilliput.core.artefacts import (
    artefact_id,
    building,
    is_artefact,
    read_manifest,
)
from lilliput.core.errors import ConfigurationError
from lilliput.core.executors import Executor, InlineExecutor
from lilliput.core.files import atomic_path
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.settings import identity_values, parse_settings
from lilliput.language.corpus.reading import KIND as CORPUS_KIND
from lilliput.language.corpus.reading import SCHEMA as CORPUS_SCHEMA
from lilliput.language.corpus.reading import shard_paths
from lilliput.language.corpus.span_ids import SPAN_ID_COLUMNS, span_ids
from lilliput.language.scores.base import REGISTRY, ScorerContext, ScorerSettings
from lilliput.language.words.profiles import PROFILES, WordProfile
from lilliput.language.words.vocabulary import read_vocabulary

KIND, SCHEMA = "span-scores", 1
SCORES_SCHEMA = pa.schema(
    [("span_id", pa.uint64()), ("split", pa.string()), ("score", pa.float64())]
)
COLUMNS = ("text", "split", *SPAN_ID_COLUMNS)
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class _Task:
    """Describe the task of scoring one shard."""

    settings: str  # As JSON, so that the same scorer is made once a process.
    corpus: Path
    corpus_id: str
    vocabulary: Path | None
    shard: Path
    out: Path


def score_corpus(
    corpus: Path,
    by: str | Mapping[str, Any],
    out: Path,
    *,
    vocabulary: Path | None = None,
    reporter: Reporter = SILENT,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Give every span of a corpus a number, or find it done.

    Args:
        corpus: Folder of the corpus.
        by: Name of the scorer, or a table with `name` and its own settings.
        out: Folder of the scores; an interrupted call goes on with the shards that are left.
        vocabulary: Words of the language, where the scorer reads their ages.
        reporter: Where progress goes.
        executor: Where shards are scored; this process when None.

    Returns:
        `by`, `spans`, `missing` (spans without a score), `mean`, `sd` and `quantiles`, all over the train
        split where it holds spans.

    Raises:
        ConfigurationError: There is no such scorer, or a setting of it breaks a rule.
        InputError: No finished corpus lies there.
    """
    settings = scorer_settings(by)
    origin = read_manifest(corpus, CORPUS_KIND, CORPUS_SCHEMA)
    inputs = {"corpus": origin.id, **settings.inputs()}
    if vocabulary is not None:
        inputs["vocabulary"] = _content_of(vocabulary)
    described = identity_values(settings)
    if is_artefact(out) and read_manifest(out).id == artefact_id(KIND, SCHEMA, described, inputs):
        return dict(read_manifest(out).facts)
    _make(settings.model_dump_json(), corpus, origin.id, vocabulary)  # A wrong setting is met here.
    with building(out, KIND, SCHEMA, described, inputs) as build:
        tasks = [
            _Task(
                settings=settings.model_dump_json(),
                corpus=corpus,
                corpus_id=origin.id,
                vocabulary=vocabulary,
                shard=shard,
                out=build.path(f"shards/{shard.name}"),
            )
            for shard in shard_paths(corpus)
        ]
        waiting = [task for task in tasks if not task.out.is_file()]
        with reporter.task("score spans", total=len(tasks), unit="shards") as progress:
            progress.found(len(tasks) - len(waiting))
            for _ in (executor or InlineExecutor()).map(_score_shard, waiting):
                progress.advance()
        build.facts |= summarise_scores(settings.name, [task.out for task in tasks])
        return dict(build.facts)


def scorer_settings(by: str | Mapping[str, Any]) -> ScorerSettings:
    """Return the settings of a scorer, from its name or a table.

    Raises:
        ConfigurationError: There is no such scorer, or a setting of it breaks a rule.
    """
    values = {"name": by} if isinstance(by, str) else dict(by)
    name = values.get("name")
    if not isinstance(name, str):
        raise ConfigurationError("a score of spans must have a name", got=repr(by))
    return parse_settings(REGISTRY.get(name, where="the score").settings_type, values, "the score")


def _content_of(vocabulary: Path) -> str:
    """Return a hash of the words and their ages; `Vocabulary.hash` names the words alone."""
    from lilliput.core.hashing import content_id

    words = read_vocabulary(vocabulary)
    return content_id([words.hash, list(words.words), list(words.ages or ())])


@lru_cache(maxsize=1)
def _make(settings: str, corpus: Path, _corpus_id: str, vocabulary: Path | None) -> Any:
    """Return the scorer of this process; the id makes another corpus in the same folder another one."""
    import json

    checked = scorer_settings(json.loads(settings))
    words = None if vocabulary is None else read_vocabulary(vocabulary)
    context = ScorerContext(checked, corpus, profile_of(corpus), words)
    return REGISTRY.get(checked.name, where="the score")(context)


def profile_of(corpus: Path) -> WordProfile:
    """Return the word profile by which a corpus was built."""
    name = read_manifest(corpus, CORPUS_KIND, CORPUS_SCHEMA).settings.get("word_profile", "modern")
    return PROFILES[str(name)]


def _score_shard(task: _Task) -> None:
    """Score one shard; the file appears whole or not at all."""
    scorer = _make(task.settings, task.corpus, task.corpus_id, task.vocabulary)
    with (
        atomic_path(task.out) as temporary,
        parquet.ParquetWriter(temporary, SCORES_SCHEMA, compression="zstd") as writer,
        parquet.ParquetFile(task.shard) as file,
    ):
        for batch in file.iter_batches(columns=list(COLUMNS)):
            columns = [
                pa.array(span_ids(batch)),
                batch.column("split"),
                pa.array(scorer.score(batch)),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCORES_SCHEMA))


def summarise_scores(name: str, shards: Sequence[Path]) -> dict[str, Any]:
    """Return the facts of scores: their number, mean and quantiles.

    Raises:
        ConfigurationError: Two spans have one id.
    """
    table = pa.concat_tables([parquet.read_table(path) for path in shards])
    ids = table.column("span_id").to_numpy()
    if len(np.unique(ids)) != len(ids):
        raise ConfigurationError(
            "every span of a corpus must have a source, document and position of its own",
            got=f"{len(ids) - len(np.unique(ids)):,} of {len(ids):,} that have another span's",
            remedy="Give each document its own doc_id, and build the corpus again.",
        )
    scores = table.column("score").to_numpy()
    is_train = np.asarray(table.column("split").to_pylist()) == "train"
    return {"by": name, "spans": len(ids)} | _summary(
        scores[is_train] if is_train.any() else scores
    )


def _summary(scores: NDArray[np.float64]) -> dict[str, Any]:
    known = scores[np.isfinite(scores)]
    missing = len(scores) - len(known)
    if not len(known):
        return {"missing": missing, "mean": None, "sd": None, "quantiles": {}}
    # Sorted first: sums then do not depend on the order of shards.
    known = np.sort(known)
    quantiles = np.quantile(known, _QUANTILES)
    return {
        "missing": missing,
        "mean": math.fsum(known) / len(known),
        "sd": float(np.std(known)),
        "quantiles": {f"{q:g}": float(v) for q, v in zip(_QUANTILES, quantiles, strict=True)},
    }
