"""Hold the points of a fit with their independent units, and leave some of the units out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.inference.options import FitOptions, Rows, pick_points
from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.table.measurements import Measurements
from lilliput.core.arrays import FloatArray

_MOST_UNITS_IN_PAIRS = 30
_SHOWN_RUNS = 3


@dataclass(frozen=True)
class FitSample:
    """Hold the points that a law is fitted to.

    Attributes:
        data: All measurements.
        options: Which of them are points of the fit.
        rows: Their rows in `data`, shape (points,).
    """

    data: Measurements
    options: FitOptions
    rows: Rows

    @classmethod
    def of(cls, data: Measurements, options: FitOptions) -> FitSample:
        """Return the points that the options pick.

        Raises:
            InputError: No finished run is among the measurements although only those were asked for.
        """
        return cls(data, options, pick_points(data, np.arange(len(data)), options))

    @property
    def flops(self) -> FloatArray:
        """Return the cost of each point, shape (points,)."""
        return self.data.flops[self.rows]

    @property
    def loss(self) -> FloatArray:
        """Return the loss of each point, shape (points,)."""
        return self.data.loss[self.rows]

    @property
    def units(self) -> NDArray[np.intp]:
        """Return the independent unit of each point, shape (points,)."""
        return self.data.group[self.rows]

    @property
    def n_units(self) -> int:
        """Return the number of independent units behind the points."""
        return int(np.unique(self.units).size)

    def without(self, left_out: Sequence[int]) -> FitSample:
        """Return the sample without the runs of some units; a frontier is found anew without them."""
        kept = np.flatnonzero(~np.isin(self.data.group, left_out))
        return FitSample(self.data, self.options, pick_points(self.data, kept, self.options))

    def name_of(self, unit: int) -> str:
        """Return the names of the runs of a unit, such as "run r19" or "runs s3-0, s3-1"."""
        return unit_name(self.data, unit)


def unit_name(data: Measurements, unit: int) -> str:
    """Return the names of the runs of a unit, such as "run r19" or "runs s3-0, s3-1"."""
    codes = np.unique(data.run[data.group == unit]).tolist()
    names = [data.run_names[code] for code in codes[:_SHOWN_RUNS]]
    more = ", …" if len(codes) > _SHOWN_RUNS else ""
    return f"run{'s' if len(codes) > 1 else ''} {', '.join(names)}{more}"


def named_influence(influence: list[dict[str, Any]], data: Measurements) -> list[dict[str, Any]]:
    """Return the units of `influence_of` by the names of their runs."""
    return [{**one, "unit": unit_name(data, one["unit"])} for one in influence]


def worst_fitting_units(sample: FitSample, laws: Sequence[CurveFit], count: int) -> tuple[int, ...]:
    """Return the units whose removal lets one of the laws fit the rest best.

    Each law is refitted on its tangent space, for every combination of `count` units among the thirty
    with the largest residuals; the laws are compared by BIC. This finds one or two runs
    that diverged, even where each hides the other from a test that leaves out one at a time.
    """
    units = sample.units
    log_loss = np.log(sample.loss)
    found: list[tuple[float, tuple[int, ...]]] = []
    for law in laws:
        residual = log_loss - law.fitted
        codes = np.unique(units)
        size = [float(np.mean(residual[units == code] ** 2)) for code in codes]
        worst = codes[np.argsort(size)[::-1][:_MOST_UNITS_IN_PAIRS]].tolist()
        for left_out in itertools.combinations(sorted(worst), count):
            kept = ~np.isin(units, left_out)
            basis = np.linalg.qr(law.tangent[kept])[0]
            rest = residual[kept] - basis @ (basis.T @ residual[kept])
            n = int(kept.sum())
            bic = n * np.log(max(float(rest @ rest) / n, 1e-16)) + law.n_free * np.log(n)
            found.append((float(bic), left_out))
    return min(found)[1]
