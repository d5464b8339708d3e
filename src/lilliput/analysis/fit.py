"""Fit laws to a table: compare candidates, test breaks, and find intervals from resampled units."""

from __future__ import annotations

import numpy as np

from lilliput.analysis.inference.assembly import assemble
from lilliput.analysis.inference.choice import (
    LawChoice,
    check_asked_breaks,
    choose_law,
    judge_unbroken,
)
from lilliput.analysis.inference.draws import draw_parameters
from lilliput.analysis.inference.options import FitOptions
from lilliput.analysis.inference.results import LawFit
from lilliput.analysis.inference.sample import FitSample
from lilliput.analysis.laws.base import BestSizeLaw, SizedLaw
from lilliput.analysis.laws.curve import CurveFit
from lilliput.analysis.laws.forms import LawForm, check_breaks, fit_form, forms_for
from lilliput.analysis.laws.registry import AUTO, law_named
from lilliput.analysis.sized_fit import fit_sized_law
from lilliput.analysis.table.measurements import Measurements, measurements_of
from lilliput.analysis.table.sized import with_flops
from lilliput.analysis.table.tidy import Table
from lilliput.core.arrays import FloatArray
from lilliput.core.errors import InputError
from lilliput.core.progress import SILENT, Reporter


def analyse_fit(
    table: Table,
    *,
    flops: str | None = None,
    loss: str | None = None,
    options: FitOptions | None = None,
    reporter: Reporter = SILENT,
) -> LawFit:
    """Return the law of loss against cost in a table, with intervals.

    Args:
        table: One row a measurement.
        flops: Cost column or convention; by default the table's.
        loss: Loss column; by default `loss`, else `loss_reference` with a warning.
        options: Law, points, resampling.
        reporter: Where progress goes.

    Raises:
        InputError: The table has no usable columns, or too few points for the law.
    """
    options = options or FitOptions()
    check_breaks(options.law, options.breaks)
    law = None if options.law == AUTO else law_named(options.law)
    if isinstance(law, BestSizeLaw):
        raise InputError(
            "a law of loss is needed here",
            got=f"{options.law}, a law of the best size",
            remedy=f"Take --law auto, or lilliput analyse fit --law {options.law}.",
        )
    if isinstance(law, SizedLaw):
        table = with_flops(table, flops)
    data = measurements_of(
        table, flops=flops, loss=loss, after_step=options.after_step, cluster=options.cluster
    )
    if isinstance(law, SizedLaw):
        return fit_sized_law(table, data, law, options, reporter=reporter)
    return fit_measurements(data, options, reporter=reporter)


def fit_measurements(
    data: Measurements, options: FitOptions, *, reporter: Reporter = SILENT
) -> LawFit:
    """Return the law of loss against cost in measurements (no law of size and tokens).

    Raises:
        InputError: Too few points or costs for the law.
    """
    sample = FitSample.of(data, options)
    flops = sample.flops
    _refuse_thin_data(flops, data.flops_column)
    forms = forms_for(options.law, options.breaks, np.unique(flops).size)
    unbroken = _fitted([form for form in forms if not form.n_breaks], sample)
    first, is_excluded = None, True
    if options.law == AUTO and options.breaks is None:
        first, is_excluded = judge_unbroken(unbroken, sample, options.seed)
    fits = unbroken + _fitted(
        [form for form in forms if form.n_breaks and (is_excluded or not form.is_costly)], sample
    )
    if not fits:
        raise InputError(
            f"law {options.law} needs more points in each piece", got=f"{flops.size} points"
        )
    if options.breaks is not None:
        choice = LawChoice(min(fits, key=lambda fit: fit.bic))
    elif first is not None and not is_excluded:
        choice = first
    else:
        choice = choose_law(fits, sample, options.seed, excluded=first)
    if options.law != AUTO or options.breaks:
        choice.tests += check_asked_breaks(choice.law, sample, options.seed)
    draws = draw_parameters(data, choice.law, options, reporter=reporter)
    return assemble(sample, choice, fits, draws)


def _fitted(forms: list[LawForm], sample: FitSample) -> list[CurveFit]:
    fits = (fit_form(form, sample.flops, sample.loss) for form in forms)
    return [fit for fit in fits if fit is not None]


def _refuse_thin_data(flops: FloatArray, column: str) -> None:
    distinct = np.unique(flops).size
    if distinct < 2:
        raise InputError(
            f"a law needs at least two different values of {column}",
            got=f"{distinct} ({float(flops[0]):.6g})",
            remedy="Add runs of other sizes, or take --points all.",
        )
    if distinct < 3:
        raise InputError(
            f"a law needs at least three points with different {column}",
            got=distinct,
            remedy="Add runs, or take --points all.",
        )
