"""The fused head against the textbook one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.training import loss as loss_module
from lilliput.training.loss import fused_cross_entropy, plain_cross_entropy, token_losses


def problem(rows, vocab, width, *, scale=1.0, seed=0, with_bias=True, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, width, generator=g, dtype=dtype)
    weight = (torch.randn(vocab, width, generator=g) * scale).requires_grad_()
    bias = torch.randn(vocab, generator=g).requires_grad_() if with_bias else None
    targets = torch.randint(vocab, (rows,), generator=g)
    weights = torch.rand(rows, generator=g) / rows
    return z.requires_grad_(), weight, bias, targets, weights


def both(*arguments):
    """Loss and gradients by each way."""
    leaves = [x for x in arguments[:3] if x is not None]
    results = []
    for function in (plain_cross_entropy, fused_cross_entropy):
        value = function(*arguments)
        results.append((value.detach(), *torch.autograd.grad(value, leaves)))
    return results


@given(
    st.integers(1, 70), st.integers(2, 300), st.integers(1, 40), st.booleans(), st.integers(0, 99)
)
@settings(deadline=None, max_examples=40)
def test_loss_and_gradients_equal_the_textbook_ones(rows, vocab, width, with_bias, seed):
    plain, fused = both(*problem(rows, vocab, width, seed=seed, with_bias=with_bias))
    for expected, got in zip(plain, fused, strict=True):
        # Sums of up to 300 terms of size 1 in float32 (eps 6e-8): 2e-6 relative leaves a margin of 2.
        torch.testing.assert_close(got, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("scale", [0.02, 3.0, 60.0])
def test_chunks_and_extreme_logits_change_nothing(scale, monkeypatch):
    monkeypatch.setattr(loss_module, "_CHUNK_BYTES_CPU", 16 * 600 * 4)
    monkeypatch.setattr(loss_module, "_TILE_BYTES_CPU", 16 * 256 * 4)
    plain, fused = both(*problem(100, 600, 24, scale=scale))
    for expected, got in zip(plain, fused, strict=True):
        # Logits reach 60 * 5 * sqrt(24): absolute error is float32's spacing at 1500, about 1e-4.
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6 * max(1.0, scale * 5))


def test_a_bound_far_above_the_true_maximum_falls_back_to_it():
    """Opposite vectors: the bound is +400 where every logit is near -400."""
    z = torch.full((5, 16), 5.0, requires_grad=True)
    weight = (
        -5.0 - torch.rand(50, 16, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    targets, weights = torch.arange(5), torch.full((5,), 0.2)
    plain, fused = both(z, weight, None, targets, weights)
    for expected, got in zip(plain, fused, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_agrees_to_its_rounding():
    z, weight, bias, targets, weights = problem(64, 300, 32, scale=0.3)
    expected = plain_cross_entropy(z, weight, bias, targets, weights)
    got = fused_cross_entropy(z.bfloat16(), weight, bias, targets, weights)
    # bfloat16 keeps 8 bits: logits of size 5 are off by up to 0.02 each, averaged over rows.
    torch.testing.assert_close(got, expected, rtol=1e-2, atol=0.0)
    grads = torch.autograd.grad(got, [weight, bias])
    assert [g.dtype for g in grads] == [torch.float32, torch.float32]


def test_token_losses_are_the_terms_of_the_sum():
    z, weight, bias, targets, weights = problem(90, 120, 8)
    losses = token_losses(z, weight, bias, targets)
    total = plain_cross_entropy(z, weight, bias, targets, weights)
    torch.testing.assert_close((losses * weights).sum(), total, rtol=1e-6, atol=1e-6)
    assert not losses.requires_grad


def test_gradients_scale_with_what_comes_from_above():
    arguments = problem(20, 50, 8)
    one = torch.autograd.grad(fused_cross_entropy(*arguments), arguments[:3])
    three = torch.autograd.grad(3 * fused_cross_entropy(*arguments), arguments[:3])
    for a, b in zip(one, three, strict=True):
        torch.testing.assert_close(3 * a, b)


def test_no_rows_give_no_loss_and_no_gradient():
    z, weight, bias, targets, weights = problem(0, 50, 8)
    value = fused_cross_entropy(z, weight, bias, targets, weights)
    assert value.item() == 0.0
    assert all(not g.any() for g in torch.autograd.grad(value, [weight, bias]))
    assert token_losses(z, weight, bias, targets).shape == (0,)
