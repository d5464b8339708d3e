"""Checkpoints: folders of safetensors and one JSON file, whole or not there, checked when read.

checkpoints/initial/       weights at step 0
checkpoints/final/         weights at the end
checkpoints/step-1000/     weights asked for by `save_steps`
checkpoints/resume-1234/   weights, optimizer and counters, while the run goes on
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lilliput.core.artefacts import damaged
from lilliput.core.errors import InputError, LilliputError
from lilliput.core.files import (
    path_within,
    remove_partial,
    temporary_beside,
    write_json,
    writing,
)
from lilliput.core.hashing import file_hash
from lilliput.core.reader import CheckpointState, damage_of, read_record

WEIGHTS = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
_RESUME = "resume-"


@dataclass(frozen=True)
class Checkpoint:
    """Hold what a run needs to go on.

    Attributes:
        step: Steps done.
        weights: Names to tensors.
        optimizer: Flat moments; empty for a checkpoint of weights alone.
        state: Counters as plain data.
    """

    step: int
    weights: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint` to `folder`, which appears whole or not at all.

    Raises:
        DiskFullError: The disk is full, or the place may not be written.
    """
    temporary = temporary_beside(folder)
    with writing(folder):
        try:
            temporary.mkdir(parents=True)
            _write_files(temporary, checkpoint)
            shutil.rmtree(folder, ignore_errors=True)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _write_files(folder: Path, checkpoint: Checkpoint) -> None:
    hashes: dict[str, str] = {}
    for name, tensors in ((WEIGHTS, checkpoint.weights), (OPTIMIZER, checkpoint.optimizer)):
        if tensors:
            _save_tensors(folder / name, tensors)
            hashes[name] = file_hash(folder / name)
    record = {"step": checkpoint.step, "hashes": hashes, "state": dict(checkpoint.state)}
    write_json(folder / STATE, record)


def _save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save

    # Through Python's own file, so that a full disk is the OSError that `writing` explains.
    with path.open("wb") as file:
        file.write(
            save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
        )
        file.flush()
        os.fsync(file.fileno())


def read_checkpoint(folder: Path) -> Checkpoint:
    """Return the checkpoint in `folder`.

    Raises:
        InputError: There is none.
        ArtefactError: A file is missing, cut short or changed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not (folder / STATE).is_file():
        raise InputError("the checkpoint must exist", got=folder, remedy=_existing(folder.parent))
    record = read_record(folder / STATE, CheckpointState)
    for name, expected in record["hashes"].items():
        path = path_within(folder, name)
        if not path.is_file() or file_hash(path) != expected:
            found = "a file that does not match its checksum" if path.is_file() else "no file"
            raise damaged(path, found)
    if WEIGHTS not in record["hashes"]:
        raise damaged(folder / STATE, f"no {WEIGHTS} among its files")
    tensors: dict[str, dict[str, Tensor]] = {}
    for name in record["hashes"]:
        with damage_of(folder / name, SafetensorError, ValueError, KeyError):
            tensors[name] = load_file(folder / name)
    return Checkpoint(
        int(record["step"]), tensors[WEIGHTS], tensors.get(OPTIMIZER, {}), record["state"]
    )


def _existing(folder: Path) -> str:
    names = sorted(path.name for path in folder.glob("*")) if folder.is_dir() else []
    return f"There are: {', '.join(names)}." if names else "Train the run first."


def write_resume_point(folder: Path, checkpoint: Checkpoint, keep: int) -> None:
    """Write a checkpoint to resume from, and delete all but the newest `keep` of them."""
    write_checkpoint(folder / f"{_RESUME}{checkpoint.step}", checkpoint)
    for path in _resume_points(folder)[keep:]:
        shutil.rmtree(path, ignore_errors=True)


def newest_resume_point(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest whole checkpoint to resume from, and a sentence about each damaged one passed over."""
    faults: list[str] = []
    for path in _resume_points(folder):
        try:
            return read_checkpoint(path), faults
        except LilliputError as error:
            faults.append(str(error))
            shutil.rmtree(path, ignore_errors=True)
    return None, faults


def remove_resume_points(folder: Path) -> None:
    """Delete what only an unfinished run needs."""
    for path in _resume_points(folder):
        shutil.rmtree(path, ignore_errors=True)
    remove_partial(folder)


def _resume_points(folder: Path) -> list[Path]:
    """Return newest first."""
    found = [p for p in folder.glob(f"{_RESUME}*") if p.name.removeprefix(_RESUME).isdigit()]
    return sorted(found, key=lambda path: -int(path.name.removeprefix(_RESUME)))
