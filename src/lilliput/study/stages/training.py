"""Stage: every run of the grid, on the executor's workers, each with its own failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.errors import LilliputError
from lilliput.core.files import write_json
from lilliput.core.settings import parse_settings
from lilliput.study.context import StudyContext
from lilliput.study.expand import planned_runs
from lilliput.study.plan import run_flops, run_tokens
from lilliput.study.runs import FAILURE
from lilliput.study.watch import watching
from lilliput.tokenization import open_store
from lilliput.training import RunConfig, run_identity


@dataclass(frozen=True)
class RunTask:
    """One run as its worker needs it: plain data and paths.

    Attributes:
        name: What people call the run.
        config: The resolved configuration.
        tokens: Folder of the token store.
        out: Folder of the run.
        info: What stands beside the configuration.
        flops: Executed FLOPs that the run will take, for foretelling the time left.
    """

    name: str
    config: Mapping[str, Any]
    tokens: Path
    out: Path
    info: Mapping[str, Any]
    flops: float

    @property
    def is_done(self) -> bool:
        """Whether the finished run lies there."""
        return is_artefact(self.out)


@dataclass(frozen=True)
class TrainedRuns:
    """What the stage leaves: the folders of finished runs, those recognised, and the failures."""

    done: tuple[Path, ...]
    skipped: int
    failures: tuple[tuple[str, str], ...]


def train_runs(context: StudyContext) -> TrainedRuns:
    """Train every run of the grid that is not done yet; a failing run does not stop the others."""
    tasks = run_tasks(context)
    waiting = [task for task in tasks if not task.is_done]
    # The largest first, so that no worker is left alone with one at the end.
    waiting.sort(key=lambda task: -task.flops)
    failures: list[tuple[str, str]] = []
    with watching(context.reporter, waiting):
        for position, message in context.executor.map(train_one, waiting):
            if message:
                failures.append((waiting[position].name, message))
                context.reporter.say(f"failed: {waiting[position].name}: {message}")
    done = tuple(task.out for task in tasks if task.is_done)
    return TrainedRuns(done, len(tasks) - len(waiting), tuple(failures))


def train_one(task: RunTask) -> str:
    """Train one run in this process; the message of its failure, or an empty string."""
    from lilliput.training import train

    failure = task.out / FAILURE
    failure.unlink(missing_ok=True)
    config = parse_settings(RunConfig, task.config)
    try:
        train(config, task.tokens, task.out, info=task.info)
    except LilliputError as error:
        write_json(failure, error.as_record())
        return str(error)
    return ""


def run_tasks(context: StudyContext) -> list[RunTask]:
    """The runs of the grid with their ids, which follow from the token stores."""
    runs = planned_runs(context.recipe)
    stores = {run.language: context.layout.tokens(run.language) for run in runs}
    manifests = {language: read_manifest(store, "tokens") for language, store in stores.items()}
    vocab_sizes = {language: open_store(store).vocab_size for language, store in stores.items()}
    tasks: list[RunTask] = []
    for run in runs:
        config = run.config(vocab_sizes[run.language])
        folder = context.layout.run(run_identity(config, manifests[run.language]))
        tokens = run_tokens(config, manifests[run.language].facts) or 0.0
        tasks.append(
            RunTask(
                name=run.name,
                config=config.model_dump(mode="json"),
                tokens=stores[run.language],
                out=folder,
                info=run.info(),
                flops=run_flops(config, tokens)["flops_executed_masked"],
            )
        )
    return tasks
