"""The fused head against the textbook one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lilliput.training.execution import vocabulary_head as loss_module
from lilliput.training.execution.vocabulary_head import (
    VocabularyHead,
    padded_words,
    plain_cross_entropy,
    token_losses,
)


def problem(rows, vocab, width, *, scale=1.0, seed=0, with_bias=True, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(rows, width, generator=g, dtype=dtype)
    weight = (torch.randn(vocab, width, generator=g) * scale).requires_grad_()
    bias = torch.randn(vocab, generator=g).requires_grad_() if with_bias else None
    targets = torch.randint(vocab, (rows,), generator=g)
    weights = torch.rand(rows, generator=g) / rows
    return z.requires_grad_(), weight, bias, targets, weights


def fused(z, weight, bias, targets, weights):
    """Loss and gradients by z, decoder and bias, from the head's one pass."""
    head = VocabularyHead(weight.detach(), None if bias is None else bias.detach(), z.dtype)
    grad_weight = torch.zeros_like(weight)
    grad_bias = None if bias is None else torch.zeros_like(bias)
    loss, grad_z = head.add_gradients(z.detach(), targets, weights, grad_weight, grad_bias)
    return tuple(x for x in (loss, grad_z, grad_weight, grad_bias) if x is not None)


def plain(*arguments):
    """The same by the textbook and autograd."""
    loss = plain_cross_entropy(*arguments)
    leaves = [x for x in arguments[:3] if x is not None]
    return loss.detach(), *torch.autograd.grad(loss, leaves)


@given(
    st.integers(1, 70), st.integers(2, 300), st.integers(1, 40), st.booleans(), st.integers(0, 99)
)
@settings(deadline=None, max_examples=40)
def test_loss_and_gradients_equal_the_textbook_ones(rows, vocab, width, with_bias, seed):
    arguments = problem(rows, vocab, width, seed=seed, with_bias=with_bias)
    for expected, got in zip(plain(*arguments), fused(*arguments), strict=True):
        # Sums of up to 300 terms of size 1 in float32 (eps 6e-8): 2e-6 relative leaves a margin of 2.
        torch.testing.assert_close(got, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("scale", [0.02, 3.0, 60.0])
def test_chunks_and_extreme_logits_change_nothing(scale, monkeypatch):
    monkeypatch.setattr(loss_module, "_CHUNK_BYTES_CPU", 16 * 600 * 4)
    monkeypatch.setattr(loss_module, "_TILE_BYTES_CPU", 16 * 256 * 4)
    arguments = problem(100, 600, 24, scale=scale)
    for expected, got in zip(plain(*arguments), fused(*arguments), strict=True):
        # Logits reach 60 * 5 * sqrt(24): absolute error is float32's spacing at 1500, about 1e-4.
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6 * max(1.0, scale * 5))


def test_a_bound_far_above_the_true_maximum_falls_back_to_it():
    """Opposite vectors: the bound is +400 where every logit is near -400."""
    z = torch.full((5, 16), 5.0, requires_grad=True)
    weight = (
        -5.0 - torch.rand(50, 16, generator=torch.Generator().manual_seed(0))
    ).requires_grad_()
    targets, weights = torch.arange(5), torch.full((5,), 0.2)
    arguments = (z, weight, None, targets, weights)
    for expected, got in zip(plain(*arguments), fused(*arguments), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_half_precision_agrees_to_its_rounding():
    z, weight, bias, targets, weights = problem(64, 300, 32, scale=0.3)
    expected = plain_cross_entropy(z, weight, bias, targets, weights)
    got, _, *grads = fused(z.bfloat16(), weight, bias, targets, weights)
    # bfloat16 keeps 8 bits: logits of size 5 are off by up to 0.02 each, averaged over rows.
    torch.testing.assert_close(got, expected, rtol=1e-2, atol=0.0)
    assert [g.dtype for g in grads] == [torch.float32, torch.float32]


def test_token_losses_are_the_terms_of_the_sum():
    z, weight, bias, targets, weights = problem(90, 120, 8)
    losses = token_losses(z, weight, bias, targets)
    total = plain_cross_entropy(z, weight, bias, targets, weights)
    torch.testing.assert_close((losses * weights).sum(), total, rtol=1e-6, atol=1e-6)
    assert not losses.requires_grad


def test_the_gradients_of_two_halves_add_up_to_those_of_the_whole():
    z, weight, bias, targets, weights = problem(20, 50, 8)
    loss, grad_z, *whole = fused(z, weight, bias, targets, weights)
    head = VocabularyHead(weight.detach(), bias.detach(), z.dtype)
    parts = torch.zeros_like(weight), torch.zeros_like(bias)
    halves = [
        head.add_gradients(z.detach()[half], targets[half], weights[half], *parts)
        for half in (slice(0, 7), slice(7, 20))
    ]
    torch.testing.assert_close(halves[0][0] + halves[1][0], loss)
    torch.testing.assert_close(torch.cat([grad for _, grad in halves]), grad_z)
    for one, both in zip(parts, whole, strict=True):
        torch.testing.assert_close(one, both, rtol=1e-5, atol=1e-7)


def test_no_rows_give_no_loss_and_no_gradient():
    arguments = problem(0, 50, 8)
    loss, _, grad_weight, grad_bias = fused(*arguments)
    assert loss.item() == 0.0
    assert not grad_weight.any()
    assert not grad_bias.any()
    z, weight, bias, targets, _ = arguments
    assert token_losses(z, weight, bias, targets).shape == (0,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_words_added_for_a_gpu_change_neither_loss_nor_gradient(dtype, scale):
    """100 words become 128: what is added has probability 0, not a small one."""
    z, weight, bias, targets, weights = problem(40, 100, 8, scale=scale, dtype=dtype)
    found = []
    for is_padded in (False, True):
        head = VocabularyHead(weight, bias, dtype)
        head._bound_is_loose = True
        if is_padded:
            head._padded_weight, head._padded_bias = padded_words(head.weight_VD, head.bias_V)
            assert head._padded_weight.shape == (128, 8)
        chunk = head.forward(z.detach(), targets, keep=True)
        exponentials = torch.cat([e for _, e in chunk.tiles], dim=1)
        assert not exponentials[:, 100:].any()
        grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        more = head.add_gradients(z.detach(), targets, weights, grad_weight, grad_bias)
        found.append((*more, grad_weight, grad_bias))
    for plain_one, padded_one in zip(*found, strict=True):
        # Sums of the same terms, with zeros among them, in another order.
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(padded_one, plain_one, rtol=4 * eps, atol=4 * eps)
