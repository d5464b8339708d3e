"""Fine-tuning a run on GLUE tasks, or on any tasks described by a definition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import InputError
from lilliput.core.hashing import content_id, file_hash
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.reader import read_record
from lilliput.core.settings import parse_settings
from lilliput.evaluation.glue.filtering import TASK_KIND, present_splits
from lilliput.evaluation.scores.score import Score
from lilliput.evaluation.settings import FineTuningSettings
from lilliput.evaluation.suite import TaskData, evaluate_tasks
from lilliput.evaluation.tasks.definition import TaskDefinition, load_task
from lilliput.evaluation.tasks.examples import Examples, read_examples
from lilliput.tokenization import load_tokenizer

_DEFINITIONS = ("task.json", "task.toml")


def evaluate_glue(
    run: Path,
    tasks: Sequence[Path],
    tokenizer: Path,
    out: Path,
    *,
    settings: FineTuningSettings | None = None,
    checkpoint: str = "final",
    device: str = "cpu",
    reporter: Reporter = SILENT,
) -> list[Score]:
    """Score a run on tasks, from its trained and its untrained weights.

    The scored sets are the tasks' dev splits, used once; choices are made on a part of train. Where
    `ax` is among the tasks, the models fine-tuned on MNLI predict it.

    Args:
        run: Folder of the run.
        tasks: A folder a task: an artefact of `filter_task`, or a folder named like a known task (or
            with a `task.toml` of its own) that holds one table a split.
        tokenizer: Folder of the tokenizer the run was trained with.
        out: Folder of the artefact "evaluation"; finished tasks in it are not repeated.
        settings: How models are fine-tuned; what they leave out follows the run's switches.
        checkpoint: The trained weights: "final" or "step-N".
        device: Where to compute.
        reporter: Where progress goes.

    Raises:
        InputError: A table is missing, lacks a column, is empty, or holds a label out of range.
        ConfigurationError: A task is unknown, or the tokenizer is not the run's.
        ArtefactError: The initial weights are not the ones the run started from.
    """
    data = read_tasks(tasks)
    inputs = {one.task.name: _origin(folder) for one, folder in zip(data, tasks, strict=True)}
    return evaluate_tasks(
        run,
        _with_diagnostics(data),
        tokenizer,
        out,
        inputs=inputs | {"tokenizer": load_tokenizer(tokenizer).content},
        settings=settings or FineTuningSettings(),
        checkpoint=checkpoint,
        device=device,
        reporter=reporter,
    )


def read_tasks(folders: Sequence[Path]) -> list[TaskData]:
    """Return the tasks in `folders` with their examples.

    Raises:
        InputError: A task has no train split or no scored one; see `read_examples`.
    """
    return [_read_task(folder) for folder in folders]


def _read_task(folder: Path) -> TaskData:
    task = _definition(folder)
    present = present_splits(task, folder)
    facts = {}
    if is_artefact(folder):
        manifest = read_manifest(folder, TASK_KIND)
        facts = {"kept": dict(manifest.facts), "word_rule": manifest.settings["rule"]}
    scored = {name: read_examples(task, folder, name) for name in task.dev if name in present}
    if not scored:
        raise InputError(
            f"{task.name} must have a split to score: {', '.join(task.dev)}",
            got=f"only {', '.join(present)} in {folder}",
        )
    if task.trained_on:
        return TaskData(task, Examples.none(len(task.fields)), scored, facts)
    return TaskData.of(task, read_examples(task, folder, task.train), scored, facts)


def _definition(folder: Path) -> TaskDefinition:
    for name in _DEFINITIONS:
        path = folder / name
        if path.is_file() and path.suffix == ".json":
            return parse_settings(TaskDefinition, read_record(path), where=str(path))
        if path.is_file():
            return load_task(path)
    return load_task(folder.name)


def _origin(folder: Path) -> str:
    """Return a name for what a task's folder holds: its id, or a hash of its tables."""
    if is_artefact(folder):
        return read_manifest(folder).id
    splits = present_splits(_definition(folder), folder)
    return content_id({name: file_hash(path) for name, path in splits.items()})


def _with_diagnostics(data: Sequence[TaskData]) -> list[TaskData]:
    """Return the tasks that learn, each with the sets of the tasks that are scored with its models."""
    learning = {one.task.name: one for one in data if not one.task.trained_on}
    for guest in (one for one in data if one.task.trained_on):
        host = guest.task.trained_on
        if host not in learning:
            raise InputError(
                f"{guest.task.name} is scored with models of {host}, which must be among the tasks",
                got=", ".join(one.task.name for one in data),
                remedy=f"Add {host}.",
            )
        learning[host] = learning[host].with_guests(guest)
    return list(learning.values())
