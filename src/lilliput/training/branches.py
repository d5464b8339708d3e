"""Many budgets from one trunk: warm-up, stable rate, and a decay that ends at each budget.

Batches and masks are functions of (seed, step) and the rate is constant between warm-up and decay, so
runs of different lengths are the same run until the shorter one's decay begins. The trunk is trained once
and leaves its whole state at those updates; each branch starts there and ends bitwise where it would have
ended from scratch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lilliput.core.errors import ConfigurationError
from lilliput.core.progress import SILENT, Reporter
from lilliput.training.budget import plan_schedule
from lilliput.training.config import RunConfig
from lilliput.training.run import RunResult, train


def branch_configs(config: RunConfig, budgets: Iterable[int]) -> list[RunConfig]:
    """The runs of `config` at each budget in updates, shortest first.

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
    schedule = plan_schedule(branch.training, max_steps)
    if schedule.decay_start <= schedule.warmup_steps:
        raise ConfigurationError(
            f"a budget must be longer than {schedule.warmup_steps} updates of warm-up and its decay",
            got=max_steps,
        )
    return branch


def train_branches(
    configs: Sequence[RunConfig], tokens: Path, outs: Sequence[Path], *, reporter: Reporter = SILENT
) -> list[RunResult]:
    """Train the runs of `branch_configs`; all but the longest start from its states.

    Args:
        configs: Shortest first, as `branch_configs` gives them.
        tokens: Token store.
        outs: Folder of each run.
        reporter: Where progress goes.

    Returns:
        One result per run, equal to that of `train` alone.
    """
    starts = [plan_schedule(c.training, c.training.max_steps or 0).decay_start for c in configs]
    trunk = train(configs[-1], tokens, outs[-1], reporter=reporter, keep_states_at=starts[:-1])
    states = [outs[-1] / "checkpoints" / f"state-{start}" for start in starts[:-1]]
    pieces = zip(configs[:-1], outs[:-1], states, strict=True)
    branches = [
        train(config, tokens, out, reporter=reporter, start_from=state)
        for config, out, state in pieces
    ]
    return [*branches, trunk]
