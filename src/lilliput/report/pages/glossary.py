"""The page Glossary: the words of the other pages, which their tooltips take from here."""

from __future__ import annotations

from lilliput.analysis.findings.findings import Findings
from lilliput.report.glossary import GLOSSARY
from lilliput.report.page import Page, PageContent, register_page
from lilliput.report.reading.evidence import Evidence


def build_glossary(evidence: Evidence, findings: Findings) -> PageContent:
    """Return every term with its meaning, in the order of the alphabet."""
    del evidence, findings
    return PageContent({"terms": sorted(GLOSSARY, key=lambda term: term.name.casefold())})


register_page(
    Page("glossary", "Glossary", order=100, build=build_glossary, template="glossary.html")
)
