"""The five sizes of a shape, and the name made of them."""

from __future__ import annotations

from collections.abc import Mapping

from lilliput.architecture.config import ModelConfig

SIZES: tuple[str, ...] = (
    "embedding_size",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_hidden_layers",
)


def format_shape(sizes: Mapping[str, int]) -> str:
    """Return the name of a shape, E/H/I/A/L: "32/32/128/2/2"."""
    return "/".join(str(sizes[name]) for name in SIZES)


def shape_name(config: ModelConfig) -> str:
    """Return the name of a configuration's shape, with the recorded number of heads."""
    return format_shape({name: getattr(config, name) for name in SIZES})
