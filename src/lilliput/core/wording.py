"""Counts and lists as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Sequence


def plural(count: int, noun: str) -> str:
    """`count` with its noun: "1 run", "12 runs"."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def listed(names: Sequence[str], conjunction: str = "and") -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"
