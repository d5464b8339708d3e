"""`lilliput analyse`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lilliput.cli._frame import JsonOption, deliver, echo, suggest
from lilliput.cli._options import (
    AfterStepOption,
    FinishedOption,
    FlopsOption,
    LossOption,
    MethodOption,
    ResamplesOption,
    SeedOption,
    TableArgument,
    asked_again,
    column_mapping,
    fit_options,
    one_of,
    with_options,
)
from lilliput.cli.analyse.output import (
    interval,
    show_fit,
    show_size,
    show_strategies,
    show_warnings,
)
from lilliput.cli.analyse.tables import check, convert
from lilliput.core.wording import plural

if TYPE_CHECKING:
    from lilliput.analysis import FitOptions


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    analyse = typer.Typer(
        no_args_is_help=True,
        help="Scaling laws, frontiers, cost-effectiveness and correlations from a table of runs.",
    )
    for command in (fit, frontier, icer, correlate, plan, check, convert):
        analyse.command()(command)
    app.add_typer(analyse, name="analyse")


@with_options(options=fit_options, columns=column_mapping)
def fit(
    table: TableArgument,
    flops: FlopsOption = None,
    loss: LossOption = None,
    as_json: JsonOption = False,
    *,
    options: FitOptions,
    columns: dict[str, str],
) -> None:
    """Fit scaling laws, compare them, and say where they break.

    Example: lilliput analyse fit paper --law auto
    """
    from lilliput.analysis import SIZE_LAWS, analyse_fit, analyse_size, load_table
    from lilliput.core.progress import reporter_for_terminal

    content = load_table(table, columns=columns)
    if options.law in SIZE_LAWS:
        size = analyse_size(content, flops=flops, loss=loss, options=options)
        deliver(size.as_record(), as_json, lambda: show_size(size))
        return
    found = analyse_fit(
        content,
        flops=flops,
        loss=loss,
        options=options,
        reporter=reporter_for_terminal(),
    )

    def show() -> None:
        show_fit(found)
        again = asked_again(table, columns, flops, loss)
        suggest(f"lilliput analyse plan {again} --budget {float(found.flops.max()) * 10:.0e}")

    deliver(found.as_record(), as_json, show)


@with_options(columns=column_mapping)
def frontier(
    table: TableArgument,
    flops: FlopsOption = None,
    loss: LossOption = None,
    method: MethodOption = "paper",
    finished_only: FinishedOption = False,
    after_step: AfterStepOption = None,
    as_json: JsonOption = False,
    *,
    columns: dict[str, str],
) -> None:
    """List the compute-optimal measurements with their runs.

    Example: lilliput analyse frontier paper --method envelope
    """
    from lilliput.analysis import FRONTIER_METHODS, load_table
    from lilliput.analysis import frontier as find_frontier

    found = find_frontier(
        load_table(table, columns=columns),
        flops=flops,
        loss=loss,
        method=one_of("--method", method, FRONTIER_METHODS),
        finished_only=finished_only,
        after_step=after_step,
    )

    def show() -> None:
        for point in found.points:
            echo(f"{point.flops:12.5g}  {point.loss:8.4f}  {point.run}")
        shown, every = len(found.points), plural(found.n_measurements, "point")
        echo(f"{shown} of {every}, {plural(len(found.runs), 'run')}.")
        show_warnings(found.warnings)
        suggest(f"lilliput analyse fit {asked_again(table, columns, flops, loss)}")

    deliver(found.as_record(), as_json, show)


@with_options(columns=column_mapping)
def icer(
    table: TableArgument,
    name: Annotated[str | None, typer.Option("--name", help="Column naming strategies.")] = None,
    cost: Annotated[str | None, typer.Option("--cost", help="Cost column.")] = None,
    effect: Annotated[str | None, typer.Option("--effect", help="Effect column.")] = None,
    direction: Annotated[
        str | None, typer.Option("--better", help="higher or lower effect; default by its name.")
    ] = None,
    one_factor: Annotated[
        bool, typer.Option("--one-factor", help="Climb each size alone, the others held.")
    ] = False,
    resamples: ResamplesOption = 1000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    *,
    columns: dict[str, str],
) -> None:
    """Say which strategies are worth their cost, and what each step of improvement costs.

    Example: lilliput analyse icer paper --cost sequence_flops_reference --effect test_perplexity_reference
    """
    from lilliput.analysis import DIRECTIONS, analyse_factors, analyse_icer, load_table

    content = load_table(table, columns=columns)
    better = None if direction is None else one_of("--better", direction, DIRECTIONS)
    found = analyse_icer(
        content,
        name=name,
        cost=cost,
        effect=effect,
        direction=better,
        resamples=resamples,
        seed=seed,
    )
    ladders = (
        analyse_factors(content, cost=cost, effect=effect, direction=better) if one_factor else {}
    )
    record = found.as_record()
    if one_factor:
        record["factors"] = {factor: ladder.as_record() for factor, ladder in ladders.items()}

    def show() -> None:
        for result in ladders.values() if one_factor else [found]:
            show_strategies(result)
        echo(
            f"Cost {found.cost_column}; effect {found.effect_column}, {found.direction} is better."
        )
        show_warnings(found.warnings)

    deliver(record, as_json, show)


@with_options(columns=column_mapping)
def correlate(
    table: TableArgument,
    x: Annotated[str | None, typer.Option("--x", help="First column; default the loss.")] = None,
    y: Annotated[
        str | None, typer.Option("--y", help="Second column, or score_* for their mean.")
    ] = None,
    given: Annotated[
        list[str] | None, typer.Option("--given", help="Column held fixed; may be repeated.")
    ] = None,
    log: Annotated[
        list[str] | None, typer.Option("--log", help="Column to take the logarithm of.")
    ] = None,
    noise_sd: Annotated[
        float | None, typer.Option("--noise-sd", help="Measurement noise of y, to correct for.")
    ] = None,
    points: Annotated[str, typer.Option("--points", help="final or all.")] = "final",
    resamples: ResamplesOption = 2000,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    *,
    columns: dict[str, str],
) -> None:
    """Correlate two columns, with intervals from resampled runs.

    Example: lilliput analyse correlate paper --y flops_reference --given num_parameters
    """
    from lilliput.analysis import analyse_correlation, load_table

    found = analyse_correlation(
        load_table(table, columns=columns),
        x=x,
        y=y,
        given=tuple(given or ()),
        log=tuple(log or ()),
        noise_sd=noise_sd,
        points=one_of("--points", points, ("final", "all")),
        resamples=resamples,
        seed=seed,
    )
    record = found.as_record()

    def show() -> None:
        echo(f"{found.x} with {found.y}, {plural(found.pearson.n, 'row')}")
        for kind in ("pearson", "spearman", "kendall"):
            echo(f"  {kind:9}{interval(record[kind])}")
        for kind, value in found.partial.items():
            echo(f"  {kind} given {', '.join(found.given)}: {interval(value.as_record())}")
        if found.disattenuated is not None:
            echo(f"  pearson without the noise of {found.y}: {interval(record['disattenuated'])}")
        show_warnings(found.warnings)

    deliver(record, as_json, show)


@with_options(options=fit_options, columns=column_mapping)
def plan(
    table: TableArgument,
    budget: Annotated[float | None, typer.Option("--budget", help="Training FLOPs.")] = None,
    target_loss: Annotated[
        float | None, typer.Option("--target-loss", help="Loss to reach.")
    ] = None,
    flops: FlopsOption = None,
    loss: LossOption = None,
    as_json: JsonOption = False,
    *,
    options: FitOptions,
    columns: dict[str, str],
) -> None:
    """Say what a budget buys, what a loss costs, and how many more runs would help.

    Example: lilliput analyse plan paper --budget 1e18
    """
    from lilliput.analysis import analyse_plan, load_table
    from lilliput.core.progress import reporter_for_terminal

    found = analyse_plan(
        load_table(table, columns=columns),
        budget=budget,
        target_loss=target_loss,
        flops=flops,
        loss=loss,
        options=options,
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
