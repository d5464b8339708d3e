"""Read the runs of a table or a study: what each one is, and where it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.analysis import Table
from lilliput.analysis.findings.quantities import finite
from lilliput.analysis.table.tidy import Cell
from lilliput.architecture import SIZES
from lilliput.core.artefacts import is_artefact, read_manifest
from lilliput.core.reader import RunFile, read_record

FACETS = ("family", "language", "profile", "variant", "layout", "shape", "seed")


@dataclass(frozen=True)
class Run:
    """Hold one training run.

    Attributes:
        name: Its name in the table.
        facets: Family, language, profile, variant, layout, shape, seed, where known.
        sizes: The five sizes of its shape, where known.
        final: Every number of its last measurement.
        is_finished: Whether training ended there.
        unigram_entropy: Nats of the held-out tokens; what a model that ignores context reaches.
        config: The resolved configuration.
        id: Hash of what affects its result; empty for plain tables.
        content: Hash of its files.
    """

    name: str
    facets: Mapping[str, str]
    sizes: Mapping[str, int]
    final: Mapping[str, float]
    is_finished: bool
    unigram_entropy: float | None = None
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])
    id: str = ""
    content: str = ""

    @property
    def label(self) -> str:
        """Return what people know it by: shape, language and seed, or its name where they are not known."""
        parts = [self.facets[name] for name in ("shape", "language") if name in self.facets]
        if "seed" in self.facets:
            parts.append(f"seed {self.facets['seed']}")
        return ", ".join(parts) if "shape" in self.facets else self.name

    def as_row(self) -> dict[str, Cell]:
        """Return one flat row for tables and figures."""
        return {"run": self.name, "label": self.label, **self.facets, **self.sizes, **self.final}


def runs_of(table: Table | None, folder: Path | None = None) -> tuple[Run, ...]:
    """Return one entry for each run of the table, the smallest model first.

    Run folders add configuration and hashes.
    """
    if table is None:
        return ()
    runs = [_run(table, name, rows, folder) for name, rows in rows_by_run(table).items()]
    return tuple(sorted(runs, key=lambda run: (run.final.get("num_parameters", 0.0), run.name)))


def rows_by_run(table: Table) -> dict[str, NDArray[np.intp]]:
    """Return the rows of each run in order of training; without a column `run` every row is a run."""
    if "run" in table:
        names = table.text("run").tolist()
    else:
        names = [f"line {line}" for line in table.lines.tolist()]
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    order = table.number(_progress_column(table)) if _progress_column(table) else None
    return {name: _ordered(np.array(members), order) for name, members in rows.items()}


def _progress_column(table: Table) -> str:
    candidates = ["step", "tokens_seen", *table.flops_columns()]
    return next((name for name in candidates if name in table), "")


def _ordered(rows: NDArray[np.intp], order: NDArray[np.float64] | None) -> NDArray[np.intp]:
    return rows if order is None else rows[np.argsort(order[rows], kind="stable")]


def _run(table: Table, name: str, rows: NDArray[np.intp], folder: Path | None) -> Run:
    last = int(rows[-1])
    cells = {header: values[last] for header, values in table.columns.items()}
    sizes = {size: int(cells[size]) for size in SIZES if _is_number(cells.get(size))}
    final = {
        header: float(value)
        for header, value in cells.items()
        if _is_number(value) and header not in (*SIZES, *FACETS)
    }
    finished = bool(cells["is_final"]) if "is_final" in cells else True
    facets = {facet: _facet(cells[facet]) for facet in FACETS if _is_given(cells.get(facet))}
    run = Run(name, facets, sizes, final, finished, final.get("unigram_entropy"))
    is_there = folder is not None and is_artefact(folder / name)
    return _with_folder(run, folder / name) if folder is not None and is_there else run


def _is_number(value: Any) -> bool:
    return isinstance(value, (float, np.floating)) and bool(np.isfinite(value))


def _is_given(value: Any) -> bool:
    return _is_number(value) or (isinstance(value, str) and value != "")


def _facet(value: Any) -> str:
    return str(int(value)) if _is_number(value) and float(value).is_integer() else str(value)


def _with_folder(run: Run, folder: Path) -> Run:
    manifest = read_manifest(folder)
    record = read_record(folder / "run.json", RunFile)
    result = read_record(folder / "result.json", absent={})
    return Run(
        name=run.name,
        facets=run.facets,
        sizes=run.sizes,
        final=run.final,
        is_finished=run.is_finished,
        unigram_entropy=finite(result.get("unigram_entropy")) or run.unigram_entropy,
        config={key: value for key, value in record.items() if key != "info"},
        id=manifest.id,
        content=manifest.content,
    )


def read_failures(folder: Path) -> dict[str, str]:
    """Return for each failed run the sentence that says why, unless it finished later."""
    failures: dict[str, str] = {}
    for path in sorted(folder.glob("*/failure.json")):
        if not is_artefact(path.parent):
            record = read_record(path)
            got = f": got {record['got']}" if record.get("got") else ""
            failures[path.parent.name] = f"{record.get('rule', 'failed')}{got}"
    return failures
