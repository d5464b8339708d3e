"""Write numbers as people read them: rounded to what their interval allows, with n, or marked as single."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lilliput.core.intervals import Interval

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_DEFAULT_SIGNIFICANT = 4
_PLAIN_FROM, _PLAIN_TO = 1e-3, 1e7
UNKNOWN = "–"


@dataclass(frozen=True)
class Quantity:
    """Hold a number of the report with what is known about its uncertainty.

    Attributes:
        value: The estimate; None when it could not be measured.
        low: Lower bound of the 95 % interval; None when there is none.
        high: Upper bound; None for the same reason.
        n: How many independent observations it rests on; None when it is not known.
        unit: What `n` counts, in the plural.
        note: Why there is no interval or no value, in words; empty otherwise.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str = "runs"
    note: str = ""

    @property
    def is_known(self) -> bool:
        """Return whether there is a number at all."""
        return self.value is not None

    @property
    def has_interval(self) -> bool:
        """Return whether both bounds are known."""
        return self.low is not None and self.high is not None

    @property
    def figure(self) -> str:
        """Return the number alone, rounded to two digits of its interval's half width."""
        return format_number(self.value, half_width=self._half_width)

    @property
    def bounds(self) -> str:
        """Return the interval as "low to high"; empty when there is none."""
        if not self.has_interval:
            return ""
        low = format_number(self.low, half_width=self._half_width)
        return f"{low} to {format_number(self.high, half_width=self._half_width)}"

    @property
    def basis(self) -> str:
        """Return what the number rests on: "n = 12 runs", "single run", or the note."""
        if self.note:
            return self.note
        if self.n is None:
            return "" if self.has_interval else "no interval"
        if self.n == 1:
            return f"single {self.unit.removesuffix('s')}"
        count = f"n = {self.n:,} {self.unit}"
        return count if self.has_interval else f"{count}, no interval"

    @property
    def text(self) -> str:
        """Return the number with interval and n in one phrase."""
        if not self.is_known:
            return self.note or UNKNOWN
        interval = f"95 % interval {self.bounds}" if self.has_interval else ""
        known = ", ".join(part for part in (interval, self.basis) if part)
        return f"{self.figure} ({known})" if known else self.figure

    @property
    def _half_width(self) -> float | None:
        if self.low is None or self.high is None or not self.high > self.low:
            return None
        return (self.high - self.low) / 2

    def excludes(self, reference: float) -> bool:
        """Return whether the interval lies wholly on one side of `reference`; False without an interval."""
        if self.low is None or self.high is None:
            return False
        return reference < self.low or reference > self.high

    @classmethod
    def from_interval(cls, interval: Interval) -> Quantity:
        """Return the quantity of a core interval."""
        value = interval.value if math.isfinite(interval.value) else None
        return cls(value, interval.low, interval.high, interval.n, interval.unit)

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], *, unit: str = "runs", n: int | None = None
    ) -> Quantity:
        """Return the quantity of a JSON object with `value`, `low`, `high` and perhaps `n`."""
        count = finite(record.get("n"))
        return cls(
            finite(record.get("value")),
            finite(record.get("low")),
            finite(record.get("high")),
            int(count) if count is not None else n,
            str(record.get("unit", unit)),
        )


def finite(value: object) -> float | None:
    """Return `value` as a finite number; None for anything else, so that gaps in files stay gaps."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def format_number(value: float | None, *, half_width: float | None = None) -> str:
    """Return `value` in plain or power-of-ten notation, with the digits that `half_width` allows."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if half_width is not None and not 0 < half_width < math.inf:
        half_width = None
    if value == 0:
        return "0"
    size = abs(value)
    if not _PLAIN_FROM <= size < _PLAIN_TO:
        exponent = math.floor(math.log10(size))
        mantissa = _rounded(value / 10**exponent, _scaled(half_width, exponent))
        return f"{mantissa} × 10{str(exponent).translate(_SUPERSCRIPTS)}"
    return _rounded(value, half_width)


def _scaled(half_width: float | None, exponent: int) -> float | None:
    return None if half_width is None else half_width / 10**exponent


def _rounded(value: float, half_width: float | None) -> str:
    if half_width is None and float(value).is_integer():
        return _with_minus(f"{value:,.0f}")
    size = abs(value) if half_width is None else half_width
    significant = _DEFAULT_SIGNIFICANT if half_width is None else 2
    decimals = max(0, min(6, significant - 1 - math.floor(math.log10(size))))
    return _with_minus(f"{value:,.{decimals}f}")


def _with_minus(text: str) -> str:
    """Return the text with a true minus sign, and with none before a zero."""
    return text.replace("-", "−") if text.strip("-0.") else text.lstrip("-")


def format_count(value: float | None) -> str:
    """Return a whole number with separators."""
    return UNKNOWN if value is None else _with_minus(f"{value:,.0f}")


def format_share(value: float | None) -> str:
    """Return a share of one as a percentage with one decimal."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def format_duration(seconds: float | None) -> str:
    """Return a time span in the largest fitting unit."""
    if seconds is None:
        return UNKNOWN
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"
