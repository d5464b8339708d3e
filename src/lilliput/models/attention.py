"""Attention as two kernels: spelt out, and torch's own; and what all layers of one forward pass share.

The letters at the end of a tensor's name are explained in `transformer.py`. Like it, this file imports
nothing but torch: it travels inside exported models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

AttentionKernel = Literal["plain", "fused"]

# exp(HIDDEN) is 0, and it stays finite in every float type, autocast or not: a position that sees
# nothing (padding in a packed row) must not turn into not-a-number. On a processor the number matters:
# at -30,000 torch's vectorised exp wraps round to exponents whose product is denormal, and a softmax
# takes half as long again.
HIDDEN = -10_000.0
# torch's softmax over the last axis is scalar below one vector of floats: ten times slower at length 12.
LANES = 16


@dataclass(frozen=True)
class AttentionContext:
    """Hold what all layers of one forward pass share."""

    batch: int
    length: int
    heads: int
    kernel: AttentionKernel
    is_causal: bool
    bias: Tensor | None  # (B, 1, Q, L), axes 0 to 2 may be 1: 0 where a token may look
    rotation: tuple[Tensor, Tensor] | None  # cosines and sines, (B, 1, L, W), axis 0 may be 1

    def at(self, queries_BQ: Tensor) -> AttentionContext:
        """Return the same for some queries of each text alone, as rows among all B*L positions."""
        if self.bias is None or self.bias.shape[2] == 1:
            return self
        by_row = self.bias.expand(self.batch, -1, -1, -1).flatten(0, 2)
        asked = by_row.index_select(0, queries_BQ.flatten())
        return replace(self, bias=asked.view(self.batch, 1, -1, self.length))

    @cached_property
    def bias_by_pair(self) -> Tensor | None:
        """Return the bias of the pairs P of texts and heads, axes 0 and 1 may be 1; made once for all layers."""
        if self.bias is None:
            return None
        if self.bias.shape[0] == 1:
            return self.bias[0]
        return self.bias.expand(-1, self.heads, -1, -1).flatten(0, 1)


@dataclass(frozen=True)
class RequestedPositions:
    """Say at which positions the last layer gives hidden states, and at which it asks attention.

    Attributes:
        rows_N: The wanted ones, as rows among all B*L positions.
        queries_BQ: The same number Q of positions of each text, all wanted ones among them, as rows; None: all.
        slots_N: Where each of the wanted stands among the B*Q queries; None: they are the queries.
    """

    rows_N: Tensor
    queries_BQ: Tensor | None = None
    slots_N: Tensor | None = None

    def of(self, y_NH: Tensor) -> Tensor:
        """Return what attention gave, (B*Q, H) or (B*L, H), at the wanted positions."""
        places_N = self.rows_N if self.queries_BQ is None else self.slots_N
        return y_NH if places_N is None else y_NH.index_select(0, places_N)


def plain_attention(
    q_BAQW: Tensor, k_BALW: Tensor, v_BALW: Tensor, shared: AttentionContext, dropout: float
) -> Tensor:
    """Return softmax(q k^T / sqrt(W) + bias) v, as two products in plain sight; Q queries, as a rule all L.

    Scale and bias ride along with the first product: the scores are the largest tensor of a small
    model, and every pass over them counts.
    """
    batch, heads, length, width = k_BALW.shape
    q_PQW, k_PLW, v_PLW = (x.reshape(batch * heads, -1, width) for x in (q_BAQW, k_BALW, v_BALW))
    bias, scale = shared.bias_by_pair, width**-0.5
    # With beta 0 the bias is not read.
    bias, beta = (q_PQW.new_zeros(1, 1, 1), 0.0) if bias is None else (bias, 1.0)
    if length < LANES:
        scores_PLQ = torch.baddbmm(
            bias.transpose(1, 2), k_PLW, q_PQW.transpose(1, 2), beta=beta, alpha=scale
        )
        weights_PQL = scores_PLQ.softmax(1).transpose(1, 2)
    else:
        scores_PQL = torch.baddbmm(bias, q_PQW, k_PLW.transpose(1, 2), beta=beta, alpha=scale)
        weights_PQL = scores_PQL.softmax(-1)
    if dropout:
        weights_PQL = functional.dropout(weights_PQL, dropout)
    return (weights_PQL @ v_PLW).view(batch, heads, -1, width)


def fused_attention(
    q_BALW: Tensor, k_BALW: Tensor, v_BALW: Tensor, shared: AttentionContext, dropout: float
) -> Tensor:
    """Return the same by `scaled_dot_product_attention`."""
    return functional.scaled_dot_product_attention(
        q_BALW,
        k_BALW,
        v_BALW,
        attn_mask=shared.bias,
        dropout_p=dropout,
        is_causal=shared.is_causal and shared.bias is None,
    )


def rotate(x_BALW: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Return `x_BALW` with each pair (w, w + W/2) turned by its angle: rotary positions (Su et al., arXiv 2104.09864)."""
    first, second = x_BALW.chunk(2, dim=-1)
    return x_BALW * cosines + torch.cat((-second, first), dim=-1) * sines
