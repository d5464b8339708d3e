"""Attention over many short texts on a processor, with its way back spelt out.

Products and softmax are float32 whatever the activations are: such small products gain nothing from bfloat16.
Autograd would copy each of queries, keys and values twice on either way; here they are moved together.

B texts, L length, Q queries of a text (L, or 1), A heads, W width of a head, P pairs of text and head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lilliput.evaluation.fine_tuning.dropout import Keys, drop
from lilliput.models.attention import LANES


def short_attention(
    qkv_BL3AW: Tensor,
    bias_PLL: Tensor | None,
    rows_B: Tensor | None,
    keys: Keys | None,
    dropout: float,
) -> Tensor:
    """Return softmax(q k^T / sqrt(W) + bias) v, (B, Q, A, W), in the dtype of `qkv_BL3AW`.

    Args:
        qkv_BL3AW: Queries, keys and values.
        bias_PLL: Added to the scores; axes 0 and 1 may be 1.
        rows_B: The one query of each text, as its row among the B * L; all when None.
        keys: Of the dropout of weights, see `drop`; None drops none.
        dropout: Share of the weights that is dropped.
    """
    return _Attention.apply(qkv_BL3AW, bias_PLL, rows_B, keys, dropout)  # pyright: ignore[reportReturnType]


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        qkv_BL3AW, bias_PLL, rows_B, ctx.keys, ctx.dropout = inputs
        batch, length, _, _, width = ctx.shape = qkv_BL3AW.shape
        # Widened before they are moved: a copy that does both at once takes five times as long.
        q_BLAW, k_BLAW, v_BLAW = qkv_BL3AW.float().unbind(2)
        q_BQAW = q_BLAW if rows_B is None else q_BLAW.flatten(0, 1)[rows_B][:, None]
        q_PQW, k_PLW, v_PLW = map(_by_head, (q_BQAW, k_BLAW, v_BLAW))
        # Weights are kept with the keys on axis 1, (P, L, Q), where that makes the softmax fast.
        ctx.axis = 1 if length < LANES and rows_B is None else 2
        bias = torch.zeros(1, 1, 1) if bias_PLL is None else bias_PLL.float()
        a, b = (k_PLW, q_PQW) if ctx.axis == 1 else (q_PQW, k_PLW)
        bias = bias.transpose(1, 2) if ctx.axis == 1 else bias
        weights = torch.baddbmm(bias, a, b.transpose(1, 2), alpha=width**-0.5).softmax(ctx.axis)
        ctx.save_for_backward(q_PQW, k_PLW, v_PLW, weights, rows_B)
        y_PQW = torch.bmm(_queries_first(ctx, _dropped(ctx, weights)), v_PLW)
        return _by_text(y_PQW, batch).contiguous().to(qkv_BL3AW.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        q_PQW, k_PLW, v_PLW, weights, rows_B = ctx.saved_tensors
        batch, length, _, heads, width = ctx.shape
        (grad_BQAW,) = grad_outputs
        grad_PQW = _by_head(grad_BQAW.float())
        grad_BL3AW = torch.empty(ctx.shape)
        dropped_PQL = _queries_first(ctx, _dropped(ctx, weights))
        grad_v_PLW = torch.bmm(dropped_PQL.transpose(1, 2), grad_PQW)
        a, b = (v_PLW, grad_PQW) if ctx.axis == 1 else (grad_PQW, v_PLW)
        grad_weights = _dropped(ctx, torch.bmm(a, b.transpose(1, 2)))
        grad_scores = torch.ops.aten._softmax_backward_data(
            grad_weights, weights, ctx.axis, torch.float32
        ).mul_(width**-0.5)
        grad_PQL = _queries_first(ctx, grad_scores)
        grad_k_PLW = torch.bmm(grad_PQL.transpose(1, 2), q_PQW)
        grad_BQAW = _by_text(torch.bmm(grad_PQL, k_PLW), batch)
        for part, grad_PLW in ((1, grad_k_PLW), (2, grad_v_PLW)):
            grad_BL3AW[:, :, part] = _by_text(grad_PLW, batch)
        if rows_B is None:
            grad_BL3AW[:, :, 0] = grad_BQAW
        else:
            grad_BL3AW[:, :, 0] = 0
            grad_BL3AW.view(batch * length, 3, heads, width)[rows_B, 0] = grad_BQAW[:, 0]
        return grad_BL3AW.to(grad_outputs[0].dtype), None, None, None, None


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
