"""Write one HTML file from the evidence: pages, templates, data, scripts.

Neither a text nor a name of the data can act in the file. Data travel only as JSON in
`<script type="application/json">`. Scripts are named by their hash in a content security policy, so that
anything else that looked like a script would not run, and nothing can be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, DictLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lilliput import __version__
from lilliput.analysis.findings.findings import findings_of
from lilliput.core.errors import InputError
from lilliput.core.extras import require
from lilliput.core.files import write_text
from lilliput.core.progress import SILENT, Reporter
from lilliput.report.drawing.colours import looks_of
from lilliput.report.glossary import GLOSSARY
from lilliput.report.page import BuiltPage, registered_pages
from lilliput.report.reading.evidence import Evidence, read_evidence
from lilliput.report.side_by_side import side_by_side_pages

# Inside a script element only these could end it or confuse a parser; JSON may spell them out.
_ESCAPES = {character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
_STYLES = ("page.css", "parts.css", "print.css")
_SCRIPTS = (
    "data.js",
    "theme.js",
    "drawing.js",
    "legend.js",
    "reading.js",
    "figures.js",
    "tables.js",
    "downloads.js",
    "terms.js",
    "routing.js",
)


@dataclass(frozen=True)
class ReportResult:
    """Say where the report is and what is drawn in it.

    Attributes:
        report: The HTML file.
        figures: Ids of its figures; each has its data as CSV inside the file.
        static: Files of the figures for print, where they were asked for.
    """

    report: Path
    figures: tuple[str, ...]
    static: tuple[Path, ...] = ()

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "report": str(self.report),
            "figures": list(self.figures),
            "static": [str(path) for path in self.static],
        }


def write_report(
    source: Path,
    out: Path,
    *,
    command: str = "",
    static: Path | None = None,
    title: str = "",
    budget: float | None = None,
    reporter: Reporter = SILENT,
) -> ReportResult:
    """Write one self-contained HTML file about a study or a table.

    Args:
        source: A study folder, a CSV or Parquet table of measurements, or "paper".
        out: The HTML file to write, whole or not at all.
        command: What the user typed to make it; shown so that it can be made again.
        static: Folder for the figures as PDF and SVG; needs the extra `paper`.
        title: What the report is called; by default the name of the study or table.
        budget: FLOPs to plan for; by default ten times the costliest run.
        reporter: Where progress goes.

    Raises:
        InputError: There is nothing to report on at `source`.
        ArtefactError: A file of the study is damaged.
        MissingExtraError: `static` is given and matplotlib is not installed.
    """
    with reporter.task("report", total=4, unit="parts") as task:
        made_by = command or shlex.join(["lilliput", "report", str(source), "--out", str(out)])
        evidence = replace(read_evidence(source), command=made_by, title=title, budget=budget)
        task.advance(note="read")
        pages = build_pages(evidence)
        task.advance(note="analysed")
        write_text(out, render(evidence, pages))
        task.advance(note="written")
        drawn = _draw(pages, static)
        task.advance(note="drawn")
    figures = tuple(figure.id for page in pages for figure in page.figures)
    return ReportResult(out, figures, drawn)


def write_side_by_side(
    a: Path, b: Path, out: Path, *, command: str = "", title: str = ""
) -> ReportResult:
    """Write one self-contained HTML file that compares two studies or tables.

    Args:
        a: The study or table that is compared with.
        b: The one that is judged.
        out: The HTML file to write, whole or not at all.
        command: What the user typed to make it.
        title: What the report is called; by default the names of both.

    Raises:
        InputError: There is nothing to report on at one of them.
        ArtefactError: A file of a study is damaged.
    """
    one, other = (read_evidence(source) for source in (a, b))
    named = title or f"{one.name} and {other.name}"
    pages = side_by_side_pages(one, other)
    write_text(
        out,
        render(
            replace(one, title=named, command=command), pages, subtitle="Two sets of training runs"
        ),
    )
    return ReportResult(out, tuple(figure.id for page in pages for figure in page.figures))


@dataclass(frozen=True)
class NamedFigure:
    """Name one figure of a report: `name` is what `--figure` takes."""

    name: str
    title: str
    page: str


def list_figures(source: Path) -> list[NamedFigure]:
    """Return the figures of the report about `source`, in the order of its pages.

    Raises:
        InputError: There is nothing to report on at `source`.
        ArtefactError: A file of the study is damaged.
    """
    pages = build_pages(read_evidence(source))
    return [NamedFigure(f.id, f.title, page.title) for page in pages for f in page.figures]


def write_figure(source: Path, name: str, out: Path, *, width_mm: float = 84.0) -> Path:
    """Write one figure of the report about `source` for print.

    Args:
        source: A study folder, a table of measurements, or "paper".
        name: Name of the figure, see `list_figures`.
        out: The file to write; its ending says which kind: pdf, svg or png.
        width_mm: Width on paper.

    Raises:
        InputError: There is nothing to report on, no figure of this name, or no such kind of file.
        ArtefactError: A file of the study is damaged.
        MissingExtraError: matplotlib is not installed.
    """
    from lilliput.report.drawing.paper import FORMATS, PrintStyle, draw_figure

    kind = out.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise InputError(
            f"a figure must be written as one of {', '.join(FORMATS)}",
            got=f"the file name {out.name!r}",
            remedy=f"Name it {out.stem}.pdf.",
        )
    require("matplotlib", "paper")
    style = PrintStyle((kind,), width_mm, has_title=False, is_text_outlined=True)
    return draw_figure(build_pages(read_evidence(source)), name, out, style)


def _draw(pages: list[BuiltPage], folder: Path | None) -> tuple[Path, ...]:
    if folder is None:
        return ()
    from lilliput.report.drawing.paper import draw_figures

    return draw_figures(pages, folder)


def build_pages(evidence: Evidence) -> list[BuiltPage]:
    """Build every registered page that applies to the evidence, in the order of the navigation."""
    findings = findings_of(evidence)
    return [
        BuiltPage(page, page.build(evidence, findings))
        for page in registered_pages()
        if page.applies_to(evidence)
    ]


def render(evidence: Evidence, pages: list[BuiltPage], subtitle: str = "") -> str:
    """Return the whole HTML file as text; the subtitle says what it is about."""
    script = page_script()
    return _environment(pages).get_template("report.html").render(
        title=evidence.title or evidence.name,
        subtitle=subtitle or _subtitle(evidence),
        version=__version__,
        pages=pages,
        policy=content_security_policy([early_script(), plotly_script(), script]),
        style=Markup(page_style()),
        early=Markup(early_script()),
        plotly=Markup(plotly_script()),
        script=Markup(script),
        data=Markup(to_safe_json(embedded_data(pages))),
    )  # fmt: skip


def embedded_data(pages: list[BuiltPage]) -> dict[str, Any]:
    """Return what the page's script reads: tables once each, figures, controls by page."""
    tables = {name: table for page in pages for name, table in page.tables.items()}
    figures = [figure for page in pages for figure in page.figures]
    controls = [control for page in pages for control in page.controls]
    return {
        "tables": {name: table.as_record() for name, table in tables.items()},
        "figures": [figure.as_record() for figure in figures],
        "looks": {
            column: {value: look.as_record() for value, look in values.items()}
            for column, values in looks_of(figures, controls, tables).items()
        },
        "glossary": [{"id": term.id, "forms": [term.name, *term.forms]} for term in GLOSSARY],
        "controls": {
            page.name: [control.as_record() for control in page.controls] for page in pages
        },
    }


def _subtitle(evidence: Evidence) -> str:
    if evidence.is_study:
        return "A study of language models at reduced scale"
    return "A table of training runs"


def _environment(pages: list[BuiltPage]) -> Environment:
    """Templates of the document from this package, and each page's own as `pages/NAME.html`."""
    own = {f"pages/{page.name}.html": page.page.template_path for page in pages}
    texts = {name: path.read_text(encoding="utf-8") for name, path in own.items()}
    return Environment(
        loader=ChoiceLoader([PackageLoader("lilliput.report"), DictLoader(texts)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def to_safe_json(value: Any) -> str:
    """`value` as JSON that may stand inside a script element whatever its strings hold."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def content_security_policy(scripts: Sequence[str]) -> str:
    """Return a policy under which exactly these inline scripts run and nothing is fetched from anywhere.

    Plotly writes style rules while it draws, hence inline styles; its images are data and blobs.
    """
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


@cache
def plotly_script() -> str:
    """Return the source of plotly.js, MIT, as shipped with the package plotly.

    It stands in the file as plain text; the page makes a script of it when the first figure is drawn.
    """
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


@cache
def early_script() -> str:
    """Return what runs before the page is read: with scripts, one page is laid out at a time."""
    return _joined(("early.js",))


@cache
def page_script() -> str:
    """Return the report's own script: its parts joined into one strict function."""
    return "(() => {\n'use strict';\n" + _joined(_SCRIPTS) + "})();\n"


@cache
def page_style() -> str:
    """Return the report's style sheet."""
    return _joined(_STYLES)


def _joined(names: Sequence[str]) -> str:
    folder = files("lilliput.report") / "assets"
    return "".join((folder / name).read_text(encoding="utf-8") for name in names)
