"""This stage finds the learning rate of each shape by a short sweep over rates, where the grid asks for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from lilliput.core.artefacts import (
    artefact_id,
    building,
    read_manifest,
    reclaim_folder,
)
from lilliput.core.errors import ConfigurationError, NonFiniteLossError, RunsFailedError
from lilliput.core.files import write_json
from lilliput.core.hashing import content_id
from lilliput.study.pipeline.context import StudyContext
from lilliput.study.pipeline.stages.training import train_runs
from lilliput.study.planning.learning_rates import (
    FOUND,
    SEARCH_KIND,
    SEARCH_SCHEMA,
    RateTrial,
    drift_with_width,
    find_rates,
    is_found,
    key_of,
    trial_grid,
    with_found_rates,
)
from lilliput.study.recipe.expansion import StudyGrid
from lilliput.study.store.layout import SearchLayout
from lilliput.study.store.pruning import prune_runs
from lilliput.study.store.runs import RunRecord, read_runs


def search_learning_rates(context: StudyContext) -> StudyGrid:
    """Return the runs with the rates that their search finds; without a search, the runs as they are.

    Raises:
        RunsFailedError: A trial failed in another way than by diverging.
        ConfigurationError: No rate trains one of the shapes.
    """
    grid, layout = context.grid, context.layout
    if not grid.searched:
        return grid
    if not is_found(grid, layout):
        _sweep(context, trial_grid(grid))
    return with_found_rates(grid, layout)


def _sweep(context: StudyContext, sweep: StudyGrid) -> None:
    layout = SearchLayout(context.layout.root)
    inputs = {run.language: layout.tokens(run.language) for run in sweep.runs}
    pairs = zip(sweep.runs, sweep.configs(), strict=True)
    settings = {"trials": {run.name: content_id(c.identity_settings()) for run, c in pairs}}
    stores = {language: read_manifest(store, "tokens").id for language, store in inputs.items()}
    # Where the study has grown: trials that are done are recognised, and their rates stay.
    identity = artefact_id(SEARCH_KIND, SEARCH_SCHEMA, settings, stores)
    reclaim_folder(layout.search, identity, SEARCH_KIND)
    with building(layout.search, SEARCH_KIND, SEARCH_SCHEMA, settings, stores) as build:
        train_runs(replace(context, grid=sweep, layout=layout))
        trials = _trials(sweep, read_runs(layout.runs))
        found = find_rates(trials)
        record = {
            "rates": [one.as_record() for one in found],
            "drift_with_width": drift_with_width(found),
            "trials": [
                {"shape": t.key[-1], "learning_rate": t.learning_rate, "seed": t.seed,
                 "loss": t.loss if math.isfinite(t.loss) else None}
                for t in trials
            ],
        }  # fmt: skip
        write_json(build.path(FOUND), record)
        prune_runs(layout.runs, keep=())  # Of a trial its loss is wanted, never its weights.
    for one in found:
        edge = ", the last one tried: widen search.learning_rates" if one.is_at_edge else ""
        context.reporter.say(f"learning rate of {' '.join(one.key)}: {one.learning_rate:g}{edge}")


def _trials(sweep: StudyGrid, records: Sequence[RunRecord]) -> list[RateTrial]:
    """Return the trials with their final losses; those that diverged are infinitely bad."""
    by_name = {record.name: record for record in records}
    trials: list[RateTrial] = []
    for run in sweep.runs:
        record = by_name[run.name]
        if record.state != "done" and record.failure.get("code") != NonFiniteLossError.code:
            raise RunsFailedError(
                "every trial of the learning-rate search must finish or diverge",
                got=f"{run.name}: {record.failure.get('rule', 'not finished')}",
                remedy="Run the same command again: it goes on where it stopped.",
            )
        loss = float(record.result["loss"]) if record.state == "done" else math.inf
        trials.append(RateTrial(key_of(run), run.training.learning_rate, run.seed, loss))
    for key in {trial.key for trial in trials}:
        if not any(math.isfinite(t.loss) for t in trials if t.key == key):
            raise ConfigurationError(
                "a rate of search.learning_rates must train every shape",
                got=f"{' '.join(filter(None, key))}, which diverged at all of them",
                remedy="Add lower rates.",
            )
    return trials
