"""Artefacts: folders whose `manifest.json`, written last, says what they are and what they hold.

No manifest, no artefact. The **id** is a hash of the kind, its schema, the settings that affect the
result and the ids of the inputs; everything else (counts, versions, wall time, machine) stands beside
it. A folder under construction carries its id in `building.json`, so that an interrupted build goes on
and a folder that holds something else is left alone. A kill at any moment leaves one of the two.
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

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
STUDY_RECIPE = "study.json"
_UNHASHED = {MANIFEST, BUILDING}
# Read and hashed in a few milliseconds: such files are compared by content at each use, larger ones by size.
_CHEAP_BYTES = 16 << 20


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
        parts: Relative folder of each artefact that lies inside this one, to its id.
    """

    kind: str
    schema: int
    id: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    files: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    environment: Mapping[str, Any] = field(default_factory=dict[str, Any])
    parts: Mapping[str, str] = field(default_factory=dict[str, str])

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


class _FileEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    hash: str
    bytes: NonNegativeInt


class _ManifestShape(BaseModel):
    """Describe what a manifest must look like, before anything in it is used."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str
    schema_: int
    id: str
    settings: dict[str, Any]
    inputs: dict[str, str]
    files: dict[str, _FileEntry]
    facts: dict[str, Any]
    environment: dict[str, Any]
    parts: dict[str, str] = {}


def _parse_manifest(path: Path) -> Manifest:
    """The manifest in `path`, read once as long as the file stays the same."""
    return _parse_once(path, *_stamp(path))


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return the facts that change when a file does: its time, size and place on the disk."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


@lru_cache(maxsize=256)
def _parse_once(path: Path, *stamp: int) -> Manifest:
    del stamp
    try:
        record = read_json(path)
    except ArtefactError as error:
        raise damaged(path, error.got) from None
    if not isinstance(record, dict):
        raise damaged(path, f"a {type(record).__name__}, not a table of keys")
    seal = record.pop("seal", None)
    try:
        _ManifestShape.model_validate(
            {("schema_" if k == "schema" else k): v for k, v in record.items()}
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join("schema" if part == "schema_" else str(part) for part in first["loc"])
        raise damaged(path, f"a manifest whose {key} is wrong: {first['msg']}") from None
    manifest = Manifest(**record)
    names = (manifest.kind, manifest.schema, manifest.settings, manifest.inputs)
    if artefact_id(*names) != manifest.id:
        raise damaged(path, "an id that does not follow from the settings")
    # A manifest without one is older than seals are.
    if seal is not None and seal != _seal(record):
        raise damaged(path, "a manifest that was changed after it was written")
    return manifest


def _seal(record: Mapping[str, Any]) -> str:
    """A hash of all that a manifest says, kept in it: a changed digit is found like a changed file."""
    return content_id(json.loads(json.dumps(record)))


def _sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in record.items() if key != "seal"}
    return plain | {"seal": _seal(plain)}


def rewrite_manifest(folder: Path, files: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Give the artefact in `folder` other files and facts; its id, which rests on neither, stays."""
    read_manifest(folder)
    record = read_json(folder / MANIFEST)
    write_json(folder / MANIFEST, _sealed(record | {"files": dict(files), "facts": dict(facts)}))


def whole(path: Path, *, every_byte: bool = False) -> Path:
    """Return `path`, if the file there is what the manifest of its artefact says.

    The size is always compared, and the content of files up to 16 MiB. A file that no manifest lists (of
    an artefact under construction, or one that a user made) is returned as it is.

    Args:
        path: A file that is about to be read.
        every_byte: Compare the content whatever the size, as before hours of training.

    Raises:
        ArtefactError: The file is gone, cut short or changed; the message says how to make it again.
    """
    owner = _owner_of(path)
    if owner is None:
        return path
    folder, manifest = owner
    entry = manifest.files.get(path.absolute().relative_to(folder).as_posix())
    # The page and the recipe of a study are written before its manifest is; who reads them checks them.
    if entry is None or manifest.kind == "study":
        return path
    if not path.is_file():
        raise damaged(path, "no file")
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise damaged(path, f"{size:,} bytes where its manifest says {entry['bytes']:,}")
    if (every_byte or size <= _CHEAP_BYTES) and _hash_once(path, *_stamp(path)) != entry["hash"]:
        raise damaged(path, "content that differs from the hash in its manifest")
    return path


def whole_files(folder: Path, pattern: str) -> list[Path]:
    """Return the files of an artefact that match `pattern`, in order, each of them whole.

    Of a finished artefact these are the files that its manifest lists, so that one that is gone is missed;
    of any other folder those that lie there.

    Raises:
        ArtefactError: One is gone, cut short or changed.
    """
    if not is_artefact(folder):
        return sorted(folder.glob(pattern))
    listed = sorted(n for n in read_manifest(folder).files if PurePosixPath(n).match(pattern))
    return [
        whole(folder / path_within(folder, name).relative_to(folder.resolve())) for name in listed
    ]


def require_parts(folder: Path) -> None:
    """Raise an error if a part that the manifest of `folder` lists is missing.

    Raises:
        ArtefactError: It is gone, or another one lies in its place.
    """
    if not is_artefact(folder) or (folder / BUILDING).is_file():
        return
    for name, identity in read_manifest(folder).parts.items():
        part = path_within(folder, name)
        if not is_artefact(part):
            raise damaged(part / MANIFEST, "no file")
        if (found := read_manifest(part).id) != identity:
            raise damaged(part / MANIFEST, f"{found} where {identity} belongs")


def read_recorded_settings(study: Path) -> dict[str, Any]:
    """Return the resolved recipe that lies in the folder of a study; empty where there is none.

    Raises:
        ArtefactError: It is damaged, or says something else than the manifest of the finished study.
    """
    path = study / STUDY_RECIPE
    if not path.is_file():
        return {}
    try:
        recipe = read_json(path)
    except ArtefactError as error:
        raise damaged(path, error.got) from None
    if not isinstance(recipe, dict):
        raise damaged(path, f"a {type(recipe).__name__}, not a recipe")
    if is_artefact(study) and not (study / BUILDING).is_file():
        for key, value in read_manifest(study).settings.items():
            if recipe.get(key) != value:
                raise damaged(path, f"another {key} than the study was made with")
    return recipe


@lru_cache(maxsize=4096)
def _hash_once(path: Path, *stamp: int) -> str:
    del stamp
    return file_hash(path)


def _owner_of(path: Path) -> tuple[Path, Manifest] | None:
    """The nearest finished artefact that `path` lies in, and its manifest."""
    for folder in path.absolute().parents:
        if (folder / BUILDING).is_file():
            return None
        if (folder / MANIFEST).is_file():
            return folder, _parse_manifest(folder / MANIFEST)
    return None


def damaged(path: Path, got: object) -> ArtefactError:
    """The error for a file of ours that is not as it was written: what is wrong, and what makes it again."""
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
    """`folder`, which is above `path`, in the words of `path`: relative where that is."""
    up = len(path.absolute().relative_to(folder).parts)
    return path.parents[up - 1] if up <= len(path.parents) else folder


def _artefact_around(path: Path) -> Path:
    """The nearest folder around `path` that is an artefact, done or half done; else its own folder."""
    for folder in path.parents:
        if any((folder / name).is_file() for name in _UNHASHED):
            return folder
    return path.parent


def _maker(folder: Path) -> str:
    for name in _UNHASHED:
        try:
            command = _MAKERS[read_json(folder / name)["kind"]]
        except (ArtefactError, InputError, KeyError, TypeError):
            continue
        return f" ({command})"
    return ""


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


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
        write_json(mark, _sealed(manifest | {"files": entries, "parts": parts}))
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
    claim_folder(folder, identity, kind)
    started = time.monotonic() if started is None else started
    build = ArtefactBuild(folder, identity)
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
    """The id in a manifest or a mark."""
    if path.name == MANIFEST:
        return _parse_manifest(path).id
    try:
        record = read_json(path)
    except ArtefactError as error:
        raise damaged(path, error.got) from None
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise damaged(path, "a mark without an id")
    return record["id"]


def _parts(folder: Path, scratch: set[Path]) -> dict[str, str]:
    """The artefacts further down, but for those in `scratch`, with their ids."""
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
