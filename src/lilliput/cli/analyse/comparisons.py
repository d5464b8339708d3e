"""`lilliput analyse icer`, `correlate` and `compare`: strategies, two columns, and two sets of runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lilliput.cli._frame import deliver, echo
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
from lilliput.cli.analyse.output import interval, show_strategies, show_warnings
from lilliput.core.errors import ConfigurationError
from lilliput.core.wording import plural

if TYPE_CHECKING:
    from lilliput.analysis import Comparison, Table


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


def compare(
    a: TableArgument,
    b: Annotated[
        str | None, typer.Argument(help="The table or study to judge against it; or take --by.")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", help="Column of A whose two values are compared.")
    ] = None,
    values: Annotated[
        str | None, typer.Option("--values", metavar="A,B", help="Two values of that column.")
    ] = None,
    at: Annotated[float | None, typer.Option("--at", help="FLOPs at which to compare.")] = None,
    rule: Annotated[
        str | None, typer.Option("--rule", help="For final losses: paired-t, welch or speedrun.")
    ] = None,
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
    """Compare two sets of runs: exponent, loss at equal cost, and the compute that equal loss needs.

    Example: lilliput analyse compare paper --by layout
    """
    from lilliput.analysis import analyse_comparison
    from lilliput.core.progress import reporter_for_terminal

    options = fit_options(
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
    )
    (name_a, one), (name_b, other) = _two_tables(a, b, by, values, column_mapping(column))
    found = analyse_comparison(
        one,
        other,
        names=(name_a, name_b),
        flops=flops,
        loss=loss,
        at=at,
        rule=rule,
        options=options,
        reporter=reporter_for_terminal(),
    )
    deliver(found.as_record(), as_json, lambda: _show_comparison(found))


def _two_tables(
    a: str, b: str | None, by: str | None, values: str | None, columns: dict[str, str]
) -> tuple[tuple[str, Table], tuple[str, Table]]:
    """Return the two sets of runs with their names: two tables, or two values of a column of one."""
    from lilliput.analysis import load_table, split_table

    if (b is None) == (by is None):
        raise ConfigurationError(
            "a comparison needs a second table, or the column of the first that tells two sets apart",
            got="neither" if b is None else "both",
            remedy="For example: lilliput analyse compare A.csv B.csv, or A.csv --by profile",
        )
    if values is not None and by is None:
        raise ConfigurationError("--values names two values of the column --by", got="no --by")
    first = load_table(a, columns=columns)
    if by is not None:
        chosen = tuple(part.strip() for part in (values or "").split(",") if part.strip())
        return split_table(first, by, chosen)
    assert b is not None
    names = [Path(a).stem or a, Path(b).stem or b]
    if names[0] == names[1]:
        names = [a, b]
    return (names[0], first), (names[1], load_table(b, columns=columns))


def _show_comparison(found: Comparison) -> None:
    """Print the exponents, the comparison at each cost and that of final losses."""
    record = found.as_record()
    a, b = found.a.name, found.b.name
    echo(f"{b} (B) against {a} (A), {found.law}, by {record['flops_column']}")
    for key in ("exponent_a", "exponent_b", "exponent_difference"):
        if record[key] is not None:
            echo(f"  {key:21}{interval(record[key])}")
    for there in record["at_costs"]:
        echo(f"  At {there['flops']:.3g} FLOPs (A {there['loss_a']:.4g}, B {there['loss_b']:.4g}):")
        echo(f"    loss, B minus A    {interval(there['loss_difference'])}")
        echo(f"    compute, B over A  {interval(there['compute_ratio'])}")
    if found.finals is not None:
        echo(found.finals.sentence(a, b))
    echo(found.sentence)
    show_warnings(found.warnings)
