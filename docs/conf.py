"""Sphinx configuration."""

from importlib.metadata import version as installed_version

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
