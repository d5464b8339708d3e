"""`lilliput analyse`: laws, frontiers, costs, correlations and comparisons from a table of runs."""

from __future__ import annotations

import typer

from lilliput.cli._frame import add_group
from lilliput.cli.analyse.comparisons import compare, correlate, icer
from lilliput.cli.analyse.emergence import emergence
from lilliput.cli.analyse.laws import CommandWithLaws, fit, frontier, plan, sensitivity
from lilliput.cli.analyse.predictions import extrapolate, predict
from lilliput.cli.analyse.tables import check, convert

_ABOUT = "Scaling laws, frontiers, cost-effectiveness and correlations from a table of runs."


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    group = add_group(app, "analyse", _ABOUT)
    for command in (
        fit,
        frontier,
        predict,
        extrapolate,
        sensitivity,
        compare,
        plan,
        icer,
        correlate,
        emergence,
        check,
        convert,
    ):
        kind = CommandWithLaws if command in (fit, plan, compare, predict) else None
        group.command(cls=kind)(command)
