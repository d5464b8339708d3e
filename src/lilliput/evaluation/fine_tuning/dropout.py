"""Dropout whose masks are a function of a key: nothing is kept for the way back, and seeds stack.

torch draws its masks one Bernoulli number at a time, which was a tenth of fine-tuning's time on a processor.
Here the bit of element i is a hash of (key, i), drawn anew on the way back.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from lilliput.core.seeding import stream_key

Keys = NDArray[np.uint32]
NO_KEYS = np.zeros(0, np.uint32)


class DropoutKeys:
    """Give the keys of the masks of one step after another, for each member of a stack.

    Args:
        seeds: Seed of each member; its masks depend on no other member.
    """

    def __init__(self, seeds: tuple[int, ...]) -> None:
        self._seeds = seeds
        self._step = self._call = 0

    def begin(self, step: int) -> None:
        """Draw the masks of this step from now on."""
        self._step, self._call = step, 0

    def keys(self) -> Keys:
        """Return the keys of the next mask, one a member."""
        self._call += 1
        names = ("dropout", self._step, self._call)
        found = [stream_key(seed, *names) & 0xFFFFFFFF for seed in self._seeds]
        return np.array(found, dtype=np.uint32)


class KeyedDropout(nn.Module):
    """Apply dropout to a stack's activations, member by member along the first axis."""

    def __init__(self, p: float, draws: DropoutKeys) -> None:
        super().__init__()
        self.p, self.draws = p, draws

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with a share `p` of it set to zero and the rest scaled up; itself in eval mode."""
        return keyed_dropout(x, self.p, self.draws) if self.training and self.p else x


def keyed_dropout(x: Tensor, p: float, draws: DropoutKeys) -> Tensor:
    """Return the dropout of `x` (float32 or bfloat16) by the next mask of `draws`; torch's own on a GPU."""
    if not x.is_cpu:
        return functional.dropout(x, p)
    return _KeyedDropout.apply(x, draws.keys(), p)  # pyright: ignore[reportReturnType]


class _KeyedDropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        x, ctx.keys, ctx.p = inputs
        return drop(x, ctx.keys, ctx.p)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        return drop(grad_outputs[0], ctx.keys, ctx.p), None, None


def drop(x: Tensor, keys: Keys, p: float) -> Tensor:
    """Return `x` (float32 or bfloat16, on a processor) under the masks of `keys`, one a part of axis 0."""
    x = x.contiguous()
    out = torch.empty_like(x)
    border, scale = np.uint32(round(p * 2**32)), np.float32(1 / (1 - p))
    if x.dtype == torch.bfloat16:
        x, out_bits = x.view(torch.uint16), out.view(torch.uint16)
        _drop_bfloat16(_rows(x, keys), _rows(out_bits, keys), keys, border, scale)
    else:
        _drop_float32(_rows(x, keys), _rows(out, keys), keys, border, scale)
    return out


def _rows(x: Tensor, keys: Keys) -> NDArray[Any]:
    return x.view(len(keys), -1).numpy()


def kept_elements(key: int, count: int, p: float) -> NDArray[np.bool_]:
    """Return which of `count` elements the mask of `key` keeps: the plain form of the kernels' hash.

    Source: the mixing constants are those of "lowbias32" (Wellons, hash-prospector).
    """
    x = np.arange(count, dtype=np.uint32) * np.uint32(0x9E3779B1) ^ np.uint32(key)
    x = (x ^ x >> np.uint32(16)) * np.uint32(0x7FEB352D)
    x = (x ^ x >> np.uint32(15)) * np.uint32(0x846CA68B)
    return x ^ x >> np.uint32(16) >= np.uint32(round(p * 2**32))


@nb.njit(nogil=True, inline="always")
def hash_of(i: int, key: int) -> Any:
    """Return 32 mixed bits of element `i` under `key`; the plain form stands in `kept_elements`."""
    # Numba widens sums and products of 32 bits to 64; each step is cut back.
    x = np.uint32(np.uint32(np.uint32(i) * np.uint32(0x9E3779B1)) ^ key)
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(16))) * np.uint32(0x7FEB352D))
    x = np.uint32(np.uint32(x ^ np.uint32(x >> np.uint32(15))) * np.uint32(0x846CA68B))
    return np.uint32(x ^ np.uint32(x >> np.uint32(16)))


@nb.njit(nogil=True, cache=True)
def _drop_float32(x_KN: Any, out_KN: Any, keys: Any, border: Any, scale: Any) -> None:
    for k in range(len(keys)):
        key, x, out = keys[k], x_KN[k], out_KN[k]
        for i in range(x.size):
            out[i] = x[i] * scale if hash_of(i, key) >= border else np.float32(0)


@nb.njit(nogil=True, cache=True)
def _drop_bfloat16(x_KN: Any, out_KN: Any, keys: Any, border: Any, scale: Any) -> None:
    for k in range(len(keys)):
        key, x, out = keys[k], x_KN[k], out_KN[k]
        for i in range(x.size):
            value = np.uint32(np.uint32(x[i]) << np.uint32(16)).view(np.float32)
            bits = np.float32(value * scale).view(np.uint32)
            # To the nearest, ties to even, as torch rounds.
            odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
            bits = np.uint32(bits + np.uint32(0x7FFF) + odd)
            out[i] = np.uint16(bits >> np.uint32(16)) if hash_of(i, key) >= border else np.uint16(0)
