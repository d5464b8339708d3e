"""Whole studies: one recipe in, one folder out, from raw text to the report.

A recipe is checked as a whole, expanded into runs, planned (torch-free) and run stage by stage. Every
stage leaves artefacts that are recognised by their ids, so a study can be interrupted anywhere and run
again; runs and scores go to an executor's workers, and one failing run does not stop the others.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lilliput.study.index import find_run, index_records, run_index
    from lilliput.study.line import StudyResult, run_study
    from lilliput.study.machine import MachineReport, examine_machine
    from lilliput.study.plan import StudyPlan, plan_study
    from lilliput.study.prune import Pruning, prune_runs
    from lilliput.study.recipe import Recipe, init_recipe, load_recipe
    from lilliput.study.runs import RunRecord, diff_runs, read_run, read_runs
    from lilliput.study.select import select_runs
    from lilliput.study.sql import query_runs

# Loaded when first asked for, so that reading runs needs neither recipes nor their rooms.
_LATER = {
    "StudyResult": "line",
    "run_study": "line",
    "MachineReport": "machine",
    "examine_machine": "machine",
    "StudyPlan": "plan",
    "plan_study": "plan",
    "Recipe": "recipe",
    "init_recipe": "recipe",
    "load_recipe": "recipe",
    "RunRecord": "runs",
    "diff_runs": "runs",
    "find_run": "index",
    "index_records": "index",
    "run_index": "index",
    "Pruning": "prune",
    "prune_runs": "prune",
    "select_runs": "select",
    "query_runs": "sql",
    "read_run": "runs",
    "read_runs": "runs",
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
    "run_index",
    "run_study",
    "select_runs",
]


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
