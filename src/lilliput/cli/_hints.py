"""The line "Next: …" that ends most verbs: a command that works when it is pasted into a shell."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import typer

_FEW_PATHS = 6


def command_line(*words: object, **options: object) -> str:
    """Return a `lilliput` command with its words and options quoted for the shell.

    An option that is None, False, "" or empty is left out, True becomes a flag, and a list repeats it:

        command_line("corpus", "build", "my texts", vocabulary=Path("v #1.csv"), hub=True)
        lilliput corpus build 'my texts' --vocabulary 'v #1.csv' --hub
    """
    parts = ["lilliput", *map(_word, words)]
    for name, value in options.items():
        option = f"--{name.strip('_').replace('_', '-')}"
        values: Iterable[object] = value if isinstance(value, (list, tuple)) else (value,)
        for one in values:
            if one is True:
                parts.append(option)
            elif one is not None and one is not False and one != "":
                parts += [option, _word(one)]
    return shlex.join(parts)


def _word(value: object) -> str:
    """Return one word of a command; a path that begins with a hyphen must not look like an option."""
    text = str(value)
    return f"./{text}" if isinstance(value, Path) and text.startswith("-") else text


def suggest(*words: object, **options: object) -> None:
    """Print the next sensible command; see `command_line`."""
    suggest_line(command_line(*words, **options))


def suggest_line(command: str) -> None:
    """Print a next command that is quoted already."""
    typer.echo(f"\nNext: {command}")


def offer(purpose: str, *words: object, **options: object) -> None:
    """Print a command in which the reader must fill in the words in capitals, and what it is for."""
    typer.echo(f"\n{purpose}, fill in the words in capitals: {command_line(*words, **options)}")


def unless(default: object, value: object) -> object:
    """Return an option's value, or None (which leaves the option out) where it is the default."""
    return None if value == default else value


def unused(name: str) -> Path:
    """Return a folder for a result: `name`, or with a number behind it where that is taken.

    A folder that holds another result would be refused.
    """
    folder, number = Path(name), 1
    while folder.exists():
        number += 1
        folder = Path(f"{name}-{number}")
    return folder


def shortened(paths: Sequence[str]) -> list[str]:
    """Return the paths, or one pattern in their place if they are all that it matches.

    A shell that expanded stories/*.txt hands over a thousand names; nobody wants to paste those.
    """
    if len(paths) > _FEW_PATHS:
        first = Path(paths[0])
        pattern = str(Path(glob.escape(str(first.parent))) / f"*{first.suffix}")
        if first.suffix and set(glob.glob(pattern)) == set(map(str, map(Path, paths))):  # noqa: PTH207
            return [pattern]
    return list(paths)
