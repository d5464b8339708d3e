"""Frozen configurations that refuse unknown keys and answer in the user's words."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from lilliput.core.errors import ConfigurationError

_MOST_NUMBER = 2**63


class Settings(BaseModel):
    """Base of every configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_bounded(cls, values: Any) -> Any:
        """Refuse whole numbers that no machine counts with: a float of one of 400 digits cannot be had."""
        if isinstance(values, Mapping):
            for name, value in cast("Mapping[str, Any]", values).items():
                # Seeds have a bound of their own, and words for it.
                if name != "seed" and isinstance(value, int) and abs(value) >= _MOST_NUMBER:
                    digits = round(value.bit_length() * 0.30103)
                    raise ValueError(
                        f"{name} must be below 2^63, and this one has about {digits} digits"
                    )
        return values


# `json_schema_extra` of a field that leaves the result alone: where things lie, how fast they are computed.
OUTSIDE_IDENTITY: dict[str, Any] = {"identity": False}


def identity_values(settings: Settings) -> dict[str, Any]:
    """Return the settings that affect the result, as plain data, with those of nested settings."""
    values = settings.model_dump(mode="json")
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if field.json_schema_extra == OUTSIDE_IDENTITY:
            del values[name]
        elif isinstance(value, Settings):
            values[name] = identity_values(value)
    return values


SettingsT = TypeVar("SettingsT", bound=Settings)

# Windows reserves these as names of devices, whatever extension follows them.
_DEVICES = frozenset(
    ("con", "prn", "aux", "nul", *(f"{kind}{n}" for kind in ("com", "lpt") for n in "123456789¹²³"))
)
_MOST_NAME_BYTES = 100
_MOST_SHOWN, _MOST_DIGITS = 120, 40
_FORBIDDEN = frozenset('/\\<>:"|?*')


def check_folder_name(name: str) -> str:
    """Return `name` where it can be one folder on every platform.

    Raises:
        ValueError: It cannot; the message says why.
    """
    if reason := _fault_of_name(name):
        raise ValueError(f"a name that becomes a folder must {reason}")
    return name


FolderName = Annotated[str, AfterValidator(check_folder_name)]

# Random number generators take seeds of 64 bits.
Seed = Annotated[int, Field(ge=0, lt=2**63)]


def _fault_of_name(name: str) -> str:
    """Return the rule that `name` breaks, as what follows "must"; empty where it breaks none."""
    # Surrogates, control characters, and invisible ones such as those that turn the direction of writing.
    if any(unicodedata.category(character).startswith("C") for character in name):
        return "hold no control characters"
    separators = sorted(_FORBIDDEN & set(name))
    faults = {
        f"not hold {''.join(separators)[:1]}": bool(separators),
        "be a word or several, without spaces around them": not name or name != name.strip(),
        "not begin or end with a dot": name.startswith(".") or name.endswith("."),
        f"take at most {_MOST_NAME_BYTES} bytes": len(name.encode()) > _MOST_NAME_BYTES,
        "not be a device of Windows, such as con or nul": (
            name.split(".", maxsplit=1)[0].strip().casefold() in _DEVICES
        ),
    }
    return next((rule for rule, is_broken in faults.items() if is_broken), "")


def require_distinct_folders(names: Iterable[str]) -> None:
    """Raise ValueError where two names are one folder on a file system that ignores case or composition."""
    seen: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
        other = seen.setdefault(key, name)
        if other != name:
            raise ValueError(
                f"names that become folders must differ in more than case, not {other!r} and {name!r}"
            )


def parse_settings(kind: type[SettingsT], values: Mapping[str, Any], where: str = "") -> SettingsT:
    """Return `values` as a checked `kind`.

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
    # A wrong key of a table ends in "[key]"; the key itself stands before it and is shown as what came.
    key = ".".join(
        str(part) for part in first["loc"][: -2 if first["loc"][-1:] == ("[key]",) else None]
    )
    place = f" in {where}" if where else ""
    if first["type"] == "extra_forbidden":
        known = sorted(_known_keys(kind, first["loc"][:-1]))
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(known)}."
        return ConfigurationError(f"keys must be known{place}", got=repr(key), remedy=remedy)
    return ConfigurationError(*_rule_of(first, key, place), **_got_of(first))


def _rule_of(first: ErrorDetails, key: str, place: str) -> tuple[str]:
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return (f"{key or 'the configuration'}{place}: {message}",)


def _got_of(first: ErrorDetails) -> dict[str, Any]:
    if first["type"] == "missing":
        return {"remedy": "Add the key."}
    shown = first["input"]
    return {} if isinstance(shown, (dict, list)) else {"got": _shortened(shown)}


def _shortened(value: object) -> str:
    """Return the value as Python writes it, cut where it would fill the screen."""
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        return f"a whole number of more than {_MOST_DIGITS} digits"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _known_keys(kind: type[Settings], path: tuple[int | str, ...]) -> set[str]:
    """Return the field names at `path`; the union over the members where a field is a union."""
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
