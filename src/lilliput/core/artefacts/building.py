"""Artefacts are built under a mark; the manifest takes the place of the mark when all files are there."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lilliput import __version__
from lilliput.core.artefacts.damage import BUILDING, MANIFEST, MARKS, damaged
from lilliput.core.artefacts.manifest import (
    artefact_id,
    is_artefact,
    parse_manifest,
    read_manifest,
    sealed,
)
from lilliput.core.errors import ArtefactError, OccupiedFolderError
from lilliput.core.files import (
    is_temporary,
    path_within,
    read_json,
    remove_folder,
    remove_partial,
    write_json,
)
from lilliput.core.hashing import file_hash


class ArtefactBuild:
    """An artefact under construction; `path` names its files, `facts` collects its counts."""

    def __init__(self, folder: Path, artefact: str) -> None:
        self.folder = folder
        self.id = artefact
        self.facts: dict[str, Any] = {}
        self._scratch: set[Path] = set()

    def path(self, relative: str) -> Path:
        """Return a path inside the artefact, after its parent folder was made."""
        path = path_within(self.folder, relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def scratch(self, name: str) -> Path:
        """Return a folder for half-done work, which is no part of the artefact and gone when its manifest is there."""
        folder = path_within(self.folder, name)
        folder.mkdir(parents=True, exist_ok=True)
        self._scratch.add(folder)
        return folder

    def finish(self, manifest: dict[str, Any]) -> None:
        """Give `manifest` the list of files, and put it in the place of the mark."""
        remove_partial(self.folder)
        entries = _file_entries(self.folder, self._scratch)
        parts = _parts(self.folder, self._scratch)
        mark = self.folder / BUILDING
        # Over the mark first: with two files, a kill between the new one and the old one's end would leave both.
        write_json(mark, sealed(manifest | {"files": entries, "parts": parts}))
        for scratch in self._scratch:
            remove_folder(scratch)
        mark.replace(self.folder / MANIFEST)


@contextmanager
def building(
    folder: Path,
    kind: str,
    schema: int,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    *,
    started: float | None = None,
) -> Generator[ArtefactBuild]:
    """Build an artefact in `folder`; the manifest is written when the block ends well.

    After an error or a kill the finished files stay, and the same call goes on with them.

    Args:
        folder: Where it shall lie; made when absent.
        kind: What it is.
        schema: Version of its layout.
        settings: The settings that affect the result.
        inputs: Name of each input to its id.
        started: When the work began, by `time.monotonic`, where that was before this block.

    Raises:
        OccupiedFolderError: The folder holds another artefact, or another half-done build.
    """
    folder = folder.resolve()
    inputs = dict(inputs or {})
    identity = artefact_id(kind, schema, settings, inputs)
    fresh = [one for one in (folder, *folder.parents) if not one.exists()]
    claim_folder(folder, identity, kind)
    started = time.monotonic() if started is None else started
    build = ArtefactBuild(folder, identity)
    try:
        yield build
    except BaseException:
        _leave_no_empty_folder(folder, fresh)
        raise
    seconds = round(time.monotonic() - started, 3)
    build.finish(
        {
            "kind": kind,
            "schema": schema,
            "id": identity,
            "settings": dict(settings),
            "inputs": inputs,
            "facts": build.facts,
            "environment": environment() | {"wall_time_s": seconds},
        }
    )


def _leave_no_empty_folder(folder: Path, fresh: Sequence[Path]) -> None:
    """Take away the mark of a build that made nothing, and the folders that were made for it."""
    if any(path.is_file() and path.name != BUILDING for path in folder.rglob("*")):
        return
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    for path in fresh:  # From the inside out; one that holds anything else stays.
        with suppress(OSError):
            path.rmdir()


def claim_folder(folder: Path, identity: str, kind: str) -> None:
    """Mark `folder` as the place where `identity` is being built.

    Raises:
        OccupiedFolderError: It holds another artefact, another half-done build, or unknown files.
    """
    holder = folder_holds(folder)
    if holder == identity:
        return
    if holder is not None:
        raise OccupiedFolderError(
            f"{folder} must be empty or hold this very {kind} ({identity})",
            got=holder,
            remedy="Choose another folder, or delete this one.",
        )
    write_json(folder / BUILDING, {"kind": kind, "id": identity})


def reclaim_folder(folder: Path, identity: str, kind: str) -> None:
    """Mark `folder` as an artefact under construction with the new `identity`, and keep what it holds.

    A folder that holds no artefact, done or half done, is left alone.
    """
    if is_artefact(folder) or (folder / BUILDING).is_file():
        write_json(folder / BUILDING, {"kind": kind, "id": identity})
        (folder / MANIFEST).unlink(missing_ok=True)


def folder_holds(folder: Path) -> str | None:
    """Return the id of what lies or is being built in `folder`; None when it is empty or absent."""
    for name in (MANIFEST, BUILDING):
        if (folder / name).is_file():
            return _id_in(folder / name)
    # A process killed while it wrote its mark leaves a temporary file, and nothing else.
    if folder.is_dir() and not all(map(is_temporary, folder.iterdir())):
        return "files that lilliput did not make"
    if folder.exists() and not folder.is_dir():
        return "a file, not a folder"
    return None


def _id_in(path: Path) -> str:
    """Return the id in a manifest or a mark."""
    if path.name == MANIFEST:
        return parse_manifest(path).id
    try:
        record = read_json(path)
    except ArtefactError as error:
        raise damaged(path, error.got) from None
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise damaged(path, "a mark without an id")
    return record["id"]


def _parts(folder: Path, scratch: set[Path]) -> dict[str, str]:
    """Return the artefacts further down, but for those in `scratch`, with their ids."""
    inner = sorted({path.parent for path in folder.rglob(MANIFEST)} - {folder})
    return {
        path.relative_to(folder).as_posix(): read_manifest(path).id
        for path in inner
        if scratch.isdisjoint((path, *path.parents))
    }


def _file_entries(folder: Path, scratch: set[Path]) -> dict[str, dict[str, Any]]:
    """Return the hash and the size of every file, but for those in `scratch` and in artefacts further down."""
    entries: dict[str, dict[str, Any]] = {}
    apart = {path.parent for path in folder.rglob(MANIFEST)} - {folder} | scratch
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.name in MARKS:
            continue
        if path.name.startswith("."):  # Locks and what desktops leave behind are not content.
            continue
        if not apart.isdisjoint(path.parents):
            continue
        name = path.relative_to(folder).as_posix()
        entries[name] = {"hash": file_hash(path), "bytes": path.stat().st_size}
    return entries


def environment() -> dict[str, str]:
    """Return the versions and the machine, for the record beside an id."""
    return {
        "lilliput": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "executable": Path(sys.executable).name,
    }
