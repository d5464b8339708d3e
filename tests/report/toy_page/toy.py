"""A page of the report that lies outside the package: one module and one template."""

from __future__ import annotations

from lilliput.analysis.findings.findings import Findings
from lilliput.report.drawing.figures import Axis, DataTable, Figure, FigureLayer
from lilliput.report.page import Page, PageContent
from lilliput.report.reading.evidence import Evidence

NAME = "data-cards"


def build(evidence: Evidence, findings: Findings) -> PageContent:
    """Count the runs, quote the name of the study, and draw one point."""
    figure = Figure(
        id="toy-figure",
        title="One point",
        text="A point at one.",
        x=Axis("x"),
        y=Axis("y"),
        layers=(FigureLayer("toy", "points", x="x", y="y", name="the point"),),
    )
    content = {
        "sentence": f"{len(evidence.runs)} runs under {len(findings.laws)} laws.",
        "hostile": "<script>alert(1)</script>",
    }
    return PageContent(content, (figure,), {"toy": DataTable({"x": [1.0], "y": [1.0]})})


PAGE = Page(NAME, "Data cards", order=85, build=build, template="toy.html")
