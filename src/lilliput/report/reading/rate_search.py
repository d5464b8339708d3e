"""The learning-rate search of a study, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lilliput.architecture import sizes_of_shape
from lilliput.core.reader import read_record

SEARCH_FILE = "search/found.json"


@dataclass(frozen=True)
class BestRate:
    """Hold the best learning rate of one shape.

    Attributes:
        family: Language, profile and variant.
        shape: E/H/I/A/L.
        width: Its hidden size.
        learning_rate: Where the final loss was lowest.
        low: Lower bound: over seeds, or with one seed the tried rate below.
        high: Upper bound of the same interval.
        seeds: Seeds a rate.
        is_at_edge: Whether it lies at the edge of what was tried.
    """

    family: str
    shape: str
    width: float
    learning_rate: float
    low: float
    high: float
    seeds: int
    is_at_edge: bool


@dataclass(frozen=True)
class BestRateTrend:
    """The power of width that the best rates of a family follow; None where widths are too few."""

    family: str
    n: int
    slope: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class RateSearch:
    """Hold what the search found."""

    rates: tuple[BestRate, ...]
    drifts: tuple[BestRateTrend, ...]


def read_search(folder: Path) -> RateSearch | None:
    """Return the search of the study in `folder`; None where there is none or it is not done."""
    path = folder / SEARCH_FILE
    if not path.is_file():
        return None
    record = read_record(path)
    named = {_recorded_family(rate): _family(rate) for rate in record["rates"]}
    drifts = [BestRateTrend(**drift) for drift in record["drift_with_width"]]
    shown = (replace(drift, family=named.get(drift.family, drift.family)) for drift in drifts)
    return RateSearch(tuple(map(_best_rate, record["rates"])), tuple(shown))


def _recorded_family(record: Mapping[str, Any]) -> str:
    """Return the name under which the search records a family, such as "constrained corrected"."""
    return " ".join(filter(None, (record["language"], record["profile"], record["variant"])))


def _family(record: Mapping[str, Any]) -> str:
    """Return a name that says by itself what it is, such as "constrained, corrected training"."""
    profile = f"{record['profile']} training" if record["profile"] else ""
    return ", ".join(filter(None, (record["language"], profile, record["variant"])))


def _best_rate(record: Mapping[str, Any]) -> BestRate:
    return BestRate(
        family=_family(record),
        shape=record["shape"],
        width=float(sizes_of_shape(record["shape"])["hidden_size"]),
        learning_rate=record["learning_rate"],
        low=record["low"],
        high=record["high"],
        seeds=record["seeds"],
        is_at_edge=record["is_at_edge"],
    )
