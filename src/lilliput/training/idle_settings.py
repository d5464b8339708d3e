"""Find settings of a run that do nothing because another setting decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lilliput.architecture import ModelConfig
from lilliput.core.errors import ConfigurationError
from lilliput.training.config import TrainingConfig
from lilliput.training.run_config import RunConfig


def idle_settings(config: RunConfig) -> dict[str, str]:
    """Return the settings that are not as by default and change nothing in this run, each with the reason.

    For example `{"training.num_cycles": "only lr_scheduler_type 'cosine' reads it"}` where the schedule is linear.
    """
    training = config.training
    ignored = {
        f"training.{name}": why for name, why in _ignored(config) if _is_given(training, name)
    }
    usual = _usual_model(config.model)
    return ignored | {
        f"model.{name}": why
        for name, why in _ignored_by_model(config.model)
        if getattr(config.model, name) != usual[name]
    }


def refuse_idle_settings(config: RunConfig) -> None:
    """Raise ConfigurationError where a setting of the run does nothing.

    Raises:
        ConfigurationError: One is not as by default, and the run would be the same without it.
    """
    for name, why in idle_settings(config).items():
        raise idle_error(name, _value(config, name), why)


def idle_error(name: str, value: object, why: str) -> ConfigurationError:
    """Return the error for the setting `name`, which does nothing for the reason `why`."""
    return ConfigurationError(
        f"{name} must change something",
        got=f"{value!r}, and {why}",
        remedy=f"Leave {name} out, or change what decides over it.",
    )


def _value(config: RunConfig, name: str) -> Any:
    table, key = name.split(".")
    return getattr(getattr(config, table), key)


def _is_given(training: TrainingConfig, name: str) -> bool:
    return getattr(training, name) != TrainingConfig.model_fields[name].default


def _ignored(config: RunConfig) -> Iterator[tuple[str, str]]:
    """Yield the settings of the training that nothing reads here, each with the reason."""
    training, schedule = config.training, config.training.lr_scheduler_type
    if training.warmup_steps is not None:
        yield "warmup_ratio", "warmup_steps is given and goes before it"
    if schedule != "warmup_stable_decay":
        yield "decay_ratio", "only lr_scheduler_type 'warmup_stable_decay' reads it"
    if schedule != "cosine":
        yield "num_cycles", "only lr_scheduler_type 'cosine' reads it"
    if schedule in ("inverse_sqrt", "constant"):
        yield "min_lr_ratio", f"lr_scheduler_type {schedule!r} does not read it"
    if training.switches.initialization == "xavier":
        yield "initializer_range", "switches.initialization 'xavier' does not read it"
    objective = config.objective()
    for name in objective.ignores:
        yield name, f"the objective {objective.name} does not read it"


def _ignored_by_model(model: ModelConfig) -> Iterator[tuple[str, str]]:
    """Yield the switches of the model that act only beside another value of another switch."""
    if model.position_embedding_type == "learned":
        yield "rope_theta", "position_embedding_type 'learned' does not read it"
    if model.norm_position == "post":
        yield "skip_first_norm", "norm_position 'post' does not read it"
    if model.norm_type == "rms":
        yield "norm_bias", "norm_type 'rms' has no bias"
    if model.head == "none":
        yield "head_bias", "head 'none' has no dense layer"


def _usual_model(model: ModelConfig) -> Mapping[str, Any]:
    sizes = {"vocab_size": model.vocab_size, "max_seq_length": 1}
    return ModelConfig.for_layout(model.layout, **sizes).model_dump()
