"""A damaged file of an artefact is refused with the command that makes the artefact again."""

from __future__ import annotations

import shlex
from pathlib import Path

from lilliput.core.errors import ArtefactError, InputError
from lilliput.core.files import read_json

MANIFEST = "manifest.json"
BUILDING = "building.json"
STUDY_RECIPE = "study.json"
MARKS = {MANIFEST, BUILDING}


def damaged(path: Path, got: object) -> ArtefactError:
    """Return the error for a file of ours that is not as it was written: what is wrong, and what makes it again."""
    return ArtefactError(f"{path} must be as it was written", got=got, remedy=_remedy(path))


# The command that makes each kind of artefact where it stands alone.
_MAKERS = {
    "vocabulary": "lilliput vocabulary build",
    "corpus": "lilliput corpus build",
    "tokenizer": "lilliput tokenizer train",
    "comparison": "lilliput tokenizer compare",
    "tokens": "lilliput tokenizer encode",
    "run": "lilliput train",
    "evaluation": "lilliput evaluate",
    "export": "lilliput export",
}


def _remedy(path: Path) -> str:
    """Say what to delete, and the command that then makes it again."""
    home = path.absolute()
    study = next((f for f in home.parents if (f / STUDY_RECIPE).is_file()), None)
    if study is None:
        folder = _artefact_around(path)
        return f"Delete {_quoted(folder)} and run again the command that made it{_maker(folder)}."
    doomed = path if path.parent.absolute() == study else _artefact_around(path)
    recipe = (
        "RECIPE" if path.name == STUDY_RECIPE else _quoted(_as_given(study, path) / STUDY_RECIPE)
    )
    return (
        f"Delete {_quoted(doomed)}, then make it again with: "
        f"lilliput study run {recipe} --out {_quoted(_as_given(study, path))}"
    )


def _as_given(folder: Path, path: Path) -> Path:
    """Return `folder`, which is above `path`, written as `path` is: relative where that is."""
    up = len(path.absolute().relative_to(folder).parts)
    return path.parents[up - 1] if up <= len(path.parents) else folder


def _artefact_around(path: Path) -> Path:
    """Return the nearest folder around `path` that is an artefact, done or half done; else its own folder."""
    for folder in path.parents:
        if any((folder / name).is_file() for name in MARKS):
            return folder
    return path.parent


def _maker(folder: Path) -> str:
    for name in MARKS:
        try:
            command = _MAKERS[read_json(folder / name)["kind"]]
        except (ArtefactError, InputError, KeyError, TypeError):
            continue
        return f" ({command})"
    return ""


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
