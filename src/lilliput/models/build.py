"""Models from configurations, with weights that are a function of the seed alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from lilliput.architecture import Initialisation, ModelConfig
from lilliput.core.seeding import generator
from lilliput.models.attention import AttentionKernel
from lilliput.models.transformer import NetworkConfig, Transformer


class LanguageModel(Transformer):
    """The transformer of a `ModelConfig`; weights are whatever `build_model` or a file gives it."""

    def __init__(self, config: ModelConfig, attention_kernel: AttentionKernel = "plain") -> None:
        # torch's own start is overwritten anyway; the caller's random state stays as it was.
        with torch.random.fork_rng(devices=[]):
            super().__init__(NetworkConfig.of(config), attention_kernel)
        self.config = config


def build_model(
    config: ModelConfig,
    seed: int,
    init: Initialisation | str = "corrected",
    *,
    attention_kernel: AttentionKernel = "plain",
) -> LanguageModel:
    """Return a model on the CPU in float32 whose weights depend only on `config`, `init` and `seed`.

    Every tensor draws from its own stream, so that a tensor keeps its values when another part of the
    model changes.

    Args:
        config: What to build.
        seed: Seed of the weights.
        init: How they start; a name stands for `Initialisation.named(name)`.
        attention_kernel: See `Transformer`.

    Raises:
        ConfigurationError: `init` is an unknown name.
    """
    chosen = Initialisation.named(init) if isinstance(init, str) else init
    model = LanguageModel(config, attention_kernel)
    initialise(model, seed, chosen)
    return model


def initialise(model: LanguageModel, seed: int, init: Initialisation) -> None:
    """Overwrite every weight of `model`."""
    norms = {id(p) for m in model.modules() if _is_norm(m) for p in m.parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if id(parameter) in norms:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)
            elif parameter.dim() >= 2:
                _draw_matrices(parameter, seed, name, init, model.config)
            else:
                parameter.fill_(init.bias)
        _start_projection_norm(model.projection_norm, init)
        if init.zero_padding_row:
            _zero_padding(model)


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, (nn.LayerNorm, nn.RMSNorm))


def _draw_matrices(
    parameter: Tensor, seed: int, name: str, init: Initialisation, config: ModelConfig
) -> None:
    draws = generator(seed, "weights", name).standard_normal(tuple(parameter.shape), np.float32)
    values = torch.from_numpy(draws)
    parts = _matrices_in(name, config)
    for matrix in values.chunk(parts):
        rows, columns = matrix.shape
        xavier = math.sqrt(2.0 / (rows + columns))
        matrix.mul_(init.std if init.weights == "normal" else xavier)
    parameter.copy_(values)


def _matrices_in(name: str, config: ModelConfig) -> int:
    """Return how many matrices are stacked in the tensor `name`; each has fans of its own."""
    if name.endswith("qkv.weight"):
        return 3
    return 2 if name.endswith("up.weight") and config.is_gated else 1


def _start_projection_norm(norm: nn.Module, init: Initialisation) -> None:
    if isinstance(norm, (nn.LayerNorm, nn.RMSNorm)):
        norm.weight.fill_(init.projection_norm_gain)
    if isinstance(norm, nn.LayerNorm) and norm.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
        norm.bias.fill_(init.projection_norm_bias)


def _zero_padding(model: LanguageModel) -> None:
    for table in (model.embeddings.word, model.embeddings.position):
        if table is not None and table.padding_idx is not None:
            table.weight[table.padding_idx].zero_()
