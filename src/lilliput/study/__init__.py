"""Run whole studies: one recipe in, one folder out, from raw text to the report.

A recipe is checked as a whole, expanded into runs, planned (torch-free) and run stage by stage. Every
stage leaves artefacts that are recognised by their ids, so a study can be interrupted anywhere and run
again; runs and scores go to an executor's workers, and one failing run does not stop the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.core.lazy import lazy_attributes

if TYPE_CHECKING:
    from lilliput.study.pipeline.run import StudyResult, run_study
    from lilliput.study.planning.machine import MachineReport, examine_machine
    from lilliput.study.planning.plan import StudyPlan, plan_study
    from lilliput.study.recipe.loading import init_recipe, load_recipe
    from lilliput.study.recipe.schema import Recipe
    from lilliput.study.store.index import find_run, index_records, run_folder, run_index
    from lilliput.study.store.pruning import Pruning, prune_runs
    from lilliput.study.store.runs import RunRecord, diff_runs, read_run, read_runs
    from lilliput.study.store.selection import select_runs
    from lilliput.study.store.sql import query_runs

# Loaded when first asked for, so that reading runs needs neither recipes nor their rooms.
_LATER = {
    "StudyResult": "pipeline.run",
    "run_study": "pipeline.run",
    "MachineReport": "planning.machine",
    "examine_machine": "planning.machine",
    "StudyPlan": "planning.plan",
    "plan_study": "planning.plan",
    "Recipe": "recipe.schema",
    "init_recipe": "recipe.loading",
    "load_recipe": "recipe.loading",
    "RunRecord": "store.runs",
    "diff_runs": "store.runs",
    "find_run": "store.index",
    "index_records": "store.index",
    "run_folder": "store.index",
    "run_index": "store.index",
    "Pruning": "store.pruning",
    "prune_runs": "store.pruning",
    "select_runs": "store.selection",
    "query_runs": "store.sql",
    "read_run": "store.runs",
    "read_runs": "store.runs",
}

__all__ = [
    "MachineReport",
    "Pruning",
    "Recipe",
    "RunRecord",
    "StudyPlan",
    "StudyResult",
    "diff_runs",
    "examine_machine",
    "find_run",
    "index_records",
    "init_recipe",
    "load_recipe",
    "plan_study",
    "prune_runs",
    "query_runs",
    "read_run",
    "read_runs",
    "run_folder",
    "run_index",
    "run_study",
    "select_runs",
]

__getattr__ = lazy_attributes(__name__, _LATER)
