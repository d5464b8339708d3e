"""`lilliput analyse check` and `convert`: from anyone's table to the tidy one."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import EXIT_USER, JsonOption, deliver, echo, suggest
from lilliput.cli._options import column_mapping, with_options
from lilliput.cli.analyse.output import show_warnings
from lilliput.core.wording import plural


@with_options(columns=column_mapping)
def check(
    table: Path,
    as_json: JsonOption = False,
    *,
    columns: dict[str, str],
) -> None:
    """Check a table against the schema, naming the line of each fault.

    Example: lilliput analyse check runs.csv --column loss=val_loss
    """
    from lilliput.analysis import check_table, header_of

    problems = check_table(table, columns=columns)
    known, carried = header_of(table, columns=columns)

    def show() -> None:
        for problem in problems:
            echo(f"line {problem.line}, {problem.column}: {problem.rule}: got {problem.got!r}")
        echo(f"{plural(len(problems), 'fault')}.")
        echo(f"Understood: {', '.join(known) or 'no column; name them with --column NAME=HEADER'}.")
        if carried:
            echo(f"Carried along: {', '.join(carried)}.")

    record = {"problems": [problem.as_record() for problem in problems]}
    deliver(record | {"known": known, "carried": carried}, as_json, show)
    if problems:
        raise typer.Exit(EXIT_USER)


@with_options(columns=column_mapping)
def convert(
    table: Path,
    out: Annotated[Path, typer.Option("--out", help="A .csv or .parquet file to write.")],
    as_json: JsonOption = False,
    *,
    columns: dict[str, str],
) -> None:
    """Turn a table with other headers into the tidy table.

    Example: lilliput analyse convert mine.csv --column loss=val_loss --column flops_hoffmann=C --out runs.csv
    """
    from lilliput.analysis import read_table, write_table

    found = read_table(table, columns=columns)
    write_table(found, out)
    record = {"rows": len(found), "columns": list(found.columns), "path": str(out)}

    def show() -> None:
        echo(f"{plural(len(found), 'row')} written to {out}.")
        show_warnings(found.warnings)
        suggest(shlex.join(["lilliput", "analyse", "fit", str(out)]))

    deliver(record | {"warnings": list(found.warnings)}, as_json, show)
