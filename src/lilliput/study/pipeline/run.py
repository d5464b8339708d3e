"""Run the whole pipeline: vocabulary, corpora, tokenizers, tokens, probes, runs, scores, analysis, report."""

from __future__ import annotations

import errno
import shlex
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import (
    BUILDING,
    ArtefactBuild,
    building,
    claim_folder,
    reclaim_folder,
)
from lilliput.core.errors import OccupiedFolderError, RunsFailedError
from lilliput.core.executors import make_executor
from lilliput.core.files import write_json, write_text, writing
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.wording import plural, spoken_duration
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.pipeline.stages.analysis import EarlyReport, analyse_study, report_study
from lilliput.study.pipeline.stages.emergence import judge_emergence
from lilliput.study.pipeline.stages.language import build_languages, build_order_scores
from lilliput.study.pipeline.stages.samples import write_samples
from lilliput.study.pipeline.stages.scoring import (
    build_choice_tasks,
    build_glue_tasks,
    build_probe_tasks,
    score_runs,
)
from lilliput.study.pipeline.stages.search import search_learning_rates
from lilliput.study.pipeline.stages.tokenizers import build_tokenizers
from lilliput.study.pipeline.stages.training import train_runs
from lilliput.study.planning.growth import (
    STUDY_KIND,
    STUDY_SCHEMA,
    StudyGrowth,
    growth_in,
    restore_mark,
    study_identity,
    study_settings,
)
from lilliput.study.planning.packing import gpu_share
from lilliput.study.planning.plan import StudyPlan, plan_grid
from lilliput.study.recipe.expansion import StudyGrid, expand_recipe
from lilliput.study.recipe.schema import Recipe
from lilliput.study.recipe.sources import remarks_on_size, require_sources
from lilliput.study.store.layout import StudyLayout
from lilliput.study.store.pruning import prune_runs

_LOOK_S = 0.2
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


@dataclass(frozen=True)
class StudyResult:
    """Holds what a study left.

    Attributes:
        report: The page.
        plan: Runs, done and failed, FLOPs, disk.
        skipped: Runs that were recognised as done.
        wall_time_s: Of this call.
    """

    report: Path
    plan: StudyPlan
    skipped: int
    wall_time_s: float

    def as_record(self) -> dict[str, Any]:
        """Return the keys of the command line's JSON contract."""
        return {
            **self.plan.as_record(),
            "report": str(self.report),
            "skipped": self.skipped,
            "wall_time_s": round(self.wall_time_s, 3),
        }

    def summary(self) -> str:
        """Return one line for people."""
        earlier = f", {self.skipped} of them before this call" if self.skipped else ""
        return (
            f"{plural(self.plan.done, 'run')} done{earlier}; "
            f"this call took {spoken_duration(self.wall_time_s)}."
        )


def run_study(
    recipe: Recipe,
    out: Path,
    *,
    executor: str = "process",
    workers: int | None = None,
    address: str | None = None,
    command: str = "",
    reporter: Reporter = SILENT,
) -> StudyResult:
    """Run the study in the folder `out`, or go on with it, or add to it what the recipe has gained.

    Args:
        recipe: Checked recipe.
        out: Folder of the study; made when absent.
        executor: "inline", "process" or "ray".
        workers: Runs at once; one per processor when None.
        address: Of a running Ray cluster, "auto" to find it; None starts a local one.
        command: What the report names as the command that makes it again.
        reporter: Where progress goes.

    Raises:
        InputError: A folder of texts is not there, or holds none.
        OccupiedFolderError: `out` holds another study, or one of which this recipe changes or drops
            something, or another process is at work in it.
        RunsFailedError: Some runs failed; the others are whole and in the report.
    """
    started = time.monotonic()
    grid = expand_recipe(recipe)  # A wrong shape is refused before anything is built.
    layout = StudyLayout(out)
    require_sources(recipe, layout)
    for remark in remarks_on_size(recipe, layout):
        reporter.say(remark)
    share = gpu_share(grid, workers) if executor != "inline" else 0.0
    with _building_study(grid, layout, reporter) as build:
        if command:
            write_text(layout.command, f"{command}\n")
        with make_executor(executor, workers, address) as pool:
            context = StudyContext(grid, layout, pool, reporter)
            build_languages(context)
            build_probe_tasks(context)
            build_choice_tasks(context)
            build_glue_tasks(context)
            build_tokenizers(context)
            build_order_scores(context)
            context = replace(context, executor=pool.reserving(share, len(grid.runs)))
            page = EarlyReport(context, command)
            page.refresh()
            context = replace(context, grid=search_learning_rates(context))
            trained = train_runs(context, partial(page.refresh, soon=True))
            page.refresh(trained.done)
            # Scores are made on processors, whatever trained the runs.
            scoring = replace(context, executor=pool.reserving(0.0, len(grid.runs)))
            failures = trained.failures + tuple(score_runs(scoring, trained.done))
            write_samples(scoring, trained.done)
        if recipe.checkpoint_quota_gb is not None:
            prune_runs(out, quota_bytes=round(recipe.checkpoint_quota_gb * 1e9))
        if trained.done:
            analyse_study(context, trained.done)
            judge_emergence(context, trained.done)
            report_study(context, command)
        build.facts["runs"] = len(trained.done)
        _raise_failures(failures, layout.report if trained.done else None, command, layout)
    seconds = time.monotonic() - started
    return StudyResult(layout.report, plan_grid(grid, out), trained.skipped, seconds)


@contextmanager
def _building_study(
    grid: StudyGrid, layout: StudyLayout, reporter: Reporter
) -> Generator[ArtefactBuild]:
    """Hold the folder of a study for this process alone while it is built, anew or larger than before."""
    out, recipe = layout.root, grid.recipe
    identity = study_identity(recipe)
    was_there = out.is_dir()
    growth = _admit(grid, layout, identity)
    with _only_driver(layout, reporter), _leaving_no_empty_study(layout, was_there):
        # The recipe first: a kill after it finds a study that has nothing more to gain.
        write_json(layout.recipe, recipe.model_dump(mode="json"))
        if growth is not None:
            reclaim_folder(out, identity, STUDY_KIND)
            reporter.say(growth.sentence())
        with building(out, STUDY_KIND, STUDY_SCHEMA, study_settings(recipe)) as build:
            yield build


def _admit(grid: StudyGrid, layout: StudyLayout, identity: str) -> StudyGrowth | None:
    """Return what the recipe adds to the study in the folder; None where it is this very study, or a new one."""
    restore_mark(layout)
    growth = growth_in(layout, grid)
    if growth is None:
        claim_folder(layout.root, identity, STUDY_KIND)
    return growth


def _command(verb: str, layout: StudyLayout) -> str:
    """Return the command that does `verb` with the study in a folder, from the recipe that it keeps."""
    words = ["lilliput", "study", verb, str(layout.recipe), "--out", str(layout.root)]
    return shlex.join(words)


def _raise_failures(
    failures: Sequence[tuple[str, str]], report: Path | None, command: str, layout: StudyLayout
) -> None:
    """Raise RunsFailedError where a run failed; `report` has the others, None where there are none."""
    if failures:
        retry = command.replace("study run", "study retry", 1) or _command("retry", layout)
        name, message = failures[0]
        raise RunsFailedError(
            "every run must finish",
            got=f"{len(failures)} that failed, the first: {name}: {message}",
            remedy=f"The others are whole and in {report}. Take the failed ones again with: {retry}"
            if report
            else f"Once the cause is fixed, take them again with: {retry}",
        )


@contextmanager
def _leaving_no_empty_study(layout: StudyLayout, keep_folder: bool) -> Generator[None]:
    """Take the marks of a study away after an error, where nothing was built beside them."""
    marks = [layout.root / BUILDING, layout.recipe, layout.driver, layout.command]
    try:
        yield
    except BaseException:
        if {path.name for path in layout.root.iterdir()} <= {mark.name for mark in marks}:
            for mark in marks:
                mark.unlink(missing_ok=True)
            if not keep_folder:
                layout.root.rmdir()
        raise


@contextmanager
def _only_driver(layout: StudyLayout, reporter: Reporter) -> Generator[None]:
    """Hold the study folder, so that two drivers cannot write into it at once.

    The system lets go of the lock when the process ends, however it ends. Some shared file systems have no
    locks (NFS without lockd, Lustre without `-o flock`): there the study goes on, with a word about it.
    """
    import fcntl

    with writing(layout.driver):
        lock = layout.driver.open("w")
    with lock as file:
        for is_last in (False, True):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if is_last:
                    raise OccupiedFolderError(
                        "one process at a time may drive a study",
                        got=f"another one at work in {layout.root}",
                        remedy=f"Wait for it, or watch it with: {_command('status', layout)}",
                    ) from None
                time.sleep(_LOOK_S)  # `study status` looks whether it is held, for a moment.
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                reporter.say(
                    f"the file system of {layout.root} has no locks ({error.strerror}): going on without; "
                    "see to it that no second process runs this study"
                )
                break
        yield
