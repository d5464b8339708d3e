"""Putting data and scripts into one HTML file so that neither text nor names can act in it.

Data travel only as JSON in `<script type="application/json">`; scripts are named by their hash in a
content security policy, so that anything else that looked like a script would not run, and nothing
can be fetched.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

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
    "routing.js",
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
