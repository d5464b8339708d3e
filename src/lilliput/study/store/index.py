"""The index of a study's runs: one Parquet file that follows from the run folders and nothing else.

Listing 10,000 runs must not open 10,000 files. The index holds a row a run, with the time its folder last
changed; a run whose folder has not changed since is not opened again, and a file in it cannot appear, vanish
or be replaced without that. Deleting the index costs one slow listing, never a fact.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lilliput.core.artefacts import STUDY_RECIPE
from lilliput.core.errors import DiskFullError, InputError
from lilliput.core.files import atomic_path
from lilliput.study.store.runs import RUN_FILE, RunRecord, flatten, read_run, runs_folder

# Hidden, so that no manifest counts it as content: it changes whenever it is made anew.
INDEX = ".index.parquet"
_CHANGED, _SEEN = "folder_changed_ns", "indexed_ns"
_BOOKKEEPING = (_CHANGED, _SEEN)
_SETTINGS = ("model.", "training.")
_ERROR = "error."
# A folder that changed this shortly before it was read may change again within one tick of the file
# system's clock and look the same; it is read again. So is every folder that looks new after a clock was set back.
_UNSETTLED_NS = 3 * 10**9


def run_index(study: Path) -> Any:
    """Return all runs of a study folder, or of a folder of runs, as an Arrow table: a row each, by name.

    Columns are `run_id`, `state`, `name`, what stands beside the configuration, `seed`, the figures of the
    result, `model.…` and `training.…`, and `error.…` of failed runs.

    Raises:
        InputError: The folder is not there.
    """
    folder = runs_folder(study)
    changed = dict(_changes(folder))
    now = time.time_ns()
    stored = _stored(folder / INDEX)
    known = stored.filter(pa.array(_current(stored, changed, now), pa.bool_()))
    fresh = sorted(changed.keys() - set(known["run_id"].to_pylist()))
    if fresh or known.num_rows < stored.num_rows:
        rows = [_row(read_run(folder / name), changed[name], now) for name in fresh]
        known = _joined(known, _table(rows)).sort_by("name")
        _store(known, folder / INDEX)
    return known.drop_columns(list(_BOOKKEEPING))


def index_records(table: Any) -> list[dict[str, Any]]:
    """Return the rows of the index as the command line shows runs: without settings, an error as one object."""
    names = [name for name in table.column_names if not name.startswith(_SETTINGS)]
    return [_record(row) for row in table.select(names).to_pylist()]


def find_run(study: Path, name: str) -> RunRecord:
    """Return the run whose id begins with `name`, or that is called so; no other run is opened.

    Raises:
        InputError: None or several match.
    """
    table = run_index(study)
    pairs = zip(table["run_id"].to_pylist(), table["name"].to_pylist(), strict=True)
    matches = [run_id for run_id, called in pairs if run_id.startswith(name) or called == name]
    if len(matches) != 1:
        raise InputError(
            "the run must be one of the study's",
            got=f"{name!r}, which matches {len(matches)} runs",
            remedy=f"List them with: {shlex.join(['lilliput', 'runs', 'ls', str(study)])}",
        )
    return read_run(runs_folder(study) / matches[0])


def run_folder(path: Path) -> Path:
    """Return the folder of a run from its path, of which the beginning of the last name is enough.

    For example STUDY/runs/3f2a stands for the run in STUDY/runs whose id begins with 3f2a.

    Raises:
        InputError: No run is there, or several runs begin so.
    """
    if (path / RUN_FILE).is_file():
        return path
    if path.is_dir() or not path.parent.is_dir() or not path.name:
        raise InputError(
            "the folder of a run is needed",
            got=f"{path}, which holds no {RUN_FILE}",
            remedy=f"List the runs of a study with: {shlex.join(['lilliput', 'runs', 'ls', str(_study_around(path))])}",
        )
    return find_run(path.parent, path.name).folder


def _study_around(path: Path) -> Path:
    """Return the folder that is most likely the study that `path` was meant to lead into."""
    parents = [path, *path.parents]
    return next((one for one in parents if (one / STUDY_RECIPE).is_file()), path.parent)


def _changes(folder: Path) -> Iterator[tuple[str, int]]:
    """Yield name of each folder in `folder` and when an entry of it last changed; nothing is opened."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and (Path(entry.path) / RUN_FILE).exists():
                yield entry.name, entry.stat().st_mtime_ns


def _current(stored: Any, changed: Mapping[str, int], now: int) -> list[bool]:
    """Return, for each stored row, whether its folder is as it was when it was read."""
    columns = (stored[name].to_pylist() for name in ("run_id", *_BOOKKEEPING))
    return [
        changed.get(run_id) == at and at + _UNSETTLED_NS < seen <= now
        for run_id, at, seen in zip(*columns, strict=True)
    ]


def _row(run: RunRecord, changed: int, now: int) -> dict[str, Any]:
    settings = flatten({part: run.config[part] for part in ("model", "training")})
    return {
        "run_id": run.run_id,
        "state": run.state,
        "name": run.name,
        "seed": run.config.get("seed"),
        **run.info,
        **{k: v for k, v in run.result.items() if k != "run_id"},
        **dict(settings),
        **{f"{_ERROR}{key}": value for key, value in run.failure.items()},
        _CHANGED: changed,
        _SEEN: now,
    }


def _record(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {k: v for k, v in row.items() if v is not None and not k.startswith(_ERROR)}
    error = {k.removeprefix(_ERROR): v for k, v in row.items() if k.startswith(_ERROR)}
    return plain | ({"error": error} if any(v is not None for v in error.values()) else {})


def _stored(path: Path) -> Any:
    """Return the index as it lies there; without rows when it is absent, damaged or of another version."""
    try:
        table = pq.ParquetFile(path, page_checksum_verification=True).read()
    except (OSError, pa.ArrowException):
        return _table([])
    return table if set(_table([]).column_names) <= set(table.column_names) else _table([])


def _joined(known: Any, fresh: Any) -> Any:
    """Return both tables as one; a column that is text in one and numbers in the other becomes text."""
    try:
        return pa.concat_tables([known, fresh], promote_options="permissive")
    except pa.ArrowException:
        return _table([*known.to_pylist(), *fresh.to_pylist()])


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    names = dict.fromkeys(["run_id", "state", "name", *_keys(rows)])
    columns = {name: _column([row.get(name) for row in rows]) for name in names}
    times = {n: pa.array([row[n] for row in rows], pa.int64()) for n in _BOOKKEEPING}
    return pa.table(columns | times)


def _keys(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield from row


def _column(values: Sequence[Any]) -> Any:
    """Return one type a column: numbers where all are numbers, else text; lists are written as JSON."""
    plain = [json.dumps(v) if isinstance(v, (list, dict)) else v for v in values]
    kinds = {type(v) for v in plain if v is not None}
    if kinds == {int, float}:
        return pa.array([None if v is None else float(v) for v in plain])
    if len(kinds) > 1:
        return pa.array([None if v is None else str(v) for v in plain])
    return pa.array(plain, type=pa.string() if not kinds else None)


def _store(table: Any, path: Path) -> None:
    """Write the index; where that is not allowed the listing is slower, and still right."""
    try:
        with atomic_path(path) as temporary:
            pq.write_table(table, temporary, write_page_checksum=True)
    except DiskFullError:
        return
