"""Predict the loss of a run that was not trained, with an interval for that run.

A fitted curve is uncertain, and a new run lies off the curve as the old ones do. The prediction interval holds both:
each draw takes the curve of one resample and adds the residual of one point. Example: a curve known to 1 % and runs
that scatter by 2 % about it give a prediction known to about sqrt(1 + 4) = 2.2 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lilliput.analysis.fit import analyse_fit
from lilliput.analysis.inference.options import FitOptions
from lilliput.analysis.inference.resampling import expanded_bounds
from lilliput.analysis.inference.results import LawFit
from lilliput.analysis.laws.base import SizedLaw
from lilliput.analysis.laws.curve import CurveFit, plain_number, predict
from lilliput.analysis.laws.registry import curve_law
from lilliput.analysis.table.foreign import number_in_words
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter
from lilliput.core.seeding import generator

# What may be asked about, and the words for it after --at.
_NAMES = {
    "flops": ("flops", "c", "compute"),
    "num_parameters": ("params", "n", "num_parameters", "parameters"),
    "tokens_seen": ("tokens", "d", "tokens_seen"),
    "unique_tokens": ("unique", "u", "unique_tokens"),
}
_FAR = 10.0


@dataclass(frozen=True)
class Prediction:
    """Hold the predicted loss at one place.

    Attributes:
        at: What was asked about: `flops`, or `num_parameters` and `tokens_seen`.
        value: Loss on the curve.
        low: Lower bound for a new run; None without resamples.
        high: Upper bound for a new run.
        curve_low: Lower bound for the curve itself.
        curve_high: Upper bound for the curve itself.
        beyond: How many times it lies beyond the data, in the quantity in which it lies farthest; 1 inside them.
    """

    at: Mapping[str, float]
    value: float
    low: float | None
    high: float | None
    curve_low: float | None
    curve_high: float | None
    beyond: float

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        names = ("value", "low", "high", "curve_low", "curve_high", "beyond")
        return {"at": dict(self.at)} | {name: plain_number(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class Predictions:
    """Hold predictions with the fit that they come from."""

    fit: LawFit
    predictions: tuple[Prediction, ...]
    warnings: tuple[str, ...]

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON: the fit's keys, and the predictions beside them."""
        rows = [one.as_record() for one in self.predictions]
        return self.fit.as_record() | {"predictions": rows, "warnings": list(self.warnings)}


def place_of(text: str) -> dict[str, float]:
    """Return what a text such as "flops=1e20" or "params=7B,tokens=1.4e11" asks about.

    Raises:
        InputError: It does not have this form, or a number is not above zero.
    """
    place: dict[str, float] = {}
    for part in text.split(","):
        word, _, number = part.partition("=")
        name = next((n for n, words in _NAMES.items() if word.strip().lower() in words), None)
        value = number_in_words(number)
        if name is None or value is None or not (math.isfinite(value) and value > 0):
            raise InputError(
                "a place must read flops=NUMBER or params=NUMBER,tokens=NUMBER, above zero",
                got=repr(text),
                remedy="For example: --at flops=1e20, or --at params=7B,tokens=1.4e11",
            )
        place[name] = value
    if "flops" not in place and not {"num_parameters", "tokens_seen"} <= set(place):
        raise InputError(
            "a place needs FLOPs, or both parameters and tokens",
            got=repr(text),
            remedy="For example: --at flops=1e20, or --at params=7B,tokens=1.4e11",
        )
    return place


def analyse_prediction(
    table: Table,
    at: Sequence[Mapping[str, float]],
    *,
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions | None = None,
    reporter: Reporter = SILENT,
) -> Predictions:
    """Return the loss that the table's law predicts at each place, with an interval for a new run.

    Args:
        table: One row a measurement.
        at: Places, such as {"flops": 1e20} or {"num_parameters": 7e9, "tokens_seen": 1.4e11} (see `place_of`).
            A law of cost needs FLOPs; a law of size and tokens takes either.
        flops: Cost column or convention.
        loss: Loss column.
        options: How the law is fitted.
        reporter: Where progress goes.

    Raises:
        InputError: The law cannot be fitted, or a place does not say what it needs.
    """
    options = options or FitOptions()
    fit = analyse_fit(table, flops=flops, loss=loss, options=options, reporter=reporter)
    found = tuple(_prediction(fit, place, options) for place in at)
    return Predictions(fit, found, (*fit.warnings, *_far_warnings(found)))


def _prediction(fit: LawFit, place: Mapping[str, float], options: FitOptions) -> Prediction:
    law = curve_law(fit.law)
    is_sized = isinstance(law, SizedLaw) and "num_parameters" in place
    if not is_sized and "flops" not in place:
        raise InputError(
            f"law {fit.law} predicts from FLOPs",
            got=", ".join(place),
            remedy="Give --at flops=NUMBER, or take --law parametric.",
        )
    if is_sized:
        assert isinstance(law, SizedLaw)
        value, curves = _at_size(law, fit, place)
    else:
        value = float(fit.curve.predict(place["flops"]))
        curves = losses_of_draws(fit.curve, fit.draws, np.array([place["flops"]]))[:, 0]
    noisy = with_residuals(curves[:, None], fit.curve, np.log(fit.loss), options.seed)
    n_units = int(fit.facts.get("n_resampled") or 2)
    bounds = [
        _bounds(expanded_bounds(draws, n_units, options.level))
        for draws in (noisy, curves[:, None])
    ]
    return Prediction(dict(place), value, *bounds[0], *bounds[1], beyond=_beyond(fit, place))


def _bounds(found: tuple[FloatArray, FloatArray]) -> tuple[float | None, float | None]:
    low, high = (float(side[0]) for side in found)
    return (None, None) if math.isnan(low) else (low, high)


def _at_size(law: SizedLaw, fit: LawFit, place: Mapping[str, float]) -> tuple[float, FloatArray]:
    """Return the loss at a size and tokens, and that of every draw, shape (draws,)."""
    size, tokens = (np.array([place[name]]) for name in ("num_parameters", "tokens_seen"))
    unique = np.array([place["unique_tokens"]]) if "unique_tokens" in place else None
    value = float(law.loss_at(fit.curve.values, size, tokens, unique)[0])
    if not fit.draws.size:
        return value, np.empty(0)
    with np.errstate(all="ignore"):
        return value, law.loss_at(fit.draws, size, tokens, unique)[:, 0]


def losses_of_draws(curve: CurveFit, draws: FloatArray, flops: FloatArray) -> FloatArray:
    """Return the loss of each draw's curve at some costs, shape (draws, costs); NaN where a draw has no curve."""
    result = np.full((draws.shape[0], flops.size), np.nan)
    with np.errstate(all="ignore"):
        for i in np.flatnonzero(np.isfinite(draws).all(axis=1)).tolist():
            result[i] = predict(curve.law, curve.names, draws[i], flops)
    return result


def with_residuals(
    draws: FloatArray, curve: CurveFit, log_loss: FloatArray, seed: int
) -> FloatArray:
    """Return drawn losses with the residual of a random point added, in ln loss.

    Args:
        draws: Shape (draws, places).
        curve: The fit, whose residuals are widened by its degrees of freedom.
        log_loss: ln loss of its points, shape (points,).
        seed: Of the choice of points.
    """
    residuals = log_loss - curve.fitted
    room = curve.n - curve.n_free + 1
    scale = math.sqrt(curve.n / room) if room > 0 else 1.0
    rng = generator(seed, "prediction-residuals")
    return draws * np.exp(scale * residuals[rng.integers(0, residuals.size, draws.shape)])


def _beyond(fit: LawFit, place: Mapping[str, float]) -> float:
    """Return how many times a place lies above or below the data, in the quantity in which it lies farthest."""
    known = {"flops": fit.flops, **fit.sizes}
    factors = [1.0]
    for name, value in place.items():
        if name in known:
            factors += [value / float(known[name].max()), float(known[name].min()) / value]
    return max(factors)


def _far_warnings(found: Sequence[Prediction]) -> tuple[str, ...]:
    far = [one for one in found if one.beyond > _FAR]
    if not far:
        return ()
    worst = max(far, key=lambda one: one.beyond)
    where = ", ".join(f"{name} {value:.3g}" for name, value in worst.at.items())
    return (
        f"{where} lies {worst.beyond:.0f} times outside the data: the interval holds only if the law goes on so far; "
        "lilliput analyse extrapolate shows how well it did on these data.",
    )
