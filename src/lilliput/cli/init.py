"""`lilliput init` writes a commented recipe to edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import offer, suggest
from lilliput.cli._options import JsonOption
from lilliput.recipes import shipped_recipes

_RECIPES = ", ".join(shipped_recipes())


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""

    @app.command()
    def init(
        name: Annotated[str, typer.Argument(help="Name of your study; the file is NAME.toml.")],
        recipe: Annotated[str, typer.Option(help=f"The shipped recipe to start from: {_RECIPES}.")],
        causal: Annotated[
            bool,
            typer.Option("--causal", help="Models that predict the next token, not masked ones."),
        ] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Write a commented recipe to edit; `domain` is the one for a folder of your own texts.

        Example: lilliput init mystudy --recipe domain
        """
        from lilliput.study import init_recipe

        path = init_recipe(name, recipe, Path.cwd(), is_causal=causal)

        def show() -> None:
            echo(f"Wrote {path.name}: every key is explained beside it.")
            needs_folder = "{data}" in path.read_text(encoding="utf-8")
            if needs_folder:
                texts = "With the folder of your texts"
                offer(texts, "study", "plan", path.name, set="paths.data=FOLDER")
            else:
                suggest("study", "plan", path.name)

        deliver({"path": str(path)}, as_json, show)
