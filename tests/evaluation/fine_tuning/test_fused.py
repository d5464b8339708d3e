"""The passes between two products against torch's own operations in float64, and in bfloat16."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from lilliput.evaluation.fine_tuning.dropout import kept_elements
from lilliput.evaluation.fine_tuning.fused import (
    NO_DROP,
    Drop,
    activate,
    add_residual,
    add_residual_and_norm,
    normalise,
)

MEMBERS, ROWS, WIDTH = 2, 5, 12


def _draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).requires_grad_()


def _by_row(weights):
    return weights.double().repeat_interleave(ROWS, 0)


def _normalised(x, weight, bias, *, is_rms, eps):
    mean = 0.0 if is_rms else x.mean(1, keepdim=True)
    rate = ((x - mean) ** 2).mean(1, keepdim=True).add(eps).rsqrt()
    y = (x - mean) * rate * _by_row(weight)
    return y if bias is None else y + _by_row(bias)


def _assert_same(found, expected, inputs, atol=2e-5):
    upstream = [_draw(*y.shape, seed=7 + i).detach() for i, y in enumerate(found)]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs.float(), atol=atol, rtol=atol)
    gradients = [
        torch.autograd.grad(
            sum((y.double() * u).sum() for y, u in zip(ys, upstream, strict=True)),
            inputs,
            retain_graph=True,
        )
        for ys in (found, expected)
    ]
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=atol, rtol=atol)


@pytest.mark.parametrize("is_rms", [False, True])
@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_residual_and_its_norm_are_those_of_float64(is_rms, has_bias, share):
    kept, branch = _draw(MEMBERS * ROWS, WIDTH), _draw(MEMBERS * ROWS, WIDTH, seed=1)
    weight, bias, shift = (_draw(MEMBERS, WIDTH, seed=2 + i) for i in range(3))
    bias, shift = (bias, shift) if has_bias else (None, None)
    keys = np.array([4, 1000], np.uint32)
    drop = Drop(keys, share) if share else NO_DROP
    norm = SimpleNamespace(weight=weight, bias=shift, is_rms=is_rms, eps=1e-5)
    found = add_residual_and_norm(kept, branch, bias, drop, norm)

    mask = np.stack([kept_elements(int(key), ROWS * WIDTH, share) for key in keys])
    factor = torch.from_numpy(mask).view(kept.shape).double() / (1 - share)
    added = branch.double() + (0 if bias is None else _by_row(bias))
    total = kept.double() + added * (factor if share else 1)
    expected = (total, _normalised(total, weight, shift, is_rms=is_rms, eps=1e-5))
    inputs = [x for x in (kept, branch, weight, bias, shift) if x is not None]
    _assert_same(found, expected, inputs)
    # Without the norm, and with a gradient for one of the two results alone.
    alone = add_residual(kept, branch, bias, drop)
    assert torch.equal(alone, found[0])
    _assert_same((alone,), (total,), [kept, branch])
    _assert_same((found[1],), (expected[1],), inputs)


@pytest.mark.parametrize("is_rms", [False, True])
def test_a_norm_alone_is_torchs(is_rms):
    x, weight, bias = (
        _draw(MEMBERS * ROWS, WIDTH),
        _draw(MEMBERS, WIDTH, seed=1),
        _draw(MEMBERS, WIDTH, seed=2),
    )
    found = normalise(x, weight, bias, is_rms=is_rms, eps=1e-5)
    parts = zip(x.view(MEMBERS, ROWS, WIDTH), weight, bias, strict=True)
    expected = torch.cat(
        [
            functional.rms_norm(part, (WIDTH,), w, 1e-5) + b
            if is_rms
            else functional.layer_norm(part, (WIDTH,), w, b, 1e-5)
            for part, w, b in parts
        ]
    )
    _assert_same((found,), (expected,), [x, weight, bias])


@pytest.mark.parametrize("kind", ["gelu", "geglu", "swiglu"])
@pytest.mark.parametrize("has_bias", [False, True])
def test_activations_are_those_of_float64_over_their_whole_range(kind, has_bias):
    x = torch.linspace(-20, 20, MEMBERS * ROWS * WIDTH).view(-1, WIDTH).flip(1).requires_grad_()
    bias = _draw(MEMBERS, WIDTH) if has_bias else None
    found = activate(x, bias, kind)
    z = x.double() + (_by_row(bias) if has_bias else 0)
    if kind == "gelu":
        expected = functional.gelu(z)
    else:
        gate, value = z.chunk(2, dim=1)
        expected = (functional.gelu if kind == "geglu" else functional.silu)(gate) * value
    _assert_same((found,), (expected,), [x, bias] if has_bias else [x])


def test_bfloat16_is_float32_rounded_once():
    x = _draw(MEMBERS * ROWS, WIDTH).detach()
    branch, bias = _draw(MEMBERS * ROWS, WIDTH, seed=1).detach(), _draw(MEMBERS, WIDTH).detach()
    half, whole = x.bfloat16(), x.bfloat16().float()
    assert torch.equal(activate(half, bias, "gelu"), activate(whole, bias, "gelu").bfloat16())
    added = add_residual(half, branch.bfloat16(), bias, NO_DROP)
    wide = add_residual(whole, branch.bfloat16().float(), bias, NO_DROP)
    assert torch.equal(added, wide.bfloat16())
