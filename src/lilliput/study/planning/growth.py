"""Growth of a study: its folder may gain runs and scores under a changed recipe, and what is there stays as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import (
    BUILDING,
    MANIFEST,
    artefact_id,
    damaged,
    folder_holds,
    read_recorded_settings,
)
from lilliput.core.errors import ConfigurationError, OccupiedFolderError
from lilliput.core.files import write_json
from lilliput.core.settings import parse_settings
from lilliput.core.wording import plural
from lilliput.study.recipe.expansion import StudyGrid, expand_recipe
from lilliput.study.recipe.schema import Recipe
from lilliput.study.store.layout import StudyLayout
from lilliput.study.store.runs import flatten

STUDY_KIND, STUDY_SCHEMA = "study", 1
# What all runs rest on stays; how runs are trained is compared run by run; no id rests on the analysis and on
# folders; all that is left are scores, which may be added.
_DATA = ("name", "seed", "vocabulary", "languages", "language_sizes", "scores", "tokenizers")
_RUNS = ("model", "training", "variants", "grid", "search")
_FREE = ("scale", "paths", "analysis", "samples", "emergence", "checkpoint_quota_gb")
_SCORES = tuple(key for key in Recipe.model_fields if key not in (*_DATA, *_RUNS, *_FREE))


@dataclass(frozen=True)
class StudyGrowth:
    """Names what a recipe adds to a study.

    Attributes:
        runs: Names of the new runs.
        scores: Suites that runs were not scored on before.
    """

    runs: tuple[str, ...]
    scores: tuple[str, ...]

    def additions(self) -> str:
        """New runs and scores in words; empty where there are none."""
        parts: list[str] = []
        if self.runs:
            first, *others = self.runs
            more = ", …" if others else ""
            parts.append(f"{plural(1 + len(others), 'run')} ({first}{more})")
        parts += [f"scores on {suite}" for suite in self.scores]
        return " and ".join(parts)

    def sentence(self) -> str:
        """Return it in one line."""
        added = self.additions()
        if not added:
            return "the recipe has changed in what leaves the study's runs as they are"
        return f"added to the study: {added}"


def study_settings(recipe: Recipe) -> dict[str, Any]:
    """Return what the id of a study rests on."""
    return recipe.model_dump(mode="json", exclude={"paths", "checkpoint_quota_gb"})


def study_identity(recipe: Recipe) -> str:
    """Return the id of the recipe's study."""
    return artefact_id(STUDY_KIND, STUDY_SCHEMA, study_settings(recipe), {})


def recorded_recipe(layout: StudyLayout) -> Recipe | None:
    """Return the recipe of the study that lies in the folder; None where there is no study."""
    if folder_holds(layout.root) is None or not layout.recipe.is_file():
        return None
    return _read_recipe(layout)


def restore_mark(layout: StudyLayout) -> None:
    """Mark a folder that holds nothing of a study's identity but its recipe as that study, half done.

    So the study goes on after somebody deleted its damaged manifest, as an error message asked.
    """
    marks = [layout.root / MANIFEST, layout.root / BUILDING]
    if layout.recipe.is_file() and not any(mark.is_file() for mark in marks):
        recipe = _read_recipe(layout)
        write_json(layout.root / BUILDING, {"kind": STUDY_KIND, "id": study_identity(recipe)})


def _read_recipe(layout: StudyLayout) -> Recipe:
    values = read_recorded_settings(layout.root)
    try:
        return parse_settings(Recipe, values, where=str(layout.recipe))
    except ConfigurationError as error:
        raise damaged(layout.recipe, f"{error.rule}: {error.got}") from None


def growth_in(layout: StudyLayout, grid: StudyGrid) -> StudyGrowth | None:
    """Return what the recipe of `grid` adds to the study in the folder; None where it is this very study, or there is none.

    Raises:
        OccupiedFolderError: It changes or drops something that is there.
    """
    same = folder_holds(layout.root) == study_identity(grid.recipe)
    before = None if same else recorded_recipe(layout)
    return None if before is None else growth_of(layout.root, expand_recipe(before), grid)


def growth_of(out: Path, before: StudyGrid, after: StudyGrid) -> StudyGrowth:
    """Return what `after` adds to the study that `before` made in `out`.

    Raises:
        OccupiedFolderError: It changes or drops something that is there.
    """
    for got in _what_is_lost(before, after):
        raise OccupiedFolderError(
            f"a study may gain runs and scores, and the data and runs in {out} stay what they are",
            got=got,
            remedy="Choose another folder with --out, or give the recipe back what it had.",
        )
    old, new = _settings_of_runs(before), _settings_of_runs(after)
    return StudyGrowth(
        tuple(name for name in new if name not in old),
        tuple(s for s in _SCORES if _of(before, s) is None and _of(after, s) is not None),
    )


def _what_is_lost(before: StudyGrid, after: StudyGrid) -> Iterator[str]:
    """Yield what `after` changes or drops, in words."""
    yield from (f"another {part}" for part in _DATA if _of(before, part) != _of(after, part))
    yield from (
        f"other {suite}" for suite in _SCORES if _of(before, suite) not in (None, _of(after, suite))
    )
    old, new = _settings_of_runs(before), _settings_of_runs(after)
    for name, settings in old.items():
        if name not in new:
            yield f"{_count(old, new)} the recipe does not have, the first: {name}"
        elif settings != new[name]:
            yield f"{name} with {_difference(settings, new[name])}"
    yield from _changes_of_search(before, after)


def _of(grid: StudyGrid, key: str) -> object:
    return getattr(grid.recipe, key)


def _settings_of_runs(grid: StudyGrid) -> dict[str, dict[str, Any]]:
    """Return, by the name of each run, all that its id rests on but the token store."""
    pairs = zip(grid.runs, grid.configs(), strict=True)
    return {run.name: dict(flatten(config.identity_settings())) for run, config in pairs}


def _count(old: dict[str, Any], new: dict[str, Any]) -> str:
    dropped = len(old.keys() - new.keys())
    return "a run that" if dropped == 1 else f"{dropped} runs that"


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return the first setting that two runs do not share, in words."""
    key = next(key for key in sorted(old.keys() | new.keys()) if old.get(key) != new.get(key))
    return f"{key} = {new.get(key)}, not {old.get(key)}"


def _changes_of_search(before: StudyGrid, after: StudyGrid) -> Iterator[str]:
    """Yield a sentence where a run's learning rate was searched and is given now, or the other way, or the search is another."""
    searched = {run.name for run in before.searched}
    known = {run.name for run in before.runs}
    if searched != {run.name for run in after.searched} & known:
        yield "runs whose learning rate is searched in one and given in the other"
    if searched and _of(before, "search") != _of(after, "search"):
        yield "another search of learning rates"
