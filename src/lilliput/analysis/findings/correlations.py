"""Correlate final loss with downstream scores, for each group of comparable runs and each task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lilliput.analysis import Correlation, CorrelationResult, Table, analyse_correlation
from lilliput.analysis.coefficients import holm, rank_p_value
from lilliput.analysis.findings.groups import group_names
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.runs import Run
from lilliput.analysis.findings.scores import TaskScore
from lilliput.core.errors import InputError

_RESAMPLES = 1000
_LOSSES = ("loss", "loss_reference")


@dataclass(frozen=True)
class TaskCorrelation:
    """Hold the correlation of final loss and the score on one task, over the models of one group.

    Attributes:
        group: Name of the group of the models.
        task: Name of the task.
        result: Coefficients with intervals; None where they cannot be found.
        given_size: Whether a partial correlation given the number of parameters is in `result`.
        problem: Why there is no result, in words.
    """

    group: str
    task: str
    result: CorrelationResult | None
    given_size: bool = False
    problem: str = ""

    @property
    def rank(self) -> Quantity:
        """Return Spearman's coefficient with its interval over runs."""
        return as_quantity(self.result.spearman if self.result else None)

    @property
    def rank_given_size(self) -> Quantity:
        """Return the same coefficient with the number of parameters held fixed."""
        if self.result is None or not self.given_size:
            return Quantity(None)
        return as_quantity(self.result.partial.get("spearman"))


def as_quantity(found: Correlation | None) -> Quantity:
    """Return a coefficient as a number of the report."""
    if found is None or not np.isfinite(found.value):
        return Quantity(None)
    return Quantity(found.value, found.low, found.high, found.n, "models")


def _units_behind(item: TaskCorrelation) -> int:
    """Return the number of independent units behind a coefficient: shapes where seeds share one, else models."""
    return 0 if item.result is None else int(item.result.facts["n_resampled"])


def find_correlations(
    runs: tuple[Run, ...], scores: tuple[TaskScore, ...], resamples: int | None
) -> tuple[TaskCorrelation, ...]:
    """Return a correlation for each group and whole task that has scores from pre-trained weights."""
    draws = resamples or _RESAMPLES
    groups = group_names(runs)
    by_name = {run.name: run for run in runs}
    found: dict[tuple[str, str], list[tuple[Run, float]]] = {}
    for score in scores:
        if score.part_of or score.weights != "trained":
            continue
        if score.run in by_name and score.value.value is not None:
            key = (groups[score.run], score.task)
            found.setdefault(key, []).append((by_name[score.run], score.value.value))
    return tuple(_correlate(group, task, pairs, draws) for (group, task), pairs in found.items())


def _correlate(
    group: str, task: str, pairs: list[tuple[Run, float]], resamples: int
) -> TaskCorrelation:
    loss = next((name for name in _LOSSES if all(name in run.final for run, _ in pairs)), None)
    if loss is None:
        return TaskCorrelation(group, task, None, problem="some of its models have no loss")
    table = _table(task, loss, pairs)
    problem = ""
    for given in (("num_parameters",), ()):
        if all(name in table for name in given):
            try:
                result = analyse_correlation(
                    table, x=loss, y="score", given=given, log=given, resamples=resamples
                )
            except InputError as error:
                problem = str(error)
            else:
                return TaskCorrelation(group, task, result, bool(given))
    return TaskCorrelation(group, task, None, problem=problem)


def _table(task: str, loss: str, pairs: list[tuple[Run, float]]) -> Table:
    columns = {
        "run": np.array([run.name for run, _ in pairs]),
        loss: np.array([run.final[loss] for run, _ in pairs]),
        "score": np.array([value for _, value in pairs]),
    }
    columns |= {
        name: np.array([run.facets[name] for run, _ in pairs])
        for name in ("shape", "seed", "layout")
        if all(name in run.facets for run, _ in pairs)
    }
    if all("num_parameters" in run.final for run, _ in pairs):
        columns["num_parameters"] = np.array([run.final["num_parameters"] for run, _ in pairs])
    return Table(f"the scores on {task}", columns, np.arange(1, len(pairs) + 1))


def significant_among_all(found: Sequence[TaskCorrelation]) -> list[bool]:
    """Return which correlations have an interval beyond zero and are significant by `holm` among all found."""
    known = [item for item in found if item.rank.value is not None]
    left = holm([rank_p_value(item.rank.value or 0.0, _units_behind(item)) for item in known])
    kept = {id(item) for item, is_left in zip(known, left, strict=True) if is_left}
    return [id(item) in kept and item.rank.excludes(0.0) for item in found]
