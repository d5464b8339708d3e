"""`lilliput export` writes Hugging Face folders, and `lilliput push` uploads one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import offer
from lilliput.cli._options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the verbs to the application."""

    @app.command()
    def export(
        source: Annotated[
            Path,
            typer.Argument(
                metavar="RUN_OR_CORPUS",
                help="Folder of a run, as in STUDY/runs/3f2a, or of a corpus.",
            ),
        ],
        to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where to write the folder.")],
        tokenizer: Annotated[
            Path | None,
            typer.Option(help="The run's tokenizer, where it is not in the run's study."),
        ] = None,
        checkpoint: Annotated[
            str, typer.Option(help="Which weights: final, initial or step-N.")
        ] = "final",
        as_json: JsonOption = False,
    ) -> None:
        """Write a run or a corpus as a Hugging Face folder with a card.

        Example: lilliput export lilliput-quickstart/runs/3f2a --to my-model
        """
        from lilliput.study import run_folder
        from lilliput.study.publishing.export import export_artefact

        found = source if source.exists() else run_folder(source)
        exported = export_artefact(found, to, tokenizer=tokenizer, checkpoint=checkpoint)

        def show() -> None:
            echo(f"{exported.path}: layout {exported.layout}, with its card in README.md")
            offer("To upload it", "push", exported.path, hub="USER/NAME")

        deliver(exported.as_record(), as_json, show)

    @app.command()
    def push(
        folder: Annotated[
            Path, typer.Argument(metavar="DIR", help="A folder written by lilliput export.")
        ],
        hub: Annotated[
            str, typer.Option("--hub", metavar="USER/NAME", help="Repository on the Hub.")
        ],
        private: Annotated[bool, typer.Option(help="Make a new repository private.")] = False,
        as_json: JsonOption = False,
    ) -> None:
        """Upload an exported folder to the Hugging Face Hub: the one verb that uses the network.

        Example: lilliput push my-model --hub me/lilliput-tiny
        """
        from lilliput.study.publishing.export import push as push_folder

        pushed = push_folder(folder, hub, private=private)
        deliver(pushed.as_record(), as_json, lambda: echo(f"{pushed.path} is now {pushed.hub}"))
