"""Passes over the activations of a stack on a processor, each as one loop with its way back spelt out.

Between two matrix products torch would go over the activations once for a bias, once for dropout, once for the
residual and once a member for the norm, and as often on the way back. Here each stretch between two products is one
pass. All of it is computed in float32; bfloat16 activations are read and rounded at the border of a loop.

A residual with its norm, for one row of width 2, without dropout:

    kept [1, 2]   branch [1, 0]   its bias [0, 2]    sum [2, 4]   mean 3, deviation 1    normalised [-1, 1]

K members, N rows of all members, H hidden, I inputs of the second product, B texts, L length, Q queries of a text
(L, or 1), A heads, W width of a head.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
import torch
from numba.extending import overload
from numpy.typing import NDArray
from torch import Tensor

from lilliput.evaluation.fine_tuning.dropout import NO_KEYS, Keys, hash_of

_SUMS: Any = {"reassoc", "contract", "nsz"}
"""Lets sums over a row be computed lane by lane."""
_PLAIN: Any = {"contract", "nsz"}
# With numpy's error model a division is not checked for zero, which would keep a loop scalar: eight times slower.
ACTIVATIONS = {"gelu": 0, "geglu": 1, "swiglu": 2}


@dataclass(frozen=True)
class Drop:
    """The dropout of one pass: the keys of its masks, one a member, and the share that is dropped."""

    keys: Keys
    share: float

    @property
    def border(self) -> Any:
        """Return the least hash of an element that is kept."""
        return np.uint32(round(self.share * 2**32))

    @property
    def scale(self) -> Any:
        """Return the factor of the kept elements."""
        return np.float32(1 / (1 - self.share))


NO_DROP = Drop(NO_KEYS, 0.0)


def add_residual(kept_NH: Tensor, branch_NH: Tensor, bias_KH: Tensor | None, drop: Drop) -> Tensor:
    """Return `kept + dropout(branch + bias)`, (N, H)."""
    found: Any = _Residual.apply(kept_NH, branch_NH, bias_KH, None, None, drop, None)
    return found[0]


def add_residual_and_norm(
    kept_NH: Tensor, branch_NH: Tensor, bias_KH: Tensor | None, drop: Drop, norm: Any
) -> tuple[Tensor, Tensor]:
    """Return `kept + dropout(branch + bias)` and its norm, each (N, H).

    Args:
        kept_NH: What the branch is added to.
        branch_NH: The product of the branch, without its bias.
        bias_KH: The bias; None where the product has none.
        drop: Dropout of the branch.
        norm: A `StackedNorm`.
    """
    rule = (norm.is_rms, norm.eps or 0.0)
    found: Any = _Residual.apply(kept_NH, branch_NH, bias_KH, norm.weight, norm.bias, drop, rule)
    return found[0], found[1]


def normalise(
    x_NH: Tensor, weight_KH: Tensor, bias_KH: Tensor | None, *, is_rms: bool, eps: float
) -> Tensor:
    """Return the norm of each row, (N, H)."""
    found: Any = _Residual.apply(x_NH, None, None, weight_KH, bias_KH, NO_DROP, (is_rms, eps))
    return found[1]


def activate(x_NI: Tensor, bias_KI: Tensor | None, kind: str) -> Tensor:
    """Return the activation called `kind` of `x + bias`; half as wide where it is gated."""
    return _Activation.apply(x_NI, bias_KI, ACTIVATIONS[kind])  # pyright: ignore[reportReturnType]


class _Residual(torch.autograd.Function):
    """Sum, and norm where there is a rule for one; see `add_residual_and_norm`."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor | None, Tensor | None]:
        kept_NH, branch_NH, bias_KH, weight_KH, shift_KH, drop, rule = inputs
        ctx.set_materialize_grads(False)
        kept_NH = kept_NH.contiguous()
        members = len(weight_KH) if weight_KH is not None else _members(bias_KH, drop)
        is_sum, has_norm = branch_NH is not None, rule is not None
        sum_NH = torch.empty_like(kept_NH) if is_sum else kept_NH
        y_NH = torch.empty_like(kept_NH) if has_norm else sum_NH
        stats_N2 = torch.empty(len(kept_NH) if has_norm else 0, 2)
        is_rms, eps = rule or (False, 0.0)
        _residual_forward(
            _bits(kept_NH), _bits(branch_NH.contiguous() if is_sum else kept_NH), _floats(bias_KH),
            drop.keys, drop.border, drop.scale, _floats(weight_KH), _floats(shift_KH),
            np.float32(eps), members, (is_sum, has_norm, is_rms),
            _bits(sum_NH), _bits(y_NH), stats_N2.numpy(),
        )  # fmt: skip
        ctx.save_for_backward(sum_NH, stats_N2, weight_KH, bias_KH, shift_KH)
        ctx.facts = members, drop, (is_sum, has_norm, is_rms)
        if not is_sum:
            return None, y_NH
        return sum_NH, (y_NH if has_norm else None)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Any, ...]:
        sum_NH, stats_N2, weight_KH, bias_KH, shift_KH = ctx.saved_tensors
        members, drop, (is_sum, has_norm, is_rms) = ctx.facts
        grad_sum, grad_y = (g if g is None else g.contiguous() for g in grad_outputs)
        has_norm = has_norm and grad_y is not None
        if not has_norm and not drop.keys.size and bias_KH is None:
            return grad_sum, (grad_sum if is_sum else None), None, None, None, None, None
        kept = torch.empty_like(sum_NH)
        branch = torch.empty_like(sum_NH) if is_sum and drop.keys.size else kept
        width = sum_NH.shape[1]
        sums = torch.zeros(3, members, width)
        _residual_backward(
            _bits(grad_sum if grad_sum is not None else kept), _bits(grad_y if grad_y is not None else kept),
            _bits(sum_NH), stats_N2.numpy(), _floats(weight_KH),
            drop.keys, drop.border, drop.scale, members,
            (grad_sum is not None, has_norm, is_rms, bias_KH is not None),
            _bits(kept), _bits(branch), sums.numpy(),
        )  # fmt: skip
        found = [
            None if like is None else part.to(like.dtype)
            for part, like in zip(sums, (bias_KH, weight_KH, shift_KH), strict=True)
        ]
        return kept, (branch if is_sum else None), *found, None, None


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        x_NI, bias_KI, kind = inputs
        x_NI = x_NI.contiguous()
        width = x_NI.shape[1] // (2 if kind else 1)
        y_NI = x_NI.new_empty(len(x_NI), width)
        _activation_forward(_bits(x_NI), _floats(bias_KI), kind, _bits(y_NI))
        ctx.save_for_backward(x_NI, bias_KI)
        ctx.kind = kind
        return y_NI

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Any, ...]:
        x_NI, bias_KI = ctx.saved_tensors
        grad_x = torch.empty_like(x_NI)
        bias = _floats(bias_KI)
        grad_bias = np.zeros_like(bias)
        _activation_backward(
            _bits(grad_outputs[0].contiguous()),
            _bits(x_NI),
            bias,
            ctx.kind,
            _bits(grad_x),
            grad_bias,
        )
        found = None if bias_KI is None else torch.from_numpy(grad_bias).to(bias_KI.dtype)
        return grad_x, found, None


def heads_apart(
    qkv_NZ: Tensor,
    bias_KZ: Tensor | None,
    rotation: tuple[Tensor, Tensor] | None,
    rows_B: Tensor | None,
    shape: tuple[int, int, int],
) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries (P, Q, W), keys and values (P, L, W) of each pair of text and head, float32, turned by `rotation`.

    Args:
        qkv_NZ: The product, without its bias; a row holds all queries, then all keys, then all values.
        bias_KZ: The bias; None where there is none.
        rotation: Cosines and sines (B, 1, L, W), axis 0 may be 1.
        rows_B: The one query of each text, as its row among the B * L; all when None.
        shape: Texts, length and heads.
    """
    batch, length, heads = shape
    width = qkv_NZ.shape[1] // (3 * heads)
    queries = length if rows_B is None else 1
    q = torch.empty(batch * heads, queries, width)
    k, v = (torch.empty(batch * heads, length, width) for _ in range(2))
    cosines, sines = _turns(rotation)
    rows = _ALL_ROWS if rows_B is None else rows_B.numpy()
    _heads_apart(
        _bits(qkv_NZ.contiguous()),
        _floats(bias_KZ),
        cosines,
        sines,
        rows,
        shape,
        q.numpy(),
        k.numpy(),
        v.numpy(),
    )
    return q, k, v


def heads_together(
    grads: tuple[Tensor, Tensor, Tensor],
    bias_KZ: Tensor | None,
    rotation: tuple[Tensor, Tensor] | None,
    rows_B: Tensor | None,
    shape: tuple[int, int, int],
    like_NZ: Tensor,
) -> tuple[Tensor, Tensor | None]:
    """Return the gradients of the product and of its bias from those of `heads_apart`."""
    grad = torch.empty_like(like_NZ)
    cosines, sines = _turns(rotation)
    rows = _ALL_ROWS if rows_B is None else rows_B.numpy()
    grad_bias = np.zeros(bias_KZ.shape if bias_KZ is not None else (0, 0), np.float32)
    q, k, v = (part.contiguous().numpy() for part in grads)
    _heads_together(q, k, v, cosines, sines, rows, shape, _bits(grad), grad_bias)
    return grad, None if bias_KZ is None else torch.from_numpy(grad_bias).to(bias_KZ.dtype)


_NO_TURN = np.zeros((0, 0, 0), np.float32)
_ALL_ROWS = np.zeros(0, np.int64)


def _turns(rotation: tuple[Tensor, Tensor] | None) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return cosines and sines as float32, (B, L, W), axis 0 may be 1; empty without rotation."""
    if rotation is None:
        return _NO_TURN, _NO_TURN
    cosines, sines = rotation
    return cosines.float().squeeze(1).contiguous().numpy(), sines.float().squeeze(
        1
    ).contiguous().numpy()


def _members(bias_KH: Tensor | None, drop: Drop) -> int:
    return len(bias_KH) if bias_KH is not None else max(1, drop.keys.size)


def _bits(x: Tensor) -> NDArray[Any]:
    """Return the memory of `x`: float32, or bfloat16 as its 16 bits."""
    x = x.detach()
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()


def _floats(x: Tensor | None) -> NDArray[Any]:
    """Return a few weights as float32, (members, width); none as an empty array."""
    return np.zeros((0, 0), np.float32) if x is None else x.detach().float().contiguous().numpy()


# ---- The loops ----------------------------------------------------------------------------------------------------


def _widen(x: Any) -> Any:
    """Return a stored activation as float32."""
    raise NotImplementedError


def _stored(value: Any, out: Any) -> Any:
    """Return a float32 as `out` stores its elements."""
    raise NotImplementedError


@overload(_widen, inline="always", strict=False)
def _widen_by_type(x: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
    def from_bits(x: Any) -> Any:
        return np.uint32(np.uint32(x) << np.uint32(16)).view(np.float32)

    def as_it_is(x: Any) -> Any:
        return x

    return from_bits if isinstance(x, nb.types.Integer) else as_it_is


@overload(_stored, inline="always", strict=False)
def _stored_by_type(value: Any, out: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
    del value

    def as_bits(value: Any, out: Any) -> Any:  # noqa: ARG001
        return _rounded(value)

    def as_it_is(value: Any, out: Any) -> Any:  # noqa: ARG001
        return np.float32(value)

    return as_bits if isinstance(out.dtype, nb.types.Integer) else as_it_is


@nb.njit(nogil=True, inline="always")
def _rounded(value: Any) -> Any:
    # To the nearest, ties to even, as torch rounds.
    bits = np.float32(value).view(np.uint32)
    odd = np.uint32(np.uint32(bits >> np.uint32(16)) & np.uint32(1))
    bits = np.uint32(bits + np.uint32(np.uint32(0x7FFF) + odd))
    return np.uint16(bits >> np.uint32(16))


@nb.njit(nogil=True, error_model="numpy", fastmath=_PLAIN)
def _read(x: Any, i: int, bias: Any, k: int, row: Any) -> None:
    """Read row `i` of `x` and add the bias of member `k`, where there is one."""
    for j in range(len(row)):
        row[j] = _widen(x[i, j])
    if bias.size:
        for j in range(len(row)):
            row[j] += bias[k, j]


@nb.njit(nogil=True, error_model="numpy", fastmath=_PLAIN)
def _write(row: Any, out: Any, i: int) -> None:
    for j in range(len(row)):
        out[i, j] = _stored(row[j], out)


@nb.njit(nogil=True, error_model="numpy", fastmath=_PLAIN)
def _drop_row(row: Any, first: int, key: Any, border: Any, scale: Any) -> None:
    """Drop from a row that begins with element `first` of its member."""
    for j in range(len(row)):
        row[j] = row[j] * scale if hash_of(first + j, key) >= border else np.float32(0)


@nb.njit(nogil=True, error_model="numpy", fastmath=_SUMS)
def _mean_and_rate(row: Any, is_rms: bool, eps: Any) -> Any:
    """Return what is taken from each element of a row, and what the rest is multiplied by."""
    size, mean, square = np.float32(len(row)), np.float32(0), np.float32(0)
    if not is_rms:
        for j in range(len(row)):
            mean += row[j]
        mean /= size
    for j in range(len(row)):
        square += (row[j] - mean) * (row[j] - mean)
    return mean, np.float32(1) / np.float32(math.sqrt(square / size + eps))


@nb.njit(nogil=True, cache=True, error_model="numpy", fastmath=_PLAIN)
def _residual_forward(
    kept: Any, branch: Any, bias: Any, keys: Any, border: Any, scale: Any, weight: Any, shift: Any,
    eps: Any, members: int, flags: Any, sums: Any, out: Any, stats: Any,
) -> None:  # fmt: skip
    is_sum, has_norm, is_rms = flags
    count, width = kept.shape
    rows = count // members
    row = np.zeros(width, np.float32)
    for i in range(count):
        k = i // rows
        if is_sum:
            _read(branch, i, bias, k, row)
            if keys.size:
                _drop_row(row, (i - k * rows) * width, keys[k], border, scale)
            for j in range(width):
                stored = _stored(_widen(kept[i, j]) + row[j], sums)
                sums[i, j] = stored
                row[j] = _widen(stored)
        else:
            _read(kept, i, bias, k, row)
        if has_norm:
            mean, rate = _mean_and_rate(row, is_rms, eps)
            stats[i, 0], stats[i, 1] = mean, rate
            for j in range(width):
                row[j] = (row[j] - mean) * rate * weight[k, j]
            if shift.size:
                for j in range(width):
                    row[j] += shift[k, j]
            _write(row, out, i)


@nb.njit(nogil=True, error_model="numpy", fastmath=_SUMS)
def _norm_back(
    grad: Any, x: Any, i: int, stats: Any, weight: Any, is_rms: bool, found: Any, k: int, row: Any, turned: Any
) -> None:  # fmt: skip
    """Write the gradient of row `i` before its norm to `row`; add those of weight and shift to `found`."""
    mean, rate, size = stats[i, 0], stats[i, 1], np.float32(len(row))
    first, second = np.float32(0), np.float32(0)
    for j in range(len(row)):
        g, normal = _widen(grad[i, j]), (_widen(x[i, j]) - mean) * rate
        found[1, k, j] += g * normal
        found[2, k, j] += g
        row[j], turned[j] = g * weight[k, j], normal
        first += row[j]
        second += row[j] * normal
    first = np.float32(0) if is_rms else first / size
    second /= size
    for j in range(len(row)):
        row[j] = rate * (row[j] - first - turned[j] * second)


@nb.njit(nogil=True, cache=True, error_model="numpy", fastmath=_PLAIN)
def _residual_backward(
    grad_sum: Any, grad_y: Any, sums: Any, stats: Any, weight: Any, keys: Any, border: Any, scale: Any,
    members: int, flags: Any, kept: Any, branch: Any, found: Any,
) -> None:  # fmt: skip
    """Write the gradients of `kept` and `branch`; add those of bias, weight and shift to `found`."""
    has_sum, has_norm, is_rms, has_bias = flags
    count, width = kept.shape
    rows = count // members
    row, turned = np.zeros(width, np.float32), np.zeros(width, np.float32)
    for i in range(count):
        k = i // rows
        if has_norm:
            _norm_back(grad_y, sums, i, stats, weight, is_rms, found, k, row, turned)
            if has_sum:
                for j in range(width):
                    row[j] += _widen(grad_sum[i, j])
        else:
            for j in range(width):
                row[j] = _widen(grad_sum[i, j])
        _write(row, kept, i)
        if keys.size:
            _drop_row(row, (i - k * rows) * width, keys[k], border, scale)
            _write(row, branch, i)
        if has_bias:
            for j in range(width):
                found[0, k, j] += row[j]


@nb.njit(nogil=True, inline="always")
def _exp(x: Any) -> Any:
    """Return e^x as float32 for x of at most 0, within two units of the last place; 1e-38 below -87."""
    x = x if x > np.float32(-87) else np.float32(-87)
    n = np.int32(x * np.float32(1.44269504) - np.float32(0.5))
    whole = np.float32(n)
    # ln 2 in two parts, so that little is lost; then Taylor's series on half a binary octave.
    r = (x - whole * np.float32(0.693145751953125)) - whole * np.float32(1.42860677e-06)
    p = np.float32(1 / 5040)
    for c in (np.float32(1 / 720), np.float32(1 / 120), np.float32(1 / 24), np.float32(1 / 6)):
        p = p * r + c
    p = ((p * r + np.float32(0.5)) * r + np.float32(1)) * r + np.float32(1)
    bits = np.uint32(np.uint32(np.int32(n + np.int32(127))) << np.uint32(23))
    return p * bits.view(np.float32)


@nb.njit(nogil=True, inline="always")
def _erf(x: Any) -> Any:
    """Return the error function as float32, by the ratio of polynomials that Eigen and XLA use (within 4e-7)."""
    x = x if x > np.float32(-4) else np.float32(-4)
    x = x if x < np.float32(4) else np.float32(4)
    z = x * x
    p = np.float32(-2.72614225801306e-10)
    p = p * z + np.float32(2.77068142495902e-08)
    p = p * z + np.float32(-2.10102402082508e-06)
    p = p * z + np.float32(-5.69250639462346e-05)
    p = p * z + np.float32(-7.34990630326855e-04)
    p = p * z + np.float32(-2.95459980854025e-03)
    p = p * z + np.float32(-1.60960333262415e-02)
    q = np.float32(-1.45660718464996e-05)
    q = q * z + np.float32(-2.13374055278905e-04)
    q = q * z + np.float32(-1.68282697438203e-03)
    q = q * z + np.float32(-7.37332916720468e-03)
    q = q * z + np.float32(-1.42647390514189e-02)
    return x * p / q


@nb.njit(nogil=True, inline="always")
def _gelu(x: Any) -> Any:
    return x * (np.float32(0.5) + np.float32(0.5) * _erf(x * np.float32(0.70710678)))


@nb.njit(nogil=True, inline="always")
def _gelu_slope(x: Any) -> Any:
    share = np.float32(0.5) + np.float32(0.5) * _erf(x * np.float32(0.70710678))
    return share + x * np.float32(0.39894228) * _exp(np.float32(-0.5) * x * x)


@nb.njit(nogil=True, inline="always")
def _sigmoid(x: Any) -> Any:
    # Both branches are one expression, so that the loop stays free of jumps.
    e = _exp(-abs(x))
    return (np.float32(1) if x > np.float32(0) else e) / (np.float32(1) + e)


@nb.njit(nogil=True, cache=True, error_model="numpy", fastmath=_PLAIN)
def _activation_forward(x: Any, bias: Any, kind: int, out: Any) -> None:
    count, width = out.shape
    rows = count // max(1, len(bias))
    row = np.zeros(x.shape[1], np.float32)
    for i in range(count):
        _read(x, i, bias, i // rows, row)
        if kind == 0:
            for j in range(width):
                row[j] = _gelu(row[j])
        elif kind == 1:
            for j in range(width):
                row[j] = _gelu(row[j]) * row[j + width]
        else:
            for j in range(width):
                row[j] = row[j] * _sigmoid(row[j]) * row[j + width]
        _write(row[:width], out, i)


@nb.njit(nogil=True, cache=True, error_model="numpy", fastmath=_PLAIN)
def _activation_backward(grad: Any, x: Any, bias: Any, kind: int, out: Any, found: Any) -> None:
    """Write the gradient of `x`; add that of the bias to `found`."""
    count, width = grad.shape
    rows = count // max(1, len(bias))
    row, g = np.zeros(x.shape[1], np.float32), np.zeros(width, np.float32)
    for i in range(count):
        _read(x, i, bias, i // rows, row)
        for j in range(width):
            g[j] = _widen(grad[i, j])
        if kind == 0:
            for j in range(width):
                row[j] = g[j] * _gelu_slope(row[j])
        else:
            _gated_back(row, g, width, kind == 1)
        _write(row, out, i)
        if bias.size:
            for j in range(len(row)):
                found[i // rows, j] += row[j]


@nb.njit(nogil=True, error_model="numpy", fastmath=_PLAIN)
def _gated_back(row: Any, g: Any, width: int, is_gelu: bool) -> None:
    """Turn a row of gates and values into its gradient."""
    if is_gelu:
        for j in range(width):
            gate, value = row[j], row[j + width]
            row[j] = g[j] * value * _gelu_slope(gate)
            row[j + width] = g[j] * _gelu(gate)
    else:
        for j in range(width):
            gate, value, share = row[j], row[j + width], _sigmoid(row[j])
            row[j] = g[j] * value * share * (np.float32(1) + gate * (np.float32(1) - share))
            row[j + width] = g[j] * gate * share


@nb.njit(nogil=True, error_model="numpy", fastmath=_PLAIN)
def _turn_heads(row: Any, heads: int, cosines: Any, sines: Any, way: Any) -> None:
    """Turn queries and keys of one position by its angles; `way` is 1, or -1 for the way back."""
    width = len(cosines)
    half = width // 2
    for start in range(0, 2 * heads * width, width):
        for j in range(half):
            x, y, s = row[start + j], row[start + j + half], way * sines[j]
            row[start + j] = x * cosines[j] - y * s
            row[start + j + half] = y * cosines[j] + x * s


@nb.njit(nogil=True, cache=True, error_model="numpy", fastmath=_PLAIN)
def _heads_apart(
    qkv: Any, bias: Any, cosines: Any, sines: Any, rows: Any, shape: Any, q: Any, k: Any, v: Any
) -> None:  # fmt: skip
    batch, length, heads = shape
    width = q.shape[2]
    hidden = heads * width
    row, texts = np.zeros(qkv.shape[1], np.float32), batch // max(1, len(bias))
    for i in range(batch * length):
        b, place = i // length, i % length
        _read(qkv, i, bias, b // texts, row)
        if cosines.size:
            turn = min(b, len(cosines) - 1)
            _turn_heads(row, heads, cosines[turn, place], sines[turn, place], np.float32(1))
        if not rows.size or rows[b] == i:
            at = 0 if rows.size else place
            for a in range(heads):
                for j in range(width):
                    q[b * heads + a, at, j] = row[a * width + j]
        for a in range(heads):
            start = hidden + a * width
            for j in range(width):
                k[b * heads + a, place, j] = row[start + j]
                v[b * heads + a, place, j] = row[start + hidden + j]


@nb.njit(nogil=True, cache=True, error_model="numpy", fastmath=_PLAIN)
def _heads_together(
    q: Any, k: Any, v: Any, cosines: Any, sines: Any, rows: Any, shape: Any, out: Any, found: Any
) -> None:  # fmt: skip
    """Write the gradient of the product; add that of its bias to `found`."""
    batch, length, heads = shape
    width = q.shape[2]
    hidden = heads * width
    row, texts = np.zeros(out.shape[1], np.float32), batch // max(1, len(found))
    for i in range(batch * length):
        b, place = i // length, i % length
        for j in range(hidden):
            row[j] = np.float32(0)
        if not rows.size or rows[b] == i:
            at = 0 if rows.size else place
            for a in range(heads):
                for j in range(width):
                    row[a * width + j] = q[b * heads + a, at, j]
        for a in range(heads):
            start = hidden + a * width
            for j in range(width):
                row[start + j] = k[b * heads + a, place, j]
                row[start + hidden + j] = v[b * heads + a, place, j]
        if cosines.size:
            turn = min(b, len(cosines) - 1)
            _turn_heads(row, heads, cosines[turn, place], sines[turn, place], np.float32(-1))
        _write(row, out, i)
        if found.size:
            for j in range(len(row)):
                found[b // texts, j] += row[j]
