"""Group the runs that may be compared with each other.

Losses of two languages, of two training profiles, or with and without a change to the recipe, are not
points of one curve, so laws, costs and correlations are found for each group. Families that do not differ in
these stay together: the lowest loss that a budget can buy is a question about all architectures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lilliput.analysis import Table
from lilliput.analysis.findings.runs import Run

_COLUMNS = ("language", "profile", "variant")
_SIZES = ("shape", "num_parameters")
ALL_RUNS = "all runs"
UNCHANGED = "unchanged"


def groups_of(table: Table) -> dict[str, Table]:
    """Return the table of each group by its name, which is made of the values that differ between groups."""
    facets = {name: table.text(name).tolist() for name in _COLUMNS if name in table}
    labels = np.array(_labels(facets, len(table)))
    return {name: table.select(labels == name) for name in dict.fromkeys(labels.tolist())}


def scaling_groups(table: Table) -> dict[str, Table]:
    """Return the groups that hold several sizes; all groups where none does, or where sizes are unknown.

    A group of one size has neither a law of scale nor a choice between sizes.
    """
    groups = groups_of(table)
    several = {name: group for name, group in groups.items() if _n_sizes(group) > 1}
    return several or groups


def _n_sizes(table: Table) -> int:
    size = next((name for name in _SIZES if name in table), None)
    return 0 if size is None else int(np.unique(table.columns[size]).size)


def groups_of_one_size(table: Table) -> list[str]:
    """Return the names of the groups that `scaling_groups` leaves out."""
    kept = scaling_groups(table)
    return [name for name in groups_of(table) if name not in kept]


def group_names(runs: Sequence[Run]) -> dict[str, str]:
    """Return the group of each run by the name of the run."""
    facets = {name: [run.facets.get(name, "") for run in runs] for name in _COLUMNS}
    labels = _labels(facets, len(runs))
    return {run.name: label for run, label in zip(runs, labels, strict=True)}


def _labels(facets: Mapping[str, Sequence[str]], count: int) -> list[str]:
    """Return the group of each row: its values of the facets that differ between rows."""
    differing = [
        [_in_words(name, value) for value in values]
        for name, values in facets.items()
        if _separates_groups(name, set(values))
    ]
    if not differing:
        return [ALL_RUNS] * count
    return [", ".join(filter(None, row)) or UNCHANGED for row in zip(*differing, strict=True)]


def _in_words(facet: str, value: str) -> str:
    """Return a value that says by itself what it is: "corrected" alone would not."""
    return f"{value} training" if facet == "profile" and value else value


def _separates_groups(facet: str, values: set[str]) -> bool:
    """Return whether a facet separates groups. An empty variant is a value; an empty language is not."""
    return len(values if facet == "variant" else values - {""}) > 1


def named_for_group(group: str, sentence: str) -> str:
    """Return a sentence about a group, which begins with its name where there are several groups."""
    if group == ALL_RUNS:
        return sentence[:1].upper() + sentence[1:]
    return f"{group}: {sentence[:1].lower()}{sentence[1:]}"
