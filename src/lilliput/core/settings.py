"""Frozen configurations that refuse unknown keys and answer in the user's words."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from lilliput.core.errors import ConfigurationError


class Settings(BaseModel):
    """Base of every configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


SettingsT = TypeVar("SettingsT", bound=Settings)


def parse_settings(kind: type[SettingsT], values: Mapping[str, Any], where: str = "") -> SettingsT:
    """`values` as a checked `kind`.

    Args:
        kind: The configuration to build.
        values: Plain data, as read from TOML or JSON.
        where: What to call the source in an error (a file name).

    Raises:
        ConfigurationError: A key is unknown (the nearest known one is named) or a value breaks a rule.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise _translate(error, kind, where) from None


def _translate(error: ValidationError, kind: type[Settings], where: str) -> ConfigurationError:
    # An unknown key before a missing one: where a key is misspelt, both are found.
    found = error.errors(include_url=False)
    first = min(found, key=lambda one: one["type"] != "extra_forbidden")
    key = ".".join(str(part) for part in first["loc"])
    place = f" in {where}" if where else ""
    if first["type"] == "extra_forbidden":
        known = sorted(_known_keys(kind, first["loc"][:-1]))
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
        return ConfigurationError(f"recipe keys must be known{place}", got=repr(key), remedy=remedy)
    return ConfigurationError(*_rule_of(first, key, place), **_got_of(first))


def _rule_of(first: ErrorDetails, key: str, place: str) -> tuple[str]:
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return (f"{key or 'the configuration'}{place}: {message}",)


def _got_of(first: ErrorDetails) -> dict[str, Any]:
    if first["type"] == "missing":
        return {"remedy": "Add the key."}
    shown = first["input"]
    return {} if isinstance(shown, (dict, list)) else {"got": repr(shown)}


def _known_keys(kind: type[Settings], path: tuple[int | str, ...]) -> set[str]:
    """Field names at `path`; the union over the members where a field is a union."""
    kinds: list[type[BaseModel]] = [kind]
    for part in path:
        kinds = [
            model
            for owner in kinds
            if isinstance(part, str) and part in owner.model_fields
            for model in _models_in(owner.model_fields[part].annotation)
        ] or kinds
    return {name for model in kinds for name in model.model_fields}


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
