"""Report the status of a study, read from the files in its folder alone, so that it is true from any terminal. No torch here."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact
from lilliput.core.errors import OccupiedFolderError
from lilliput.core.reader import read_record
from lilliput.study.planning.growth import growth_in, recorded_recipe
from lilliput.study.planning.learning_rates import is_found, trial_grid
from lilliput.study.planning.plan import StudyPlan, plan_grid
from lilliput.study.recipe.expansion import StudyGrid, expand_recipe
from lilliput.study.recipe.schema import Recipe
from lilliput.study.store.failures import scores_failure
from lilliput.study.store.layout import SearchLayout, StudyLayout

# Name of a run, and where its scores on one suite lie, or will.
_Scores = Sequence[tuple[str, Path]]


@dataclass(frozen=True)
class StudyStatus:
    """Says how far a study is.

    Attributes:
        stage: The first stage that is not whole: vocabulary, corpora, tasks, tokenizers, tokens, search, runs,
            scores, analysis or report; "done" after the last; empty where there is no study.
        stage_done: Parts of that stage that are done.
        stage_parts: Parts that it has.
        is_running: Whether a process holds the study now.
        report: The page, where there is one.
        differs: What the folder's study has that the recipe changes or drops, in words; the figures are then the
            folder's.
        adds: What the recipe adds to the folder's study, in words.
        failed_scores: Of each run whose scores failed: `name`, `suite` (probes, glue, pairs, choices, tasks, context) and `error`.
        plan: Runs, done and failed, FLOPs, disk.
    """

    stage: str
    stage_done: int
    stage_parts: int
    is_running: bool
    report: Path | None
    differs: str
    adds: str
    failed_scores: Sequence[Mapping[str, Any]]
    plan: StudyPlan

    def as_record(self) -> dict[str, Any]:
        """Return the keys of the command line's JSON contract, those of the plan among them."""
        record = {key: value for key, value in asdict(self).items() if key != "plan"}
        return (
            self.plan.as_record() | record | {"report": str(self.report) if self.report else None}
        )


def read_status(recipe: Recipe, out: Path) -> StudyStatus:
    """Return how far the study of `recipe` in the folder `out` is; where another lies there, how far that is."""
    layout, grid = StudyLayout(out), expand_recipe(recipe)
    differs = adds = ""
    before = recorded_recipe(layout)
    try:
        growth = growth_in(layout, grid)
        adds = growth.additions() if growth else ""
    except OccupiedFolderError as error:
        differs = error.got
        grid = expand_recipe(before) if before else grid
    plan = plan_grid(grid, out)
    scores = _score_folders(grid, layout) if before else []
    stage, parts = _stage(grid, layout, plan, scores) if before else ("", ())
    return StudyStatus(
        stage=stage,
        stage_done=sum(parts),
        stage_parts=len(parts),
        is_running=_is_held(layout.driver),
        report=layout.report if layout.report.is_file() else None,
        differs=differs,
        adds=adds,
        failed_scores=tuple(_failed(scores)),
        plan=plan,
    )


def recorded_assignments(out: Path, recipe: str) -> list[str]:
    """Return each KEY=VALUE of --set that the study in `out` was last run with; none where `recipe` is another one."""
    path = StudyLayout(out).command
    if not path.is_file():
        return []
    try:
        words = shlex.split(path.read_text(encoding="utf-8", errors="replace"))
    except ValueError:  # It was changed since, and is only a help.
        return []
    if len(words) < 4:
        return []
    named = words[3] if words[1:3] == ["study", "run"] else words[1]
    if named != recipe:
        return []
    return [words[i + 1] for i, word in enumerate(words[:-1]) if word == "--set"]


def _stage(
    grid: StudyGrid, layout: StudyLayout, plan: StudyPlan, scores: _Scores
) -> tuple[str, Sequence[bool]]:
    """Return the first stage that is not whole, and of each of its parts whether it is done."""
    if is_artefact(layout.root):
        return "done", ()
    for stage, parts in _stages(grid, layout, plan, scores):
        if not all(parts):
            return stage, parts
    return "report", (False,)  # Whatever else is whole, it is the last to be brought up to date.


def _stages(
    grid: StudyGrid, layout: StudyLayout, plan: StudyPlan, scores: _Scores
) -> Iterator[tuple[str, Sequence[bool]]]:
    recipe = grid.recipe

    def built(folders: Iterable[Path]) -> list[bool]:
        return [is_artefact(folder) for folder in folders]

    languages = list(recipe.languages)
    yield "vocabulary", built([layout.vocabulary])
    yield "corpora", built(map(layout.corpus, languages))
    tasks = list(map(layout.probes, languages)) if recipe.probes else []
    tasks += list(map(layout.glue, recipe.glue.tasks)) if recipe.glue else []
    tasks += list(map(layout.choices, recipe.choice_languages()))
    yield "tasks", built(tasks)
    trained = [language for language in languages if recipe.tokenized_as(language) == language]
    yield "tokenizers", built(map(layout.comparison, trained))
    yield "tokens", built(map(layout.tokens, languages))
    if grid.searched and not is_found(grid, layout):
        trials = SearchLayout(layout.root).runs
        found = len(list(trials.glob("*/manifest.json")))
        wanted = max(found + 1, len(trial_grid(grid).runs))
        yield "search", [True] * found + [False] * (wanted - found)
    finished = plan.done + plan.failed
    yield "runs", [True] * finished + [False] * (plan.runs - finished)
    yield "scores", built(folder for _, folder in scores)
    yield "analysis", built([layout.tables, layout.analysis])


def _score_folders(grid: StudyGrid, layout: StudyLayout) -> _Scores:
    """Return name of every finished run, and where its scores on each suite lie, or will."""
    from lilliput.study.store.index import index_records, run_index

    pairs = zip(grid.runs, grid.configs(), strict=True)
    suites = {
        run.name: grid.recipe.suites(is_causal=config.model.is_causal) for run, config in pairs
    }
    records = index_records(run_index(layout.root)) if any(suites.values()) else []
    return [
        (record["name"], layout.evaluation(record["run_id"], suite))
        for record in records
        if record["state"] == "done" and record["name"] in grid.scored_names
        for suite in suites.get(record["name"], ())
    ]


def _failed(scores: _Scores) -> Iterator[Mapping[str, Any]]:
    for name, folder in scores:
        mark = scores_failure(folder)
        if mark.is_file() and not is_artefact(folder):
            yield {"name": name, "suite": folder.name, "error": read_record(mark, dict[str, str])}


def _is_held(lock: Path) -> bool:
    """Return whether a process of this machine holds the study; it lets go however it ends."""
    import fcntl

    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # No lock was ever taken, or it may not be looked at.
        return False
    return False
