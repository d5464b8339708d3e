"""Write results as JSON and read them back without loss, so that one stage can draw what another found.

The form follows the types of the result's fields: records by field name, arrays as lists (with their
shape beside them where they have more than one axis), what is undefined as null.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")


def to_stored(value: object) -> Any:
    """Return plain data for JSON from a result: dataclasses, arrays, mappings, sequences, numbers, text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_stored(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        flat = [_number(x) for x in cast("NDArray[Any]", value).reshape(-1).tolist()]
        return flat if value.ndim == 1 else {"shape": list(value.shape), "values": flat}
    if isinstance(value, np.generic):
        return _number(value.item())
    if isinstance(value, Mapping):
        return {str(key): to_stored(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [to_stored(item) for item in cast("Sequence[Any]", value)]
    return _number(value)


def _number(value: Any) -> Any:
    """Return a float that JSON cannot write as null (undefined) or as text (infinite)."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return None if math.isnan(value) else str(value)


def from_stored(kind: type[Result], stored: Any) -> Result:
    """Return the result of type `kind` whose plain data are `stored`.

    Raises:
        KeyError, TypeError, ValueError: The data are not those of such a result.
    """
    return cast("Result", _read(kind, stored))


def _read(hint: Any, stored: Any) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return None if stored is None else _read(parts[0], stored)
    if origin not in (None, Literal):
        return _read_many(origin, parts, stored)
    if isinstance(hint, type) and is_dataclass(hint):
        return hint(
            **{name: _read(part, stored[name]) for name, part in _field_types(hint).items()}
        )
    if hint is float:
        return math.nan if stored is None else float(stored)
    return stored


def _read_many(origin: Any, parts: tuple[Any, ...], stored: Any) -> Any:
    """Return an array, a mapping with one type of values, or a tuple of one type of items."""
    if origin is np.ndarray:
        return _array(stored, np.dtype(get_args(parts[1])[0]))
    if issubclass(origin, Mapping):
        return {key: _read(parts[1], item) for key, item in stored.items()}
    return tuple(_read(parts[0], item) for item in stored)


@cache
def _field_types(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _array(stored: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    if isinstance(stored, Mapping):
        return _array(stored["values"], dtype).reshape(stored["shape"])
    return np.array([math.nan if item is None else item for item in stored], dtype=dtype)
