"""Hold the recipes that ship with the package: one commented TOML file each, data and nothing else.

A recipe's header says what it costs and what to expect of it; `lilliput init` copies one for editing.
"""

from __future__ import annotations

from importlib.resources import files

from lilliput.core.errors import ConfigurationError


def shipped_recipes() -> list[str]:
    """Names of the recipes in the package, sorted."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in files(__name__).iterdir()
        if entry.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """Return the text of a shipped recipe.

    Raises:
        ConfigurationError: No recipe has this name.
    """
    if name not in shipped_recipes():
        raise ConfigurationError(
            "the recipe must be a file or one that ships with lilliput",
            got=repr(name),
            remedy=f"Shipped: {', '.join(shipped_recipes())}.",
        )
    return files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")


__all__ = ["recipe_text", "shipped_recipes"]
