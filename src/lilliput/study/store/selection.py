"""Filters on the index of runs: `KEY OP VALUE`, all of which must hold."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lilliput.core.errors import ConfigurationError

_COMPARISONS = {
    "<=": "less_equal",
    ">=": "greater_equal",
    "!=": "not_equal",
    "=": "equal",
    "<": "less",
    ">": "greater",
}
_CONDITION = re.compile(r"\s*([\w.]+)\s*(<=|>=|!=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_TRUTH = {"true": True, "false": False}


def select_runs(table: Any, conditions: Sequence[str]) -> Any:
    """Return the rows of the index that meet every condition; a run that lacks the key meets none on it.

    Args:
        table: Arrow table of `run_index`.
        conditions: Each KEY OP VALUE with OP one of = != < <= > >= and ~ (contains); a key may leave out
            what comes before its last dots, where that is unambiguous.

    Raises:
        ConfigurationError: A condition is malformed, its key unknown, or its value of another type.
    """
    for condition in conditions:
        table = table.filter(_mask(table, condition))
    return table


def _mask(table: Any, condition: str) -> Any:
    parsed = _CONDITION.fullmatch(condition)
    if parsed is None:
        raise ConfigurationError(
            "a filter must read KEY OP VALUE with OP one of = != < <= > >= ~",
            got=repr(condition),
            remedy="For example: --where 'loss<3' --where shape=32/32/128/2/2",
        )
    key, operator, text = parsed.groups()
    column = table[_column_name(table, key)]
    if operator == "~":
        options = pc.MatchSubstringOptions(text)
        return pc.call_function("match_substring", [column.cast(pa.string())], options)
    value = pa.scalar(_value(text, column.type, condition))
    return pc.call_function(_COMPARISONS[operator], [column, value])


def _column_name(table: Any, key: str) -> str:
    names: list[str] = table.column_names
    if key in names:
        return key
    endings = [name for name in names if name.endswith(f".{key}")]
    if len(endings) == 1:
        return endings[0]
    near = endings or difflib.get_close_matches(key, names, n=3, cutoff=0.4) or names[:5]
    raise ConfigurationError(
        "a filter must name one column of the runs", got=repr(key), remedy=f"Such as: {', '.join(near)}."
    )  # fmt: skip


def _value(text: str, kind: Any, condition: str) -> Any:
    """`text` as what the column holds."""
    try:
        if pa.types.is_boolean(kind):
            return _TRUTH[text.lower()]
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return float(text)
    except (KeyError, ValueError):
        raise ConfigurationError(
            f"a filter's value must be of its column's type, {kind}", got=repr(condition)
        ) from None
    return text
