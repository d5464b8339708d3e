"""This stage trains every run of the grid on the executor's workers; a failure concerns its own run alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lilliput.core.artefacts import read_manifest
from lilliput.core.errors import LilliputError
from lilliput.core.files import names_below, write_json
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.pipeline.live_progress import resumed_runs, watching
from lilliput.study.pipeline.stages.groups import (
    RunTask,
    TaskGroup,
    group_flops,
    is_group_done,
    read_groups,
    task_groups,
    write_groups,
)
from lilliput.study.planning.estimates import run_flops, run_tokens
from lilliput.study.planning.stacking import best_stack, make_trials, missing_trials
from lilliput.study.planning.worker_groups import StackKey, stack_key
from lilliput.study.recipe.needed_runs import in_levels, located_config
from lilliput.study.store.failures import FAILURE, as_failure
from lilliput.study.store.layout import StudyLayout
from lilliput.tokenization import open_store
from lilliput.training import RunConfig, run_identity
from lilliput.training.execution.allocator import return_freed_memory
from lilliput.training.objectives.base import StudyRun

# Executed FLOP/s of one worker, about; and how long a shape's runs must take at that rate, one after
# another, for trials of a few seconds to be worth their time.
_USUAL_FLOPS_PER_S = 2e10
_WORTH_TRIALS_S = 120.0


@dataclass(frozen=True)
class TrainedRuns:
    """Holds what the stage leaves: the folders of finished runs, those recognised, and the failures."""

    done: tuple[Path, ...]
    skipped: int
    failures: tuple[tuple[str, str], ...]


def train_runs(
    context: StudyContext, on_progress: Callable[[Sequence[Path]], None] | None = None
) -> TrainedRuns:
    """Train every run of the grid that is not done yet; a failing run does not stop the others.

    Args:
        context: Of the study.
        on_progress: Called with the finished runs whenever a group has ended.
    """
    tasks = run_tasks(context)
    waiting = [task for task in tasks if not task.is_done]
    failures: list[tuple[str, str]] = []
    groups = [group for group in _planned_groups(context, tasks) if not is_group_done(group)]
    # The largest first, so that no worker is left alone with one at the end.
    groups.sort(key=lambda group: -group_flops(group))
    levels = [
        [group for group in groups if group.runs[0].level == level]
        for level in sorted({task.level for task in tasks})
    ]
    if begun := resumed_runs(waiting):
        context.reporter.say(begun)
    with watching(context.reporter, waiting, len(tasks) - len(waiting)):
        progress = partial(names_below, *(task.out for task in waiting))
        for level in filter(None, levels):  # Teachers are finished before their students begin.
            for _, failed in context.executor.map(train_group, level, progress):
                for name, message in failed:
                    failures.append((name, message))
                    context.reporter.say(f"failed: {name}: {message}")
                if on_progress and (finished := [task.out for task in tasks if task.is_done]):
                    on_progress(finished)
    done = tuple(task.out for task in tasks if task.is_done)
    return TrainedRuns(done, len(tasks) - len(waiting), tuple(failures))


def _planned_groups(context: StudyContext, tasks: Sequence[RunTask]) -> list[TaskGroup]:
    """Return the groups as the first start wrote them down, with those of runs that came since."""
    path = context.layout.groups
    recorded = read_groups(path)
    known = {name for group in recorded for name in group}
    fresh = [task for task in tasks if task.out.name not in known]
    groups = task_groups(tasks, _stack_sizes(context, fresh), recorded)
    write_groups(path, groups)
    return groups


def _stack_sizes(context: StudyContext, tasks: Sequence[RunTask]) -> dict[StackKey, int]:
    """Return how many runs of each shape a stack should hold, by trials made before or, where it is worth it, now."""
    workers = context.executor.workers
    by_key: dict[StackKey, list[RunTask]] = {}
    for group in task_groups(tasks):
        task = group.runs[0]
        is_free = len(group.runs) == 1 and not task.out.exists()
        if is_free and task.run_config.training.fleet_size == "auto" and (key := stack_key(task)):
            by_key.setdefault(key, []).append(task)
    trials = [
        trial
        for members in by_key.values()
        if sum(task.flops for task in members) > _USUAL_FLOPS_PER_S * _WORTH_TRIALS_S
        for trial in missing_trials(members[0].run_config, len(members), workers)
    ]
    if trials:
        try:
            with context.reporter.task("trials of stacks", total=len(trials)):
                make_trials(trials, workers, context.executor.map)
        except Exception as error:  # A home that may not be written is no reason to train nothing.
            failure = as_failure(error, "a trial of stacks")
            context.reporter.say(f"runs are not stacked beyond what was tried: {failure}")
    sizes: dict[StackKey, int] = {}
    for key, members in by_key.items():
        stack = best_stack(members[0].run_config, len(members), workers)
        if stack:
            sizes[key] = stack.size
            context.reporter.say(
                f"runs of {members[0].info['shape']} are trained as stacks of up to {stack.size}: "
                f"{stack.speedup:.1f} times as fast in a trial"
            )
    return sizes


def train_group(group: TaskGroup) -> list[tuple[str, str]]:
    """Train a group in this process; name and message of each run that failed."""
    for task in group.runs:
        (task.out / FAILURE).unlink(missing_ok=True)
    try:
        failed = _train(group)
    except Exception as error:
        ours = as_failure(error, "a run")
        failed = [(task, ours) for task in group.runs if not task.is_done]
    return_freed_memory()
    for task, error in failed:
        write_json(task.out / FAILURE, error.as_record())
    return [(task.name, str(error)) for task, error in failed]


def _train(group: TaskGroup) -> list[tuple[RunTask, LilliputError]]:
    """Train a group; the runs that failed by an error of ours."""
    from lilliput.training import train, train_branches
    from lilliput.training.fleet import FleetMember, train_fleet

    tasks, tokens = group.runs, group.runs[0].tokens
    if len(tasks) == 1:
        train(tasks[0].run_config, tokens, tasks[0].out, info=tasks[0].info)
        return []
    if group.is_trunk:
        configs, outs = [t.run_config for t in tasks], [t.out for t in tasks]
        results = train_branches(configs, tokens, outs, infos=[task.info for task in tasks])
    else:
        results = train_fleet([FleetMember(t.run_config, t.out, t.info) for t in tasks], tokens)
    pairs = zip(tasks, results, strict=True)
    return [(task, result) for task, result in pairs if isinstance(result, LilliputError)]


def run_tasks(context: StudyContext) -> list[RunTask]:
    """Return the runs of the grid with their ids, which follow from the token stores."""
    runs = context.grid.runs
    stores = {run.language: context.layout.tokens(run.language) for run in runs}
    manifests = {language: read_manifest(store, "tokens") for language, store in stores.items()}
    vocab_sizes: Mapping[str, int] = {
        language: open_store(store).vocab_size for language, store in stores.items()
    }
    known: dict[str, StudyRun] = {}
    tasks: dict[str, RunTask] = {}
    for level, members in enumerate(in_levels(runs)):
        for run in members:
            manifest, size = manifests[run.language], vocab_sizes[run.language]
            config = located_config(context.recipe, run, size, known)
            config = _with_order(config, context.layout, run.language)
            identity = run_identity(config, manifest)
            folder = context.layout.run(identity)
            known[run.name] = StudyRun(identity, str(folder.resolve()), config.model)
            tokens = run_tokens(config, manifest.facts) or 0.0
            tasks[run.name] = RunTask(
                name=run.name,
                config=config.model_dump(mode="json"),
                tokens=stores[run.language],
                out=folder,
                info=run.info(),
                flops=run_flops(config, tokens, manifest.facts)["flops_executed_masked"],
                level=level,
            )
    return [tasks[run.name] for run in runs]


def _with_order(config: RunConfig, layout: StudyLayout, language: str) -> RunConfig:
    """Return the configuration with the scores found that its data order reads."""
    if not config.training.order.score:
        return config
    order = config.training.order.located(layout.scores(language))
    order = order.seen_from(layout.tokens(language))
    training = config.training.model_copy(update={"order": order})
    return config.model_copy(update={"training": training})
