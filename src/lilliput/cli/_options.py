"""The options that the verbs of `lilliput analyse` share, each defined once."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from types import SimpleNamespace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from lilliput.core.errors import ConfigurationError

if TYPE_CHECKING:
    from lilliput.analysis import FitOptions

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
        "--law",
        help="auto, power, power_offset, segmented, segmented_jumps, bnsl; of size and tokens: "
        "parametric, repeated; of the best size: isoflop, minimum.",
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
AfterStepOption = Annotated[
    int | None,
    typer.Option(
        "--after-step",
        help="Leave out points up to this update; 0 keeps all. Default: the warm-up, where the table "
        "tells of one (learning_rate or warmup_steps).",
    ),
]
ResamplesOption = Annotated[int, typer.Option("--resamples", min=0, help="Bootstrap draws.")]
ResampleOption = Annotated[
    str,
    typer.Option(
        "--resample",
        help="Draw by unit (shapes where seeds share one, else runs), run, seed or both.",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="COLUMN",
        help="Column that names independent units; default shapes where seeds share one, else runs.",
    ),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the draws.")]


def fit_options(
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
) -> FitOptions:
    """How a law is fitted, from the command line.

    Raises:
        ConfigurationError: An option is not one of its choices.
    """
    from lilliput.analysis import FRONTIER_METHODS, LAWS, POINTS, RESAMPLE_WAYS, FitOptions

    return FitOptions(
        law=one_of("--law", law, LAWS),
        breaks=breaks,
        points=one_of("--points", points, POINTS),
        frontier_method=one_of("--method", method, FRONTIER_METHODS),
        finished_only=finished_only,
        after_step=after_step,
        resamples=resamples,
        resample=one_of("--resample", resample, RESAMPLE_WAYS),
        cluster=cluster,
        seed=seed,
    )


def column_mapping(column: ColumnOption = None) -> dict[str, str]:
    """Schema name to header, from NAME=HEADER options.

    Raises:
        ConfigurationError: One of them does not read so.
    """
    pairs = [text.partition("=") for text in column or []]
    for name, equals, header in pairs:
        if not (name and equals and header):
            raise ConfigurationError(
                "--column must read NAME=HEADER",
                got=repr(name + equals + header),
                remedy="For example: --column loss=val_loss",
            )
    names = [name.strip() for name, _, _ in pairs]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigurationError(
            "--column must name each column of the schema once", got=f"{', '.join(repeated)} twice"
        )
    return {name.strip(): header.strip() for name, _, header in pairs}


def asked_again(table: str, columns: Mapping[str, str], flops: str | None, loss: str | None) -> str:
    """The table and how its columns were chosen, as the next command must be given them."""
    words = [table]
    for name, header in columns.items():
        words += ["--column", f"{name}={header}"]
    for option, value in (("--flops", flops), ("--loss", loss)):
        words += [option, value] if value else []
    return shlex.join(words)


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> Any:
    """The value, if it is allowed.

    Raises:
        ConfigurationError: It is not.
    """
    if value not in allowed:
        raise ConfigurationError(f"{option} must be one of {', '.join(allowed)}", got=repr(value))
    return value


def with_options(
    **blocks: Callable[..., Any],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A command with the options of each block beside its own.

    Args:
        blocks: Parameter of the command to the function whose options the command line shows; the
            parameter is given what that function makes of them.
    """

    def widened(command: Callable[..., None]) -> Callable[..., None]:
        own = _parameters(command, without=blocks)
        shared = {name: _parameters(block) for name, block in blocks.items()}

        @wraps(command)
        def run(**given: Any) -> None:
            for name, block in blocks.items():
                made = block(**{p.name: given.pop(p.name) for p in shared[name]})
                given[name] = made
            command(**given)

        every = [*own, *(p for parameters in shared.values() for p in parameters)]
        every.sort(key=lambda p: p.default is not inspect.Parameter.empty)
        # Typer reads both.
        run.__signature__ = inspect.Signature(every)  # pyright: ignore[reportAttributeAccessIssue]
        run.__annotations__ = {p.name: p.annotation for p in every}
        return run

    return widened


def _parameters(
    function: Callable[..., Any], without: Collection[str] = ()
) -> list[inspect.Parameter]:
    """Its parameters, annotated with types and not with their text."""
    found = [p for p in inspect.signature(function).parameters.values() if p.name not in without]
    # Results are annotated with types that are imported late: only what the command line reads counts.
    texts = SimpleNamespace(__annotations__={p.name: p.annotation for p in found})
    hints = get_type_hints(texts, function.__globals__, include_extras=True)
    return [p.replace(annotation=hints[p.name]) for p in found]
