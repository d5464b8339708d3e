"""The runs of a study, read from their folders: list, show, compare."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lilliput.core.artefacts import is_artefact
from lilliput.core.errors import InputError
from lilliput.core.reader import MetricsLine, RunFile, read_record, read_records
from lilliput.core.settings import parse_settings
from lilliput.study.store.failures import FAILURE
from lilliput.study.store.layout import StudyLayout
from lilliput.training.switches import Switches

RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """Holds one run, as it is recorded in its folder.

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
        """Return what people call it."""
        return str(self.info.get("name", self.run_id))

    @property
    def model(self) -> Mapping[str, Any]:
        """Return the resolved shape and switches of the run's model."""
        return self.config["model"]

    @property
    def switches(self) -> Switches:
        """The behaviours that it was trained under, and that its scores follow."""
        return parse_settings(Switches, self.config["training"]["switches"], str(self.folder))

    def metrics(self) -> list[dict[str, Any]]:
        """Return the run's evaluation points so far, in order."""
        return read_records(self.folder / "metrics.jsonl", MetricsLine)

    def as_record(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "run_id": self.run_id,
            "state": self.state,
            **self.info,
            **self.result,
            **({"error": dict(self.failure)} if self.failure else {}),
        }


def read_runs(study: Path) -> list[RunRecord]:
    """Return all runs in a study folder, or in a folder of runs, by name; every folder is opened.

    Raises:
        InputError: The folder is not there.
    """
    folders = sorted(p.parent for p in runs_folder(study).glob(f"*/{RUN_FILE}"))
    return sorted(map(read_run, folders), key=lambda run: run.name)


def runs_folder(study: Path) -> Path:
    """Return where the runs of a study lie: `runs` in it, or the folder itself.

    Raises:
        InputError: The folder is not there.
    """
    if not study.is_dir():
        raise InputError("the study folder must exist", got=study, remedy="Check the path.")
    inside = StudyLayout(study).runs
    return inside if inside.is_dir() else study


def read_run(folder: Path) -> RunRecord:
    """Return the run in `folder`.

    Raises:
        InputError: No run is there.
    """
    record = read_record(folder / RUN_FILE, RunFile)
    done = is_artefact(folder)
    failed = not done and (folder / FAILURE).exists()
    return RunRecord(
        run_id=folder.name,
        state="done" if done else "failed" if failed else "started",
        info=record.get("info", {}),
        config=record["config"],
        result=read_record(folder / "result.json") if done else {},
        failure=read_record(folder / FAILURE, dict[str, str]) if failed else {},
        folder=folder,
    )


def diff_runs(one: RunRecord, other: RunRecord) -> dict[str, tuple[Any, Any]]:
    """Return dotted key to both values, wherever configuration or result differ."""
    left, right = dict(flatten(_whole(one))), dict(flatten(_whole(other)))
    return {
        key: (left.get(key), right.get(key))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    }


def _whole(run: RunRecord) -> dict[str, Any]:
    return {"config": run.config, "info": run.info, "result": run.result}


def flatten(value: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of everything in nested tables."""
    if isinstance(value, Mapping):
        for key, inner in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from flatten(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
