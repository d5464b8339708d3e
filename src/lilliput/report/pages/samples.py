"""The page Samples: what every causal shape writes after the same prompts, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.findings import Findings
from lilliput.core.reader import read_record
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.parts import TableColumn, TableRow, TableView, number_cell, text_cell
from lilliput.report.reading.evidence import Evidence

_FILE = "samples/samples.json"


def has_samples(evidence: Evidence) -> bool:
    """Return whether the study keeps texts of its models."""
    return _path(evidence) is not None


def _path(evidence: Evidence) -> Path | None:
    path = evidence.folder / _FILE if evidence.folder is not None else None
    return path if path is not None and path.is_file() else None


def build_samples(evidence: Evidence, findings: Findings) -> PageContent:
    """Return a table with a row for each shape and a column for each prompt; the template escapes every text."""
    del findings
    path = _path(evidence)
    records: Sequence[Mapping[str, Any]] = read_record(path, list[dict[str, Any]]) if path else []
    prompts = list(dict.fromkeys(s["prompt"] for one in records for s in one["samples"]))
    columns = (
        TableColumn("Shape"),
        TableColumn("Runs of"),
        TableColumn("Parameters", numeric=True),
        *(TableColumn(f"“{prompt}” …") for prompt in prompts),
    )
    rows = [
        TableRow(
            (
                text_cell(one["shape"]),
                text_cell(" ".join(filter(None, (one["language"], one["variant"])))),
                number_cell(one["num_parameters"]),
                *(text_cell(_written(one, prompt)) for prompt in prompts),
            )
        )
        for one in records
    ]
    caption = "What each shape writes after a prompt, the smallest first; one seed each."
    return PageContent({"table": TableView("samples-texts", caption, columns, tuple(rows))})


def _written(one: Mapping[str, Any], prompt: str) -> str:
    """Return the texts after a prompt; an ellipsis where the model had not come to an end."""
    return " / ".join(
        sample["text"].strip() + ("" if sample["stopped"] == "end" else " …")
        for sample in one["samples"]
        if sample["prompt"] == prompt
    )


register_page(
    Page(
        "samples", "Samples", order=69, build=build_samples, template="samples.html",
        applies_to=has_samples,
    )
)  # fmt: skip
