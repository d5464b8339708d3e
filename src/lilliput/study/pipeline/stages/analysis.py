"""This stage writes tidy tables, then laws, frontiers, cost-effectiveness and correlations, then the page.

What follows from the tables is computed here once and kept; the page draws what is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lilliput.analysis.findings.findings import (
    FINDINGS_KIND,
    FINDINGS_SCHEMA,
    compute_findings,
    write_findings,
)
from lilliput.core.artefacts import (
    artefact_id,
    building,
    folder_holds,
    is_artefact,
    read_manifest,
)
from lilliput.core.files import read_json, write_json
from lilliput.core.hashing import content_id, file_hash
from lilliput.report import write_report
from lilliput.report.reading.evidence import read_evidence
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.store.layout import PAIRS, SUITES
from lilliput.study.store.runs import read_run
from lilliput.study.store.tables import write_tables


def analyse_study(context: StudyContext, runs: Sequence[Path]) -> None:
    """Write the tables of the finished runs and what follows from them."""
    layout, settings = context.layout, context.recipe.analysis
    records = sorted(map(read_run, runs), key=lambda run: run.name)
    pairs = context.recipe.pairs
    means = {PAIRS: pairs.name} if pairs else {}
    write_tables(layout, records, SUITES, means, settings.flops)
    tables = read_manifest(layout.tables, "tables")
    made_with = settings.model_dump(mode="json")
    inputs = {"tables": tables.content}
    identity = artefact_id(FINDINGS_KIND, FINDINGS_SCHEMA, made_with, inputs)
    if folder_holds(layout.analysis) not in (None, identity):
        _clear(layout.analysis)
    if is_artefact(layout.analysis):
        return
    with building(layout.analysis, FINDINGS_KIND, FINDINGS_SCHEMA, made_with, inputs) as build:
        findings = compute_findings(read_evidence(layout.root), context.reporter)
        write_findings(findings, build.path)


def _clear(folder: Path) -> None:
    """Remove the analysis of other runs: it follows from the tables and is made anew."""
    for path in list(folder.glob("*.json")):
        path.unlink()


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
