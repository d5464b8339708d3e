"""Which runs may be trained as one stack, and how many at once; plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lilliput.core.hashing import content_id
from lilliput.training.run_config import RunConfig

# What members may have of their own: it changes numbers, never the shape of a computation.
_OWN_SETTINGS = (
    "learning_rate", "lr_scheduler_type", "warmup_ratio", "warmup_steps", "decay_ratio",
    "min_lr_ratio", "num_cycles", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon",
    "initializer_range", "profile", "save_steps",
)  # fmt: skip
_OWN_SWITCHES = (
    "projection_norm_gain", "initialization", "redraw_evaluation_masks", "eval_average", "shuffle",
    "classifier_head", "regression_loss", "reported_epoch", "max_grad_norm", "always_eight_heads",
    "dropout",
)  # fmt: skip


def fleet_key(config: RunConfig) -> str | None:
    """Return a key that is equal for runs that may share a stack; None for a run that must be trained alone.

    Dropout draws are a run's own, and `accumulation_off_by_one` cuts batches by micro-batch: such runs
    would not be, in a stack, what they are alone. Where pads are read or predicted, the row of padding must get
    no gradient, which batched embeddings do not promise. Runs whose start is not drawn from the seed alone,
    but imported or set by the tokens, are trained alone too.
    """
    is_shifted = config.training.switches.accumulation_off_by_one
    counts_pads = config.training.pads_to_max
    is_drawn = not config.initial_weights and config.training.decoder_bias_init == "drawn"
    may_stack = config.objective().may_stack
    if config.has_dropout or is_shifted or counts_pads or not is_drawn or not may_stack:
        return None
    training: dict[str, Any] = config.training.model_dump(mode="json")
    switches: dict[str, Any] = training.pop("switches")
    shared = {
        "model": config.built_model().model_dump(mode="json"),
        "training": _without(training, _OWN_SETTINGS),
        "switches": _without(switches, _OWN_SWITCHES),
    }
    return content_id(shared)


def _without(values: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
