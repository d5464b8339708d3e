"""Prune checkpoints of finished runs that nobody needs any more.

A finished run keeps the weights it began with and those it ended with, and what `save_steps` and branches
asked for. Curves and results are never touched, nor is an unfinished run, which needs what it has to go on.
The manifest forgets the files first, so that a kill in between leaves a run that still verifies.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact, read_manifest, rewrite_manifest
from lilliput.core.errors import ConfigurationError
from lilliput.study.store.index import run_index
from lilliput.study.store.runs import runs_folder
from lilliput.study.store.selection import select_runs

# In the order in which a quota takes them: scoring needs the first and the last weights, a report none.
CHECKPOINT_KINDS = ("resume", "state", "step", "initial", "final")
_FOLDER = "checkpoints"


@dataclass(frozen=True)
class StoredCheckpoint:
    """One checkpoint of a finished run.

    Attributes:
        run: Folder of the run.
        name: Of its folder: "final", "initial", "step-N", "state-N", "resume-N".
        size_bytes: Of all its files.
    """

    run: Path
    name: str
    size_bytes: int

    @property
    def kind(self) -> str:
        """Return the name of the checkpoint without its step."""
        return self.name.split("-", 1)[0]


@dataclass(frozen=True)
class Pruning:
    """Names what was deleted, or would be.

    Attributes:
        deleted: The checkpoints.
        freed_bytes: Their size together.
        left_bytes: Size of the checkpoints of finished runs that stay.
    """

    deleted: tuple[StoredCheckpoint, ...]
    freed_bytes: int
    left_bytes: int

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON; `runs` are the ids of those that lost something."""
        return {
            "runs": sorted({checkpoint.run.name for checkpoint in self.deleted}),
            "checkpoints": len(self.deleted),
            "freed_bytes": self.freed_bytes,
            "left_bytes": self.left_bytes,
        }


def prune_runs(
    study: Path,
    *,
    keep: Collection[str] = ("initial", "final"),
    quota_bytes: int | None = None,
    where: Sequence[str] = (),
    is_rehearsal: bool = False,
) -> Pruning:
    """Delete checkpoints of finished runs; identities, curves and results stay.

    Args:
        study: Folder of a study, or of runs.
        keep: Kinds that stay: among "initial", "final", "step", "state", "resume".
        quota_bytes: Delete more, least useful kind and largest first, until what is left takes no more
            than this.
        where: Conditions of `select_runs`; other runs are not touched and do not count to the quota.
        is_rehearsal: Say what would be deleted, and delete nothing.

    Raises:
        InputError: The folder is not there.
        ConfigurationError: A kind or a condition is not known.
    """
    unknown = sorted(set(keep) - set(CHECKPOINT_KINDS))
    if unknown:
        raise ConfigurationError(
            "kinds of checkpoints to keep must be known", got=unknown[0],
            remedy=f"Use any of: {', '.join(CHECKPOINT_KINDS)}; or none.",
        )  # fmt: skip
    chosen = select_runs(run_index(study), where)["run_id"].to_pylist()
    stored = list(_stored(runs_folder(study) / run_id for run_id in chosen))
    doomed = [one for one in stored if one.kind not in keep]
    spared = [one for one in stored if one.kind in keep]
    if quota_bytes is not None:
        excess = sum(one.size_bytes for one in spared) - quota_bytes
        doomed += _least_useful(spared, excess)
    if not is_rehearsal:
        _delete(doomed)
    freed = sum(one.size_bytes for one in doomed)
    return Pruning(tuple(doomed), freed, sum(one.size_bytes for one in stored) - freed)


def _stored(runs: Iterable[Path]) -> Iterable[StoredCheckpoint]:
    for run in runs:
        if not is_artefact(run) or not (run / _FOLDER).is_dir():
            continue
        for folder in sorted((run / _FOLDER).iterdir()):
            if folder.is_dir() and folder.name.split("-", 1)[0] in CHECKPOINT_KINDS:
                size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                yield StoredCheckpoint(run, folder.name, size)


def _least_useful(spared: Sequence[StoredCheckpoint], excess: int) -> list[StoredCheckpoint]:
    """Return the first checkpoints, by kind and then size, that together free `excess` bytes."""
    ordered = sorted(spared, key=lambda c: (CHECKPOINT_KINDS.index(c.kind), -c.size_bytes, c.run))
    taken: list[StoredCheckpoint] = []
    for checkpoint in ordered:
        if excess <= 0:
            break
        taken.append(checkpoint)
        excess -= checkpoint.size_bytes
    return taken


def _delete(doomed: Sequence[StoredCheckpoint]) -> None:
    for run in sorted({checkpoint.run for checkpoint in doomed}):
        names = [checkpoint.name for checkpoint in doomed if checkpoint.run == run]
        _forget(run, names)
        for name in names:
            shutil.rmtree(run / _FOLDER / name)


def _forget(run: Path, names: Sequence[str]) -> None:
    """Take the files out of the manifest; the id, which does not rest on files, stays."""
    manifest = read_manifest(run)
    prefixes = tuple(f"{_FOLDER}/{name}/" for name in names)
    files = {n: entry for n, entry in manifest.files.items() if not n.startswith(prefixes)}
    pruned = sorted({*manifest.facts.get("pruned", []), *names})
    rewrite_manifest(run, files, dict(manifest.facts) | {"pruned": pruned})
