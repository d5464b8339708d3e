"""`lilliput analyse predict` and `extrapolate`: the loss of runs that were not trained, and how well laws predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import suggest, unless
from lilliput.cli._options import (
    AfterStepOption,
    BreaksOption,
    ClusterOption,
    ColumnOption,
    FlopsOption,
    JsonOption,
    LawOption,
    LossOption,
    MethodOption,
    PointsOption,
    ResamplesOption,
    SeedOption,
    TableArgument,
    column_mapping,
    fit_options,
    one_of,
)
from lilliput.cli.analyse.output import interval, show_warnings
from lilliput.core.wording import plural

if TYPE_CHECKING:
    from lilliput.analysis import Extrapolation, Predictions

# Fewer points cannot be cut into a part to fit and a part to predict.
_ENOUGH_TO_SPLIT = 8


def predict(
    table: TableArgument,
    at: Annotated[
        list[str],
        typer.Option("--at", help="flops=1e20, or params=7B,tokens=1.4e11; may be repeated."),
    ],
    law: LawOption = "auto",
    breaks: BreaksOption = None,
    points: PointsOption = "frontier",
    method: MethodOption = "paper",
    after_step: AfterStepOption = None,
    resamples: ResamplesOption = 500,
    cluster: ClusterOption = None,
    seed: SeedOption = 0,
    flops: FlopsOption = None,
    loss: LossOption = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict the loss of a run that was not trained, with an interval for that run.

    Example: lilliput analyse predict paper --at flops=1e18
    """
    from lilliput.analysis import analyse_prediction, load_table, place_of
    from lilliput.core.progress import reporter_for_terminal

    found = analyse_prediction(
        load_table(table, columns=column_mapping(column)),
        [place_of(text) for text in at],
        flops=flops,
        loss=loss,
        options=fit_options(
            law=law,
            breaks=breaks,
            points=points,
            method=method,
            finished_only=False,
            after_step=after_step,
            resamples=resamples,
            resample="unit",
            cluster=cluster,
            seed=seed,
        ),
        reporter=reporter_for_terminal(),
    )

    def show() -> None:
        _show_predictions(found)
        if found.fit.n < _ENOUGH_TO_SPLIT:
            return
        suggest(
            "analyse",
            "extrapolate",
            table,
            points=unless("frontier", points),
            method=unless("paper", method),
            after_step=after_step,
            resamples=unless(500, resamples),
            cluster=cluster,
            seed=unless(0, seed),
            flops=flops,
            loss=loss,
            column=column,
        )

    deliver(found.as_record(), as_json, show)


def _show_predictions(found: Predictions) -> None:
    echo(
        f"{found.fit.law}, {plural(found.fit.n, 'point')}. Predicted loss of a new run (95 %), and of the curve:"
    )
    for one in found.predictions:
        record = one.as_record()
        place = ", ".join(f"{name} {value:.4g}" for name, value in one.at.items())
        curve = {"value": one.value, "low": record["curve_low"], "high": record["curve_high"]}
        echo(f"  {place}: {interval(record)}; curve {interval(curve)}")
    show_warnings(found.warnings)


def extrapolate(
    table: TableArgument,
    by: Annotated[
        str, typer.Option("--by", help="What is cheap: little flops, params or tokens.")
    ] = "flops",
    below: Annotated[
        float | None, typer.Option("--below", help="Fit points up to this value, predict the rest.")
    ] = None,
    share: Annotated[float, typer.Option("--share", help="Share of the points to fit.")] = 0.7,
    law: Annotated[
        list[str] | None,
        typer.Option("--law", help="Law to score; may be repeated; all by default."),
    ] = None,
    points: PointsOption = "frontier",
    method: MethodOption = "paper",
    after_step: AfterStepOption = None,
    resamples: ResamplesOption = 200,
    cluster: ClusterOption = None,
    seed: SeedOption = 0,
    flops: FlopsOption = None,
    loss: LossOption = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit every law to the cheap part of a table and score it on the rest.

    Example: lilliput analyse extrapolate paper --share 0.5
    """
    from lilliput.analysis import SPLITS, analyse_extrapolation, load_table
    from lilliput.analysis.laws.registry import law_names
    from lilliput.core.progress import reporter_for_terminal

    found = analyse_extrapolation(
        load_table(table, columns=column_mapping(column)),
        by=one_of("--by", by, SPLITS),
        below=below,
        share=share,
        laws=[one_of("--law", name, law_names()[1:]) for name in law or []],
        flops=flops,
        loss=loss,
        options=fit_options(
            law="auto",
            breaks=None,
            points=points,
            method=method,
            finished_only=False,
            after_step=after_step,
            resamples=resamples,
            resample="unit",
            cluster=cluster,
            seed=seed,
        ),
        reporter=reporter_for_terminal(),
    )
    deliver(found.as_record(), as_json, lambda: _show_scores(found))


def _show_scores(found: Extrapolation) -> None:
    echo(
        f"Fitted to {plural(found.n_fitted, 'point')} up to {found.below:.4g} ({found.by}), scored on "
        f"{found.n_held_out} up to {found.reach:.3g} times that:"
    )
    echo(f"  {'law':17}{'breaks':>6}  {'RMSLE':>8}  {'bias':>8}  {'in interval':>11}")
    for score in found.scores:
        inside = "" if score.coverage is None else f"{score.coverage:.0%}"
        mark = "  < claimed on the fitted points" if score.chosen else ""
        echo(
            f"  {score.law:17}{score.n_breaks:>6}  {score.rmsle:8.4f}  {score.bias:+8.4f}  {inside:>11}{mark}"
        )
    echo("RMSLE and bias are of ln predicted - ln measured.")
    show_warnings(found.warnings)
