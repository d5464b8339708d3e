"""`verify`: every file of every artefact that must be there, compared byte by byte with its manifest.

What must be there is known from the manifests: an artefact lists its own files, and one with others inside
it (a study) lists those. What cannot be read does not pass for what is whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lilliput.core.artefacts import (
    BUILDING,
    MANIFEST,
    STUDY_RECIPE,
    Manifest,
    is_artefact,
    read_manifest,
)
from lilliput.core.errors import InputError, LilliputError
from lilliput.core.files import path_within
from lilliput.core.hashing import file_hash


@dataclass(frozen=True)
class Verification:
    """Count the files that were checked, and say what does not match and what was not finished."""

    checked: int
    mismatches: tuple[str, ...]
    unfinished: tuple[str, ...] = ()


def verify(folder: Path) -> Verification:
    """Recompute the hash of every file of every artefact at or below `folder`.

    Raises:
        InputError: No artefact is there.
    """
    checker = _Checker(folder)
    checker.walk()
    if not (checker.manifests or checker.mismatches or checker.unfinished):
        raise InputError("the folder must hold at least one artefact", got=folder)
    for place in list(checker.manifests):
        checker.check(place)
    checker.look_for_parts_from_above()
    return Verification(
        checker.checked, tuple(checker.mismatches), tuple(sorted(checker.unfinished))
    )


class _Checker:
    """Hold the state of one verification."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checked = 0
        self.manifests: dict[Path, None] = {}
        self.mismatches: list[str] = []
        self.unfinished: set[str] = set()
        self._seen: set[Path] = set()
        self._missing: set[Path] = set()

    def walk(self) -> None:
        """Find the manifests and the half-done builds; note what may not be read."""
        for parent, names, files in os.walk(self.folder, onerror=self._note_unreadable):
            names.sort()
            place = Path(parent)
            if BUILDING in files:
                self.unfinished.add(f"{self._name(place)}: it is still being built")
            elif MANIFEST in files:
                self.manifests[place] = None
            elif STUDY_RECIPE in files:
                self._note(
                    place / MANIFEST,
                    "the file is missing, so that nothing says what the study holds",
                )

    def _note_unreadable(self, error: OSError) -> None:
        if error.filename is not None and Path(error.filename) != self.folder:
            self._note(Path(error.filename), f"the folder cannot be read: {error.strerror}")
        elif self.folder.exists():
            self._note(self.folder, f"the folder cannot be read: {error.strerror}")

    def check(self, place: Path) -> None:
        """Compare the files of one artefact, and look for those that lie inside it."""
        resolved = place.resolve()
        if resolved in self._seen:
            return
        self._seen.add(resolved)
        try:
            manifest = read_manifest(place)
        except LilliputError as error:
            self._note(place / MANIFEST, error.got or error.rule)
            return
        for name, entry in manifest.files.items():
            self.checked += 1
            fault = _fault(place, name, str(entry["hash"]))
            if fault:
                self._note(place / name, fault)
        for name, identity in manifest.parts.items():
            self._check_part(place, name, identity)

    def _check_part(self, place: Path, name: str, identity: str) -> None:
        part = place / name
        if not _is_readable_artefact(part):
            if part not in self._missing and not self._is_noted(part):
                self._missing.add(part)
                self._note(part, _absence(part))
            return
        try:
            found = read_manifest(part).id
        except LilliputError:
            found = identity  # `check` says what is wrong with it.
        if found != identity:
            self._note(part, f"it holds {found}, and {identity} belongs there")
        self.check(part)

    def look_for_parts_from_above(self) -> None:
        """Compare a folder inside a study with what the study says must lie there."""
        here = self.folder.absolute()
        for above in here.parents:
            for name, identity in _parts_of(above):
                if (above / name).is_relative_to(here):
                    inside = (above / name).relative_to(here)
                    self._check_part(self.folder, inside.as_posix(), identity)

    def _is_noted(self, part: Path) -> bool:
        """Return whether a sentence about the folder, or about one that it lies in, was written already."""
        around = (one for one in (part, *part.parents) if one.is_relative_to(self.folder))
        names = {self._name(one) for one in around}
        return any(text.split(": ", 1)[0] in names for text in self.mismatches)

    def _note(self, path: Path, fault: str) -> None:
        self.mismatches.append(f"{self._name(path)}: {fault}")

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.folder))


def _parts_of(folder: Path) -> Iterator[tuple[str, str]]:
    if is_artefact(folder):
        try:
            manifest: Manifest = read_manifest(folder)
        except LilliputError:
            return
        yield from manifest.parts.items()


def _is_readable_artefact(folder: Path) -> bool:
    try:
        return is_artefact(folder)
    except OSError:
        return False


def _absence(folder: Path) -> str:
    try:
        there = folder.is_dir() and any(folder.iterdir())
    except OSError as error:
        return f"the folder cannot be read: {error.strerror}"
    return "the manifest is missing" if there else "the artefact is missing"


def _fault(place: Path, name: str, expected: str) -> str | None:
    try:
        path = path_within(place, name)
        if not path.is_file():
            return "the file is missing"
        found = file_hash(path)
    except OSError as error:
        return f"the file cannot be read: {error.strerror}"
    except LilliputError as error:
        return str(error)
    return None if found == expected else f"hash {found}, manifest says {expected}"
