"""Define `lilliput analyse check` and `convert`, which check a table and make it a tidy one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lilliput.cli._frame import EXIT_USER, deliver, echo
from lilliput.cli._hints import suggest
from lilliput.cli._options import ColumnOption, JsonOption, column_mapping
from lilliput.cli.analyse.output import show_warnings
from lilliput.core.wording import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lilliput.analysis import Table
    from lilliput.analysis.table.cells import CellProblem

_SHOWN_LINES = 5
_LOSSES = ("loss", "loss_reference", "perplexity", "bits_per_byte")


def check(table: Path, column: ColumnOption = None, as_json: JsonOption = False) -> None:
    """Check a table against the schema, naming the line of each fault.

    Example: lilliput analyse check runs.csv --column loss=eval_2
    """
    from lilliput.analysis import check_table, found_columns, load_table
    from lilliput.analysis.table.schema import describe

    columns = column_mapping(column)
    problems = check_table(table, columns=columns, as_kept=True)
    found = found_columns(table, columns=columns)
    known = [name for name in found.raw.columns if describe(name)]
    carried = [name for name in found.without_originals().columns if not describe(name)]
    mapping = [f"{name}={header}" for name, header in found.mapping.items()]

    def show() -> None:
        for sentence in found.said:
            echo(sentence)
        for line in _grouped(problems):
            echo(line)
        echo(f"{plural(len(problems), 'fault')}.")
        echo(f"Understood: {', '.join(known) or 'no column; name them with --column NAME=HEADER'}.")
        if carried:
            echo(f"Carried along: {', '.join(carried)}.")
        if not problems:
            every = [*(column or []), *mapping] or None
            _suggest_next(load_table(str(table), columns=columns), table, every, is_checked=True)

    record = {"problems": [problem.as_record() for problem in problems]}
    found_record = {"found": dict(found.mapping), "said": list(found.said)}
    deliver(record | {"known": known, "carried": carried} | found_record, as_json, show)
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
    from lilliput.analysis import load_table, read_table, write_table

    found = read_table(table, columns=column_mapping(column), as_kept=True, drop_originals=True)
    write_table(found, out)
    record = {"rows": len(found), "columns": list(found.columns), "path": str(out)}

    def show() -> None:
        echo(f"{plural(len(found), 'row')} written to {out}.")
        show_warnings(found.warnings)
        _suggest_next(load_table(str(out)), out)

    deliver(record | {"warnings": list(found.warnings)}, as_json, show)


def _grouped(problems: Sequence[CellProblem]) -> list[str]:
    """Return a sentence for each column and rule, with the lines of its first cells and what would work."""
    groups: dict[tuple[str, str], list[CellProblem]] = {}
    for problem in problems:
        groups.setdefault((problem.column, problem.rule), []).append(problem)
    said: list[str] = []
    for (name, rule), cells in groups.items():
        lines = ", ".join(str(cell.line) for cell in cells[:_SHOWN_LINES])
        more = f" and {len(cells) - _SHOWN_LINES} more" if len(cells) > _SHOWN_LINES else ""
        where = f"line{'s' if len(cells) > 1 else ''} {lines}{more}"
        said.append(f"{where}, {name}: {rule}: got {cells[0].got!r}. {cells[0].remedy}")
    return said


def _suggest_next(
    table: Table, out: Path, column: list[str] | None = None, *, is_checked: bool = False
) -> None:
    """Suggest a fit where the table can carry one, else a report, else nothing but a check."""
    from lilliput.analysis import FitOptions, analyse_fit
    from lilliput.core.errors import LilliputError

    try:
        # The smallest law: where it can be fitted, the comparison of laws goes through as well.
        analyse_fit(table, options=FitOptions(law="power", resamples=0))
    except LilliputError as error:
        echo(f"Note: no law can be fitted to it yet: {error}")
    else:
        suggest("analyse", "fit", out, column=column)
        return
    if {"loss", "num_parameters", "tokens_seen"} <= set(table.columns):
        suggest("analyse", "fit", out, law="parametric", column=column)
    elif column is None and any(name in table for name in _LOSSES):
        suggest("report", out, out=out.with_suffix(".html"))
    elif not is_checked:
        suggest("analyse", "check", out)
