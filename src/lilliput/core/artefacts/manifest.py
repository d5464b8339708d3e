"""A manifest says what an artefact is; it is read, checked as a whole, and sealed when it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from lilliput.core.artefacts.damage import BUILDING, MANIFEST, damaged
from lilliput.core.errors import ArtefactError, InputError
from lilliput.core.files import read_json, write_json
from lilliput.core.hashing import content_id


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
    manifest = parse_manifest(folder / MANIFEST)
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


def parse_manifest(path: Path) -> Manifest:
    """Return the manifest in `path`, read once as long as the file stays the same."""
    return _parse_once(path, *file_stamp(path))


def file_stamp(path: Path) -> tuple[int, int, int]:
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
    """Return a hash of all that a manifest says, kept in it: a changed digit is found like a changed file."""
    return content_id(json.loads(json.dumps(record)))


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record of a manifest with its seal."""
    plain = {key: value for key, value in record.items() if key != "seal"}
    return plain | {"seal": _seal(plain)}


def rewrite_manifest(folder: Path, files: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Give the artefact in `folder` other files and facts; its id, which rests on neither, stays."""
    read_manifest(folder)
    record = read_json(folder / MANIFEST)
    write_json(folder / MANIFEST, sealed(record | {"files": dict(files), "facts": dict(facts)}))
