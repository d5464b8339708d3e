"""Each setting of a run changes the run, or is refused: both are found by computing what it acts on."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lilliput.architecture import ModelConfig
from lilliput.core.errors import ConfigurationError
from lilliput.tokenization import SpecialIds
from lilliput.training.budget import plan_schedule
from lilliput.training.config import TrainingConfig
from lilliput.training.idle_settings import idle_settings, refuse_idle_settings
from lilliput.training.learning_rate import SchedulerType
from lilliput.training.objectives.base import DrawKey, TokenFacts
from lilliput.training.run_config import RunConfig

VOCAB = 40
SCHEDULES = get_args(SchedulerType)
RATES = {"warmup_ratio": 0.3, "decay_ratio": 0.5, "num_cycles": 1.5, "min_lr_ratio": 0.3}
MASKS: dict[str, Any] = {
    "mlm_probability": 0.5,
    "mask_replace_prob": 0.4,
    "random_replace_prob": 0.3,
    "whole_word_mask": True,
    "fixed_mask_count": True,
}


def config(layout: str = "electra", **training: Any) -> RunConfig:
    sizes = {
        "embedding_size": 16,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_attention_heads": 2,
    }
    model = ModelConfig.for_layout(layout, vocab_size=VOCAB, max_seq_length=16, **sizes)
    given = {"max_seq_length": 16, "max_steps": 40} | training
    return RunConfig(model=model, training=TrainingConfig(**given))


def rates_of(run: RunConfig) -> list[float]:
    schedule = plan_schedule(run.training, 40)
    return [schedule.learning_rate(step) for step in range(1, 41)]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [None, 5])
@pytest.mark.parametrize("name", RATES)
def test_a_setting_of_the_schedule_moves_the_rate_or_is_idle(
    schedule: str, steps: int | None, name: str
) -> None:
    plain = {"lr_scheduler_type": schedule} | ({} if steps is None else {"warmup_steps": steps})
    changed = config(**plain, **{name: RATES[name]})
    acts = rates_of(changed) != rates_of(config(**plain))
    assert acts != (f"training.{name}" in idle_settings(changed))


def targets_of(run: RunConfig) -> list[Any]:
    ids = np.random.default_rng(0).integers(5, VOCAB, (24, 16))
    starts = np.arange(VOCAB) % 3 != 0
    facts = TokenFacts(VOCAB, SpecialIds(), starts)
    found = run.objective().targets(ids, np.arange(24)[:, None], DrawKey.of(0), facts)
    return [array.tolist() for array in found]


@pytest.mark.parametrize("layout", ["electra", "llama"])
@pytest.mark.parametrize("name", MASKS)
def test_a_setting_of_the_masks_moves_a_target_or_is_idle(layout: str, name: str) -> None:
    # Random tokens need a share that masks leave.
    plain = {"mask_replace_prob": 0.5} if name == "random_replace_prob" else {}
    changed = config(layout, **plain, **{name: MASKS[name]})
    acts = targets_of(changed) != targets_of(config(layout, **plain))
    assert acts != (f"training.{name}" in idle_settings(changed))


@pytest.mark.parametrize(
    ("layout", "model", "reason"),
    [
        ("electra", {"rope_theta": 500.0}, "position_embedding_type 'learned' does not read it"),
        ("electra", {"skip_first_norm": True}, "norm_position 'post'"),
        ("llama", {"norm_bias": True}, "norm_type 'rms' has no bias"),
        ("llama", {"head_bias": True}, "head 'none'"),
    ],
)
def test_switches_of_the_model_that_do_nothing_are_refused(
    layout: str, model: dict[str, Any], reason: str
) -> None:
    made = ModelConfig.for_layout(layout, vocab_size=VOCAB, max_seq_length=16, **model)
    run = RunConfig(model=made, training=TrainingConfig(max_seq_length=16))
    with pytest.raises(
        ConfigurationError, match=f"model.{next(iter(model))} must change.*{reason}"
    ):
        refuse_idle_settings(run)


def test_initial_matrices_have_no_spread_to_set_under_xavier() -> None:
    wide = config(initializer_range=0.5)
    normal = config(initializer_range=0.5, switches={"initialization": "normal"})
    usual = config(switches={"initialization": "normal"})
    assert normal.initialisation() != usual.initialisation()
    assert ("training.initializer_range" in idle_settings(wide)) == (
        wide.training.switches.initialization == "xavier"
    )


@given(st.sampled_from(sorted(RATES)), st.sampled_from(SCHEDULES))
def test_the_default_is_never_refused(name: str, schedule: str) -> None:
    default = TrainingConfig.model_fields[name].default
    refuse_idle_settings(config(lr_scheduler_type=schedule, **{name: default}))
