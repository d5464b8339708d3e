"""`lilliput quickstart`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import JsonOption, SetOption, deliver, echo, suggest


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""

    @app.command()
    def quickstart(
        out: Annotated[Path, typer.Option(help="Folder of the study.")] = Path(
            "lilliput-quickstart"
        ),
        assignments: SetOption = None,
        executor: Annotated[str, typer.Option(help="inline, process or ray.")] = "process",
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
            command=_command(out, assignments or ()),
            reporter=reporter_for_terminal(),
        )

        def show() -> None:
            echo(result.summary())
            suggest(f"open {result.report}")

        deliver(result.as_record(), as_json, show)


def _command(out: Path, assignments: list[str] | tuple[str, ...]) -> str:
    """The command that makes the study again."""
    settings = "".join(f" --set {text}" for text in assignments)
    return f"lilliput quickstart --out {out.name}{settings}"
