"""The page How this was made: recipe, versions, machine, artefacts, commands, citation."""

from __future__ import annotations

import json
from importlib.metadata import version

from lilliput import __version__
from lilliput.analysis.findings.findings import Findings
from lilliput.analysis.findings.quantities import format_duration
from lilliput.core.wording import plural
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.parts import Missing, TableColumn, TableRow, TableView, number_cell, text_cell
from lilliput.report.reading.evidence import Artefact, Evidence

_CITATION = """@software{{lilliput,
  title   = {{Lilliput: a wind tunnel for language models}},
  version = {{{version}}},
  year    = {{2026}}
}}

@inproceedings{{deshpande-etal-2023-honey,
  title     = {{Honey, {{I}} Shrunk the Language: Language Model Behavior at Reduced Scale}},
  author    = {{Deshpande, Vijeta and Pechi, Dan and Thatte, Shree and Lialin, Vladislav and Rumshisky, Anna}},
  booktitle = {{Findings of the Association for Computational Linguistics: ACL 2023}},
  pages     = {{5298--5314}},
  year      = {{2023}},
  doi       = {{10.18653/v1/2023.findings-acl.326}}
}}"""
_LIBRARIES = ("numpy", "scipy", "pyarrow", "plotly", "jinja2")


def build_method(evidence: Evidence, findings: Findings) -> PageContent:
    """Return everything needed to make the numbers again and to cite them."""
    del findings
    content = {
        "command": evidence.command,
        "recipe": _recipe(evidence),
        "no_recipe": _no_recipe(evidence),
        "environments": _environments(evidence.artefacts),
        "libraries": [
            ("lilliput", __version__),
            *((name, version(name)) for name in _LIBRARIES),
        ],
        "artefacts": _artefacts(evidence.artefacts),
        "time": _time(evidence.artefacts),
        "warnings": list(evidence.table.warnings) if evidence.table else [],
        "table": evidence.table,
        "citation": _CITATION.format(version=__version__),
    }
    return PageContent(content)


def _recipe(evidence: Evidence) -> str:
    return json.dumps(evidence.recipe, indent=2, ensure_ascii=False) if evidence.recipe else ""


def _no_recipe(evidence: Evidence) -> Missing | None:
    if evidence.recipe:
        return None
    if evidence.is_study:
        return Missing("The folder holds no study.json, so the recipe is not known.")
    return Missing(
        f"Made from the table {evidence.name} alone: how its numbers came about is not known here."
    )


def _environments(artefacts: tuple[Artefact, ...]) -> list[dict[str, str]]:
    """Return the distinct machines and versions that made the artefacts, most used first."""
    keys = ("lilliput", "python", "platform", "machine", "torch", "device", "dtype")
    seen: dict[tuple[tuple[str, str], ...], int] = {}
    for artefact in artefacts:
        environment = artefact.environment
        entry = tuple((key, str(environment[key])) for key in keys if key in environment)
        if entry:
            seen[entry] = seen.get(entry, 0) + 1
    ranked = sorted(seen.items(), key=lambda pair: -pair[1])
    return [{**dict(entry), "made": plural(count, "artefact")} for entry, count in ranked]


def _time(artefacts: tuple[Artefact, ...]) -> str:
    times = [a.wall_time_s for a in artefacts if a.wall_time_s is not None]
    if not times:
        return ""
    return f"{format_duration(sum(times))} of work in {plural(len(artefacts), 'artefact')}"


def _artefacts(artefacts: tuple[Artefact, ...]) -> TableView | None:
    if not artefacts:
        return None
    return TableView(
        id="artefacts",
        caption="Every artefact: its id says what it was made from, its content hash what is in it.",
        columns=(
            TableColumn("Place"),
            TableColumn("Kind"),
            TableColumn("Id"),
            TableColumn("Content"),
            TableColumn("Time", numeric=True),
        ),
        rows=tuple(
            TableRow(
                (
                    text_cell(a.place),
                    text_cell(a.kind),
                    text_cell(a.id),
                    text_cell(a.content),
                    number_cell(a.wall_time_s, format_duration(a.wall_time_s)),
                )
            )
            for a in artefacts
        ),
    )


register_page(
    Page("method", "How this was made", order=90, build=build_method, template="method.html")
)
