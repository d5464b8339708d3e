"""`lilliput analyse`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from lilliput.cli._frame import EXIT_USER, JsonOption, deliver, echo, suggest
from lilliput.core.errors import ConfigurationError

TableArgument = Annotated[
    str, typer.Argument(help="A CSV or Parquet file of measurements, or 'paper' (built in).")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option("--column", metavar="NAME=HEADER", help="Which header holds a schema column."),
]
FlopsOption = Annotated[
    str | None, typer.Option("--flops", help="FLOPs convention or cost column, e.g. reference.")
]
LossOption = Annotated[str | None, typer.Option("--loss", help="Loss column.")]
LawOption = Annotated[
    str,
    typer.Option(
        "--law", help="auto, power, power_offset, segmented, segmented_jumps, bnsl, parametric."
    ),
]
BreaksOption = Annotated[int | None, typer.Option("--breaks", help="Fixed number of breaks.")]
PointsOption = Annotated[str, typer.Option("--points", help="frontier, final or all.")]
MethodOption = Annotated[
    str, typer.Option("--method", help="Frontier: paper (percentile bins), log or envelope.")
]
FinishedOption = Annotated[
    bool, typer.Option("--finished-only", help="Leave out points of unfinished training.")
]
ResamplesOption = Annotated[int, typer.Option("--resamples", min=0, help="Bootstrap draws.")]
ResampleOption = Annotated[str, typer.Option("--resample", help="Draw by run, seed or both.")]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the draws.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    analyse = typer.Typer(
        no_args_is_help=True,
        help="Scaling laws, frontiers, cost-effectiveness and correlations from a table of runs.",
    )
    for command in (fit, frontier, icer, correlate, plan, check, convert):
        analyse.command()(command)
    app.add_typer(analyse, name="analyse")


def fit(
    table: TableArgument,
    flops: FlopsOption = None,
    loss: LossOption = None,
    law: LawOption = "auto",
    breaks: BreaksOption = None,
    points: PointsOption = "frontier",
    method: MethodOption = "paper",
    finished_only: FinishedOption = False,
    resamples: ResamplesOption = 500,
    resample: ResampleOption = "run",
    seed: SeedOption = 0,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Fit scaling laws, compare them, and say where they break.

    Example: lilliput analyse fit paper --law auto
    """
    from lilliput.analysis import analyse_fit, load_table
    from lilliput.core.progress import reporter_for_terminal

    options = _fit_options(law, breaks, points, method, finished_only, resamples, resample, seed)
    found = analyse_fit(
        load_table(table, columns=_mapping(column)),
        flops=flops,
        loss=loss,
        options=options,
        reporter=reporter_for_terminal(),
    )

    def show() -> None:
        _show_fit(found)
        suggest(f"lilliput analyse plan {table} --budget {float(found.flops.max()) * 10:.0e}")

    deliver(found.as_record(), as_json, show)


def frontier(
    table: TableArgument,
    flops: FlopsOption = None,
    loss: LossOption = None,
    method: MethodOption = "paper",
    finished_only: FinishedOption = False,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the compute-optimal measurements with their runs.

    Example: lilliput analyse frontier paper --method envelope
    """
    from lilliput.analysis import FRONTIER_METHODS, load_table
    from lilliput.analysis import frontier as find_frontier

    found = find_frontier(
        load_table(table, columns=_mapping(column)),
        flops=flops,
        loss=loss,
        method=_one_of("--method", method, FRONTIER_METHODS),
        finished_only=finished_only,
    )

    def show() -> None:
        for point in found.points:
            echo(f"{point.flops:12.5g}  {point.loss:8.4f}  {point.run}")
        echo(f"{len(found.points)} of {found.n_measurements} points, {len(found.runs)} runs.")
        _show_warnings(found.warnings)
        suggest(f"lilliput analyse fit {table}")

    deliver(found.as_record(), as_json, show)


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
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which strategies are worth their cost, and what each step of improvement costs.

    Example: lilliput analyse icer paper --cost sequence_flops_reference --effect test_perplexity_reference
    """
    from lilliput.analysis import DIRECTIONS, analyse_factors, analyse_icer, load_table

    content = load_table(table, columns=_mapping(column))
    better = None if direction is None else _one_of("--better", direction, DIRECTIONS)
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
            _show_strategies(result)
        echo(
            f"Cost {found.cost_column}; effect {found.effect_column}, {found.direction} is better."
        )
        _show_warnings(found.warnings)

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
    points: Annotated[str, typer.Option("--points", help="final or all.")] = "final",
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
        load_table(table, columns=_mapping(column)),
        x=x,
        y=y,
        given=tuple(given or ()),
        log=tuple(log or ()),
        noise_sd=noise_sd,
        points=_one_of("--points", points, ("final", "all")),
        resamples=resamples,
        seed=seed,
    )
    record = found.as_record()

    def show() -> None:
        echo(f"{found.x} with {found.y}, {found.pearson.n} rows")
        for kind in ("pearson", "spearman", "kendall"):
            echo(f"  {kind:9}{_interval(record[kind])}")
        for kind, value in found.partial.items():
            echo(f"  {kind} given {', '.join(found.given)}: {_interval(value.as_record())}")
        if found.disattenuated is not None:
            echo(f"  pearson without the noise of {found.y}: {_interval(record['disattenuated'])}")
        _show_warnings(found.warnings)

    deliver(record, as_json, show)


def plan(
    table: TableArgument,
    budget: Annotated[float | None, typer.Option("--budget", help="Training FLOPs.")] = None,
    target_loss: Annotated[
        float | None, typer.Option("--target-loss", help="Loss to reach.")
    ] = None,
    flops: FlopsOption = None,
    loss: LossOption = None,
    law: LawOption = "auto",
    breaks: BreaksOption = None,
    points: PointsOption = "frontier",
    method: MethodOption = "paper",
    finished_only: FinishedOption = False,
    resamples: ResamplesOption = 500,
    resample: ResampleOption = "run",
    seed: SeedOption = 0,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a budget buys, what a loss costs, and how many more runs would help.

    Example: lilliput analyse plan paper --budget 1e18
    """
    from lilliput.analysis import analyse_plan, load_table
    from lilliput.core.progress import reporter_for_terminal

    found = analyse_plan(
        load_table(table, columns=_mapping(column)),
        budget=budget,
        target_loss=target_loss,
        flops=flops,
        loss=loss,
        options=_fit_options(law, breaks, points, method, finished_only, resamples, resample, seed),
        reporter=reporter_for_terminal(),
    )
    record = found.as_record()

    def show() -> None:
        _show_fit(found.fit, with_warnings=False)
        echo(f"At {found.budget:.4g} FLOPs the loss is {_interval(record['predicted_loss'])}")
        for key in ("required_flops", "num_parameters", "tokens"):
            if record[key] is not None:
                echo(f"  {key:18}{_interval(record[key])}")
        if found.shape is not None:
            echo(f"  nearest shape     {found.shape}")
        if found.more_runs_to_halve is not None:
            echo(f"{found.more_runs_to_halve} more runs would halve the last exponent's interval.")
        _show_warnings(found.warnings)

    deliver(record, as_json, show)


def check(table: Path, column: ColumnOption = None, as_json: JsonOption = False) -> None:
    """Check a table against the schema, naming the line of each fault.

    Example: lilliput analyse check runs.csv --column loss=val_loss
    """
    from lilliput.analysis import check_table

    problems = check_table(table, columns=_mapping(column))

    def show() -> None:
        for problem in problems:
            echo(f"line {problem.line}, {problem.column}: {problem.rule}: got {problem.got!r}")
        echo(f"{len(problems)} faults.")

    deliver({"problems": [problem.as_record() for problem in problems]}, as_json, show)
    if problems:
        raise typer.Exit(EXIT_USER)


def convert(
    table: Path,
    out: Annotated[Path, typer.Option("--out", help="A .csv or .parquet file to write.")],
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Turn a table with other headers into the tidy table.

    Example: lilliput analyse convert mine.csv --column loss=val_loss --column flops_hoffmann=C --out runs.csv
    """
    from lilliput.analysis import read_table, write_table

    found = read_table(table, columns=_mapping(column))
    write_table(found, out)
    record = {"rows": len(found), "columns": list(found.columns), "path": str(out)}

    def show() -> None:
        echo(f"{len(found)} rows written to {out}.")
        _show_warnings(found.warnings)
        suggest(f"lilliput analyse fit {out}")

    deliver(record | {"warnings": list(found.warnings)}, as_json, show)


def _fit_options(
    law: str,
    breaks: int | None,
    points: str,
    method: str,
    finished_only: bool,
    resamples: int,
    resample: str,
    seed: int,
) -> Any:
    from lilliput.analysis import FRONTIER_METHODS, LAWS, POINTS, RESAMPLE_WAYS, FitOptions

    return FitOptions(
        law=_one_of("--law", law, LAWS),
        breaks=breaks,
        points=_one_of("--points", points, POINTS),
        frontier_method=_one_of("--method", method, FRONTIER_METHODS),
        finished_only=finished_only,
        resamples=resamples,
        resample=_one_of("--resample", resample, RESAMPLE_WAYS),
        seed=seed,
    )


def _one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    if value not in allowed:
        raise ConfigurationError(f"{option} must be one of {', '.join(allowed)}", got=repr(value))
    return value


def _mapping(assignments: list[str] | None) -> dict[str, str]:
    """Schema name to header, from NAME=HEADER options."""
    pairs = [text.partition("=") for text in assignments or []]
    for name, equals, header in pairs:
        if not (name and equals and header):
            raise ConfigurationError(
                "--column must read NAME=HEADER",
                got=repr(name + equals + header),
                remedy="For example: --column loss=val_loss",
            )
    return {name.strip(): header.strip() for name, _, header in pairs}


def _interval(record: Mapping[str, Any]) -> str:
    if record["low"] is None:
        return f"{record['value']:.4g} (no interval)"
    return f"{record['value']:.4g} ({record['low']:.4g} to {record['high']:.4g})"


def _show_fit(found: Any, with_warnings: bool = True) -> None:
    record = found.as_record()
    echo(f"{found.law}: R2 {found.r2:.4f}, BIC {found.bic:.1f}, {found.n} points")
    for name, value in record["parameters"].items():
        echo(f"  {name:15}{_interval(value)}")
    for value in record["breaks"]:
        echo(f"  {'break at':15}{_interval(value)}")
    echo("Laws compared (law, breaks, BIC):")
    for candidate in found.candidates:
        echo(f"  {candidate.law:17}{candidate.n_breaks}  {candidate.bic:9.1f}")
    if with_warnings:
        _show_warnings(found.warnings)


def _show_strategies(found: Any) -> None:
    for s in found.strategies:
        ratio = "" if s.icer is None else f"{s.icer:.5g}"
        echo(f"{s.status:2}  {s.cost:12.5g}  {s.effect:10.5g}  {ratio:>12}  {s.name}")


def _show_warnings(warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        echo(f"Note: {warning}")
