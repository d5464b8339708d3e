"""`lilliput study` plans a study, runs it, says how far it is, and retries what failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lilliput.cli._frame import add_group, deliver, echo
from lilliput.cli._hints import command_line, suggest, suggest_line, unless
from lilliput.cli._options import (
    ExecutorOption,
    JsonOption,
    RecipeArgument,
    SetOption,
    StudyOutOption,
    WorkersOption,
)
from lilliput.core.wording import plural, spoken_duration, spoken_interval, spoken_size

if TYPE_CHECKING:
    from lilliput.study import Recipe, StudyPlan, StudyResult
    from lilliput.study.pipeline.status import StudyStatus

_PROCESS = "process"
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="Address of a running Ray cluster; auto finds it. Without it, one is started here."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    study = add_group(app, "study", "Plan, run and watch a whole study.")
    study.command()(plan)
    study.command()(run)
    study.command()(status)
    # What is done is recognised: to take the failed runs again is to run the study again.
    study.command("retry", help=_RETRY)(run)


_RETRY = """Take the failed runs again, and whatever else is not done.

Example: lilliput study retry mystudy.toml
"""


def plan(
    recipe: RecipeArgument,
    out: StudyOutOption = None,
    assignments: SetOption = None,
    workers: WorkersOption = None,
    executor: ExecutorOption = _PROCESS,
    probe: Annotated[
        bool, typer.Option("--probe", help="Measure each shape for about a second first.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Estimate runs, tokens, FLOPs, time, memory and disk; nothing is run.

    Example: lilliput study plan small-english --set paths.data=data --probe
    """
    from lilliput.core.executors.process import available_cpus
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.study import load_recipe, plan_study

    checked = load_recipe(recipe, assignments or ())
    found = plan_study(
        checked,
        _folder(checked, out),
        workers or available_cpus(),
        probe=probe,
        pack=executor == "ray",
        reporter=reporter_for_terminal(),
    )

    def show() -> None:
        _show_plan(found)
        for remark in found.remarks:
            echo(remark)
        suggest_line(_command(recipe, assignments, out, workers, executor))

    deliver(found.as_record(), as_json, show)


def run(
    recipe: RecipeArgument,
    out: StudyOutOption = None,
    assignments: SetOption = None,
    executor: ExecutorOption = _PROCESS,
    workers: WorkersOption = None,
    address: AddressOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run every stage; safe to interrupt and to repeat, done work is recognised.

    Example: lilliput study run mystudy.toml --executor process
    """
    from lilliput.core.progress import reporter_for_terminal
    from lilliput.study import load_recipe, run_study

    checked = load_recipe(recipe, assignments or ())
    result = run_study(
        checked,
        _folder(checked, out),
        executor=executor,
        workers=workers,
        address=address,
        command=_command(recipe, assignments, out),
        reporter=reporter_for_terminal(),
    )

    folder = _folder(checked, out)
    deliver(result.as_record(), as_json, lambda: show_study(result, folder))


def show_study(result: StudyResult, folder: Path) -> None:
    """Print where the report of a study is, then what was done."""
    echo(f"Report: {result.report} (open it in a browser)")
    echo(result.summary())
    suggest("runs", "ls", folder)


def status(
    recipe: RecipeArgument,
    out: StudyOutOption = None,
    assignments: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is done, from the files alone, in any terminal.

    Without --set, those that the study was run with hold.

    Example: lilliput study status mystudy.toml
    """
    from lilliput.study import load_recipe, read_run
    from lilliput.study.pipeline.live_progress import sparkline
    from lilliput.study.pipeline.status import read_status, recorded_assignments
    from lilliput.study.store.index import index_records, run_index
    from lilliput.study.store.runs import runs_folder

    checked = load_recipe(recipe, assignments or ())
    folder = _folder(checked, out)
    if not assignments and (recorded := recorded_assignments(folder, recipe)):
        assignments = recorded
        checked = load_recipe(recipe, assignments)
    found = read_status(checked, folder)
    records = index_records(run_index(folder)) if found.stage else []

    def show() -> None:
        for record in records:
            losses = [record["loss"]] if "loss" in record else []
            if record["state"] != "done":
                points = read_run(runs_folder(folder) / record["run_id"]).metrics()
                losses = [point["loss"] for point in points]
            loss = f"loss {losses[-1]:.3f} {sparkline(losses[:-1])}" if losses else ""
            rule = record.get("error", {}).get("rule", "")
            is_left = record["state"] == "started" and not found.is_running
            state = "stopped" if is_left else record["state"]
            echo(f"{state:<8} {record['name']:<44} {loss} {rule}".rstrip())
        for one in found.failed_scores:
            echo(f"failed   {one['name']:<44} {one['suite']}: {one['error']['rule']}")
        _show_status(found, folder, _command(recipe, assignments, out))

    deliver(found.as_record(), as_json, show)


def _show_status(found: StudyStatus, folder: Path, command: str) -> None:
    if not found.stage:
        echo(f"No study lies in {folder} yet.")
        suggest_line(command)
        return
    if found.differs:
        echo(f"{folder} holds the study of another recipe, and this is how far that is.")
        echo(f"`lilliput study run` would refuse yours there: {found.differs}.")
    if found.adds:
        echo(f"Not begun, and added when it is run again: {found.adds}.")
    scores = f", {plural(len(found.failed_scores), 'score')} failed" if found.failed_scores else ""
    echo(
        f"{found.plan.done} of {plural(found.plan.runs, 'run')} done, {found.plan.failed} failed{scores}."
    )
    if found.stage == "done":
        echo("Every stage is done.")
    else:
        parts = (
            f" ({found.stage_done} of {found.stage_parts} done)" if found.stage_parts > 1 else ""
        )
        running = "A process is at work" if found.is_running else "No process is at work"
        echo(f"{running}; stage: {found.stage}{parts}.")
    if found.report:
        echo(f"Report: {found.report}")
    if not found.is_running and not found.differs and (found.stage != "done" or found.adds):
        suggest_line(command)


def _command(
    recipe: str,
    assignments: Sequence[str] | None,
    out: Path | None = None,
    workers: int | None = None,
    executor: str = _PROCESS,
) -> str:
    """Return the command that runs the study with these options; those left at their defaults are left out."""
    return command_line(
        "study",
        "run",
        recipe,
        out=out,
        set=assignments,
        executor=unless(_PROCESS, executor),
        workers=workers,
    )


def _folder(recipe: Recipe, out: Path | None) -> Path:
    return out or Path(f"lilliput-{recipe.name}")


def _show_plan(found: StudyPlan) -> None:
    from lilliput.architecture import FLOPS_CONVENTIONS
    from lilliput.study.planning.plateau import plateau_warnings

    for family, count in found.by_family.items():
        echo(f"{family:<32} {plural(count, 'run')}")
    echo(f"{plural(found.runs, 'run')}, {found.done} done, {found.failed} failed")
    if found.search_runs:
        echo(f"before them, to search learning rates: {plural(found.search_runs, 'short run')}")
    if found.tokens is not None:
        echo(f"{found.tokens:,.0f} tokens")
    if found.branches:
        echo(f"from the trunk of a longer one: {plural(found.branches, 'run')}")
    for shape, size in found.stacks.items():
        echo(f"{shape:<26} in stacks of up to {plural(size, 'run')}")
    echo(f"disk of the runs          {spoken_interval(spoken_size, **asdict(found.disk))}")
    echo(f"memory of a worker        {spoken_interval(spoken_size, **asdict(found.memory))}")
    if found.packing:
        share = f"{plural(found.packing.runs_per_device, 'run')} at once"
        echo(f"on each {found.packing.device:<17} {share}")
    if found.flops:
        echo("FLOPs of all training, by what is counted (docs/flops.md):")
    for name, value in found.flops.items():
        echo(f"{name:<26} {value:<9.3g} {FLOPS_CONVENTIONS[name].label}")
    if found.hours is None:
        echo(f"time of training: unknown yet, since {found.basis}")
    else:
        hours = asdict(found.hours)
        span = spoken_interval(lambda value: spoken_duration(3600 * value), **hours)
        echo(f"time of training: {span}, from {found.basis}; scoring is not counted")
    for warning in plateau_warnings(found.plateau):
        echo(f"warning: {warning}")
