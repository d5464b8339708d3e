"""TOML files, and `key=value` overrides with dotted keys that are laid over them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lilliput.core.errors import ConfigurationError, InputError
from lilliput.core.files import require_file


def read_toml(path: Path, what: str = "the recipe") -> dict[str, Any]:
    """Return the tables of a TOML file as plain data; `what` says in an error what the file is.

    Raises:
        InputError: The file is not there, or is not TOML; the message names line and column.
    """
    try:
        text = require_file(path, what).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} must be TOML", got=error, remedy="Save it as UTF-8.") from None
    return parse_toml(text, str(path))


def parse_toml(text: str, name: str) -> dict[str, Any]:
    """Return the tables of TOML text as plain data; `name` says in an error where it came from.

    Raises:
        InputError: It is not TOML; the message names line and column.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError(
            f"{name} must be TOML of a depth that can be read", got="brackets within brackets",
            remedy="Take the nested brackets out.",
        ) from None  # fmt: skip
    except (
        ValueError
    ) as error:  # tomllib's own kind, and Python's for a number of thousands of digits.
        raise InputError(f"{name} must be TOML", got=error, remedy="Correct that line.") from None


def parse_assignment(text: str) -> tuple[tuple[str, ...], Any]:
    """Return the key path and the value of one override such as `training.learning_rate=1e-3`.

    The value is read as TOML (numbers, booleans, quoted strings, lists); what is not TOML is taken as
    a string, so that `training.profile=reference` needs no quotes.

    Raises:
        ConfigurationError: There is no `=`, or the key is empty or has an empty part.
    """
    key, equals, value = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigurationError(
            "an override must read KEY=VALUE with a dotted key",
            got=repr(text),
            remedy="For example: --set training.learning_rate=1e-3",
        )
    return path, _parse_value(value.strip())


def _parse_value(text: str) -> Any:
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if table.keys() == {"value"} else text


def with_overrides(recipe: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `recipe` with each `KEY=VALUE` put in its place; later ones win.

    Raises:
        ConfigurationError: An override is malformed, or its key runs through a value.
    """
    result = _copy_tables(recipe)
    for text in assignments:
        path, value = parse_assignment(text)
        table = result
        for part in path[:-1]:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise ConfigurationError(
                    f"{part!r} must be a table to hold the key of an override", got=repr(text)
                )
        table[path[-1]] = value
    return result


def _copy_tables(value: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copy_tables(v) if isinstance(v, Mapping) else v for k, v in value.items()}
