"""`lilliput verify` compares files with the hashes in their manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import EXIT_USER, deliver, echo
from lilliput.cli._options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""

    @app.command()
    def verify(
        path: Annotated[Path, typer.Argument(help="A study, or any folder of artefacts.")],
        as_json: JsonOption = False,
    ) -> None:
        """Recompute every content hash and compare with the manifests.

        Example: lilliput verify lilliput-quickstart
        """
        from lilliput.core.verification import verify as verify_artefacts

        found = verify_artefacts(path)

        def show() -> None:
            for mismatch in found.mismatches:
                echo(mismatch)
            for build in found.unfinished:
                echo(build)
            echo(f"{found.checked} files checked, {len(found.mismatches)} do not match.")

        record = {
            "checked": found.checked,
            "mismatches": list(found.mismatches),
            "unfinished": list(found.unfinished),
        }
        deliver(record, as_json, show)
        if found.mismatches:
            raise typer.Exit(EXIT_USER)
