"""This stage writes tidy tables, then laws, frontiers, cost-effectiveness and correlations, then the page.

What follows from the tables is computed here once and kept; the page draws what is kept.
"""

from __future__ import annotations

import time
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
from lilliput.core.errors import LilliputError
from lilliput.core.files import read_json, write_json
from lilliput.core.hashing import content_id, file_hash
from lilliput.report import write_report
from lilliput.report.reading.evidence import read_evidence
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.store.layout import PAIRS, SUITES, StudyLayout
from lilliput.study.store.runs import read_run
from lilliput.study.store.tables import write_tables

_EARLY = {"made_from": "what was there when it was made"}
_LEAST_WAIT_S = 45.0
_WAIT_FACTOR = 20.0
"""An early page takes at most a twentieth of the time in which it is waited for."""


def _stamp(layout: StudyLayout) -> Path:
    return layout.analysis.parent / "report.json"


def _write_tables(context: StudyContext, runs: Sequence[Path]) -> None:
    """Write the tables of the finished runs, with their scores as far as there are any."""
    records = sorted(map(read_run, runs), key=lambda run: run.name)
    pairs = context.recipe.pairs
    means = {PAIRS: pairs.name} if pairs else {}
    write_tables(context.layout, records, SUITES, means, context.recipe.analysis.flops)


def analyse_study(context: StudyContext, runs: Sequence[Path]) -> None:
    """Write the tables of the finished runs and what follows from them."""
    layout, settings = context.layout, context.recipe.analysis
    _write_tables(context, runs)
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
    stamp = _stamp(layout)
    if stamp.exists() and layout.report.exists():
        record = read_json(stamp)
        if record == {"made_from": origin, "hash": file_hash(layout.report)}:
            return
    with context.reporter.task("report"):
        write_report(layout.root, layout.report, command=command)
    write_json(stamp, {"made_from": origin, "hash": file_hash(layout.report)})


class EarlyReport:
    """Write the page of what is there so far while a new study runs, and again as stages end.

    A page that was made of a whole study stays until the next whole one: it is never replaced by an early one.
    An early page that cannot be made stops nothing.

    Args:
        context: Of the study.
        command: What the page names as the command that makes it again.
    """

    def __init__(self, context: StudyContext, command: str) -> None:
        self._context, self._command = context, command
        self._next = 0.0

    def refresh(self, runs: Sequence[Path] = (), *, soon: bool = False) -> None:
        """Write the page with the finished `runs`; with `soon`, only if the last one is old enough."""
        started = time.monotonic()
        if not self._is_wanted() or (soon and started < self._next):
            return
        context, layout = self._context, self._context.layout
        try:
            if runs:
                _write_tables(context, runs)
            write_report(layout.root, layout.report, command=self._command)
            write_json(_stamp(layout), _EARLY)
        except LilliputError as error:
            context.reporter.say(f"an early page could not be made: {error}")
        else:
            if not self._next:
                context.reporter.say(f"a first page of what is there: {layout.report}")
        ended = time.monotonic()
        self._next = ended + max(_LEAST_WAIT_S, _WAIT_FACTOR * (ended - started))

    def _is_wanted(self) -> bool:
        layout = self._context.layout
        if not layout.report.exists():
            return True
        stamp = _stamp(layout)
        return stamp.exists() and read_json(stamp) == _EARLY
