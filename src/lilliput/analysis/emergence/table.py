"""Emergence of a score in any table of runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lilliput.analysis.emergence.detect import Emergence, ScoredPoints, detect_emergence
from lilliput.analysis.findings.runs import Run, runs_of
from lilliput.analysis.table.tidy import Table
from lilliput.core.errors import InputError

AXES = ("loss", "size")


@dataclass(frozen=True)
class GroupVerdict:
    """The verdict on the runs of one family."""

    group: str
    found: Emergence

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"group": self.group, **self.found.as_record()}


def analyse_emergence(
    table: Table, *, score: str, axis: str = "loss", resamples: int = 500, seed: int = 0
) -> list[GroupVerdict]:
    """Return for each family of a table whether a score rises all along an axis or from a threshold on.

    The last row of each run counts. Runs of one shape are seeds of one another and are drawn anew together; items are not known in a
    table, so that the draws are of seeds alone.

    Args:
        table: Runs with the score, and with `loss` or `num_parameters`.
        score: Column of the score; higher is better.
        axis: "loss" (minus the loss) or "size" (ln num_parameters).
        resamples: Draws.
        seed: Of the draws.

    Raises:
        InputError: No run has both the score and the axis.
    """
    column = "loss" if axis == "loss" else "num_parameters"
    runs = [run for run in runs_of(table) if _both(run.final, score, column)]
    if not runs:
        raise InputError(
            f"at least one run must have the columns {score} and {column}",
            got=f"the columns {', '.join(table.columns)}",
            remedy="Name another column with --score, or map one with --column.",
        )
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.facets.get("family", "") or "all runs"].append(run)
    return [
        GroupVerdict(
            name,
            detect_emergence(_points(members, score, column), resamples=resamples, seed=seed),
        )
        for name, members in groups.items()
    ]


def _both(final: Mapping[str, Any], score: str, column: str) -> bool:
    values = final.get(score), final.get(column)
    return all(value is not None and np.isfinite(value) for value in values)


def _points(runs: list[Run], score: str, column: str) -> ScoredPoints:
    places = np.array([run.final[column] for run in runs], np.float64)
    return ScoredPoints(
        -places if column == "loss" else np.log(places),
        tuple(run.facets.get("shape", "") or run.name for run in runs),
        np.array([[run.final[score]] for run in runs], np.float64),
    )
