"""The page Runs: every run with its numbers, configuration and hashes."""

from __future__ import annotations

import json
from dataclasses import dataclass

from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.quantities import format_duration
from lilliput.analysis.findings.runs import FACETS, Run
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.pages import shared
from lilliput.report.parts import Missing, TableCell, TableColumn, number_cell, text_cell
from lilliput.report.reading.evidence import Evidence

_NUMBERS = {
    "num_parameters": "Parameters",
    "num_parameters_non_embedding": "Without embeddings",
    "tokens_seen": "Tokens",
    "step": "Steps",
    "loss": "Loss",
    "loss_reference": "Loss, authors' average",
    "perplexity": "Perplexity",
    "bits_per_byte": "Bits per byte",
}

_EXTRA = ("num_parameters_non_embedding", "step", "loss_reference", "perplexity", "bits_per_byte")


@dataclass(frozen=True)
class RunRow:
    """One row of the run table; `anchor` is where links from figures lead."""

    anchor: str
    run: Run
    cells: tuple[TableCell, ...]
    config: str


@dataclass(frozen=True)
class Facet:
    """One choice beside the run table."""

    name: str
    label: str
    values: tuple[str, ...]


def build_runs(evidence: Evidence, findings: Findings) -> PageContent:
    """Return the sortable, filterable table of runs."""
    del findings
    if not evidence.runs:
        return PageContent({"missing": Missing("There are no finished runs.")})
    columns = _columns(evidence)
    content = {
        "missing": None,
        "columns": columns,
        "rows": [_row(i, run, columns) for i, run in enumerate(evidence.runs)],
        "facets": _facets(evidence),
        "failures": evidence.failures,
        "has_config": any(run.config for run in evidence.runs),
        "has_hash": any(run.id for run in evidence.runs),
        "has_curves": shared.has_curves(evidence),
    }
    controls = shared.known(shared.flops_control(evidence))
    tables = {"runs": shared.runs_table(evidence)}
    return PageContent(content, (), tables, controls)


def _columns(evidence: Evidence) -> list[tuple[str, TableColumn]]:
    facets = shared.telling_facets(evidence)
    columns = [
        (
            name,
            TableColumn(
                shared.facet_label(name), is_extra=len(shared.distinct(evidence, name)) < 2
            ),
        )
        for name in sorted(facets, key=lambda name: name != "shape")
    ]
    for name in shared.present(evidence, list(_NUMBERS)):
        columns.append((name, TableColumn(_NUMBERS[name], numeric=True, is_extra=name in _EXTRA)))
    flops = shared.flops_columns(evidence)
    for name in flops:
        when = {"flops": name} if len(flops) > 1 else {}
        columns.append((name, TableColumn(f"FLOPs, {shared.flops_label(name)}", True, when)))
    if shared.present(evidence, ["wall_time_s"]):
        columns.append(("wall_time_s", TableColumn("Time", numeric=True)))
    return columns


def _row(index: int, run: Run, columns: list[tuple[str, TableColumn]]) -> RunRow:
    config = json.dumps(run.config, indent=2, ensure_ascii=False) if run.config else ""
    return RunRow(f"run-{index}", run, tuple(_cell(run, name) for name, _ in columns), config)


def _cell(run: Run, name: str) -> TableCell:
    if name in FACETS:
        return text_cell(run.facets.get(name))
    value = run.final.get(name)
    return number_cell(value, format_duration(value) if name == "wall_time_s" else None)


def _facets(evidence: Evidence) -> list[Facet]:
    facets = [(n, tuple(shared.distinct(evidence, n))) for n in shared.telling_facets(evidence)]
    return [Facet(n, shared.facet_label(n), values) for n, values in facets if len(values) > 1]


register_page(Page("runs", "Runs", order=80, build=build_runs, template="runs.html"))
