"""Fit every law to the cheap part of a table and score it on the dear part, as a test of what it predicts.

The law that would have been claimed is chosen on the cheap part alone. Scores are RMSLE = sqrt(mean (ln predicted -
ln measured)^2) and the share of the held-out points inside their 95 % prediction interval. Example: a law that predicts
2 % too low on half of the points and 2 % too high on the others has an RMSLE of 0.02.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis.fit import fit_measurements
from lilliput.analysis.inference.draws import draw_counts, draw_parameters
from lilliput.analysis.inference.options import FitOptions, drawn_unit, pick_points
from lilliput.analysis.inference.resampling import expanded_bounds
from lilliput.analysis.laws.base import CostLaw, SizedLaw, SizedPoints
from lilliput.analysis.laws.curve import CurveFit, plain
from lilliput.analysis.laws.forms import LawForm, fit_form, forms_for
from lilliput.analysis.laws.registry import AUTO, law_named, laws_of
from lilliput.analysis.predict import losses_of_draws, with_residuals
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.sized import SizedMeasurements, sized_measurements, with_flops
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter

SplitBy = Literal["flops", "params", "tokens"]
SPLITS: tuple[SplitBy, ...] = get_args(SplitBy)
_COLUMNS = {"params": "num_parameters", "tokens": "tokens_seen"}
DEFAULT_SHARE = 0.7
_FEWEST_FITTED, _FEWEST_HELD_OUT = 4, 1


@dataclass(frozen=True)
class LawScore:
    """Say how well a law predicted the held-out points.

    Attributes:
        law: Name of the law.
        n_breaks: Its number of breaks.
        rmsle: Root mean square of ln predicted - ln measured.
        bias: Mean of it; above zero where the losses came out better than predicted.
        coverage: Share of held-out points inside their prediction interval; None without intervals.
        bic: On the points that were fitted.
        chosen: Whether `--law auto` claims it on the points that were fitted.
    """

    law: str
    n_breaks: int
    rmsle: float
    bias: float
    coverage: float | None
    bic: float
    chosen: bool

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return plain(vars(self))


@dataclass(frozen=True)
class Extrapolation:
    """Hold the scores of every law, the best first.

    Attributes:
        scores: One entry a law and number of breaks.
        by: Quantity by which the table was cut.
        below: Points up to this value were fitted.
        n_fitted: Points that were fitted.
        n_held_out: Points that were predicted.
        reach: Largest held-out value divided by `below`.
        warnings: One sentence each.
        facts: Columns, draws.
    """

    scores: tuple[LawScore, ...]
    by: str
    below: float
    n_fitted: int
    n_held_out: int
    reach: float
    warnings: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def chosen(self) -> LawScore | None:
        """Return the score of the law that the fitted points alone would have claimed."""
        return next((score for score in self.scores if score.chosen), None)

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "scores": [score.as_record() for score in self.scores],
            "by": self.by,
            "below": self.below,
            "n_fitted": self.n_fitted,
            "n_held_out": self.n_held_out,
            "reach": self.reach,
            "warnings": list(self.warnings),
            **self.facts,
        }


def analyse_extrapolation(
    table: Table,
    *,
    by: SplitBy = "flops",
    below: float | None = None,
    share: float = DEFAULT_SHARE,
    laws: Sequence[str] = (),
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions | None = None,
    reporter: Reporter = SILENT,
) -> Extrapolation:
    """Return how well each law, fitted to the cheap part of a table, predicts the rest.

    Args:
        table: One row a measurement.
        by: What "cheap" means: "flops", "params" or "tokens".
        below: Largest value that is fitted; by default it is set by `share`.
        share: Share of the points that is fitted.
        laws: Names of laws, scored beside the one that is claimed on the cheap part; by default all of cost, and
            those of size and tokens where the table has both.
        flops: Cost column or convention.
        loss: Loss column.
        options: Points, resampling; its law is not used.
        reporter: Where progress goes.

    Raises:
        InputError: Too few points lie on one side of the cut.
    """
    options = replace(options or FitOptions(), law=AUTO, breaks=None)
    table = with_flops(table, flops)
    data = measurements_of(
        table, flops=flops, loss=loss, after_step=options.after_step, cluster=options.cluster
    )
    quantity = _quantity(table, data, by)
    points = pick_points(data, np.arange(len(data)), options)
    cut = below if below is not None else _cut(quantity[points], share)
    cheap = data.select(quantity <= cut)
    held_out = points[quantity[points] > cut]
    _check_parts(cheap, held_out, cut, by, options)
    test = _HeldOut(data.flops[held_out], np.log(data.loss[held_out]), held_out)
    with reporter.task("fitting laws to the cheap part"):
        known = _scores(table, data, cheap, test, laws, options)
    if not known:
        raise InputError(
            "no law could be fitted to the cheap part", got=f"{len(cheap)} measurements"
        )
    fitted = pick_points(cheap, np.arange(len(cheap)), options)
    return Extrapolation(
        scores=tuple(sorted(known, key=lambda score: score.rmsle)),
        by=by,
        below=float(cut),
        n_fitted=int(fitted.size),
        n_held_out=int(held_out.size),
        reach=float(quantity[held_out].max() / cut),
        warnings=data.warnings,
        facts={
            "flops_column": data.flops_column,
            "loss_column": data.loss_column,
            "points_kind": options.points,
            "resamples": options.resamples,
            "level": options.level,
            "seed": options.seed,
        },
    )


def _scores(
    table: Table,
    data: Measurements,
    cheap: Measurements,
    test: _HeldOut,
    laws: Sequence[str],
    options: FitOptions,
) -> list[LawScore]:
    """Return the score of every law that the cheap part can carry."""
    claimed = fit_measurements(cheap, replace(options, resamples=0)).curve
    names = laws or [law.name for law in laws_of(CostLaw) if law.is_candidate]
    forms = dict.fromkeys(_forms(names, cheap, options))
    forms[LawForm(claimed.law, int(claimed.breaks.size))] = None  # It is scored in any case.
    found = [_score_curve(form, cheap, test, options, claimed) for form in forms]
    sized = [law.name for law in laws_of(SizedLaw) if not laws or law.name in laws]
    found += [_score_sized(table, name, data, cheap, test, options) for name in sized]
    return [score for score in found if score is not None]


@dataclass(frozen=True)
class _HeldOut:
    """Hold the points to predict: cost, ln loss, and their rows in the measurements."""

    flops: FloatArray
    log_loss: FloatArray
    rows: NDArray[np.intp]


def _quantity(table: Table, data: Measurements, by: SplitBy) -> FloatArray:
    """Return the quantity by which the table is cut, of each measurement."""
    if by == "flops":
        return data.flops
    return table.number(_COLUMNS[by])[np.searchsorted(table.lines, data.lines)]


def _cut(values: FloatArray, share: float) -> float:
    """Return the value up to which a share of the points lie."""
    if not 0 < share < 1:
        raise InputError("the share of points to fit must be between 0 and 1", got=share)
    ordered = np.sort(values)
    return float(ordered[max(0, math.ceil(share * ordered.size) - 1)])


def _check_parts(
    cheap: Measurements, held_out: NDArray[np.intp], cut: float, by: str, options: FitOptions
) -> None:
    fitted = pick_points(cheap, np.arange(len(cheap)), options).size if len(cheap) else 0
    if fitted < _FEWEST_FITTED or held_out.size < _FEWEST_HELD_OUT:
        raise InputError(
            f"an extrapolation needs {_FEWEST_FITTED} points to fit and one to predict",
            got=f"{fitted} up to {cut:.3g} ({by}) and {held_out.size} above",
            remedy="Cut elsewhere with --below or --share, or take --points all.",
        )


def _forms(names: Sequence[str], cheap: Measurements, options: FitOptions) -> list[LawForm]:
    """Return the forms of the laws of cost that the cheap part can carry, the costly ones left out."""
    rows = pick_points(cheap, np.arange(len(cheap)), options)
    count = int(np.unique(cheap.flops[rows]).size)
    forms: list[LawForm] = []
    for name in names:
        if not isinstance(law_named(name), CostLaw):
            continue
        try:
            found = forms_for(name, None, count)
        except InputError:
            continue
        forms += [form for form in found if not form.is_costly and count > form.n_free]
    return forms


def _score_curve(
    form: LawForm, cheap: Measurements, test: _HeldOut, options: FitOptions, claimed: CurveFit
) -> LawScore | None:
    rows = pick_points(cheap, np.arange(len(cheap)), options)
    log_loss = np.log(cheap.loss[rows])
    fit = fit_form(form, cheap.flops[rows], cheap.loss[rows])
    if fit is None:
        return None
    draws = draw_parameters(cheap, fit, options)
    noisy = with_residuals(losses_of_draws(fit, draws, test.flops), fit, log_loss, options.seed)
    chosen = form == LawForm(claimed.law, int(claimed.breaks.size))
    with np.errstate(all="ignore"):
        predicted = np.log(fit.predict(test.flops))
    return _score(form, fit, predicted, noisy, cheap, test, options, chosen)


def _score(
    form: LawForm,
    fit: CurveFit,
    predicted: FloatArray,
    noisy: FloatArray,
    cheap: Measurements,
    test: _HeldOut,
    options: FitOptions,
    chosen: bool,
) -> LawScore | None:
    error = predicted - test.log_loss
    if not np.isfinite(error).all():
        return None
    coverage = None
    if noisy.shape[0]:
        units = int(np.unique(drawn_unit(cheap, options)[1]).size)
        low, high = expanded_bounds(noisy, units, options.level)
        if np.isfinite(low).all():
            loss = np.exp(test.log_loss)
            coverage = float(np.mean((low <= loss) & (loss <= high)))
    return LawScore(
        form.law,
        form.n_breaks,
        float(np.sqrt(np.mean(error**2))),
        float(error.mean()),
        coverage,
        fit.bic,
        chosen,
    )


def _score_sized(
    table: Table,
    name: str,
    data: Measurements,
    cheap: Measurements,
    test: _HeldOut,
    options: FitOptions,
) -> LawScore | None:
    """Return the score of a law of size and tokens; None where the table or the cheap part cannot carry it."""
    law = law_named(name)
    assert isinstance(law, SizedLaw)
    if law.needs_unique_tokens and "unique_tokens" not in table:
        return None
    try:
        sized = sized_measurements(table, cheap, options.points)
        held_out = sized_measurements(table, data.select(test.rows), "all")
        if len(held_out.data) < test.rows.size or sized.data.loss.size < _FEWEST_FITTED:
            return None
        points, unique = _sized_points(table, law, sized), _unique(table, law, held_out)
        fit = law.fit(points).curve
        losses = law.loss_at(fit.values, held_out.parameters, held_out.tokens, unique)
    except (InputError, NotImplementedError):
        return None
    draws = law.draw(points, fit, draw_counts(sized.data, options))
    noisy = np.empty((0, losses.size))
    if draws.shape[0]:
        with np.errstate(all="ignore"):
            curves = law.loss_at(draws, held_out.parameters, held_out.tokens, unique)
        noisy = with_residuals(curves, fit, np.log(points.loss), options.seed)
    return _score(
        LawForm(name), fit, np.log(losses), noisy, sized.data, test, options, chosen=False
    )


def _sized_points(table: Table, law: SizedLaw, sized: SizedMeasurements) -> SizedPoints:
    data = sized.data
    return SizedPoints(
        data.flops, data.loss, sized.parameters, sized.tokens, _unique(table, law, sized)
    )


def _unique(table: Table, law: SizedLaw, sized: SizedMeasurements) -> FloatArray | None:
    if not law.needs_unique_tokens:
        return None
    return table.number("unique_tokens")[np.searchsorted(table.lines, sized.data.lines)]
