"""Building a run's model, and moving weights in and out of it by name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lilliput.core.errors import ArtefactError
from lilliput.models import AttentionKernel, LanguageModel, build_model
from lilliput.training.config import RunConfig


def build_run_model(
    config: RunConfig, attention_kernel: AttentionKernel = "plain"
) -> LanguageModel:
    """Return the run's model at step 0, with the switches of the room `models` applied."""
    return build_model(
        config.built_model(),
        config.seed,
        config.initialisation(),
        attention_kernel=attention_kernel,
    )


def named_weights(model: LanguageModel) -> dict[str, Tensor]:
    """Return copies of all parameters by name; tied ones appear once."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def load_weights(model: LanguageModel, weights: Mapping[str, Tensor], where: str) -> None:
    """Copy `weights` into `model`.

    Raises:
        ArtefactError: A tensor is missing, unknown, or of another shape; the message names it.
    """
    parameters = dict(model.named_parameters())
    unmatched = sorted(parameters.keys() ^ weights.keys())
    unmatched += [n for n in parameters if n in weights and parameters[n].shape != weights[n].shape]
    if unmatched:
        raise ArtefactError(
            f"the tensors of {where} must be exactly those of its model",
            got=f"no match for {', '.join(unmatched)}",
        )
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])
