"""Runs: a model, a recipe and a token store in; a folder with curves, checkpoints and figures out.

A run is a function of its configuration: batches and masks follow from (seed, step), so that it can be
killed at any moment and goes on bitwise where it stopped. Configurations and switches are plain data;
torch is loaded when something is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.core.lazy import lazy_attributes
from lilliput.training.config import TrainingConfig
from lilliput.training.data.orders import DataOrder, OrderSettings, register_order
from lilliput.training.objectives import Objective, ObjectiveSettings, register_objective
from lilliput.training.run_config import RUN_KIND, RUN_SCHEMA, RunConfig, run_identity
from lilliput.training.switches import Profile, Switches, SwitchRow, profile_values, switch_table
from lilliput.training.trunks import branch_configs, group_trunks

if TYPE_CHECKING:
    from lilliput.training.branches import train_branches
    from lilliput.training.recipe import RunRecipe, read_recipe
    from lilliput.training.run import train
    from lilliput.training.run_folder import RunResult, load_model, read_run_config

_LATER = {
    "train_branches": "branches",
    "RunRecipe": "recipe",
    "read_recipe": "recipe",
    "RunResult": "run_folder",
    "load_model": "run_folder",
    "read_run_config": "run_folder",
    "train": "run",
}

__all__ = [
    "RUN_KIND",
    "RUN_SCHEMA",
    "DataOrder",
    "Objective",
    "ObjectiveSettings",
    "OrderSettings",
    "Profile",
    "RunConfig",
    "RunRecipe",
    "RunResult",
    "SwitchRow",
    "Switches",
    "TrainingConfig",
    "branch_configs",
    "group_trunks",
    "load_model",
    "profile_values",
    "read_recipe",
    "read_run_config",
    "register_objective",
    "register_order",
    "run_identity",
    "switch_table",
    "train",
    "train_branches",
]

__getattr__ = lazy_attributes(__name__, {}, with_torch=_LATER)
