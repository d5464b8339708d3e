"""The five sizes of a shape, and the name made of them."""

from __future__ import annotations

from collections.abc import Mapping

from lilliput.architecture.config import ModelConfig
from lilliput.core.errors import InputError

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


def sizes_of_shape(shape: str) -> dict[str, int]:
    """Return the sizes that a shape's name gives: "32/64/128/2/3" has a hidden_size of 64.

    Raises:
        InputError: The name does not hold one whole number a size.
    """
    parts = shape.split("/")
    if len(parts) != len(SIZES) or not all(part.isdecimal() for part in parts):
        raise InputError(f"a shape must name {len(SIZES)} sizes as E/H/I/A/L", got=shape)
    return dict(zip(SIZES, map(int, parts), strict=True))


def shape_name(config: ModelConfig) -> str:
    """Return the name of a configuration's shape, with the recorded number of heads."""
    return format_shape({name: getattr(config, name) for name in SIZES})
