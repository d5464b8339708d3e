"""`lilliput quickstart` runs the built-in study, without network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import deliver
from lilliput.cli._hints import command_line
from lilliput.cli._options import ExecutorOption, JsonOption, SetOption
from lilliput.cli.study import show_study


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""

    @app.command()
    def quickstart(
        out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path(
            "lilliput-quickstart"
        ),
        assignments: SetOption = None,
        executor: ExecutorOption = "process",
        as_json: JsonOption = False,
    ) -> None:
        """Run the built-in study on real text, offline, and write its report.

        Example: lilliput quickstart --set scale=tiny
        """
        from lilliput.core.progress import reporter_for_terminal
        from lilliput.study import load_recipe, run_study

        recipe = load_recipe("quickstart", assignments or ())
        result = run_study(
            recipe,
            out,
            executor=executor,
            command=command_line("quickstart", out=out, set=assignments),
            reporter=reporter_for_terminal(),
        )

        deliver(result.as_record(), as_json, lambda: show_study(result, out))
