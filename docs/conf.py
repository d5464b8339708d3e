"""Sphinx configuration."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "Lilliput"
author = "The Lilliput authors"
project_copyright = "2026, The Lilliput authors"
release = version = installed_version("lilliput")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Lilliput"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
suppress_warnings = ["myst.xref_missing"]


def fill_from_code(app: object, name: str, source: list[str]) -> None:
    """Put what the code says in the place of its marker."""
    del app
    from reference_text import cli_reference, glossary_reference, recipe_reference

    makers = {
        "reference/cli": cli_reference,
        "reference/glossary": glossary_reference,
        "reference/recipe": recipe_reference,
    }
    if name in makers:
        source[0] = source[0].replace("<!-- from the code -->", makers[name]())


def setup(app: object) -> None:
    """Called by Sphinx."""
    app.connect("source-read", fill_from_code)  # type: ignore[attr-defined]
