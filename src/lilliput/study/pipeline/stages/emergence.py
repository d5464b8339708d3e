"""This stage asks of every score of the runs whether it emerges, and how sizes compare across two languages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.analysis import (
    ScoredPoints,
    detect_emergence,
    judge_metric,
    size_equivalence,
)
from lilliput.core.arrays import FloatArray
from lilliput.core.artefacts import artefact_id, building, folder_holds, is_artefact, read_manifest
from lilliput.core.files import remove_folder, write_json
from lilliput.core.reader import read_table
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.recipe.schema import EmergenceRecipe
from lilliput.study.store.layout import CHOICES, CONTEXT, PAIRS, TASKS, StudyLayout
from lilliput.study.store.runs import RunRecord, read_run

EMERGENCE_KIND, EMERGENCE_SCHEMA = "emergence", 1
EMERGENCE_FILE = "emergence.json"
_INDUCTION = "induction"
_SUITES = (CHOICES, TASKS, PAIRS, CONTEXT)


@dataclass(frozen=True)
class _ItemScores:
    """Scores of one run on the items of one task; `hits` is None where the task has no right answers."""

    run: RunRecord
    examples: tuple[int, ...]
    hits: FloatArray | None
    margins: FloatArray


def judge_emergence(context: StudyContext, runs: Sequence[Path]) -> None:
    """Write the verdicts on all tasks and the sizes at equal score, where the recipe asks for them."""
    settings, layout = context.recipe.emergence, context.layout
    if settings is None:
        return
    records = sorted(map(read_run, runs), key=lambda run: run.name)
    inputs = {
        f"{run.run_id}/{suite}": read_manifest(folder).id
        for run in records
        for suite in _SUITES
        if is_artefact(folder := layout.evaluation(run.run_id, suite))
    }
    made_with = settings.model_dump(mode="json")
    identity = artefact_id(EMERGENCE_KIND, EMERGENCE_SCHEMA, made_with, inputs)
    held = folder_holds(layout.emergence)
    if held not in (
        None,
        identity,
    ):  # It follows from the scores, and is made anew when there are more.
        remove_folder(layout.emergence)
    if is_artefact(layout.emergence):
        return
    with building(layout.emergence, EMERGENCE_KIND, EMERGENCE_SCHEMA, made_with, inputs) as build:
        found = _by_task(layout, records)
        verdicts = [v for task, runs in found.items() for v in _verdicts(task, runs, settings)]
        sizes = [s for task, runs in found.items() for s in _sizes(task, runs, settings)]
        write_json(build.path(EMERGENCE_FILE), {"verdicts": verdicts, "sizes": sizes})
        build.facts["verdicts"] = len(verdicts)


def _by_task(layout: StudyLayout, runs: Sequence[RunRecord]) -> dict[str, list[_ItemScores]]:
    """Return the scores of all runs by task."""
    found: dict[str, list[_ItemScores]] = defaultdict(list)
    for run in runs:
        for suite in _SUITES:
            path = layout.evaluation(run.run_id, suite) / "predictions.parquet"
            if path.is_file():
                for task, scores in _read(run, path, suite):
                    found[task].append(scores)
    return found


def _read(run: RunRecord, path: Path, suite: str) -> Iterator[tuple[str, _ItemScores]]:
    table: Any = read_table(path).to_pandas()
    table = table[table["weights"] == "trained"]
    for task, rows in table.groupby("task", sort=False):
        margin = rows["margin"] if "margin" in rows else rows["good"] - rows["bad"]
        # Over the draws of solved examples an item has one score, their mean.
        margins = margin.groupby(rows["example"]).mean()
        hits = None
        if suite != CONTEXT:
            hit = (margin > 0) + 0.5 * (margin == 0)
            hits = hit.groupby(rows["example"]).mean().to_numpy(np.float64)
        examples = tuple(margins.index.tolist())
        yield str(task), _ItemScores(run, examples, hits, margins.to_numpy(np.float64))


def _groups(scores: Sequence[_ItemScores]) -> dict[tuple[str, str], list[_ItemScores]]:
    """Return scores by language and variant: within a group losses can be compared."""
    groups: dict[tuple[str, str], list[_ItemScores]] = defaultdict(list)
    for one in scores:
        info = one.run.info
        groups[str(info["language"]), str(info.get("variant", ""))].append(one)
    return groups


def _axes(task: str, scores: Sequence[_ItemScores]) -> Iterator[tuple[str, FloatArray]]:
    """Yield the axes on which a task is judged: loss and size; depth for copying."""
    yield "loss", -np.array([one.run.result["loss"] for one in scores])
    yield "size", np.log([one.run.result["num_parameters"] for one in scores])
    if task == _INDUCTION:
        yield "depth", np.log2([one.run.model["num_hidden_layers"] for one in scores])


def _verdicts(
    task: str, scores: Sequence[_ItemScores], settings: EmergenceRecipe
) -> Iterator[dict[str, Any]]:
    for (language, variant), group in _groups(scores).items():
        for axis, places in _axes(task, group):
            margin = detect_emergence(
                _points(group, places, "margins"), resamples=settings.resamples
            )
            found = [("margin", margin)]
            if all(one.hits is not None for one in group):
                accuracy = detect_emergence(
                    _points(group, places, "hits"), resamples=settings.resamples
                )
                found.insert(0, ("accuracy", judge_metric(accuracy, margin)))
            for metric, verdict in found:
                field = "hits" if metric == "accuracy" else "margins"
                yield {
                    "task": task,
                    "language": language,
                    "variant": variant,
                    "axis": axis,
                    "metric": metric,
                    **verdict.as_record(),
                    "runs": [
                        _shown(one, place, float(getattr(one, field).mean()))
                        for one, place in zip(group, places.tolist(), strict=True)
                    ],
                }


def _shown(one: _ItemScores, place: float, score: float) -> dict[str, Any]:
    return {
        "run": one.run.name,
        "shape": one.run.info["shape"],
        "loss": one.run.result["loss"],
        "num_parameters": one.run.result["num_parameters"],
        "layers": one.run.model["num_hidden_layers"],
        "place": place,
        "score": score,
    }


def _points(scores: Sequence[_ItemScores], places: FloatArray, field: str) -> ScoredPoints:
    """Return the points of a group on the items that all its runs have."""
    common = sorted(set.intersection(*(set(one.examples) for one in scores)))
    rows: list[FloatArray] = []
    for one in scores:
        place_of = {example: i for i, example in enumerate(one.examples)}
        rows.append(getattr(one, field)[[place_of[example] for example in common]])
    units = tuple(f"{one.run.info['language']} {one.run.info['shape']}" for one in scores)
    return ScoredPoints(places, units, np.stack(rows))


def _sizes(
    task: str, scores: Sequence[_ItemScores], settings: EmergenceRecipe
) -> Iterator[dict[str, Any]]:
    """Yield N of the larger language's models over N of the smaller one's at equal score, for each variant."""
    groups = _groups(scores)
    for variant in dict.fromkeys(variant for _, variant in groups):
        pair = [groups.get((name, variant)) for name in (settings.larger, settings.smaller)]
        larger, smaller = pair
        if not larger or not smaller:
            continue
        for metric, field in (("accuracy", "hits"), ("margin", "margins")):
            if any(getattr(one, field) is None for one in (*larger, *smaller)):
                continue
            sides = [
                _points(side, np.log([one.run.result["num_parameters"] for one in side]), field)
                for side in (larger, smaller)
            ]
            found = size_equivalence(*sides, resamples=settings.resamples)
            yield {
                "task": task,
                "variant": variant,
                "metric": metric,
                "larger": settings.larger,
                "smaller": settings.smaller,
                "confirms_six": found.confirms(6.0, against=2.0),
                **found.as_record(),
            }
