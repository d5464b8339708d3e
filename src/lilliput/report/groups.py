"""Runs that may be compared with each other.

Losses of two languages, of two training profiles, or with and without a change to the recipe, are not
points of one curve, so laws, costs and correlations are found group by group. Families that differ in
nothing of that stay together: the lowest loss that a budget buys is a question across architectures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lilliput.analysis import Table
from lilliput.report.runs import Run

_COLUMNS = ("language", "profile", "variant")
ALL_RUNS = "all runs"


def groups_of(table: Table) -> dict[str, Table]:
    """The table of each group, by the values that tell groups apart."""
    facets = {name: table.text(name).tolist() for name in _COLUMNS if name in table}
    labels = np.array(_labels(facets, len(table)))
    return {name: table.select(labels == name) for name in dict.fromkeys(labels.tolist())}


def group_names(runs: Sequence[Run]) -> dict[str, str]:
    """The group of each run."""
    facets = {name: [run.facets.get(name, "") for run in runs] for name in _COLUMNS}
    labels = _labels(facets, len(runs))
    return {run.name: label for run, label in zip(runs, labels, strict=True)}


def _labels(facets: Mapping[str, Sequence[str]], count: int) -> list[str]:
    """The group of each row: its values of the facets that differ between rows."""
    telling = [values for values in facets.values() if len(set(values) - {""}) > 1]
    if not telling:
        return [ALL_RUNS] * count
    return [", ".join(filter(None, row)) for row in zip(*telling, strict=True)]


def said_of(group: str, sentence: str) -> str:
    """A sentence about a group, which is named first where there are several."""
    if group == ALL_RUNS:
        return sentence[:1].upper() + sentence[1:]
    return f"{group}: {sentence[:1].lower()}{sentence[1:]}"
