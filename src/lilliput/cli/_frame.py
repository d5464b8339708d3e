"""What all verbs share: the application, common options, output, errors and exit codes."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Annotated, Any, NoReturn, TextIO

import typer

from lilliput.core.errors import LilliputError, OutOfMemoryError
from lilliput.core.files import refused_by_system

# Modules of this package that define `register(app)`, in the order of --help.
_VERBS = (
    "quickstart",
    "doctor",
    "init",
    "vocabulary",
    "corpus",
    "tokenizer",
    "train",
    "study",
    "evaluate",
    "generate",
    "analyse",
    "report",
    "runs",
    "verify",
    "export",
)

EXIT_OUR_FAULT = 1
EXIT_USER = 2
EXIT_INTERRUPTED = 130


def _print_version(asked: bool) -> None:
    if asked:
        from lilliput import __version__

        echo(__version__)
        raise typer.Exit


_VersionOption = Annotated[
    bool,
    typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version."),
]


def deliver(record: Mapping[str, Any], as_json: bool, show: Callable[[], None]) -> None:
    """Print a verb's result: the JSON object alone, or what `show` prints for people."""
    if as_json:
        _results().write(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        show()


# Where JSON goes while everything else that is printed goes to standard error; None outside `main`.
_json_stream: TextIO | None = None


def _results() -> TextIO:
    return _json_stream or sys.stdout


@contextmanager
def _standard_output_for_json_alone(as_json: bool) -> Generator[None]:
    """Send what libraries print to standard error: Ray reports lost workers on standard output."""
    global _json_stream
    if not as_json:
        yield
        return
    _json_stream, sys.stdout = sys.stdout, sys.stderr
    try:
        yield
    finally:
        sys.stdout, _json_stream = _json_stream, None


def echo(text: str = "") -> None:
    """Print one line of a result for people."""
    typer.echo(text)


def add_group(app: typer.Typer, name: str, about: str) -> typer.Typer:
    """Add a verb that has commands of its own; without one of them it prints its help."""
    group = typer.Typer(help=about, invoke_without_command=True)
    group.callback()(_show_help)
    app.add_typer(group, name=name)
    return group


def _show_help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        echo(context.get_help())


def build_app() -> typer.Typer:
    """Return the application with all its verbs."""
    app = typer.Typer(
        name="lilliput",
        help="A wind tunnel for language models: scaling studies in a reduced language.",
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def common(context: typer.Context, version: _VersionOption = False) -> None:
        del version
        _show_help(context)

    for verb in _VERBS:
        importlib.import_module(f"lilliput.cli.{verb}").register(app)
    return app


def main() -> NoReturn:
    """Run the command line and leave with the exit code of the contract."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: Sequence[str]) -> int:
    """Run one command line in this process and return its exit code; what is our own fault is raised."""
    as_json = "--json" in arguments
    with _standard_output_for_json_alone(as_json):
        try:
            code = _run(arguments, as_json)
            sys.stdout.flush()
            return code
        except BrokenPipeError:
            # The reader of the output has closed it (`| head`): nobody would see a message.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_INTERRUPTED


def _run(arguments: Sequence[str], as_json: bool) -> int:
    try:
        code = build_app()(args=list(arguments), standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # Typer swallows Ctrl-C and SIGTERM and returns this code.
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except LilliputError as error:
        return _fail(error.as_record(), str(error), as_json, error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        record = {
            "code": "interrupted",
            "rule": "the run was interrupted",
            "got": "",
            "try": _AGAIN,
        }
        return _fail(record, f"Interrupted. {_AGAIN}", as_json, EXIT_INTERRUPTED)
    except typer.TyperException as error:
        message = error.format_message()
        record = {"code": "usage", "rule": message, "got": "", "try": "lilliput --help"}
        return _fail(record, message, as_json, EXIT_USER)
    except OSError as error:
        refusal = refused_by_system(error)
        if refusal is None:
            raise
        return _fail(refusal.as_record(), str(refusal), as_json, EXIT_USER)
    except MemoryError as error:
        full = OutOfMemoryError(
            "the command must fit into memory",
            got=str(error) or "no more memory from the system",
            remedy="Use fewer workers or a smaller input, or a machine with more memory.",
        )
        return _fail(full.as_record(), str(full), as_json, EXIT_USER)


_AGAIN = "Run the same command again: it goes on where it stopped."


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    """Treat SIGTERM like Ctrl-C, so that work in progress can save itself."""
    del signum, frame
    raise KeyboardInterrupt


def _fail(record: Mapping[str, str], text: str, as_json: bool, code: int) -> int:
    if as_json:
        _results().write(json.dumps({"error": dict(record)}, ensure_ascii=True) + "\n")
    # A file's name may hold bytes that are no text.
    sys.stderr.write(f"lilliput: {text}\n".encode(errors="backslashreplace").decode())
    return code
