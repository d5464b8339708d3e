"""The manifests of a study: what was made from what, by which versions, on which machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.analysis.findings.quantities import finite
from lilliput.core.artefacts import MANIFEST, read_manifest


@dataclass(frozen=True)
class Artefact:
    """One manifest: where it lies in the study, its identity, and what stands beside it."""

    place: str
    kind: str
    id: str
    content: str
    wall_time_s: float | None
    environment: Mapping[str, Any]
    inputs: Mapping[str, str]


def read_artefacts(folder: Path) -> tuple[Artefact, ...]:
    """Return every artefact at or below `folder`, by place."""
    return tuple(_read_artefact(folder, path.parent) for path in sorted(folder.rglob(MANIFEST)))


def _read_artefact(study: Path, folder: Path) -> Artefact:
    manifest = read_manifest(folder)
    return Artefact(
        place=folder.relative_to(study).as_posix(),
        kind=manifest.kind,
        id=manifest.id,
        content=manifest.content,
        wall_time_s=finite(manifest.environment.get("wall_time_s")),
        environment=manifest.environment,
        inputs=manifest.inputs,
    )
