"""Scoring one run on many tasks: each task's predictions are kept, then all scores put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
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
from lilliput.core.hashing import content_id
from lilliput.core.progress import SILENT, Reporter
from lilliput.evaluation.encoding import SequenceEncoder, encode_examples
from lilliput.evaluation.fine_tuning.epochs import LabelledTexts
from lilliput.evaluation.fine_tuning.seeds import FineTuned, fine_tune_models
from lilliput.evaluation.scores.score import (
    EVALUATION_KIND,
    EVALUATION_SCHEMA,
    PREDICTIONS_FILE,
    SCORES_FILE,
    Score,
    caution,
    chance_value,
    interval_of_draws,
    is_finished,
    read_scores,
    score_from_record,
    seed_values,
    value_draws,
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
    return evaluate_together(
        {run: out},
        data,
        tokenizer,
        inputs=inputs,
        settings=settings,
        checkpoint=checkpoint,
        device=device,
        reporter=reporter,
    )[0]


def evaluate_together(
    runs: Mapping[Path, Path],
    data: Sequence[TaskData],
    tokenizer: Path,
    *,
    inputs: Mapping[str, str],
    settings: FineTuningSettings,
    checkpoint: str = "final",
    device: str = "cpu",
    reporter: Reporter = SILENT,
) -> list[list[Score]]:
    """Score several runs as `evaluate_tasks` scores each; runs of one shape share texts and stacks.

    Args:
        runs: Folder of each run to the folder of its artefact "evaluation".
        data: See `evaluate_tasks`, as for the other arguments.
        tokenizer: Of all runs.
        inputs: Ids of where the examples come from.
        settings: How models are fine-tuned.
        checkpoint: The trained weights of each run.
        device: Where to compute.
        reporter: Where progress goes.
    """
    alike: dict[str, list[_Evaluation]] = {}
    for run, out in runs.items():
        one = _Evaluation.of(run, out, data, inputs, settings, checkpoint)
        if not is_finished(out, one.made_from, one.origins):
            alike.setdefault(one.shape, []).append(one)
    for evaluations in alike.values():
        _evaluate_alike(evaluations, data, tokenizer, device, reporter)
    return [read_scores(out) for out in runs.values()]


@dataclass(frozen=True)
class _Evaluation:
    """Hold what identifies the evaluation of one run."""

    run: Path
    out: Path
    settings: FineTuningSettings
    checkpoint: str
    made_from: Mapping[str, Any]
    origins: Mapping[str, str]
    shape: str

    @classmethod
    def of(
        cls,
        run: Path,
        out: Path,
        data: Sequence[TaskData],
        inputs: Mapping[str, str],
        asked: FineTuningSettings,
        checkpoint: str,
    ) -> _Evaluation:
        config = read_run_config(run)
        settings = follow_switches(asked, config.training.switches)
        made_from: dict[str, Any] = {
            "tasks": [task.model_dump(mode="json") for one in data for task in one.tasks],
            "fine_tuning": settings.model_dump(mode="json"),
            "checkpoint": checkpoint,
            "text_form": text_form_record(run),
        }
        # Only models of one shape that read the same ids in the same way share a stack.
        shape = content_id([config.model.model_dump(mode="json"), made_from])
        origins = {"run": read_manifest(run, "run").id, **inputs}
        return cls(run, out, settings, checkpoint, made_from, origins, shape)


@dataclass(frozen=True)
class _Opened:
    """Hold an evaluation that is being built, with the weights that it compares."""

    build: ArtefactBuild
    weight_sets: Sequence[ScoredWeights]


def _evaluate_alike(
    evaluations: Sequence[_Evaluation],
    data: Sequence[TaskData],
    tokenizer: Path,
    device: str,
    reporter: Reporter,
) -> None:
    settings = evaluations[0].settings
    with ExitStack() as stack:
        opened: list[_Opened] = []
        for one in evaluations:
            build = stack.enter_context(
                building(one.out, EVALUATION_KIND, EVALUATION_SCHEMA, one.made_from, one.origins)
            )
            opened.append(_Opened(build, load_weights(one.run, one.checkpoint)))
        encoders = [
            load_encoder(one.run, tokenizer, each.weight_sets[0].model, reporter)
            for one, each in zip(evaluations, opened, strict=True)
        ]
        with reporter.task("evaluation", total=len(data), unit="tasks") as progress:
            for one in data:
                _score_once(opened, one, encoders[0], settings, device)
                progress.advance(note=one.task.name)
        for each in opened:
            _assemble(each.build, [one.task.name for one in data])


def _score_once(
    opened: Sequence[_Opened],
    data: TaskData,
    encoder: SequenceEncoder,
    settings: FineTuningSettings,
    device: str,
) -> None:
    """Score one task and keep its parts, but for the runs where an interrupted call has already done so."""
    waiting = [one for one in opened if not _part(one.build, data.task.name, "json").is_file()]
    if not waiting:
        return
    weight_sets = [weights for one in waiting for weights in one.weight_sets]
    tuned = iter(_fine_tune_weights(data, weight_sets, encoder, settings, device))
    for one in waiting:
        found = [next(tuned) for _ in one.weight_sets]
        _write_parts(one, data, found, settings)


def _write_parts(
    opened: _Opened, data: TaskData, found: Sequence[FineTuned], settings: FineTuningSettings
) -> None:
    """Keep the predictions of one run on one task, and then its scores."""
    tables = [
        _prediction_table(data, weights.name, split, predictions)
        for weights, tuned in zip(opened.weight_sets, found, strict=True)
        for split, predictions in tuned.predictions.items()
    ]
    with atomic_path(_part(opened.build, data.task.name, "parquet")) as path:
        pq.write_table(pa.concat_tables(tables), path, compression="zstd")
    scores = _task_scores(data, opened.weight_sets, found, settings)
    write_json(_part(opened.build, data.task.name, "json"), [s.as_record() for s in scores])


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
    models = [weights.model for weights in weight_sets]
    return fine_tune_models(models, data.task, train, scored, fitting, device=device)


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
    draws = {
        weights: value_draws(task.metrics, labels, array, resamples)
        for weights, array in predictions.items()
    }
    intervals = {
        weights: interval_of_draws(
            float(seed_values(task.metrics, labels, array).mean()), draws[weights], labels.size
        )
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
            # The same seeds and examples were drawn for both.
            gain = interval_of_draws(
                interval.value - baseline, draws[weights] - draws[UNTRAINED], labels.size
            )
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
