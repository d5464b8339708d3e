"""Scoring how a causal run uses its context, as an artefact that keeps the losses of every document and sequence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lilliput.core.arrays import FloatArray
from lilliput.core.artefacts import building, read_manifest
from lilliput.core.errors import InputError
from lilliput.core.files import atomic_path, write_json
from lilliput.core.intervals import Interval, two_way_bootstrap_interval
from lilliput.core.progress import SILENT, Reporter
from lilliput.evaluation.context.measures import (
    IntArray,
    copy_losses,
    losses_by_position,
    repeated_sequences,
    window_mean,
)
from lilliput.evaluation.context.settings import ContextSettings
from lilliput.evaluation.folders import run_origins
from lilliput.evaluation.generation.generate import require_kind
from lilliput.evaluation.scores.score import (
    EVALUATION_KIND,
    EVALUATION_SCHEMA,
    PREDICTIONS_FILE,
    SCORES_FILE,
    Score,
    caution,
    is_finished,
    read_scores,
)
from lilliput.evaluation.weights import TRAINED, UNTRAINED, ScoredWeights, load_weights
from lilliput.tokenization import TokenStore, open_store

IN_CONTEXT, INDUCTION = "in_context", "induction"
_FEWEST = 8


def evaluate_context(
    run: Path,
    out: Path,
    *,
    tokens: Path | None = None,
    settings: ContextSettings | None = None,
    checkpoint: str = "final",
    reporter: Reporter = SILENT,
) -> list[Score]:
    """Return two measures of a causal run in nats, from trained and untrained weights.

    `in_context` is the loss early in held-out documents minus the loss late in the same documents: what the context
    between them is worth. It is left out where too few documents are long enough. `induction` is the loss of a
    random sequence minus the loss of the same sequence repeated: a model that copies scores high, and a model of one
    layer cannot (Olsson et al. 2022, arXiv 2209.11895).

    Args:
        run: Folder of the run.
        out: Folder of the artefact "evaluation"; one that is already there is read.
        tokens: The run's token store; found in its study when None.
        settings: Positions, sequences, seed.
        checkpoint: The trained weights: "final" or "step-N".
        reporter: Hears how many documents were long enough.

    Raises:
        InputError: The run is masked, its tokens are not known, or a sequence does not fit its context.
    """
    settings = settings or ContextSettings()
    store = _store(run, tokens)
    made_from = {"context": settings.model_dump(mode="json"), "checkpoint": checkpoint}
    inputs = {"run": read_manifest(run, "run").id, "tokens": store.manifest.id}
    if is_finished(out, made_from, inputs):
        return read_scores(out)
    starts = load_weights(run, checkpoint)
    config = starts[0].model.config
    require_kind(run, starts[0].model, is_causal=True)
    late = settings.late_within(config.max_seq_length)
    needed = max(late[1] if settings.late else 0, 1 + 2 * settings.sequence_length)
    if needed > config.max_seq_length:
        raise InputError(
            f"positions and sequences must lie within the model's context of {config.max_seq_length} tokens",
            got=needed,
            remedy="Lower sequence_length or late.",
        )
    documents = _documents(store, late[1], settings.max_documents)
    sequences = repeated_sequences(
        _frequent_ids(store), store.special.bos, settings.sequences, settings.sequence_length,
        settings.seed,
    )  # fmt: skip
    with building(out, EVALUATION_KIND, EVALUATION_SCHEMA, made_from, inputs) as build:
        found: dict[str, dict[str, tuple[FloatArray, FloatArray]]] = {INDUCTION: {}}
        for start in starts:
            losses = losses_by_position(start.model, sequences, settings.batch_tokens)
            found[INDUCTION][start.name] = copy_losses(losses)
        if len(documents) >= _FEWEST and settings.early[1] <= late[0]:
            found[IN_CONTEXT] = {}
            for start in starts:
                losses = losses_by_position(start.model, documents, settings.batch_tokens)
                windows = (window_mean(losses, settings.early), window_mean(losses, late))
                found[IN_CONTEXT][start.name] = windows
        else:
            reporter.say(
                f"{IN_CONTEXT} is left out: {len(documents)} held-out documents have {late[1]} tokens"
            )
        scores = [
            score
            for task in sorted(found)
            for score in _scores(task, found[task], starts, settings.resamples)
        ]
        _write(build.path(PREDICTIONS_FILE), found)
        write_json(build.path(SCORES_FILE), [score.as_record() for score in scores])
        build.facts["documents"] = len(documents)
        build.facts["scores"] = {f"{s.task}/{s.weights}": s.value for s in scores}
    return read_scores(out)


def _store(run: Path, tokens: Path | None) -> TokenStore:
    tokens = tokens or run_origins(run).tokens
    if tokens is None:
        raise InputError(
            "the run's tokens must be known",
            got=f"no token store of {run}",
            remedy="Score a run that lies in its study.",
        )
    return open_store(tokens)


def _documents(store: TokenStore, length: int, most: int) -> IntArray:
    """Return `<s>` and the first tokens of the held-out documents that are long enough, (documents, length)."""
    tokens, offsets = store.split("validation")
    long_enough = np.flatnonzero(np.diff(offsets) >= length - 1)[:most]
    rows = [tokens[offsets[i] : offsets[i] + length - 1] for i in long_enough]
    bodies = np.stack(rows).astype(np.int64) if rows else np.zeros((0, length - 1), np.int64)
    return np.concatenate([np.full((len(bodies), 1), store.special.bos), bodies], 1)


def _frequent_ids(store: TokenStore) -> IntArray:
    """Return the more frequent half of the ids that the training text has: a model can have learned these."""
    counts = np.bincount(store.split("train")[0], minlength=store.vocab_size)
    ranked = np.argsort(-counts, kind="stable")
    seen = int((counts > 0).sum())
    return ranked[: max(seen // 2, min(seen, 64))].astype(np.int64)


def _scores(
    task: str,
    found: Mapping[str, tuple[FloatArray, FloatArray]],
    starts: list[ScoredWeights],
    resamples: int,
) -> list[Score]:
    values = {name: first - second for name, (first, second) in found.items()}
    baseline = float(values[UNTRAINED].mean()) if UNTRAINED in values else None
    by_name = {start.name: start for start in starts}
    scores: list[Score] = []
    for name, array in values.items():
        interval = _interval(array, resamples)
        has_gain = name == TRAINED and baseline is not None
        gain = _interval(array - values[UNTRAINED], resamples) if has_gain else None
        first, second = (float(part.mean()) for part in found[name])
        scores.append(
            Score(
                task=task,
                weights=name,
                metric="nats",
                value=interval.value,
                low=interval.low,
                high=interval.high,
                n=len(array),
                seeds=1,
                baseline=baseline,
                note=caution(len(array)),
                chance_level=0.0,
                gain=None if gain is None else gain.value,
                gain_low=None if gain is None else gain.low,
                gain_high=None if gain is None else gain.high,
                checkpoint=by_name[name].checkpoint,
                details={
                    "first_loss": first,
                    "second_loss": second,
                    "weights_digest": by_name[name].digest,
                },
            )
        )
    return scores


def _interval(values: FloatArray, resamples: int) -> Interval:
    def mean(seeds: NDArray[np.intp], items: NDArray[np.intp]) -> float:
        del seeds
        return float(values[items].mean())

    return two_way_bootstrap_interval(mean, 1, len(values), resamples=resamples)


def _write(path: Path, found: Mapping[str, Mapping[str, tuple[FloatArray, FloatArray]]]) -> None:
    rows: dict[str, list[Any]] = {
        name: [] for name in ("task", "weights", "example", "first", "second", "margin")
    }
    for task, by_weights in found.items():
        for name, (first, second) in by_weights.items():
            rows["task"] += [task] * len(first)
            rows["weights"] += [name] * len(first)
            rows["example"] += range(len(first))
            rows["first"] += first.tolist()
            rows["second"] += second.tolist()
            rows["margin"] += (first - second).tolist()
    with atomic_path(path) as temporary:
        pq.write_table(pa.table(rows), temporary, compression="zstd")
