"""The page Emergence, from a made-up record."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from lilliput.report.pages.emergence import build_emergence, has_emergence
from lilliput.report.reading.evidence import Evidence

VERDICT = {
    "task": "continuation", "language": "filtered", "variant": "causal", "axis": "loss", "metric": "accuracy",
    "verdict": "artefact of the metric", "why": "The form threshold leads.", "best": "threshold", "place": -4.2,
    "points": 2, "runs": [
        {"run": "<b>a</b>", "shape": "8/8", "loss": 4.0, "score": 0.3},
        {"run": "b", "shape": "16/16", "loss": 3.5, "score": 0.4},
    ],
}  # fmt: skip
DEPTH = VERDICT | {"task": "induction", "axis": "depth", "metric": "margin", "verdict": "threshold"}
SIZE = {
    "task": "continuation", "variant": "causal", "metric": "margin", "ratio": 5.5, "low": 3.0, "high": 9.0,
    "larger": "unfiltered", "smaller": "filtered", "confirms_six": True, "why": "Mean over scores.",
}  # fmt: skip


def evidence_of(folder: Path) -> Evidence:
    record = {"verdicts": [VERDICT, DEPTH], "sizes": [SIZE]}
    (folder / "emergence").mkdir()
    (folder / "emergence" / "emergence.json").write_text(json.dumps(record))
    return Evidence("study", is_study=True, folder=folder)


def test_the_page_says_verdicts_control_and_sizes(tmp_path: Path):
    evidence = evidence_of(tmp_path)
    assert has_emergence(evidence)
    built = build_emergence(evidence, SimpleNamespace())  # pyright: ignore[reportArgumentType]
    first, control, sizes = built.content["sentences"]
    assert first == "Verdicts on scores against the loss: artefact of the metric 1."
    assert "copying against depth (filtered causal): threshold" in control
    assert "must be 5.5 [3, 9] times as large" in sizes
    assert "confirms 6" in sizes
    assert len(built.content["verdicts"].rows) == 2
    assert len(built.tables["emergence"]) == 2
    (figure,) = built.figures
    assert figure.layers[0].where == {"task": "$task"}


def test_without_a_record_there_is_no_page(tmp_path: Path):
    assert not has_emergence(Evidence("study", is_study=True, folder=tmp_path))
    assert not has_emergence(Evidence("table", is_study=False))
