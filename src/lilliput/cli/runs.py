"""`lilliput runs`: ls, show, diff."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lilliput.cli._frame import JsonOption, deliver, echo

StudyArgument = Annotated[Path, typer.Argument(help="Folder of a study, or of runs.")]


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    runs = typer.Typer(help="List, show and compare runs.", no_args_is_help=True)
    app.add_typer(runs, name="runs")
    runs.command("ls")(list_runs)
    runs.command("show")(show_run)
    runs.command("diff")(diff)


def list_runs(study: StudyArgument, as_json: JsonOption = False) -> None:
    """List all runs with their state and loss.

    Example: lilliput runs ls lilliput-quickstart
    """
    from lilliput.study import read_runs

    records = read_runs(study)

    def show() -> None:
        for record in records:
            loss = record.result.get("loss")
            shown = "" if loss is None else f"{loss:.4f}"
            echo(f"{record.run_id}  {record.state:<8} {shown:>8}  {record.name}")
        echo(f"{len(records)} runs")

    deliver({"runs": [record.as_record() for record in records]}, as_json, show)


def show_run(
    study: StudyArgument,
    run: Annotated[str, typer.Argument(help="Beginning of its id, or its name.")],
    as_json: JsonOption = False,
) -> None:
    """Show one run: result, configuration, curve.

    Example: lilliput runs show lilliput-quickstart 3f2a
    """
    from lilliput.study import find_run

    record = find_run(study, run)

    def show() -> None:
        for key, value in record.as_record().items():
            echo(f"{key:<30} {_shown(value)}")
        for point in record.metrics():
            echo(f"step {point['step']:>7}  tokens {point['tokens_seen']:>10}  {point['loss']:.4f}")

    whole = record.as_record() | {"config": record.config, "metrics": record.metrics()}
    deliver({"runs": [whole]}, as_json, show)


def diff(
    study: StudyArgument,
    one: Annotated[str, typer.Argument(help="Beginning of an id, or a name.")],
    other: Annotated[str, typer.Argument(help="Beginning of an id, or a name.")],
    as_json: JsonOption = False,
) -> None:
    """Show where two runs differ, in configuration and in result.

    Example: lilliput runs diff lilliput-quickstart 3f2a 91bc
    """
    from lilliput.study import diff_runs, find_run

    left, right = find_run(study, one), find_run(study, other)
    found = diff_runs(left, right)

    def show() -> None:
        for key, (a, b) in found.items():
            echo(f"{key:<44} {_shown(a)}  |  {_shown(b)}")

    differences = {key: list(pair) for key, pair in found.items()}
    record = {"runs": [left.run_id, right.run_id], "differences": differences}
    deliver(record, as_json, show)


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
