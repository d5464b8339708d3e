"""Mean age of acquisition of spans: of each span the mean over its words whose age is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray


class AgeTally:
    """Collects the mean ages of spans, in months, as sums and a histogram of whole months."""

    def __init__(self) -> None:
        self._spans = 0
        self._sum = self._squares = 0.0
        self._months: Counter[int] = Counter()

    def add(self, means: NDArray[np.float64]) -> None:
        """Take in one mean a span; NaN for a span without a word of known age."""
        known = means[~np.isnan(means)]
        self._spans += known.size
        self._sum += float(known.sum())
        self._squares += float((known**2).sum())
        self._months.update(np.floor(known).astype(int).tolist())

    def as_record(self) -> dict[str, Any]:
        """Plain data for the shard's record."""
        months = {str(month): n for month, n in sorted(self._months.items())}
        return {
            "spans": self._spans,
            "sum": self._sum,
            "squares": self._squares,
            "by_month": months,
        }


def sum_ages(records: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Number of spans, mean and standard deviation of their mean ages, spans by whole month.

    None where no span holds a word of known age.
    """
    spans, total, squares = 0, 0.0, 0.0
    months: Counter[int] = Counter()
    for record in records:
        spans += record["spans"]
        total += record["sum"]
        squares += record["squares"]
        months.update({int(month): n for month, n in record["by_month"].items()})
    if not spans:
        return None
    mean = total / spans
    variance = max(0.0, squares / spans - mean**2)
    by_month = [[month, months[month]] for month in sorted(months)]
    return {"spans": spans, "mean": mean, "sd": sqrt(variance), "by_month": by_month}
