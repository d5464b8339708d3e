"""Scoring one run on many tasks: each task's predictions are kept, then all scores put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.arrays import FloatArray
from lilliput.core.artefacts import ArtefactBuild, building, read_manifest
from lilliput.core.errors import InputError
from lilliput.core.files import atomic_path, read_json, write_json
from lilliput.core.progress import SILENT, Reporter
from lilliput.evaluation.encoding import SequenceEncoder, encode_examples
from lilliput.evaluation.fine_tuning.epochs import LabelledTexts
from lilliput.evaluation.fine_tuning.seeds import FineTuned, fine_tune_seeds
from lilliput.evaluation.scores.score import (
    EVALUATION_KIND,
    EVALUATION_SCHEMA,
    PREDICTIONS_FILE,
    SCORES_FILE,
    Score,
    caution,
    chance_value,
    gain_interval,
    is_finished,
    read_scores,
    score_from_record,
    seed_values,
    value_interval,
)
from lilliput.evaluation.settings import FineTuningSettings, follow_switches
from lilliput.evaluation.tasks.definition import TaskDefinition
from lilliput.evaluation.tasks.examples import Examples, Table
from lilliput.evaluation.weights import (
    TRAINED,
    UNTRAINED,
    ScoredWeights,
    load_encoder,
    load_weights,
    text_form_record,
)
from lilliput.training import read_run_config


@dataclass(frozen=True)
class TaskData:
    """A task with the examples to learn from and to score.

    Attributes:
        task: What it is.
        train: Labelled examples.
        scored: Split to examples; those with a hidden label are predicted and kept, not scored.
        facts: Counts for the record of its score (kept rows of each split).
        hidden_in_train: Examples of the train split that are left out because their label is hidden.
        guests: Splits in `scored` that belong to another task, which has no training data of its own.
    """

    task: TaskDefinition
    train: Examples
    scored: Mapping[str, Examples]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    guests: Mapping[str, TaskDefinition] = field(default_factory=dict[str, TaskDefinition])
    hidden_in_train: int = 0

    @classmethod
    def of(
        cls,
        task: TaskDefinition,
        train: Examples,
        scored: Mapping[str, Examples],
        facts: Mapping[str, Any],
    ) -> TaskData:
        """Return a task that learns from the labelled examples of `train`.

        Raises:
            InputError: All labels of train, or of all the sets that are to be scored, are hidden.
        """
        for split, count in (
            (task.train, int(train.labelled.sum())),
            (" and ".join(scored), sum(int(found.labelled.sum()) for found in scored.values())),
        ):
            if not count:
                raise InputError(
                    f"{task.name} must have at least one example with a label in {split}",
                    got="hidden labels only (-1)",
                    remedy="Use a split whose labels are published, or leave the task out.",
                )
        learned = train.take(np.flatnonzero(train.labelled))
        return cls(task, learned, scored, facts, hidden_in_train=train.hidden)

    def with_guests(self, other: TaskData) -> TaskData:
        """Return these sets, and the sets of a task that the models of this task predict too."""
        sets = {f"{other.task.name}:{split}": found for split, found in other.scored.items()}
        guests = {**self.guests, **dict.fromkeys(sets, other.task)}
        return replace(self, scored={**self.scored, **sets}, guests=guests)

    @property
    def tasks(self) -> list[TaskDefinition]:
        """The task, and the others that are scored with its models."""
        return list({task.name: task for task in (self.task, *self.guests.values())}.values())

    def task_of(self, split: str) -> TaskDefinition:
        """Return the task that a scored set belongs to."""
        return self.guests.get(split, self.task)

    def score_name(self, split: str) -> str:
        """Return what a set's score is called: the task, and the set where a task has several."""
        return self.task_of(split).score_name(split)


def evaluate_tasks(
    run: Path,
    data: Sequence[TaskData],
    tokenizer: Path,
    out: Path,
    *,
    inputs: Mapping[str, str],
    settings: FineTuningSettings,
    checkpoint: str = "final",
    device: str = "cpu",
    reporter: Reporter = SILENT,
) -> list[Score]:
    """Score a run on tasks, from its trained and its untrained weights, as an artefact in `out`.

    A task that is finished stays finished when the call is interrupted and made again.

    Args:
        run: Folder of the run.
        data: Tasks with their examples.
        tokenizer: Folder of the tokenizer that the run was trained with.
        out: Folder of the artefact "evaluation".
        inputs: Ids of where the examples come from, by name.
        settings: How models are fine-tuned; what they leave out follows the run's switches.
        checkpoint: The trained weights: "final" or "step-N".
        device: Where to compute.
        reporter: Where progress goes.
    """
    settings = follow_switches(settings, read_run_config(run).training.switches)
    made_from: dict[str, Any] = {
        "tasks": [task.model_dump(mode="json") for one in data for task in one.tasks],
        "fine_tuning": settings.model_dump(mode="json"),
        "checkpoint": checkpoint,
        "text_form": text_form_record(run),
    }
    origins = {"run": read_manifest(run, "run").id, **inputs}
    if is_finished(out, made_from, origins):
        return read_scores(out)
    with building(out, EVALUATION_KIND, EVALUATION_SCHEMA, made_from, origins) as build:
        weight_sets = load_weights(run, checkpoint)
        encoder = load_encoder(run, tokenizer, weight_sets[0].model, reporter)
        with reporter.task("evaluation", total=len(data), unit="tasks") as progress:
            for one in data:
                _score_once(build, one, weight_sets, encoder, settings, device)
                progress.advance(note=one.task.name)
        _assemble(build, [one.task.name for one in data])
    return read_scores(out)


def _score_once(
    build: ArtefactBuild,
    data: TaskData,
    weight_sets: Sequence[ScoredWeights],
    encoder: SequenceEncoder,
    settings: FineTuningSettings,
    device: str,
) -> None:
    """Score one task and keep its parts, unless an interrupted call has already done so."""
    record = _part(build, data.task.name, "json")
    if record.is_file():
        return
    found = _fine_tune_weights(data, weight_sets, encoder, settings, device)
    tables = [
        _prediction_table(data, weights.name, split, predictions)
        for weights, tuned in zip(weight_sets, found, strict=True)
        for split, predictions in tuned.predictions.items()
    ]
    with atomic_path(_part(build, data.task.name, "parquet")) as path:
        pq.write_table(pa.concat_tables(tables), path, compression="zstd")
    write_json(record, [s.as_record() for s in _task_scores(data, weight_sets, found, settings)])


def _part(build: ArtefactBuild, task: str, kind: str) -> Path:
    """Return what is kept of one task until all are done: its predictions, and then its scores."""
    return build.scratch("parts") / f"{task}.{kind}"


def _fine_tune_weights(
    data: TaskData,
    weight_sets: Sequence[ScoredWeights],
    encoder: SequenceEncoder,
    settings: FineTuningSettings,
    device: str,
) -> list[FineTuned]:
    config = weight_sets[0].model.config
    longest = min(settings.max_seq_length, config.max_position_embeddings - config.position_offset)
    fitting = settings.model_copy(update={"max_seq_length": longest})
    train = LabelledTexts(
        encode_examples(encoder, data.train, longest),
        data.train.labels,
        data.task.is_regression,
        encoder.special.pad,
    )
    scored = {
        split: encode_examples(encoder, examples, longest)
        for split, examples in data.scored.items()
    }
    return [
        fine_tune_seeds(weights.model, data.task, train, scored, fitting, device=device)
        for weights in weight_sets
    ]


def _prediction_table(
    data: TaskData, weights: str, split: str, predictions_SN: FloatArray
) -> Table:
    seeds, count = predictions_SN.shape
    examples = data.scored[split]
    names = {
        "task": data.task_of(split).name,
        "score": data.score_name(split),
        "weights": weights,
        "split": split,
    }
    columns: dict[str, Any] = {
        key: pa.array([name] * (seeds * count), pa.string()).dictionary_encode()
        for key, name in names.items()
    }
    columns["seed"] = np.repeat(np.arange(seeds), count)
    columns["example"] = np.tile(examples.ids, seeds)
    columns["label"] = np.tile(examples.labels, seeds)
    columns["prediction"] = predictions_SN.reshape(-1)
    return pa.table(columns)


def _task_scores(
    data: TaskData,
    weight_sets: Sequence[ScoredWeights],
    found: Sequence[FineTuned],
    settings: FineTuningSettings,
) -> list[Score]:
    """Return one score for each labelled split and each of the weights; the name says which split where a task has several."""
    scores: list[Score] = []
    for split, examples in data.scored.items():
        rows = np.flatnonzero(examples.labelled)
        if not rows.size:
            continue
        predictions = {
            weights.name: tuned.predictions[split][:, rows]
            for weights, tuned in zip(weight_sets, found, strict=True)
        }
        made = split_scores(
            data.score_name(split),
            data.task_of(split),
            examples.labels[rows],
            predictions,
            resamples=settings.resamples,
        )
        hidden = {"train": data.hidden_in_train, split: examples.hidden}
        note = _hidden_note(hidden)
        for score, weights, tuned in zip(made, weight_sets, found, strict=True):
            details = {**score.details, **tuned.as_details(), **data.facts}
            details |= {"weights_digest": weights.digest, "train_examples": len(data.train)}
            details |= {"hidden_labels": hidden} if note else {}
            note_too = " ".join(filter(None, (score.note, note)))
            scores.append(
                replace(score, checkpoint=weights.checkpoint, note=note_too, details=details)
            )
    return scores


def _hidden_note(hidden: Mapping[str, int]) -> str:
    """Return the sentence that says how many examples were left out for want of a label."""
    parts = [f"{count:,} of {split}" for split, count in hidden.items() if count]
    return f"Left out, their labels are hidden: {', '.join(parts)}." if parts else ""


def split_scores(
    name: str,
    task: TaskDefinition,
    labels: FloatArray,
    predictions: Mapping[str, FloatArray],
    *,
    resamples: int,
) -> list[Score]:
    """Return the scores of trained and untrained weights from their predictions alone.

    Args:
        name: What to call the score.
        task: Its metrics.
        labels: Shape (examples,).
        predictions: Start to classes or values, shape (seeds, examples).
        resamples: Bootstrap draws behind each interval.
    """
    intervals = {
        weights: value_interval(task.metrics, labels, array, resamples)
        for weights, array in predictions.items()
    }
    baseline = intervals[UNTRAINED].value if UNTRAINED in intervals else None
    scores: list[Score] = []
    for weights, array in predictions.items():
        seeds, count = array.shape
        interval = intervals[weights]
        score = Score(
            task=name,
            weights=weights,
            metric="+".join(task.metrics),
            value=interval.value,
            low=interval.low,
            high=interval.high,
            n=count,
            seeds=seeds,
            baseline=baseline,
            note=caution(count),
            chance_level=chance_value(task.metrics, labels),
            details={
                "metrics": {m: float(seed_values((m,), labels, array).mean()) for m in task.metrics}
            },
        )
        if weights == TRAINED and baseline is not None:
            gain = gain_interval(task.metrics, labels, array, predictions[UNTRAINED], resamples)
            score = replace(score, gain=gain.value, gain_low=gain.low, gain_high=gain.high)
        scores.append(score)
    return scores


def _assemble(build: ArtefactBuild, names: Sequence[str]) -> None:
    """Put all parts as one file of scores and one of predictions."""
    records = [r for name in names for r in read_json(_part(build, name, "json"))]
    tables = [pq.read_table(_part(build, name, "parquet")) for name in names]
    with atomic_path(build.path(PREDICTIONS_FILE)) as path:
        pq.write_table(pa.concat_tables(tables), path, compression="zstd")
    write_json(build.path(SCORES_FILE), records)
    build.facts["scores"] = {
        f"{score.task}/{score.weights}": score.value for score in map(score_from_record, records)
    }
