from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.conftest import StudyMaker

from lilliput.analysis.findings import findings
from lilliput.analysis.findings.findings import (
    FINDINGS_KIND,
    FINDINGS_SCHEMA,
    Findings,
    compute_findings,
    findings_of,
    write_findings,
)
from lilliput.analysis.findings.scores import read_scores
from lilliput.analysis.findings.stored import to_stored
from lilliput.core.artefacts import building, read_manifest
from lilliput.core.errors import ArtefactError
from lilliput.core.files import write_json
from lilliput.report.reading.evidence import read_evidence


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study whose tables and analysis are artefacts, as a finished line leaves them."""
    maker = StudyMaker(tmp_path / "study", seeds=1, shapes=["32/32/64/1/1", "64/64/256/2/2"])
    maker.recipe()
    maker.runs()
    folder = maker.folder
    path = folder / "tables" / "measurements.csv"
    text = path.read_text(encoding="utf-8")
    path.unlink()
    with building(folder / "tables", "tables", 1, {}) as build:
        build.path("measurements.csv").write_text(text, encoding="utf-8")
    inputs = {"tables": read_manifest(folder / "tables").content}
    with building(folder / "analysis", FINDINGS_KIND, FINDINGS_SCHEMA, {}, inputs) as build:
        write_findings(compute_findings(read_evidence(folder)), build.path)
    return folder


def refuse(*_: object) -> Findings:
    raise AssertionError("computed although the study keeps it")


def test_the_page_draws_what_the_stage_computed(study: Path, monkeypatch):
    evidence = read_evidence(study)
    computed = compute_findings(evidence)
    assert computed.laws
    assert computed.costs.results
    monkeypatch.setattr(findings, "compute_findings", refuse)
    kept = findings_of(evidence)
    assert to_stored(kept) == to_stored(computed)
    assert kept.laws[0].group == "constrained"


def test_findings_of_other_tables_are_not_drawn(study: Path, monkeypatch):
    text = (study / "tables" / "measurements.csv").read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    with building(study / "tables", "tables", 1, {}) as build:
        build.path("measurements.csv").write_text("".join(lines[:-1]), encoding="utf-8")
    monkeypatch.setattr(findings, "compute_findings", refuse)
    with pytest.raises(AssertionError, match="computed although"):
        findings_of(read_evidence(study))


def test_a_plain_table_is_computed_by_the_same_function(study: Path):
    table = read_evidence(study / "tables" / "measurements.csv")
    of_study = read_evidence(study)
    same = replace(table, recipe=of_study.recipe)
    assert to_stored(findings_of(same)) == to_stored(compute_findings(of_study))


def test_scores_of_an_older_version_are_refused_in_words(tmp_path: Path):
    place = tmp_path / "evaluations" / "run" / "probes"
    place.mkdir(parents=True)
    write_json(place / "scores.json", [{"task": "t", "start": "trained", "value": 0.5}])
    with pytest.raises(ArtefactError, match="weights: field required"):
        read_scores(tmp_path / "evaluations")
