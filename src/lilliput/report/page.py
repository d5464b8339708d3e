"""The pages of a report: what a page is, and the registry that lists them.

To add a page, write one module and one template beside it:

    # my_page.py                                       # my_page.html
    from lilliput.report.page import Page, ...         {% import "parts.html" as parts %}
                                                       <p>{{ page.content.sentence }}</p>
    def build(evidence, findings):
        return PageContent({"sentence": f"{len(evidence.runs)} runs were read."})

    register_page(Page("mine", "My page", order=85, build=build, template="my_page.html"))

The document, the navigation and the script of the page read the registry; nothing else has to change.
A module in `lilliput/report/pages` is found by itself; one outside the package registers its page when
it is imported, which the entry-point group `lilliput.plugins` does for installed packages.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.findings import Findings
from lilliput.core.errors import ConfigurationError
from lilliput.core.registry import Registry
from lilliput.report.drawing.figures import Control, DataTable, Figure
from lilliput.report.reading.evidence import Evidence

_NAME = re.compile(r"[a-z][a-z0-9-]*")


@dataclass(frozen=True)
class PageContent:
    """Hold what a page shows for one study or table.

    Attributes:
        content: The names that the template reads as `page.content`.
        figures: Figures in the order of the page.
        tables: Data of the figures by name. Pages may share a table under the same name.
        controls: Choices that redraw the figures.
    """

    content: Mapping[str, Any] = field(default_factory=dict[str, Any])
    figures: tuple[Figure, ...] = ()
    tables: Mapping[str, DataTable] = field(default_factory=dict[str, DataTable])
    controls: tuple[Control, ...] = ()


def applies_always(evidence: Evidence) -> bool:
    """Return True: most pages are shown for studies and for tables."""
    del evidence
    return True


def applies_to_studies(evidence: Evidence) -> bool:
    """Return whether the report is about the folder of a study."""
    return evidence.is_study


@dataclass(frozen=True)
class Page:
    """One page of the report, before anything is known about the study.

    Attributes:
        name: Name in the address: lower-case letters, digits and hyphens.
        title: Heading of the page and entry of the navigation.
        order: Place in the navigation; Summary has 10, each next page 10 more.
        build: Makes the content from the evidence and the findings.
        template: File name of a Jinja template in the folder of the module that defines `build`.
            Everything that it prints is escaped.
        applies_to: Decides whether the page is shown at all.
    """

    name: str
    title: str
    order: int
    build: Callable[[Evidence, Findings], PageContent]
    template: str
    applies_to: Callable[[Evidence], bool] = applies_always

    @property
    def template_path(self) -> Path:
        """The template's file, which lies beside the module that builds the page."""
        return Path(inspect.getfile(self.build)).parent / self.template


@dataclass(frozen=True)
class BuiltPage:
    """A page with its content, as templates and drawings read it."""

    page: Page
    built: PageContent

    @property
    def name(self) -> str:
        """Name in the address."""
        return self.page.name

    @property
    def title(self) -> str:
        """Return the heading."""
        return self.page.title

    @property
    def content(self) -> Mapping[str, Any]:
        """The names that the template reads."""
        return self.built.content

    @property
    def figures(self) -> tuple[Figure, ...]:
        """Figures in the order of the page."""
        return self.built.figures

    @property
    def tables(self) -> Mapping[str, DataTable]:
        """Data of the figures by name."""
        return self.built.tables

    @property
    def controls(self) -> tuple[Control, ...]:
        """Choices that redraw the figures."""
        return self.built.controls

    def figure(self, name: str) -> Figure | None:
        """Return the figure with this id, or None if the page does not have it."""
        return next((figure for figure in self.figures if figure.id == name), None)


REGISTRY: Registry[Page] = Registry("page of the report", "lilliput.report.pages")


def register_page(page: Page) -> None:
    """Add a page to every report that is written from now on.

    Raises:
        ConfigurationError: The name does not fit into an address or is taken by another page, or the
            template is not a file beside the module that defines `build`.
    """
    if not _NAME.fullmatch(page.name):
        raise ConfigurationError(
            "the name of a page must be lower-case letters, digits and hyphens", got=repr(page.name)
        )
    if Path(page.template).name != page.template or not page.template_path.is_file():
        raise ConfigurationError(
            "the template of a page must be the name of a file beside the module that builds it",
            got=f"{page.template!r} in {page.template_path.parent}",
        )
    REGISTRY.add(page.name, page)


def registered_pages() -> tuple[Page, ...]:
    """Return every page in the order of the navigation, those of other installed packages included."""
    return tuple(sorted(REGISTRY.items().values(), key=lambda page: (page.order, page.name)))
