"""`lilliput report` makes one page of a study or of a table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import command_line
from lilliput.cli._options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""

    @app.command()
    def report(
        source: Annotated[
            Path,
            typer.Argument(
                metavar="STUDY_OR_TABLE",
                help="A study folder, a CSV or Parquet table of runs, or the built-in table: paper.",
            ),
        ],
        out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
        static: Annotated[
            Path | None,
            typer.Option(help="Also write every figure as PDF and SVG into this folder."),
        ] = None,
        as_json: JsonOption = False,
    ) -> None:
        """Write one self-contained HTML file about a study or a table of runs.

        Example: lilliput report lilliput-quickstart --out report.html
        """
        from lilliput.core.artefacts import require_parts
        from lilliput.core.progress import reporter_for_terminal
        from lilliput.report import write_report

        if source.is_dir():
            require_parts(source)
        result = write_report(
            source,
            out,
            command=command_line("report", source, out=out, static=static),
            static=static,
            reporter=reporter_for_terminal(),
        )

        def show() -> None:
            size = result.report.stat().st_size / 1e6
            echo(f"Wrote {result.report} ({len(result.figures)} figures, {size:.1f} MB).")
            if result.static:
                echo(f"Wrote {len(result.static)} files for print to {static}.")
            echo("Open it in a browser; it needs no network.")

        deliver(result.as_record(), as_json, show)
