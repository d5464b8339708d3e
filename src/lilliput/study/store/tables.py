"""Write tidy tables of a study: one row an evaluation point, and one row a score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from lilliput.architecture import SIZES
from lilliput.core.artefacts import building
from lilliput.core.files import atomic_path
from lilliput.core.reader import ScoreEntry, read_record
from lilliput.evaluation.scores.score import MEAN
from lilliput.study.store.layout import StudyLayout
from lilliput.study.store.runs import RunRecord
from lilliput.study.store.teaching import TeachingColumns

_SCHEMA = 1


def write_tables(
    layout: StudyLayout,
    runs: Sequence[RunRecord],
    suites: Sequence[str],
    means: Mapping[str, str],
    convention: str = "flops_executed_masked",
) -> Path:
    """Write `measurements.csv` and `scores.csv` of the finished runs; their folder.

    Args:
        layout: Of the study.
        runs: Finished runs.
        suites: Names of the evaluation suites (probes, glue, pairs) that each run was scored on.
        means: Suites of which the mean over its parts alone goes into the tables, to what it is called;
            the parts stay in the evaluation.
        convention: FLOPs convention by which the study is analysed; the training of teachers is added under it.
    """
    teaching = TeachingColumns(layout, runs, convention)
    # A study may grow or be retried, so that its tables are one artefact with changing content.
    with building(layout.tables, "tables", _SCHEMA, {"suites": list(suites)}) as build:
        scores = {run.run_id: list(_scores(layout, run, suites, means)) for run in runs}
        rows = (row for run in runs for row in _measurements(run, scores[run.run_id], teaching))
        _write_csv(build.path("measurements.csv"), rows)
        _write_csv(
            build.path("scores.csv"), (row for run in runs for row in _score_rows(run, scores))
        )
    return layout.tables


def _scores(
    layout: StudyLayout, run: RunRecord, suites: Sequence[str], means: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    for suite in suites:
        file = layout.evaluation(run.run_id, suite) / "scores.json"
        found: list[dict[str, Any]] = read_record(file, list[ScoreEntry], absent=[])
        if suite in means:
            # A single part has no mean beside it.
            whole = [score for score in found if score["task"] == MEAN] or found
            found = [score | {"task": means[suite]} for score in whole]
        yield from found


def _measurements(
    run: RunRecord, scores: Sequence[Mapping[str, Any]], teaching: TeachingColumns
) -> Iterator[dict[str, Any]]:
    fixed = {
        "run": run.run_id,
        "name": run.name,
        "family": run.info["family"],
        "language": run.info["language"],
        "profile": run.info["profile"],
        "variant": run.info.get("variant", ""),
        "layout": run.model["layout"],
        "shape": run.info["shape"],
        **{size: run.model[size] for size in SIZES},
        "seed": run.config["seed"],
        "num_parameters": run.result["num_parameters"],
        "num_parameters_non_embedding": run.result["num_parameters_non_embedding"],
        "unigram_entropy": run.result["unigram_entropy"],
        **teaching.of_run(run),
    }
    # Before the first step nothing was spent, and zero has no place on a logarithmic axis.
    points = [point for point in run.metrics() if point["step"] > 0]
    for point in points:
        is_final = point is points[-1]
        yield {
            **fixed,
            **point,
            **teaching.of_point(run, point),
            "is_final": is_final,
            **(_final_scores(scores) if is_final else {}),
        }


def _final_scores(scores: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    columns: dict[str, float | None] = {}
    for score in scores:
        prefix = "score" if score["weights"] == "trained" else "baseline"
        columns[f"{prefix}_{score['task']}"] = score["value"]
    return columns


def _score_rows(
    run: RunRecord, scores: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[dict[str, Any]]:
    for score in scores[run.run_id]:
        plain = {k: v for k, v in score.items() if not isinstance(v, (dict, list))}
        yield {"run": run.run_id, "name": run.name, **run.info, **plain}


def _write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows with any keys as one table; what a row lacks stays empty."""
    records = list(rows)
    columns = list(dict.fromkeys(key for record in records for key in record))
    table = pa.table({name: [record.get(name) for record in records] for name in columns})
    with atomic_path(path) as temporary:
        pacsv.write_csv(table, temporary)
