"""The findings of a study or table: laws, costs and correlations, computed once, kept, and read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from lilliput.analysis.findings.break_origin import BreakOrigin, find_break_origins
from lilliput.analysis.findings.correlations import TaskCorrelation, find_correlations
from lilliput.analysis.findings.costs import Costs, find_costs
from lilliput.analysis.findings.data_choices import DataChoice, find_data_choices
from lilliput.analysis.findings.distillation import TaughtArm, find_taught_arms
from lilliput.analysis.findings.laws import GroupLaw, fit_laws
from lilliput.analysis.findings.next_runs import NextRuns, find_next_runs
from lilliput.analysis.findings.runs import Run
from lilliput.analysis.findings.scores import TaskScore
from lilliput.analysis.findings.stored import from_stored, to_stored
from lilliput.analysis.table.tidy import Table
from lilliput.core.artefacts import MANIFEST, damaged, is_artefact, read_manifest
from lilliput.core.errors import InputError
from lilliput.core.files import write_text
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.reader import read_record

FINDINGS_KIND, FINDINGS_SCHEMA = "analysis", 12
_FOLDER, _TABLES = "analysis", "tables"


class FindingsSource(Protocol):
    """Hold what findings are computed from; the report's `Evidence` is one.

    Attributes:
        table: The measurements; None when nothing was trained yet.
        runs: One entry a run.
        scores: Downstream scores of the runs.
        recipe: The resolved recipe, of which the section `analysis` is read; empty for a plain table.
        folder: Folder of the study; None for a plain table.
        budget: FLOPs to plan for; None for ten times the costliest run.
    """

    @property
    def table(self) -> Table | None: ...  # noqa: D102
    @property
    def runs(self) -> tuple[Run, ...]: ...  # noqa: D102
    @property
    def scores(self) -> tuple[TaskScore, ...]: ...  # noqa: D102
    @property
    def recipe(self) -> Mapping[str, Any]: ...  # noqa: D102
    @property
    def folder(self) -> Path | None: ...  # noqa: D102
    @property
    def budget(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True)
class Findings:
    """Hold everything that is computed from the measurements and scores.

    Attributes:
        laws: One entry a group of comparable runs and FLOPs convention, the study's convention first.
        costs: Every group under every cost and effect.
        correlations: Loss against score, one entry a group and task.
        break_origins: Whether the break moves with the plateau, one entry a convention, the study's convention first;
            empty where no two families can be compared.
        data_choices: Orders and pruned corpora against their controls; empty where a study has neither.
        taught_arms: Students of teachers beside supervised runs; empty where no run has a teacher.
        next_runs: What a budget buys and how well laws predict, one entry a group.
    """

    laws: tuple[GroupLaw, ...] = ()
    costs: Costs = field(default_factory=Costs)
    correlations: tuple[TaskCorrelation, ...] = ()
    break_origins: tuple[BreakOrigin, ...] = ()
    data_choices: tuple[DataChoice, ...] = ()
    taught_arms: tuple[TaughtArm, ...] = ()
    next_runs: tuple[NextRuns, ...] = ()


def flops_columns(measured: FindingsSource) -> list[str]:
    """Return the FLOPs columns of the table, the one the study was analysed by first."""
    if measured.table is None:
        return []
    columns = measured.table.flops_columns()
    asked = str((measured.recipe.get("analysis") or {}).get("flops", ""))
    first = asked if asked in columns else "flops_reference"
    return sorted(columns, key=lambda name: name != first)


def _refuse_unknown_flops(measured: FindingsSource, columns: list[str]) -> None:
    """Raise where the recipe of a study asks for a cost that its table does not have.

    Raises:
        InputError: It does.
    """
    asked = str((measured.recipe.get("analysis") or {}).get("flops", ""))
    if asked and columns and asked not in columns:
        raise InputError(
            "analysis.flops must name a cost column of the study's table",
            got=asked,
            remedy=f"It has: {', '.join(columns)}.",
        )


def compute_findings(measured: FindingsSource, reporter: Reporter = SILENT) -> Findings:
    """Return the findings from the measurements; a law that cannot be fitted says why in its place."""
    table = measured.table
    resamples = (measured.recipe.get("analysis") or {}).get("resamples")
    if table is None:
        return Findings()
    columns = flops_columns(measured)
    _refuse_unknown_flops(measured, columns)
    with reporter.task("analysis", total=5, unit="parts") as progress:
        laws = fit_laws(table, columns, resamples)
        progress.advance(note="laws")
        costs = find_costs(table, columns, resamples)
        progress.advance(note="costs")
        correlations = find_correlations(measured.runs, measured.scores, resamples)
        progress.advance(note="correlations")
        origins = find_break_origins(table, columns, resamples)
        progress.advance(note="breaks and plateaus")
        planned = find_next_runs(table, columns, laws, resamples, measured.budget)
        progress.advance(note="plans")
    choices = find_data_choices(measured.runs, measured.recipe)
    arms = find_taught_arms(table, columns)
    return Findings(laws, costs, correlations, origins, choices, arms, planned)


def write_findings(findings: Findings, place: Callable[[str], Path]) -> None:
    """Keep each part of the findings as a file of its own, such as `laws.json`.

    Args:
        findings: What was computed.
        place: File name to the path it is written to.
    """
    for name in Findings.__dataclass_fields__:
        plain = to_stored(getattr(findings, name))
        # Draws are long: one line a file, not one a number.
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        write_text(place(f"{name}.json"), text + "\n")


def findings_of(measured: FindingsSource) -> Findings:
    """Return the findings that the study keeps if they follow from its present tables; else compute them."""
    kept = None if measured.folder is None else _read(measured.folder)
    if kept is None:
        return compute_findings(measured)
    if measured.budget is None or measured.table is None:
        return kept
    columns = flops_columns(measured)
    planned = find_next_runs(measured.table, columns, kept.laws, None, measured.budget)
    return replace(kept, next_runs=planned)


def _read(folder: Path) -> Findings | None:
    analysis, tables = folder / _FOLDER, folder / _TABLES
    if not is_artefact(analysis) or not is_artefact(tables):
        return None
    manifest = read_manifest(analysis)
    if manifest.schema != FINDINGS_SCHEMA:
        return None
    if manifest.inputs.get("tables") != read_manifest(tables).content:
        return None
    stored: dict[str, Any] = {
        name: read_record(analysis / f"{name}.json", Any) for name in Findings.__dataclass_fields__
    }
    try:
        return from_stored(Findings, stored)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        # Whole, and yet of another form: another version wrote it under the same number.
        lacks = f"no {error}" if isinstance(error, KeyError) else error
        raise damaged(analysis / MANIFEST, f"an analysis of another form: {lacks}") from None
