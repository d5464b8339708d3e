"""Lilliput is a wind tunnel for language models.

It shrinks the language until a complete scaling study (corpus, tokenizer, many small models, probes,
power laws, cost-effectiveness, report) fits on a laptop or one GPU, and makes every number in it
trustworthy. Each room of the package is one stage: `language`, `tokenization`, `architecture`,
`models`, `training`, `evaluation`, `analysis`, `report`; `study` draws the whole line.
"""

from __future__ import annotations

__version__: str


def __getattr__(name: str) -> str:
    """Return the installed version as `__version__`, looked up when it is first asked for."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = version("lilliput")
    except PackageNotFoundError:
        # The source tree is on the path of Python, and nothing is installed.
        found = "0+source"
    globals()["__version__"] = found
    return found
