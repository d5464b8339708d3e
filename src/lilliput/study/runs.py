"""The runs of a study, read from their folders: list, show, compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact
from lilliput.core.errors import InputError
from lilliput.core.files import read_json, read_json_lines
from lilliput.study.layout import StudyLayout

FAILURE = "failure.json"


@dataclass(frozen=True)
class RunRecord:
    """One run as its folder tells it.

    Attributes:
        run_id: Name of the folder.
        state: "done", "failed" or "started".
        info: Name, language, profile, family, shape.
        config: The resolved configuration.
        result: Final numbers; empty until done.
        failure: The error record of a failed run.
        folder: Where it lies.
    """

    run_id: str
    state: str
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    result: Mapping[str, Any]
    failure: Mapping[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.info.get("name", self.run_id))

    @property
    def model(self) -> Mapping[str, Any]:
        """The resolved shape and switches of its model."""
        return self.config["model"]

    def metrics(self) -> list[dict[str, Any]]:
        """Its evaluation points so far, in order."""
        return read_json_lines(self.folder / "metrics.jsonl")

    def as_record(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "run_id": self.run_id,
            "state": self.state,
            **self.info,
            **self.result,
            **({"error": dict(self.failure)} if self.failure else {}),
        }


def read_runs(study: Path) -> list[RunRecord]:
    """All runs in a study folder, or in a folder of runs, by name.

    Raises:
        InputError: The folder is not there.
    """
    if not study.is_dir():
        raise InputError("the study folder must exist", got=study, remedy="Check the path.")
    runs = StudyLayout(study).runs
    folders = sorted(p.parent for p in (runs if runs.is_dir() else study).glob("*/run.json"))
    return sorted(map(read_run, folders), key=lambda run: run.name)


def read_run(folder: Path) -> RunRecord:
    """The run in `folder`.

    Raises:
        InputError: No run is there.
    """
    record = read_json(folder / "run.json")
    done = is_artefact(folder)
    failed = not done and (folder / FAILURE).exists()
    return RunRecord(
        run_id=folder.name,
        state="done" if done else "failed" if failed else "started",
        info=record.get("info", {}),
        config=record["config"],
        result=read_json(folder / "result.json") if done else {},
        failure=read_json(folder / FAILURE) if failed else {},
        folder=folder,
    )


def find_run(study: Path, name: str) -> RunRecord:
    """The run whose id begins with `name`, or that is called so.

    Raises:
        InputError: None or several match.
    """
    matches = [r for r in read_runs(study) if r.run_id.startswith(name) or r.name == name]
    if len(matches) != 1:
        raise InputError(
            "the run must be one of the study's",
            got=f"{name!r}, which matches {len(matches)} runs",
            remedy="List them with: lilliput runs ls STUDY",
        )
    return matches[0]


def diff_runs(one: RunRecord, other: RunRecord) -> dict[str, tuple[Any, Any]]:
    """Dotted key to both values, wherever configuration or result differ."""
    left, right = dict(_flatten(_whole(one))), dict(_flatten(_whole(other)))
    return {
        key: (left.get(key), right.get(key))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    }


def _whole(run: RunRecord) -> dict[str, Any]:
    return {"config": run.config, "info": run.info, "result": run.result}


def _flatten(value: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from _flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
