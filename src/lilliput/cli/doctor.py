"""`lilliput doctor` says what this machine can do."""

from __future__ import annotations

import typer

from lilliput.cli._frame import deliver, echo
from lilliput.cli._hints import suggest
from lilliput.cli._options import JsonOption


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""

    @app.command()
    def doctor(as_json: JsonOption = False) -> None:
        """Say what this machine can do, and what to install for more.

        Example: lilliput doctor --json
        """
        from lilliput.study import examine_machine

        report = examine_machine()

        def show() -> None:
            for name, value in report.as_lines():
                echo(f"{name:<14} {value}")
            for advice in report.advice:
                echo(f"- {advice}")
            suggest("quickstart")

        deliver(report.as_record(), as_json, show)
