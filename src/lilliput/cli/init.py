"""`lilliput init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import JsonOption, deliver, echo, suggest


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""

    @app.command()
    def init(
        name: Annotated[str, typer.Argument(help="Name of your study; the file is NAME.toml.")],
        recipe: Annotated[str, typer.Option(help="The shipped recipe to start from.")],
        as_json: JsonOption = False,
    ) -> None:
        """Write a commented recipe to edit.

        Example: lilliput init mystudy --recipe small-english
        """
        from lilliput.study import init_recipe

        path = init_recipe(name, recipe, Path.cwd())

        def show() -> None:
            echo(f"Wrote {path.name}: every key is explained beside it.")
            suggest(f"lilliput study plan {path.name}")

        deliver({"path": str(path)}, as_json, show)
