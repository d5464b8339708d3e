# pyright: reportUnknownParameterType=false, reportAttributeAccessIssue=false
# (pyarrow publishes no types.)
"""Score the spans of a corpus by a trained run: how high its loss is on each, or how far its predictions are off.

The scores are of the same kind as those that `lilliput corpus score` makes, so that curricula and pruning read
them. What the scoring costs stands in the facts: the forward passes over the corpus.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet
from pydantic import Field, PositiveInt

from lilliput.core.artefacts import artefact_id, building, is_artefact, read_manifest
from lilliput.core.errors import InputError
from lilliput.core.files import atomic_path
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.settings import Settings
from lilliput.evaluation.folders import run_origins
from lilliput.language.scores.build import KIND, SCHEMA, SCORES_SCHEMA, summarise_scores
from lilliput.tokenization import open_store
from lilliput.tokenization.store import SPLITS
from lilliput.training.data.batches import BatchRules, MicroBatch, make_batch
from lilliput.training.data.sequences import Sequences, cut_sequences
from lilliput.training.data.token_data import load_data
from lilliput.training.execution.gradients import predicted_losses, prediction_errors
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.loop import plan_for
from lilliput.training.objectives.base import DrawKey
from lilliput.training.run_folder import load_model, read_run_config
from lilliput.training.run_schedule import RunSchedule

RunScore = Literal["loss", "el2n"]
_MEASURES: dict[RunScore, Callable[..., Any]] = {
    "loss": predicted_losses,
    "el2n": prediction_errors,
}
_BATCH_TOKENS = 16_384


class RunScoreSettings(Settings):
    """Which figure of a run scores a span."""

    name: RunScore = Field(
        description="loss: mean nats of the predicted tokens; el2n: mean length of softmax - onehot."
    )
    draws: PositiveInt = Field(
        4,
        description="Draws of masks over which a masked model is averaged; a causal one predicts every token once.",
    )
    checkpoint: str = Field("final", description="Weights that predict: final, initial or step-N.")


class _Sums(NamedTuple):
    """The sums over the documents of one split, and what was read for them."""

    totals: NDArray[np.float64]
    counts: NDArray[np.int64]
    sequences: int
    tokens: int
    squared_lengths: int
    predicted: int


def score_spans(
    run: Path,
    tokens: Path,
    out: Path,
    settings: RunScoreSettings,
    *,
    reporter: Reporter = SILENT,
) -> dict[str, Any]:
    """Score every span of a corpus by a finished run, or find it done.

    The masks of a span follow from the token store alone, so that every run of a language is asked the same.

    Args:
        run: Folder of the run.
        tokens: Token store of the corpus, written by the run's tokenizer.
        out: Folder of the scores.
        settings: What is measured, with which weights.
        reporter: Where progress goes.

    Returns:
        The facts of scores (see `score_corpus`), and `flops_…` of the forward passes under each convention.

    Raises:
        InputError: The run or the store is not there, or another tokenizer wrote the store.
    """
    origin, store = read_manifest(run, "run"), open_store(tokens)
    inputs = {
        "corpus": store.manifest.inputs["corpus"],
        "run": origin.id,
        "tokens": store.manifest.id,
    }
    described = settings.model_dump(mode="json")
    if is_artefact(out) and read_manifest(out).id == artefact_id(KIND, SCHEMA, described, inputs):
        return dict(read_manifest(out).facts)
    config = read_run_config(run)
    data = load_data(config, tokens)
    _require_same_tokenizer(run, store.tokenizer_content)
    plan = plan_for(RunSchedule.of(config, data), may_replicate=False)
    plan.apply()
    model = load_model(run, settings.checkpoint)
    draws = 1 if config.model.is_causal else settings.draws
    measure = _MEASURES[settings.name]

    def measured(micro: MicroBatch) -> NDArray[np.float64]:
        return measure(model, micro, plan).double().cpu().numpy()

    with building(out, KIND, SCHEMA, described, inputs) as build:
        found: list[tuple[str, NDArray[np.uint64], _Sums]] = []
        for split in SPLITS:
            pieces = cut_sequences(*store.split(split), config.training.max_seq_length)
            with reporter.task(f"score {split}", total=draws, unit="draws") as task:
                ids = store.span_ids(split)
                found.append(
                    (
                        split,
                        ids,
                        _sums(pieces, len(ids), data.rules, plan, measured, draws, task.advance),
                    )
                )
        shard = build.path("shards/00000.parquet")
        with atomic_path(shard) as temporary:
            parquet.write_table(_table(found), temporary, compression="zstd")
        build.facts |= summarise_scores(settings.name, [shard])
        build.facts |= _forward_flops(data.rules, [sums for _, _, sums in found])
        return dict(build.facts)


def _require_same_tokenizer(run: Path, content: str) -> None:
    trained_on = run_origins(run).tokens
    trained = content if trained_on is None else open_store(trained_on).tokenizer_content
    if trained != content:
        raise InputError(
            "the token store must be written by the tokenizer of the run",
            got=f"one written by {content}",
            remedy=f"Encode the corpus with the tokenizer {trained}.",
        )


def _sums(
    pieces: Sequences,
    documents: int,
    rules: BatchRules,
    plan: ExecutionPlan,
    measured: Callable[[MicroBatch], NDArray[np.float64]],
    draws: int,
    advance: Callable[[], object],
) -> _Sums:
    """Return the sum and number of predictions of each document of a split."""
    totals, counts = np.zeros(documents), np.zeros(documents, np.int64)
    read = np.zeros(4, np.int64)
    # Sequences of one length stand together; batches follow from the store alone.
    order = np.argsort(pieces.lengths, kind="stable")
    width = rules.max_seq_length
    size = max(1, _BATCH_TOKENS // width)
    for draw in range(draws):
        for number, first in enumerate(range(0, len(order), size)):
            chosen = order[first : first + size]
            key = DrawKey.of(0, "span scores", draw, number)
            batch = make_batch(pieces, chosen, key, rules, plan.max_rows)
            document = pieces.documents[chosen]
            for micro in batch.micro_batches:
                places = document[micro.rows_N]
                totals += np.bincount(places, weights=measured(micro), minlength=documents)
                counts += np.bincount(places, minlength=documents)
            read += batch.sequences, batch.tokens, batch.squared_lengths, batch.predicted
        advance()
    return _Sums(totals, counts, *(int(n) for n in read))


def _table(found: list[tuple[str, NDArray[np.uint64], _Sums]]) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in SCORES_SCHEMA.names}
    for split, ids, sums in found:
        with np.errstate(invalid="ignore"):
            scores = sums.totals / sums.counts  # NaN where no token of the span was predicted.
        columns["span_id"] += ids.tolist()
        columns["split"] += [split] * len(ids)
        columns["score"] += scores.tolist()
    return pa.table(columns, schema=SCORES_SCHEMA)


def _forward_flops(rules: BatchRules, found: list[_Sums]) -> dict[str, float]:
    """Return the FLOPs of the forward passes: a third of those of training on the same tokens."""
    training = rules.objective.training_flops(
        sequences=sum(sums.sequences for sums in found),
        tokens=sum(sums.tokens for sums in found),
        squared_lengths=sum(sums.squared_lengths for sums in found),
        predicted_tokens=sum(sums.predicted for sums in found),
    )
    return {name: value / 3 for name, value in training.items() if math.isfinite(value)}
