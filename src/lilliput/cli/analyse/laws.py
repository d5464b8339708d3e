"""`lilliput analyse fit`, `frontier` and `plan`: laws of loss, and what they say about a budget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperOption

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import suggest, unless
from lilliput.cli._options import (
    AfterStepOption,
    BreaksOption,
    ClusterOption,
    ColumnOption,
    DeltaOption,
    FinishedOption,
    FlopsOption,
    JsonOption,
    LawOption,
    LossOption,
    MethodOption,
    OffsetOption,
    PointsOption,
    ResampleOption,
    ResamplesOption,
    SeedOption,
    TableArgument,
    column_mapping,
    fit_options,
    one_of,
)
from lilliput.cli.analyse.output import interval, show_fit, show_size, show_warnings
from lilliput.core.wording import plural

if TYPE_CHECKING:
    from lilliput.analysis import Frontier


class CommandWithLaws(TyperCommand):
    """A command whose `--help` lists the registered laws, which are imported for that help only."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with every law and its formula at the option `--law`."""
        from lilliput.analysis.laws.registry import laws_in_words

        for parameter in self.params:
            if isinstance(parameter, TyperOption) and "--law" in parameter.opts:
                parameter.help = f"auto compares the laws of loss against cost. {laws_in_words()}"
        super().format_help(ctx, formatter)


def fit(
    table: TableArgument,
    law: LawOption = "auto",
    breaks: BreaksOption = None,
    points: PointsOption = "frontier",
    method: MethodOption = "paper",
    finished_only: FinishedOption = False,
    after_step: AfterStepOption = None,
    resamples: ResamplesOption = 500,
    resample: ResampleOption = "unit",
    cluster: ClusterOption = None,
    seed: SeedOption = 0,
    delta: DeltaOption = None,
    offset: OffsetOption = None,
    flops: FlopsOption = None,
    loss: LossOption = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit scaling laws, compare them, and say where they break.

    Example: lilliput analyse fit paper --law auto
    """
    from lilliput.analysis import BestSizeLaw, analyse_fit, analyse_size, laws_of, load_table
    from lilliput.core.progress import reporter_for_terminal

    options = fit_options(
        law=law,
        breaks=breaks,
        points=points,
        method=method,
        finished_only=finished_only,
        after_step=after_step,
        resamples=resamples,
        resample=resample,
        cluster=cluster,
        seed=seed,
        delta=delta,
        offset=offset,
    )
    content = load_table(table, columns=column_mapping(column))
    if options.law in {one.name for one in laws_of(BestSizeLaw)}:
        size = analyse_size(content, flops=flops, loss=loss, options=options)
        deliver(size.as_record(), as_json, lambda: show_size(size))
        return
    found = analyse_fit(
        content, flops=flops, loss=loss, options=options, reporter=reporter_for_terminal()
    )

    def show() -> None:
        show_fit(found)
        suggest(
            "analyse",
            "plan",
            table,
            budget=f"{float(found.flops.max()) * 10:.0e}",
            law=unless("auto", law),
            breaks=breaks,
            points=unless("frontier", points),
            method=unless("paper", method),
            finished_only=finished_only,
            after_step=after_step,
            resamples=unless(500, resamples),
            resample=unless("unit", resample),
            cluster=cluster,
            seed=unless(0, seed),
            flops=flops,
            loss=loss,
            column=column,
        )

    deliver(found.as_record(), as_json, show)


def frontier(
    table: TableArgument,
    method: MethodOption = "paper",
    finished_only: FinishedOption = False,
    after_step: AfterStepOption = None,
    flops: FlopsOption = None,
    loss: LossOption = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the compute-optimal measurements with their runs.

    Example: lilliput analyse frontier paper --method envelope
    """
    from lilliput.analysis import FRONTIER_METHODS, load_table
    from lilliput.analysis import frontier as find_frontier

    found = find_frontier(
        load_table(table, columns=column_mapping(column)),
        flops=flops,
        loss=loss,
        method=one_of("--method", method, FRONTIER_METHODS),
        finished_only=finished_only,
        after_step=after_step,
    )

    def show() -> None:
        _show_frontier(found)
        suggest(
            "analyse",
            "fit",
            table,
            method=unless("paper", method),
            finished_only=finished_only,
            after_step=after_step,
            flops=flops,
            loss=loss,
            column=column,
        )

    deliver(found.as_record(), as_json, show)


def _show_frontier(found: Frontier) -> None:
    echo(f"{found.flops_column} (FLOPs) and {found.loss_column} of the best measurement a budget:")
    echo(f"{'FLOPs':>12}  {'loss':>8}  run")
    for point in found.points:
        echo(f"{point.flops:12.5g}  {point.loss:8.4f}  {point.run}")
    shown, every = len(found.points), plural(found.n_measurements, "measurement")
    echo(f"{shown} of {every}, {plural(len(found.runs), 'run')}.")
    show_warnings(found.warnings)


def sensitivity(
    table: TableArgument,
    law: Annotated[
        str, typer.Option("--law", help="parametric or parametric_tied.")
    ] = "parametric",
    points: PointsOption = "frontier",
    after_step: AfterStepOption = None,
    delta: DeltaOption = None,
    flops: FlopsOption = None,
    loss: LossOption = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how the law of size and tokens depends on thresholds, points and counts of parameters.

    Example: lilliput analyse sensitivity paper
    """
    from lilliput.analysis import POINTS, FitOptions, analyse_sensitivity, load_table

    found = analyse_sensitivity(
        load_table(table, columns=column_mapping(column)),
        flops=flops,
        loss=loss,
        options=FitOptions(
            law=one_of("--law", law, ("parametric", "parametric_tied")),
            points=one_of("--points", points, POINTS),
            after_step=after_step,
            delta=delta,
        ),
    )

    def show() -> None:
        echo(
            f"{'choice':32}{'points':>7}  {'alpha':>7}  {'beta':>7}  {'E':>7}  {'size exponent':>13}"
        )
        for row in found.rows:
            echo(
                f"{row.choice:32}{row.n:>7}  {row.alpha:7.4f}  {row.beta:7.4f}  {row.offset:7.4f}  "
                f"{row.size_exponent:13.4f}"
            )
        low, high = found.span
        echo(f"The same runs give a size exponent of {low:.2f} to {high:.2f}.")
        show_warnings(found.warnings)

    deliver(found.as_record(), as_json, show)


def plan(
    table: TableArgument,
    budget: Annotated[float | None, typer.Option("--budget", help="Training FLOPs.")] = None,
    target_loss: Annotated[
        float | None, typer.Option("--target-loss", help="Loss to reach.")
    ] = None,
    law: LawOption = "auto",
    breaks: BreaksOption = None,
    points: PointsOption = "frontier",
    method: MethodOption = "paper",
    finished_only: FinishedOption = False,
    after_step: AfterStepOption = None,
    resamples: ResamplesOption = 500,
    resample: ResampleOption = "unit",
    cluster: ClusterOption = None,
    seed: SeedOption = 0,
    flops: FlopsOption = None,
    loss: LossOption = None,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a budget buys, what a loss costs, and how many more runs would help.

    Example: lilliput analyse plan paper --budget 1e18
    """
    from lilliput.analysis import analyse_plan, load_table
    from lilliput.core.progress import reporter_for_terminal

    found = analyse_plan(
        load_table(table, columns=column_mapping(column)),
        budget=budget,
        target_loss=target_loss,
        flops=flops,
        loss=loss,
        options=fit_options(
            law=law,
            breaks=breaks,
            points=points,
            method=method,
            finished_only=finished_only,
            after_step=after_step,
            resamples=resamples,
            resample=resample,
            cluster=cluster,
            seed=seed,
        ),
        reporter=reporter_for_terminal(),
    )
    record = found.as_record()

    def show() -> None:
        show_fit(found.fit, with_warnings=False)
        echo(f"At {found.budget:.4g} FLOPs the loss is {interval(record['predicted_loss'])}")
        for key in ("required_flops", "num_parameters", "tokens"):
            if record[key] is not None:
                echo(f"  {key:18}{interval(record[key])}")
        if found.shape is not None:
            echo(f"  nearest shape     {found.shape}")
        if found.more_runs_to_halve is not None:
            more = plural(found.more_runs_to_halve, "more run")
            echo(f"{more} would halve the last exponent's interval.")
        show_warnings(found.warnings)

    deliver(record, as_json, show)
