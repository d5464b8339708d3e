"""Say how a law is fitted, and pick the points that enter the fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.frontier import FrontierMethod, frontier_rows
from lilliput.analysis.inference.resampling import Resample, cluster_draws
from lilliput.analysis.laws.registry import AUTO
from lilliput.analysis.table.measurements import Measurements
from lilliput.core.errors import InputError

Rows = NDArray[np.intp]
Points = Literal["frontier", "final", "all"]
POINTS: tuple[Points, ...] = get_args(Points)
DEFAULT_RESAMPLES = 500


@dataclass(frozen=True)
class FitOptions:
    """Hold the choices of how a law is fitted.

    Attributes:
        law: "auto" compares the candidates; otherwise the name of the registered law to fit.
        breaks: Number of breaks; None lets the data decide.
        points: "frontier" (compute-optimal points), "final" (last point of each run) or "all".
        frontier_method: How the frontier is found.
        finished_only: Whether unfinished training is left out of the frontier.
        after_step: Points up to this step are left out, none with 0; None leaves out the warm-up where
            the table marks it.
        resamples: Bootstrap draws; zero for no intervals.
        resample: What is drawn: "unit" for what is independent (shapes where seeds share one, else runs),
            runs, seeds, or both.
        cluster: Column that names the independent unit; None for shapes or runs.
        level: Coverage of the intervals.
        seed: Of all draws.
        delta: Residual of ln loss from which the Huber loss of a law of size and tokens grows linearly; None for 1e-3.
        offset: Irreducible loss that a law of size and tokens is held at; None where it is fitted.
    """

    law: str = AUTO
    breaks: int | None = None
    points: Points = "frontier"
    frontier_method: FrontierMethod = "paper"
    finished_only: bool = False
    after_step: int | None = None
    resamples: int = DEFAULT_RESAMPLES
    resample: Resample = "unit"
    cluster: str | None = None
    level: float = 0.95
    seed: int = 0
    delta: float | None = None
    offset: float | None = None


def drawn_rows(data: Measurements, options: FitOptions, *, share: float = 1.0) -> Iterator[Rows]:
    """Return the rows of each bootstrap draw of runs or seeds; `share` of the runs are in each."""
    return cluster_draws(
        data.run,
        resamples=options.resamples,
        seed=options.seed,
        way=options.resample,
        groups=data.group,
        share=share,
    )


def drawn_unit(data: Measurements, options: FitOptions) -> tuple[str, NDArray[np.intp]]:
    """Return the word for what is drawn, and its index at each measurement."""
    if options.resample in ("unit", "both"):
        return data.unit, data.group
    return options.resample, data.run


def resampled_facts(data: Measurements, options: FitOptions) -> dict[str, Any]:
    """Return what was resampled and how many there are, as every result states it."""
    word, units = drawn_unit(data, options)
    return {"resampled": word, "n_resampled": int(np.unique(units).size)}


def pick_points(data: Measurements, rows: Rows, options: FitOptions) -> Rows:
    """Return those of the given rows that enter the fit (with repetitions, in a bootstrap draw).

    Raises:
        InputError: No finished run is among them although only those were asked for.
    """
    if options.points == "all":
        return rows
    if options.points == "final" or options.finished_only:
        rows = rows[data.is_final[rows]]
        if rows.size == 0:
            raise InputError("the table must mark finished runs in is_final", got="none")
    if options.points == "final":
        return rows
    return rows[frontier_rows(data.flops[rows], data.loss[rows], options.frontier_method)]
