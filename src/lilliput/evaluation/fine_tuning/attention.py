"""Compute attention over many short texts on a processor, with its backward pass written out.

Products and softmax are float32 whatever the activations are: such small products gain nothing from bfloat16.
Autograd would copy each of queries, keys and values twice on either way; here they are moved together.

B texts, L length, Q queries of a text (L, or 1), A heads, W width of a head, Z = 3 * A * W, P pairs of text and
head, N tokens, K members.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lilliput.evaluation.fine_tuning.dropout import Keys, drop
from lilliput.evaluation.fine_tuning.fused import heads_apart, heads_together
from lilliput.models.attention import LANES, AttentionContext


def short_attention(
    qkv_NZ: Tensor,
    bias_KZ: Tensor | None,
    shared: AttentionContext,
    rows_B: Tensor | None,
    keys: Keys | None,
    dropout: float,
) -> Tensor:
    """Return softmax(q k^T / sqrt(W) + bias) v, (B * Q, A * W), in the dtype of `qkv_NZ`.

    Args:
        qkv_NZ: The product that holds queries, keys and values, without its bias, (B * L, 3 * A * W).
        bias_KZ: That bias, one a member; None where there is none.
        shared: Texts, length and heads, who sees whom, and the angles of rotary positions.
        rows_B: The one query of each text, as its row among the B * L; all when None.
        keys: Of the dropout of weights, see `drop`; None drops none.
        dropout: Share of the weights that is dropped.
    """
    return _Attention.apply(qkv_NZ, bias_KZ, shared, rows_B, keys, dropout)  # pyright: ignore[reportReturnType]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        qkv_NZ, bias_KZ, shared, rows_B, ctx.keys, ctx.dropout = inputs
        ctx.shape = batch, length, _ = shared.batch, shared.length, shared.heads
        ctx.rotation, ctx.like = shared.rotation, qkv_NZ
        q_PQW, k_PLW, v_PLW = heads_apart(qkv_NZ, bias_KZ, shared.rotation, rows_B, ctx.shape)
        # Weights are kept with the keys on axis 1, (P, L, Q), where that makes the softmax fast.
        ctx.axis = 1 if length < LANES and rows_B is None else 2
        bias_PLL = shared.bias_by_pair
        bias = torch.zeros(1, 1, 1) if bias_PLL is None else bias_PLL.float()
        a, b = (k_PLW, q_PQW) if ctx.axis == 1 else (q_PQW, k_PLW)
        bias = bias.transpose(1, 2) if ctx.axis == 1 else bias
        scale = q_PQW.shape[2] ** -0.5
        weights = torch.baddbmm(bias, a, b.transpose(1, 2), alpha=scale).softmax(ctx.axis)
        ctx.save_for_backward(bias_KZ, q_PQW, k_PLW, v_PLW, weights, rows_B)
        y_PQW = torch.bmm(_queries_first(ctx, _dropped(ctx, weights)), v_PLW)
        return _by_text(y_PQW, batch).contiguous().to(qkv_NZ.dtype).view(-1, qkv_NZ.shape[1] // 3)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        bias_KZ, q_PQW, k_PLW, v_PLW, weights, rows_B = ctx.saved_tensors
        (grad_NH,), (batch, _, heads) = grad_outputs, ctx.shape
        grad_PQW = _by_head(grad_NH.float().view(batch, -1, heads, q_PQW.shape[2]))
        dropped_PQL = _queries_first(ctx, _dropped(ctx, weights))
        grad_v_PLW = torch.bmm(dropped_PQL.transpose(1, 2), grad_PQW)
        a, b = (v_PLW, grad_PQW) if ctx.axis == 1 else (grad_PQW, v_PLW)
        grad_weights = _dropped(ctx, torch.bmm(a, b.transpose(1, 2)))
        grad_scores = torch.ops.aten._softmax_backward_data(
            grad_weights, weights, ctx.axis, torch.float32
        ).mul_(q_PQW.shape[2] ** -0.5)
        grad_PQL = _queries_first(ctx, grad_scores)
        grads = (
            torch.bmm(grad_PQL, k_PLW),
            torch.bmm(grad_PQL.transpose(1, 2), q_PQW),
            grad_v_PLW,
        )
        found = heads_together(grads, bias_KZ, ctx.rotation, rows_B, ctx.shape, ctx.like)
        return *found, None, None, None, None


def _by_head(x_BLAW: Tensor) -> Tensor:
    """Return the vectors of each pair of text and head together, (P, L, W)."""
    return x_BLAW.transpose(1, 2).contiguous().flatten(0, 1)


def _by_text(x_PLW: Tensor, batch: int) -> Tensor:
    """Return a view with all heads of a token together, (B, L, A, W)."""
    return x_PLW.unflatten(0, (batch, -1)).transpose(1, 2)


def _dropped(ctx: Any, weights: Tensor) -> Tensor:
    return weights if ctx.keys is None else drop(weights, ctx.keys, ctx.dropout)


def _queries_first(ctx: Any, weights: Tensor) -> Tensor:
    return weights.transpose(1, 2) if ctx.axis == 1 else weights
