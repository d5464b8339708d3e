"""`lilliput analyse icer` and `correlate`: strategies by cost and effect, and two columns together."""

from __future__ import annotations

from typing import Annotated

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._options import (
    ClusterOption,
    ColumnOption,
    JsonOption,
    ResamplesOption,
    SeedOption,
    TableArgument,
    column_mapping,
    one_of,
)
from lilliput.cli.analyse.output import interval, show_strategies, show_warnings
from lilliput.core.wording import plural


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
    cluster: ClusterOption = None,
    resamples: ResamplesOption = 1000,
    seed: SeedOption = 0,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which strategies are worth their cost, and what each step of improvement costs.

    Example: lilliput analyse icer paper --cost sequence_flops_reference --effect test_perplexity_reference
    """
    from lilliput.analysis import DIRECTIONS, analyse_factors, analyse_icer, load_table

    content = load_table(table, columns=column_mapping(column))
    better = None if direction is None else one_of("--better", direction, DIRECTIONS)
    found = analyse_icer(
        content,
        name=name,
        cost=cost,
        effect=effect,
        direction=better,
        cluster=cluster,
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
        show_strategies(list(ladders.values()) if one_factor else [found])
        echo(
            f"Cost {found.cost_column}; effect {found.effect_column}, {found.direction} is better."
        )
        show_warnings(found.warnings)

    deliver(record, as_json, show)


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
    points: Annotated[
        str, typer.Option("--points", help="Measurements of each run that enter: final or all.")
    ] = "final",
    cluster: ClusterOption = None,
    resamples: ResamplesOption = 2000,
    seed: SeedOption = 0,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Correlate two columns, with intervals from resampled runs.

    Example: lilliput analyse correlate paper --y flops_reference --given num_parameters
    """
    from lilliput.analysis import analyse_correlation, load_table

    found = analyse_correlation(
        load_table(table, columns=column_mapping(column)),
        x=x,
        y=y,
        given=tuple(given or ()),
        log=tuple(log or ()),
        noise_sd=noise_sd,
        points=one_of("--points", points, ("final", "all")),
        cluster=cluster,
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
