"""What a report can be made from: a study folder, or a plain table of measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lilliput.analysis import BUILTIN_TABLES, Table, load_table
from lilliput.analysis.findings.quantities import finite
from lilliput.analysis.findings.runs import Run, read_failures, runs_of
from lilliput.analysis.findings.scores import TaskScore, read_scores, scores_of
from lilliput.core.artefacts import MANIFEST, read_manifest, read_recorded_settings, whole
from lilliput.core.errors import InputError
from lilliput.report.reading.language import (
    Language,
    VocabularyWords,
    read_languages,
    read_vocabulary,
)
from lilliput.report.reading.rate_search import RateSearch, read_search
from lilliput.report.reading.tokenizers import LanguageTokenizers, read_comparisons

RECIPE_FILE = "study.json"
MEASUREMENTS_FILE = "tables/measurements.csv"
_LOSSES = ("loss", "loss_reference", "perplexity", "perplexity_reference", "bits_per_byte")


@dataclass(frozen=True)
class Artefact:
    """One manifest: where it lies in the study, its identity, and what stands beside it."""

    place: str
    kind: str
    id: str
    content: str
    wall_time_s: float | None
    environment: Mapping[str, Any]
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class Evidence:
    """Everything that was found; what is missing is empty, and its page says so.

    Attributes:
        name: Of the study, or of the table.
        is_study: Whether it came from a study folder.
        recipe: The resolved recipe.
        vocabulary: The allowed words.
        languages: Corpora, constrained ones first.
        comparisons: Compared tokenizers, one entry a language.
        table: The measurements; None when nothing was trained yet.
        runs: One entry a run, smallest first.
        failures: Run to the sentence that says why it failed.
        scores: Downstream scores, all runs.
        artefacts: Every manifest of the study.
        search: Of learning rates; None where there was none.
        folder: Of the study; None for a table.
        command: What the user typed to make the report, so that it can be made again.
        title: What the report is called; empty for the name.
        budget: FLOPs to plan for; None for ten times the costliest run.
    """

    name: str
    is_study: bool
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    vocabulary: VocabularyWords | None = None
    languages: tuple[Language, ...] = ()
    comparisons: tuple[LanguageTokenizers, ...] = ()
    table: Table | None = None
    runs: tuple[Run, ...] = ()
    failures: Mapping[str, str] = field(default_factory=dict[str, str])
    scores: tuple[TaskScore, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    search: RateSearch | None = None
    folder: Path | None = None
    command: str = ""
    title: str = ""
    budget: float | None = None

    @property
    def is_foreign(self) -> bool:
        """Return whether this is a table that Lilliput did not make: the questions of the paper are not asked of it."""
        return not self.is_study and self.name not in BUILTIN_TABLES


def read_evidence(source: Path) -> Evidence:
    """Return what lies at `source`: a study folder, a CSV or Parquet table, or a built-in table's name.

    Raises:
        InputError: Nothing is there, or the folder holds no part of a study.
        ArtefactError: A file of the study is damaged.
    """
    if source.is_dir():
        return _read_study(source)
    is_builtin = str(source) in BUILTIN_TABLES
    if not is_builtin and not source.exists():
        raise InputError(
            "a report is made of the folder of a study, a table of runs or a built-in table",
            got=f"{source}, which is not there",
            remedy=f"Check the path; built-in tables: {', '.join(BUILTIN_TABLES)}.",
        )
    name = str(source) if is_builtin else source.name
    table = load_table(str(source))
    _require_loss(table, name)
    runs = runs_of(table)
    return Evidence(name, is_study=False, table=table, runs=runs, scores=scores_of(runs))


def _require_loss(table: Table, name: str) -> None:
    if not any(column in table for column in _LOSSES):
        raise InputError(
            f"{name} must have a column of losses: {', '.join(_LOSSES)}",
            got=f"the columns {', '.join(table.columns)}",
            remedy="Name the column that holds it: lilliput analyse convert TABLE --column loss=HEADER --out NEW.csv",
        )


def _read_study(folder: Path) -> Evidence:
    artefacts = read_artefacts(folder)
    path = folder / MEASUREMENTS_FILE
    if not artefacts and not path.is_file() and not (folder / RECIPE_FILE).is_file():
        raise InputError(
            "the folder must hold a study",
            got=f"{folder} with neither {RECIPE_FILE} nor {MEASUREMENTS_FILE} nor any artefact",
            remedy="Give the folder that a study was written to, or a table of runs.",
        )
    table = load_table(whole(path)) if path.is_file() else None
    runs = runs_of(table, folder / "runs")
    recipe: Mapping[str, Any] = read_recorded_settings(folder)
    return Evidence(
        name=str(recipe.get("name", folder.resolve().name)),
        is_study=True,
        recipe=recipe,
        vocabulary=read_vocabulary(folder / "vocabulary"),
        languages=read_languages(folder / "corpora"),
        comparisons=read_comparisons(folder / "tokenizers", recipe),
        table=table,
        runs=runs,
        failures=read_failures(folder / "runs"),
        scores=read_scores(folder / "evaluations", _means(recipe)) or scores_of(runs),
        artefacts=artefacts,
        search=read_search(folder),
        folder=folder,
    )


def _means(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Suite to what the recipe calls the mean over its parts."""
    pairs = recipe.get("pairs") or {}
    return {"pairs": pairs["name"]} if "name" in pairs else {}


def read_artefacts(folder: Path) -> tuple[Artefact, ...]:
    """Return every artefact at or below `folder`, by place."""
    return tuple(_read_artefact(folder, path.parent) for path in sorted(folder.rglob(MANIFEST)))


def _read_artefact(study: Path, folder: Path) -> Artefact:
    manifest = read_manifest(folder)
    return Artefact(
        place=folder.relative_to(study).as_posix(),
        kind=manifest.kind,
        id=manifest.id,
        content=manifest.content,
        wall_time_s=finite(manifest.environment.get("wall_time_s")),
        environment=manifest.environment,
        inputs=manifest.inputs,
    )
