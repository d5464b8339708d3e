"""Names of a package that are imported when they are first asked for, so that `--help` stays quick."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from lilliput.core.extras import require


def lazy_attributes(
    package: str, homes: Mapping[str, str], *, with_torch: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose public names are imported on first use.

    Write it once, below `__all__`, and the imports themselves under `if TYPE_CHECKING`:

        __getattr__ = lazy_attributes(__name__, {"RunConfig": "config"}, with_torch={"train": "run"})

    Args:
        package: The package's `__name__`.
        homes: Public name to the module that defines it, relative to the package.
        with_torch: The same for names whose modules import torch. Without torch these raise a
            `MissingExtraError` that says what to install.
    """
    needing_torch = with_torch or {}

    def load(name: str) -> Any:
        """Import the module that defines `name` and return what it holds under that name."""
        home = homes.get(name) or needing_torch.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if name in needing_torch:
            require("torch", "train")
        return getattr(import_module(f"{package}.{home}"), name)

    return load
