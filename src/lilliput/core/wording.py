"""Counts and lists as they stand in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


def plural(count: int, noun: str) -> str:
    """Return `count` with its noun: "1 run", "12 runs"."""
    return f"{count:,} {noun if count == 1 else noun + 's'}"


def listed(names: Sequence[str], conjunction: str = "and") -> str:
    """Return names in a sentence: "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {conjunction} {names[-1]}"


def some(names: Iterable[str], most: int = 20, longest: int = 80) -> str:
    """Return the first names of what may be a million, the long ones cut: "a, b, … (999,998 more)"."""
    every = list(names)
    shown = [name if len(name) <= longest else f"{name[:longest]}…" for name in every[:most]]
    more = len(every) - len(shown)
    return ", ".join([*shown, f"… ({more:,} more)"] if more else shown)


def spoken_duration(seconds: float) -> str:
    """Return a time in the largest unit that fits: "0.4 s", "45 s", "12 min", "3.5 h", "2.1 days"."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 5970:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def spoken_size(size: float) -> str:
    """Return a number of bytes in the largest unit that fits: "950 bytes", "12.3 kB", "4.5 MB"."""
    if size < 1000:
        return f"{size:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:,.1f} {unit}"
    return f"{size / 1000:,.1f} TB"


def spoken_interval(
    spoken: Callable[[float], str],
    value: float | None,
    low: float | None = None,
    high: float | None = None,
) -> str:
    """Return a value with its bounds in words, as in "12 min (8 min to 20 min)"."""
    if value is None:
        return "not known"
    if low is None or high is None:
        return spoken(value)
    return f"{spoken(value)} ({spoken(low)} to {spoken(high)})"
