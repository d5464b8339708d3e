"""Files of an artefact are compared with its manifest before they are used."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from lilliput.core.artefacts.damage import BUILDING, MANIFEST, STUDY_RECIPE, damaged
from lilliput.core.artefacts.manifest import (
    Manifest,
    file_stamp,
    is_artefact,
    parse_manifest,
    read_manifest,
)
from lilliput.core.errors import ArtefactError
from lilliput.core.files import path_within, read_json
from lilliput.core.hashing import file_hash

# Read and hashed in a few milliseconds: such files are compared by content at each use, larger ones by size.
_CHEAP_BYTES = 16 << 20


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
    if (every_byte or size <= _CHEAP_BYTES) and _hash_once(path, *file_stamp(path)) != entry[
        "hash"
    ]:
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
    """Return the nearest finished artefact that `path` lies in, and its manifest."""
    for folder in path.absolute().parents:
        if (folder / BUILDING).is_file():
            return None
        if (folder / MANIFEST).is_file():
            return folder, parse_manifest(folder / MANIFEST)
    return None
