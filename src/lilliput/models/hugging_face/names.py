"""Tensors under the names of a Hugging Face layout, and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lilliput.models.hugging_face.layouts import ForeignLayout


def to_foreign(state: Mapping[str, Tensor], layout: ForeignLayout) -> dict[str, Tensor]:
    """Return the tensors of `state` under the names of `layout`, split where it keeps them apart."""
    result: dict[str, Tensor] = {}
    for name, tensor in state.items():
        names = layout.foreign_names(name)
        copies = name == "decoder_bias"
        parts = (tensor,) * len(names) if copies else tensor.chunk(len(names))
        for foreign, part in zip(names, parts, strict=True):
            result[foreign] = part.detach().clone(memory_format=torch.contiguous_format)
    return result


def from_foreign(
    wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], layout: ForeignLayout
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Return tensors for the native names of `wanted`, taken from `found`.

    Returns:
        The tensors; the foreign names that are missing; the foreign names that nobody asked for.
    """
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    unused = set(found)
    for name in wanted:
        names = layout.foreign_names(name)
        unused.difference_update(names)
        if name == "decoder_bias":
            names = tuple(n for n in names if n in found)[:1] or names[:1]
        if absent := [n for n in names if n not in found]:
            missing += absent
        else:
            state[name] = torch.cat([found[n] for n in names])
    return state, missing, sorted(unused)
