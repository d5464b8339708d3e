"""`lilliput analyse emergence`: does a score rise smoothly, or from a threshold on?"""

from __future__ import annotations

from typing import Annotated

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._options import (
    ColumnOption,
    JsonOption,
    ResamplesOption,
    SeedOption,
    TableArgument,
    column_mapping,
    one_of,
)


def emergence(
    table: TableArgument,
    score: Annotated[str, typer.Option("--score", help="Column of the score; higher is better.")],
    against: Annotated[
        str, typer.Option("--against", help="The axis of ability: loss, or size.")
    ] = "loss",
    resamples: ResamplesOption = 500,
    seed: SeedOption = 0,
    column: ColumnOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say of each family whether a score rises smoothly with ability, or from a threshold on.

    Example: lilliput analyse emergence STUDY/tables/measurements.csv --score score_continuation
    """
    from lilliput.analysis import load_table
    from lilliput.analysis.emergence.table import AXES, analyse_emergence

    found = analyse_emergence(
        load_table(table, columns=column_mapping(column)),
        score=score,
        axis=one_of("--against", against, AXES),
        resamples=resamples,
        seed=seed,
    )

    def show() -> None:
        for one in found:
            echo(f"{one.group}: {one.found.verdict}, {one.found.points} runs")
            echo(f"    {one.found.why}")
            if one.found.best in ("threshold", "step") and one.found.place is not None:
                place, low, high = one.found.place, one.found.place_low, one.found.place_high
                bounds = "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
                echo(
                    f"    threshold at {place:.4g}{bounds} of {'-loss' if against == 'loss' else 'ln N'}"
                )

    deliver({"verdicts": [one.as_record() for one in found]}, as_json, show)
