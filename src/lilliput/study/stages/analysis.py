"""Stage: tidy tables, then laws, frontiers, cost-effectiveness and correlations, then the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.analysis import (
    FitOptions,
    Table,
    analyse_correlation,
    analyse_fit,
    analyse_icer,
    frontier,
    load_table,
)
from lilliput.core.artefacts import (
    artefact_id,
    building,
    folder_holds,
    is_artefact,
    read_manifest,
)
from lilliput.core.errors import LilliputError
from lilliput.core.files import read_json, write_json
from lilliput.core.hashing import content_id, file_hash
from lilliput.report import write_report
from lilliput.study.context import StudyContext
from lilliput.study.runs import read_run
from lilliput.study.stages.scoring import GLUE, PROBES
from lilliput.study.tables import write_tables

_SCHEMA = 1


def analyse_study(context: StudyContext, runs: Sequence[Path]) -> None:
    """Write the tables of the finished runs and what follows from them."""
    layout, settings = context.layout, context.recipe.analysis
    records = sorted(map(read_run, runs), key=lambda run: run.name)
    write_tables(layout, records, [PROBES, GLUE])
    tables = read_manifest(layout.tables, "tables")
    made_with = settings.model_dump(mode="json")
    inputs = {"tables": tables.content}
    identity = artefact_id("analysis", _SCHEMA, made_with, inputs)
    if folder_holds(layout.analysis) not in (None, identity):
        _clear(layout.analysis)
    if is_artefact(layout.analysis):
        return
    with building(layout.analysis, "analysis", _SCHEMA, made_with, inputs) as build:
        table = load_table(layout.tables / "measurements.csv")
        with context.reporter.task("analysis", total=3, unit="parts") as progress:
            for name, make in _PARTS.items():
                write_json(build.path(f"{name}.json"), make(table, context))
                progress.advance(note=name)


def _clear(folder: Path) -> None:
    """Remove the analysis of other runs: it follows from the tables and is made anew."""
    for path in list(folder.glob("*.json")):
        path.unlink()


def _families(table: Table) -> dict[str, Table]:
    names = table.text("family")
    return {str(name): table.select(names == name) for name in np.unique(names)}


def _fits(table: Table, context: StudyContext) -> Mapping[str, Any]:
    """Frontier and law of each family under the study's convention; the page has the others."""
    settings = context.recipe.analysis
    options = FitOptions(resamples=settings.resamples)
    return {
        family: {
            "frontier": _or_reason(lambda t=part: frontier(t, flops=settings.flops).as_record()),
            "law": _or_reason(
                lambda t=part: analyse_fit(t, flops=settings.flops, options=options).as_record()
            ),
        }
        for family, part in _families(table).items()
    }


def _costs(table: Table, context: StudyContext) -> Mapping[str, Any]:
    settings = context.recipe.analysis
    return {
        family: _or_reason(
            lambda t=part: analyse_icer(
                t, name="shape", cost=settings.flops, effect="loss", resamples=settings.resamples
            ).as_record()
        )
        for family, part in _families(table).items()
    }


def _correlations(table: Table, context: StudyContext) -> Mapping[str, Any]:
    scores = [name for name in table.columns if name.startswith("score_")]
    resamples = context.recipe.analysis.resamples
    return {
        family: {
            score: _or_reason(
                lambda t=part, y=score: analyse_correlation(
                    t, x="perplexity", y=y, resamples=resamples
                ).as_record()
            )
            for score in scores
        }
        for family, part in _families(table).items()
    }


_PARTS: dict[str, Callable[[Table, StudyContext], Mapping[str, Any]]] = {
    "fits": _fits,
    "icer": _costs,
    "correlations": _correlations,
}


def _or_reason(make: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """What `make` gives, or why these data cannot give it."""
    try:
        return make()
    except LilliputError as error:
        return {"refused": str(error)}


def report_study(context: StudyContext, command: str) -> None:
    """Write the page, unless the one that is there was made from this very analysis."""
    layout = context.layout
    origin = content_id([read_manifest(layout.analysis).content, command])
    stamp = layout.analysis.parent / "report.json"
    if stamp.exists() and layout.report.exists():
        record = read_json(stamp)
        if record == {"made_from": origin, "hash": file_hash(layout.report)}:
            return
    with context.reporter.task("report"):
        write_report(layout.root, layout.report, command=command)
    write_json(stamp, {"made_from": origin, "hash": file_hash(layout.report)})
