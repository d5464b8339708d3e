"""Which runs are budgets of one trunk, and where each leaves it; plain data, no torch.

Batches and masks are functions of (seed, step) and the rate of `warmup_stable_decay` is constant between
warm-up and decay, so runs of different lengths are the same run until the shorter one's decay begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lilliput.core.errors import ConfigurationError
from lilliput.core.hashing import content_id
from lilliput.training.budget import count_steps, plan_schedule
from lilliput.training.run_config import RunConfig

_BUDGETS = ("max_steps", "num_train_epochs", "max_tokens")


def branch_configs(config: RunConfig, budgets: Iterable[int]) -> list[RunConfig]:
    """Return the runs of `config` at each budget in steps, shortest first.

    Raises:
        ConfigurationError: The schedule is not warmup_stable_decay with `warmup_steps`, or a budget is
            too short for warm-up and decay.
    """
    training = config.training
    if training.lr_scheduler_type != "warmup_stable_decay" or training.warmup_steps is None:
        raise ConfigurationError(
            "branches need lr_scheduler_type = 'warmup_stable_decay' and warmup_steps",
            got=f"{training.lr_scheduler_type!r} and {training.warmup_steps}",
            remedy="A warm-up given as a ratio would differ between budgets.",
        )
    return [_with_budget(config, budget) for budget in sorted(set(budgets))]


def _with_budget(config: RunConfig, max_steps: int) -> RunConfig:
    values: dict[str, Any] = config.training.model_dump()
    values |= {"max_steps": max_steps, "num_train_epochs": None, "max_tokens": None}
    branch = RunConfig(
        model=config.model,
        training=values,  # pyright: ignore[reportArgumentType]
        seed=config.seed,
        initial_weights=config.initial_weights,
    )
    if not _has_plateau(branch, max_steps):
        raise ConfigurationError(
            f"a budget must be longer than {branch.training.warmup_steps} steps of warm-up and its decay",
            got=max_steps,
        )
    return branch


def branch_start(config: RunConfig) -> int:
    """Return the step after which a run of `branch_configs` leaves the trunk: its decay begins there."""
    return plan_schedule(config.training, _steps(config)).decay_start


def decay_share(config: RunConfig) -> float:
    """Return share of the steps of a run of `branch_configs` that come after it leaves the trunk."""
    return 1.0 - branch_start(config) / max(1, _steps(config))


def _steps(config: RunConfig) -> int:
    return count_steps(config.training, config.training.max_steps or 0)


def group_trunks(configs: Sequence[RunConfig]) -> list[tuple[int, ...]]:
    """Return the positions of the runs that differ in budget alone and share a trunk, shortest first.

    Runs without a twin of another length, or whose schedule depends on their length from the first step
    on, are in no group.
    """
    by_lineage: dict[str, list[int]] = {}
    for position, config in enumerate(configs):
        if _may_branch(config):
            by_lineage.setdefault(_lineage(config), []).append(position)
    return [
        tuple(sorted(group, key=lambda position: configs[position].training.max_steps or 0))
        for group in by_lineage.values()
        if len(group) > 1
    ]


def _may_branch(config: RunConfig) -> bool:
    training = config.training
    return (
        training.lr_scheduler_type == "warmup_stable_decay"
        and training.warmup_steps is not None
        and training.max_steps is not None
        and not config.order_type().depends_on_max_steps
        and not training.average_last
        and _has_plateau(config, training.max_steps)
    )


def _has_plateau(config: RunConfig, max_steps: int) -> bool:
    schedule = plan_schedule(config.training, max_steps)
    return schedule.decay_start > schedule.warmup_steps


def _lineage(config: RunConfig) -> str:
    """Return a key that is equal for runs that differ in budget alone, how they are executed included."""
    settings = config.model_dump(mode="json")
    training = {k: v for k, v in settings["training"].items() if k not in _BUDGETS}
    return content_id(settings | {"training": training})
