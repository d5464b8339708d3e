"""Artefacts: folders whose `manifest.json`, written last, says what they are and what they hold.

No manifest, no artefact. The **id** is a hash of the kind, its schema, the settings that affect the
result and the ids of the inputs; everything else (counts, versions, wall time, machine) stands beside
it. A folder under construction carries its id in `building.json`, so that an interrupted build goes on
and a folder that holds something else is left alone. A kill at any moment leaves one of the two.
"""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lilliput.core.errors import ArtefactError, InputError, OccupiedFolderError
from lilliput.core.files import (
    is_temporary,
    path_within,
    read_json,
    remove_folder,
    remove_partial,
    write_json,
)
from lilliput.core.hashing import content_id, file_hash

MANIFEST = "manifest.json"
BUILDING = "building.json"
_UNHASHED = {MANIFEST, BUILDING}


@dataclass(frozen=True)
class Manifest:
    """A description of an artefact and of the files it holds.

    Attributes:
        kind: "corpus", "tokenizer", "tokens", "run", …
        schema: Version of the layout of this kind.
        id: Hash of kind, schema, settings and inputs.
        settings: The settings that affect the result.
        inputs: Name of each input to its id (its content hash for trained tokenizers).
        files: Relative path to `{"hash": XXH3-128, "bytes": size}`.
        facts: Counts and measurements; not part of the id.
        environment: Versions, machine, wall time in seconds; not part of the id.
    """

    kind: str
    schema: int
    id: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def content(self) -> str:
        """Return a hash of the files' names and bytes: equal content, equal name."""
        return content_id({name: entry["hash"] for name, entry in self.files.items()})


def artefact_id(
    kind: str, schema: int, settings: Mapping[str, Any], inputs: Mapping[str, str]
) -> str:
    """Return the id that an artefact with these settings and inputs has, before or after it is built."""
    return content_id(
        {"kind": kind, "schema": schema, "settings": dict(settings), "inputs": dict(inputs)}
    )


def is_artefact(folder: Path) -> bool:
    """Return whether a finished artefact lies in `folder`."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path, kind: str | None = None, schema: int | None = None) -> Manifest:
    """Return the manifest of the artefact in `folder`.

    Raises:
        InputError: No finished artefact is there.
        ArtefactError: It is of another kind or schema than asked.
    """
    if not is_artefact(folder):
        state = "an unfinished build" if (folder / BUILDING).exists() else "no manifest.json"
        raise InputError(
            f"{folder} must hold a finished {kind or 'artefact'}",
            got=state,
            remedy="Run the command that makes it, or check the path.",
        )
    manifest = _parse_manifest(folder / MANIFEST)
    if kind is not None and manifest.kind != kind:
        raise ArtefactError(f"{folder} must hold a {kind}", got=f"a {manifest.kind}")
    if schema is not None and manifest.schema != schema:
        raise ArtefactError(
            f"{folder} must be of schema {schema}",
            got=f"schema {manifest.schema}",
            remedy="Make it again with this version of lilliput.",
        )
    return manifest


def _parse_manifest(path: Path) -> Manifest:
    record = read_json(path)
    try:
        return Manifest(**record)
    except TypeError as error:
        raise ArtefactError(f"{path} must be a manifest", got=error) from None


class Build:
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
        mark = self.folder / BUILDING
        # Over the mark first: with two files, a kill between the new one and the old one's end would leave both.
        write_json(mark, manifest | {"files": entries})
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
) -> Generator[Build]:
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
    claim_folder(folder, identity, kind)
    started = time.monotonic() if started is None else started
    build = Build(folder, identity)
    yield build
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
    """Mark `folder`, which holds what `identity` grows out of, as the place where that is being built.

    A folder that holds no artefact, done or half done, is left alone.
    """
    if is_artefact(folder) or (folder / BUILDING).is_file():
        write_json(folder / BUILDING, {"kind": kind, "id": identity})
        (folder / MANIFEST).unlink(missing_ok=True)


def folder_holds(folder: Path) -> str | None:
    """Return the id of what lies or is being built in `folder`; None when it is empty or absent."""
    for name in (MANIFEST, BUILDING):
        if (folder / name).is_file():
            return str(read_json(folder / name)["id"])
    # A process killed while it wrote its mark leaves a temporary file, and nothing else.
    if folder.is_dir() and not all(map(is_temporary, folder.iterdir())):
        return "files that lilliput did not make"
    if folder.exists() and not folder.is_dir():
        return "a file, not a folder"
    return None


def _file_entries(folder: Path, scratch: set[Path]) -> dict[str, dict[str, Any]]:
    """Return the hash and the size of every file, but for those in `scratch` and in artefacts further down."""
    entries: dict[str, dict[str, Any]] = {}
    apart = {path.parent for path in folder.rglob(MANIFEST)} - {folder} | scratch
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.name in _UNHASHED:
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
        "lilliput": version("lilliput"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "executable": Path(sys.executable).name,
    }


@dataclass(frozen=True)
class Verification:
    """The number of files that were checked, and one sentence for each that does not match."""

    checked: int
    mismatches: tuple[str, ...]


def verify(folder: Path) -> Verification:
    """Recompute the hash of every file of every artefact at or below `folder`.

    Raises:
        InputError: No artefact is there.
    """
    manifests = sorted(folder.rglob(MANIFEST)) if folder.is_dir() else []
    if not manifests:
        raise InputError("the folder must hold at least one artefact", got=folder)
    checked = 0
    mismatches: list[str] = []
    for path in manifests:
        manifest = _parse_manifest(path)
        for name, entry in manifest.files.items():
            checked += 1
            fault = _fault(path_within(path.parent, name), str(entry["hash"]))
            if fault:
                mismatches.append(f"{(path.parent / name).relative_to(folder)}: {fault}")
        expected = artefact_id(manifest.kind, manifest.schema, manifest.settings, manifest.inputs)
        if expected != manifest.id:
            mismatches.append(
                f"{path.relative_to(folder)}: the id does not follow from the settings"
            )
    return Verification(checked, tuple(mismatches))


def _fault(path: Path, expected: str) -> str | None:
    if not path.is_file():
        return "the file is missing"
    found = file_hash(path)
    return None if found == expected else f"hash {found}, manifest says {expected}"
