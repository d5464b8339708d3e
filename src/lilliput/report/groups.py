"""Runs that may be compared with each other.

Losses of two languages, or of two training profiles, are not points of one curve, so laws, costs and
correlations are found group by group. Families of one language and profile stay together: the lowest
loss that a budget buys is a question across architectures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lilliput.analysis import Table
from lilliput.report.runs import Run

_COLUMNS = ("language", "profile")
ALL_RUNS = "all runs"


def groups_of(table: Table) -> dict[str, Table]:
    """The table of each group, by the values that tell groups apart."""
    columns = [name for name in _COLUMNS if name in table and np.unique(table.text(name)).size > 1]
    if not columns:
        return {ALL_RUNS: table}
    keys = [", ".join(row) for row in zip(*(table.text(c).tolist() for c in columns), strict=True)]
    names = np.array(keys)
    return {name: table.select(names == name) for name in dict.fromkeys(keys)}


def group_names(runs: Sequence[Run]) -> dict[str, str]:
    """The group of each run."""
    columns = [
        name for name in _COLUMNS if len({run.facets.get(name, "") for run in runs} - {""}) > 1
    ]
    return {
        run.name: ", ".join(run.facets.get(c, "") for c in columns) if columns else ALL_RUNS
        for run in runs
    }


def said_of(group: str, sentence: str) -> str:
    """A sentence about a group, which is named first where there are several."""
    if group == ALL_RUNS:
        return sentence[:1].upper() + sentence[1:]
    return f"{group}: {sentence[:1].lower()}{sentence[1:]}"
