"""Hold the results of an analysis: numbers with their intervals, and all laws that were compared."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import ArrayLike

from lilliput.analysis.inference.resampling import expanded_bounds, spread
from lilliput.analysis.laws.base import BoundEnd
from lilliput.analysis.laws.curve import CurveFit, plain, plain_number
from lilliput.analysis.laws.equation import Equation
from lilliput.analysis.laws.registry import curve_law
from lilliput.core.arrays import FloatArray


@dataclass(frozen=True)
class Estimate:
    """Hold a fitted number; bounds and standard error are None where the data cannot give them."""

    value: float
    low: float | None = None
    high: float | None = None
    se: float | None = None

    def as_record(self) -> dict[str, float | None]:
        """Return plain data for JSON."""
        return {name: plain_number(getattr(self, name)) for name in ("value", "low", "high", "se")}


def estimates_of(
    values: Iterable[float], draws: FloatArray, n_clusters: ArrayLike, level: float
) -> list[Estimate]:
    """Return each value with bounds and standard error from its bootstrap draws.

    Args:
        values: One for each column of the draws.
        draws: Shape (draws, values); there may be none.
        n_clusters: Independent clusters behind each value, or one number for all.
        level: Coverage of the bounds.
    """
    rows = zip(values, *expanded_bounds(draws, n_clusters, level), spread(draws), strict=True)
    return [Estimate(value, *map(_known, numbers)) for value, *numbers in rows]


def _known(number: float) -> float | None:
    return None if math.isnan(number) else float(number)


@dataclass(frozen=True)
class BreakEstimate(Estimate):
    """Hold a break in units of the cost, with a profile likelihood interval beside the bootstrap interval."""

    profile_low: float | None = None
    profile_high: float | None = None

    def as_record(self) -> dict[str, float | None]:
        """Return plain data for JSON."""
        profile = {"profile_low": self.profile_low, "profile_high": self.profile_high}
        return super().as_record() | {name: plain_number(value) for name, value in profile.items()}


@dataclass(frozen=True)
class LawCandidate:
    """Hold one law of the comparison; `n_free` counts the variance."""

    law: str
    n_breaks: int
    n_free: int
    rss: float
    r2: float
    bic: float
    aicc: float
    breaks: tuple[float, ...]

    @classmethod
    def of(cls, fit: CurveFit) -> LawCandidate:
        """Return the entry of a fitted curve."""
        return cls(
            law=fit.law,
            n_breaks=int(fit.breaks.size),
            n_free=fit.n_free,
            rss=fit.rss,
            r2=fit.r2,
            bic=fit.bic,
            aicc=fit.aicc,
            breaks=tuple(fit.breaks.tolist()),
        )

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return plain(vars(self)) | {"breaks": list(self.breaks)}


@dataclass(frozen=True)
class LawFit:
    """Hold a law fitted to a table and compared with its rivals.

    Attributes:
        law: The law that was chosen or asked for.
        parameters: Name to estimate.
        breaks: Locations in units of the cost, ascending.
        r2: Share of the variance of ln loss explained.
        bic: n ln(RSS/n) + k ln n.
        aicc: Akaike's criterion corrected for small n.
        n: Points used.
        candidates: Every law compared, best BIC first.
        warnings: One sentence each.
        curve: The fitted curve, for prediction and plots.
        flops: Cost of the points used, shape (n,).
        loss: Loss of the points used, shape (n,).
        runs: Run of each point used.
        draws: Bootstrap draws of parameters and breaks, shape (resamples, parameters + breaks).
        covariance: Model-based covariance of `curve.free`, points taken as independent.
        diagnostics: Residual checks.
        break_tests: Tests of whether breaks are there, where breaks were in question.
        cut_sensitivity: Exponents below and above each possible cut.
        facts: Columns, points, frontier, clusters, refused rows.
        sizes: What else a law of size and tokens was fitted to, by column, shape (n,) each.
    """

    law: str
    parameters: Mapping[str, Estimate]
    breaks: tuple[BreakEstimate, ...]
    r2: float
    bic: float
    aicc: float
    n: int
    candidates: tuple[LawCandidate, ...]
    warnings: tuple[str, ...]
    curve: CurveFit
    flops: FloatArray
    loss: FloatArray
    runs: tuple[str, ...]
    draws: FloatArray
    covariance: FloatArray | None
    diagnostics: Mapping[str, float | None]
    break_tests: Mapping[str, Any] = field(default_factory=dict[str, Any])
    cut_sensitivity: tuple[Mapping[str, float | None], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sizes: Mapping[str, FloatArray] = field(default_factory=dict[str, FloatArray])

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON: the keys of the command line's contract and more beside them."""
        covariance = None if self.covariance is None else self.covariance.tolist()
        return {
            "law": self.law,
            "parameters": self._parameters_as_record(),
            "r2": plain_number(self.r2),
            "bic": plain_number(self.bic),
            "aicc": plain_number(self.aicc),
            "n": self.n,
            "breaks": [value.as_record() for value in self.breaks],
            "candidates": [candidate.as_record() for candidate in self.candidates],
            "warnings": list(self.warnings),
            "break_tests": dict(self.break_tests),
            "diagnostics": dict(self.diagnostics),
            "covariance": covariance,
            "covariance_of": list(self.curve.free),
            "cut_sensitivity": [dict(row) for row in self.cut_sensitivity],
            "points": self._points_as_record(),
            "equation": None if self.equation is None else self.equation.as_record(),
            **self.facts,
        }

    @property
    def equation(self) -> Equation | None:
        """Return the law as text, LaTeX and Python; None where it does not write itself."""
        return curve_law(self.law).equation(self.curve.parameters, self.curve.breaks)

    @property
    def at_bound(self) -> Mapping[str, BoundEnd]:
        """Return the parameters that ended at a bound of their search, and at which end: the data give them no value."""
        return curve_law(self.law).at_bound(self.curve.values)

    def _parameters_as_record(self) -> dict[str, dict[str, Any]]:
        """Return the parameters as plain data; one at a bound keeps only the other bound of its interval."""
        records: dict[str, dict[str, Any]] = {n: e.as_record() for n, e in self.parameters.items()}
        for name, end in self.at_bound.items():
            beyond = "high" if end == "highest" else "low"
            records[name] |= {"value": None, "se": None, beyond: None, "at_bound": end}
        return records

    def _points_as_record(self) -> list[dict[str, Any]]:
        """Return the points with everything that the law was fitted to, so that the fit can be repeated from them."""
        columns: dict[str, list[Any]] = {
            "run": list(self.runs), "flops": self.flops.tolist(), "loss": self.loss.tolist(),
            **{name: values.tolist() for name, values in self.sizes.items()},
        }  # fmt: skip
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
