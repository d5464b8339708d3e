"""Correlate two columns, alone or given others, with intervals from resampled units."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.coefficients import (
    kendall,
    partial_correlation,
    pearson,
    rank_p_value,
    reliability,
    spearman,
)
from lilliput.analysis.inference.resampling import cluster_draws, expanded_bounds
from lilliput.analysis.laws.curve import plain_number
from lilliput.analysis.table.run_stages import final_rows
from lilliput.analysis.table.tidy import Table
from lilliput.analysis.table.units import independent_units
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.wording import plural

DEFAULT_RESAMPLES = 2000
_LEAST_POINTS = 3
_FEW_UNITS = 10


@dataclass(frozen=True)
class Correlation:
    """Hold a coefficient between -1 and 1; bounds are None where the data cannot give them."""

    value: float
    low: float | None
    high: float | None
    n: int

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "value": plain_number(self.value),
            "low": plain_number(self.low),
            "high": plain_number(self.high),
            "n": self.n,
        }


@dataclass(frozen=True)
class CorrelationResult:
    """Hold three coefficients of two columns, and the partial ones given other columns."""

    pearson: Correlation
    spearman: Correlation
    kendall: Correlation
    x: str
    y: str
    partial: dict[str, Correlation] = field(default_factory=dict[str, Correlation])
    given: tuple[str, ...] = ()
    disattenuated: Correlation | None = None
    warnings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        attenuation = None if self.disattenuated is None else self.disattenuated.as_record()
        return {
            "pearson": self.pearson.as_record(),
            "spearman": self.spearman.as_record(),
            "kendall": self.kendall.as_record(),
            "x": self.x,
            "y": self.y,
            "partial": {name: value.as_record() for name, value in self.partial.items()} or None,
            "given": list(self.given),
            "disattenuated": attenuation,
            "warnings": list(self.warnings),
            **self.facts,
        }


def analyse_correlation(
    table: Table,
    *,
    x: str | None = None,
    y: str | None = None,
    given: tuple[str, ...] = (),
    log: tuple[str, ...] = (),
    noise_sd: float | None = None,
    points: str = "final",
    cluster: str | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    level: float = 0.95,
    seed: int = 0,
) -> CorrelationResult:
    """Return how strongly two columns of a table go together.

    Args:
        table: One row a measurement.
        x: First column; by default the table's loss.
        y: Second column; by default the mean of all `score_` columns, else the parameters.
        given: Columns held fixed in a partial correlation, such as `num_parameters`.
        log: Columns to take the logarithm of first.
        noise_sd: Standard deviation of y's measurement noise (task size, seeds), for the correction
            of attenuation.
        points: "final" (the last row of each run: see `final_rows`) or "all".
        cluster: Column of independent units; by default shapes where seeds share one, else runs.
        resamples: Draws of whole units.
        level: Coverage.
        seed: Of the draws.

    Raises:
        InputError: A column is missing or constant, or fewer than three rows have all of them.
    """
    if noise_sd is not None and not noise_sd >= 0:
        raise InputError("the noise of a measurement cannot be below zero", got=noise_sd)
    finals, said = final_rows(table)
    rows, said = (table.select(finals), said) if points == "final" else (table, ())
    names = (x or _default_x(rows), y or _default_y(rows), *given)
    _check_names(names, log)
    values = np.column_stack([_column(rows, name, log) for name in names])
    usable = np.asarray(np.isfinite(values).all(axis=1))
    values = values[usable]
    _check(values, names, table.source)
    runs = rows.text("run")[usable] if "run" in rows else np.arange(values.shape[0]).astype(np.str_)
    n_runs = int(np.unique(runs).size)
    run = np.unique(runs, return_inverse=True)[1].reshape(-1)
    units, word = independent_units(rows.select(usable), run, cluster=cluster)
    n_units = int(np.unique(units).size)
    found = _with_intervals(values, units, noise_sd, resamples, level, seed)
    return CorrelationResult(
        pearson=found[0],
        spearman=found[1],
        kendall=found[2],
        x=names[0],
        y=names[1],
        partial={"pearson": found[3], "spearman": found[4]} if given else {},
        given=given,
        disattenuated=found[5] if noise_sd is not None else None,
        warnings=(
            *table.warnings,
            *said,
            *_warnings(rows, usable, n_units, word, found, given, level),
        ),
        facts={
            "n_runs": n_runs,
            "resampled": word,
            "n_resampled": n_units,
            "between_and_within": _between_and_within(values, units) if n_units < n_runs else None,
            "level": level,
            "log": list(log),
        },
    )


def _with_intervals(
    values: FloatArray,
    units: NDArray[np.intp],
    noise_sd: float | None,
    resamples: int,
    level: float,
    seed: int,
) -> list[Correlation]:
    """Return every statistic of the values (points, columns), with bounds from drawing whole units."""
    drawn = cluster_draws(units, resamples=resamples, seed=seed)
    found = _statistics(values, noise_sd)
    draws = np.array([_statistics(values[rows], noise_sd) for rows in drawn])
    draws = np.clip(draws.reshape(-1, found.size), -1, 1)
    n_units = int(np.unique(units).size)
    low, high = expanded_bounds(draws, n_units, level)
    if _too_few_to_rank(n_units, level):
        low, high = np.full_like(low, math.nan), np.full_like(high, math.nan)
    return [
        Correlation(value, *_bounds(low[i], high[i]), values.shape[0])
        for i, value in enumerate(found.tolist())
    ]


def _between_and_within(values: FloatArray, units: NDArray[np.intp]) -> dict[str, float | None]:
    """Return Pearson's and Spearman's coefficient of the means of units, and Pearson's of what is left within.

    They may differ in sign: shapes that end lower may score higher while, among the seeds of one shape,
    loss and score have nothing to do with each other.
    """
    codes = np.unique(units, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(codes)
    means = np.stack([np.bincount(codes, weights=v) / sizes for v in values[:, :2].T])
    rest = values[:, :2].T - means[:, codes]
    return {
        "between_pearson": plain_number(pearson(*means)),
        "between_spearman": plain_number(spearman(*means)),
        "within_pearson": plain_number(pearson(*rest)),
    }


def _too_few_to_rank(n_runs: int, level: float) -> bool:
    """Return whether even a perfect order of so few runs is not significant: 2 of n! orders are perfect."""
    return rank_p_value(1.0, n_runs) > 1 - level


def _statistics(values: FloatArray, noise_sd: float | None) -> FloatArray:
    """Return Pearson, Spearman, Kendall, the two partial coefficients, and Pearson corrected for noise."""
    x, y, given = values[:, 0], values[:, 1], values[:, 2:]
    r = pearson(x, y)
    partial = (math.nan, math.nan)
    if given.shape[1]:
        partial = (
            partial_correlation(x, y, given),
            partial_correlation(x, y, given, ranks=True),
        )
    corrected = math.nan if noise_sd is None else r / math.sqrt(reliability(y, noise_sd))
    return np.array([r, spearman(x, y), kendall(x, y), *partial, corrected])


def _default_x(table: Table) -> str:
    for name in ("loss", "loss_reference", "perplexity"):
        if name in table:
            return name
    raise InputError(
        f"{table.source} must have a column loss",
        got=", ".join(table.columns),
        remedy="Choose two columns with --x and --y.",
    )


def _default_y(table: Table) -> str:
    if table.starting_with("score_"):
        return "score_*"
    if "num_parameters" in table:
        return "num_parameters"
    raise InputError(
        f"{table.source} must have a column score_<task> to correlate the loss with",
        got=", ".join(table.columns),
        remedy="Choose two columns with --x and --y.",
    )


def _column(table: Table, name: str, log: tuple[str, ...]) -> FloatArray:
    if name.endswith("*"):
        headers = table.starting_with(name[:-1])
        if not headers:
            raise InputError(
                f"{table.source} must have columns {name}", got=", ".join(table.columns)
            )
        values = np.column_stack([table.number(header) for header in headers]).mean(axis=1)
    else:
        values = table.number(name)
    if name not in log:
        return values
    if bool((values[np.isfinite(values)] <= 0).any()):
        raise InputError(f"{name} must be above zero to take its logarithm", got=values.min())
    return np.log(values)


def _check_names(names: tuple[str, ...], log: tuple[str, ...]) -> None:
    """Refuse a column that is given twice, and a logarithm of a column that is not used."""
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(
            "the two columns and those held fixed must all be different",
            got=f"{', '.join(repeated)} twice",
        )
    unused = sorted(set(log) - set(names))
    if unused:
        raise InputError(
            "logarithms can be taken of the columns in use only",
            got=", ".join(unused),
            remedy=f"They are: {', '.join(names)}.",
        )


def _check(values: FloatArray, names: tuple[str, ...], source: str) -> None:
    if values.shape[0] < _LEAST_POINTS + max(0, values.shape[1] - 2):
        raise InputError(
            f"a correlation needs at least {_LEAST_POINTS + max(0, values.shape[1] - 2)} rows of "
            f"{source} with {', '.join(names)}",
            got=values.shape[0],
        )
    for i, name in enumerate(names):
        if np.ptp(values[:, i]) == 0:
            raise InputError(
                f"{name} must vary to be correlated", got=f"{values[0, i]:.6g} everywhere"
            )


def _bounds(low: float, high: float) -> tuple[float | None, float | None]:
    return (None if math.isnan(low) else float(low)), (None if math.isnan(high) else float(high))


def _warnings(
    rows: Table,
    usable: NDArray[np.bool_],
    n_units: int,
    word: str,
    found: list[Correlation],
    given: tuple[str, ...],
    level: float,
) -> list[str]:
    sentences: list[str] = []
    if not usable.all():
        sentences.append(f"{int((~usable).sum())} rows lack one of the columns and were left out.")
    if "run" not in rows:
        sentences.append("The table has no column run: every row counts as a run of its own.")
    if word == "shape":
        sentences.append(
            f"Seeds of one shape are not independent: {plural(n_units, word)} were resampled, and not runs."
        )
    if _too_few_to_rank(n_units, level):
        share = rank_p_value(1.0, n_units)
        sentences.append(
            f"Of {plural(n_units, word)} even a perfect order arises by chance in {share:.3f} of the cases: no "
            "interval is given."
        )
    elif n_units < _FEW_UNITS:
        sentences.append(f"There are {plural(n_units, word)} only: the intervals are rough.")
    partial = found[3]
    if given and math.isnan(partial.value):
        sentences.append(
            f"A column follows wholly from {', '.join(given)}: nothing is left to correlate."
        )
    includes_zero = (partial.low or 0) <= 0 <= (partial.high or 0)
    if given and partial.low is not None and includes_zero:
        sentences.append(
            f"Given {', '.join(given)}, the data cannot separate the partial correlation from zero."
        )
    return sentences
