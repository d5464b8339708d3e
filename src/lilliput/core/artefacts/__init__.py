"""Artefacts are folders whose `manifest.json`, written last, says what they are and what they hold.

No manifest, no artefact. The **id** is a hash of the kind, its schema, the settings that affect the
result and the ids of the inputs; everything else (counts, versions, wall time, machine) stands beside
it. A folder under construction carries its id in `building.json`, so that an interrupted build goes on
and a folder that holds something else is left alone. A kill at any moment leaves one of the two.
"""

from __future__ import annotations

from lilliput.core.artefacts.building import (
    ArtefactBuild,
    building,
    claim_folder,
    folder_holds,
    reclaim_folder,
)
from lilliput.core.artefacts.damage import BUILDING, MANIFEST, STUDY_RECIPE, damaged
from lilliput.core.artefacts.integrity import (
    read_recorded_settings,
    require_parts,
    whole,
    whole_files,
)
from lilliput.core.artefacts.manifest import (
    Manifest,
    artefact_id,
    is_artefact,
    read_manifest,
    rewrite_manifest,
)

__all__ = [
    "BUILDING",
    "MANIFEST",
    "STUDY_RECIPE",
    "ArtefactBuild",
    "Manifest",
    "artefact_id",
    "building",
    "claim_folder",
    "damaged",
    "folder_holds",
    "is_artefact",
    "read_manifest",
    "read_recorded_settings",
    "reclaim_folder",
    "require_parts",
    "rewrite_manifest",
    "whole",
    "whole_files",
]
