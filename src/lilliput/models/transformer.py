"""The transformer: one network with every switch.

The letters at the end of a tensor's name are its axes, outermost first:

    B batch        L length            N tokens (B*L, or any selection of them)
    E embedding    H hidden            I intermediate     D decoder width
    A heads        W width of a head   P pairs of sequence and head (B*A)
    V vocabulary   R rows of a table

The file imports nothing but torch, because it travels unchanged inside exported models whose layout
Hugging Face does not know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

AttentionKernel = Literal["plain", "fused"]

# exp(_HIDDEN) is 0, and it stays finite in every float type, autocast or not: a position that sees
# nothing (padding in a packed row) must not turn into not-a-number. On a processor the number matters:
# at -30,000 torch's vectorised exp wraps round to exponents whose product is denormal, and a softmax
# takes half as long again.
_HIDDEN = -10_000.0
# torch's softmax over the last axis is scalar below one vector of floats: ten times slower at length 12.
LANES = 16


@dataclass(frozen=True)
class Blueprint:
    """Everything the network reads of a configuration; `ModelConfig` says what each field means."""

    vocab_size: int
    embedding_size: int
    hidden_size: int
    intermediate_size: int
    num_built_heads: int
    num_hidden_layers: int
    max_position_embeddings: int
    position_offset: int
    type_vocab_size: int
    embedding_norm: bool
    projection: Literal["none", "linear", "linear+norm"]
    has_projection: bool
    norm_type: Literal["layer", "rms"]
    norm_position: Literal["post", "pre"]
    skip_first_norm: bool
    position_embedding_type: Literal["learned", "rotary"]
    rope_theta: float
    hidden_act: Literal["gelu", "geglu", "swiglu"]
    linear_bias: bool
    norm_bias: bool
    head: Literal["hidden", "embedding", "none"]
    head_bias: bool
    decoder_size: int
    decoder_bias: bool
    tie_word_embeddings: bool
    is_causal: bool
    hidden_dropout_prob: float
    attention_probs_dropout_prob: float
    layer_norm_eps: float
    pad_token_id: int

    @classmethod
    def of(cls, config: Any) -> Blueprint:
        """The blueprint in any object that has these attributes."""
        return cls(**{field.name: getattr(config, field.name) for field in fields(cls)})

    def norm(self, width: int) -> nn.Module:
        """A fresh norm over the last axis."""
        if self.norm_type == "rms":
            return nn.RMSNorm(width, eps=self.layer_norm_eps)
        return nn.LayerNorm(width, eps=self.layer_norm_eps, bias=self.norm_bias)


@dataclass(frozen=True)
class Attending:
    """What all layers of one forward pass share."""

    batch: int
    length: int
    heads: int
    kernel: AttentionKernel
    is_causal: bool
    bias: Tensor | None  # (B, 1, L, L), axes 0 to 2 may be 1: 0 where a token may look
    rotation: tuple[Tensor, Tensor] | None  # cosines and sines, (B, 1, L, W), axis 0 may be 1

    @cached_property
    def bias_by_pair(self) -> Tensor | None:
        """The bias of the pairs P of texts and heads, axes 0 and 1 may be 1; made once for all layers."""
        if self.bias is None:
            return None
        if self.bias.shape[0] == 1:
            return self.bias[0]
        return self.bias.expand(-1, self.heads, -1, -1).flatten(0, 1)


class Embeddings(nn.Module):
    """Tokens and their positions, as vectors of the embedding width."""

    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        width = plan.embedding_size
        learned = plan.position_embedding_type == "learned"
        # Padding rows get no gradient: where padding is attended to, it stays what it was.
        position_pad = plan.position_offset - 1 if plan.position_offset else None
        self.word = nn.Embedding(plan.vocab_size, width, padding_idx=plan.pad_token_id)
        self.position = (
            nn.Embedding(plan.max_position_embeddings, width, padding_idx=position_pad)
            if learned
            else None
        )
        self.token_type = (
            nn.Embedding(plan.type_vocab_size, width) if plan.type_vocab_size else None
        )
        self.norm = plan.norm(width) if plan.embedding_norm else nn.Identity()
        self.dropout = nn.Dropout(plan.hidden_dropout_prob)

    def forward(self, input_ids_BL: Tensor, rows_BL: Tensor) -> Tensor:
        """Embeddings x_BLE; `rows_BL` are rows of the position table, its batch axis may be 1."""
        x_BLE = self.word(input_ids_BL)
        place = None if self.position is None else self.position(rows_BL)
        if self.token_type is not None:
            # Added to the smaller summand, whose batch axis may be 1.
            kind_E = self.token_type.weight[0]
            place = kind_E if place is None else place + kind_E
        return self.dropout(self.norm(x_BLE if place is None else x_BLE + place))


class Layer(nn.Module):
    """Attention and feed-forward, each with its norm and residual."""

    def __init__(self, plan: Blueprint, index: int) -> None:
        super().__init__()
        hidden, inner, bias = plan.hidden_size, plan.intermediate_size, plan.linear_bias
        self.heads = plan.num_built_heads
        self.is_pre = plan.norm_position == "pre"
        self.attention_dropout = plan.attention_probs_dropout_prob
        self.activation = _activation(plan.hidden_act)
        is_gated = plan.hidden_act != "gelu"

        self.qkv = nn.Linear(hidden, 3 * hidden, bias=bias)
        self.attention_out = nn.Linear(hidden, hidden, bias=bias)
        skips_norm = self.is_pre and plan.skip_first_norm and index == 0
        self.attention_norm = nn.Identity() if skips_norm else plan.norm(hidden)
        self.up = nn.Linear(hidden, inner * (1 + is_gated), bias=bias)
        self.down = nn.Linear(inner, hidden, bias=bias)
        self.feed_forward_norm = plan.norm(hidden)
        self.dropout = nn.Dropout(plan.hidden_dropout_prob)

    def forward(
        self,
        x_NH: Tensor,
        shared: Attending,
        rows_N: Tensor | None = None,
        *,
        one_each: bool = False,
    ) -> Tensor:
        """The next hidden states x_NH; with `rows_N`, of those rows alone.

        Args:
            x_NH: Hidden states of all positions.
            shared: What all layers share.
            rows_N: Rows of `x_NH`; all when None.
            one_each: They are one of each text, in the order of the texts: attention then has one query each.
        """
        kept_NH = x_NH if rows_N is None else x_NH.index_select(0, rows_N)
        if self.is_pre:
            x_NH = kept_NH + self.attend(self.attention_norm(x_NH), shared, rows_N, one_each)
            return x_NH + self.feed_forward(self.feed_forward_norm(x_NH))
        x_NH = self.attention_norm(kept_NH + self.attend(x_NH, shared, rows_N, one_each))
        return self.feed_forward_norm(x_NH + self.feed_forward(x_NH))

    def attend(
        self, x_NH: Tensor, shared: Attending, rows_N: Tensor | None, one_each: bool
    ) -> Tensor:
        """What attention adds, to `rows_N` where given, after output projection and dropout."""
        batch, length, heads = shared.batch, shared.length, self.heads
        qkv_BL3AW = self.qkv(x_NH).view(batch, length, 3, heads, -1)
        q_BALW, k_BALW, v_BALW = qkv_BL3AW.permute(2, 0, 3, 1, 4).unbind(0)
        if shared.rotation is not None:
            q_BALW, k_BALW = (
                rotate(q_BALW, *shared.rotation),
                rotate(k_BALW, *shared.rotation),
            )
        if rows_N is not None and one_each:
            q_BALW = q_BALW.transpose(1, 2).flatten(0, 1)[rows_N][:, :, None]
        dropout = self.attention_dropout if self.training else 0.0
        kernel = fused_attention if shared.kernel == "fused" else plain_attention
        y_BALW = kernel(q_BALW, k_BALW, v_BALW, shared, dropout)
        y_NH = y_BALW.transpose(1, 2).reshape(-1, x_NH.shape[1])
        if rows_N is not None and not one_each:
            y_NH = y_NH.index_select(0, rows_N)
        return self.dropout(self.attention_out(y_NH))

    def feed_forward(self, x_NH: Tensor) -> Tensor:
        """What the feed-forward adds, after dropout."""
        return self.dropout(self.down(self.activation(self.up(x_NH))))


class Head(nn.Module):
    """From hidden states to what the decoder multiplies: dense, GELU, norm."""

    def __init__(self, plan: Blueprint) -> None:
        super().__init__()
        self.dense = nn.Linear(plan.hidden_size, plan.decoder_size, bias=plan.head_bias)
        self.norm = plan.norm(plan.decoder_size)

    def forward(self, hidden_NH: Tensor) -> Tensor:
        """Decoder input z_ND."""
        return self.norm(functional.gelu(self.dense(hidden_NH)))


class Transformer(nn.Module):
    """Embeddings, layers, and the head over the vocabulary.

    Args:
        plan: The shape and the switches.
        attention_kernel: "plain" is softmax(q k^T) v, spelt out; "fused" is torch's
            `scaled_dot_product_attention`. Which is faster depends on device, dtype and shape; they
            agree within rounding.
    """

    def __init__(self, plan: Blueprint, attention_kernel: AttentionKernel = "plain") -> None:
        super().__init__()
        self.plan = plan
        self.attention_kernel: AttentionKernel = attention_kernel
        hidden = plan.hidden_size
        self.embeddings = Embeddings(plan)
        self.projection = (
            nn.Linear(plan.embedding_size, hidden) if plan.has_projection else nn.Identity()
        )
        has_norm = plan.projection == "linear+norm"
        self.projection_norm = plan.norm(hidden) if has_norm else nn.Identity()
        self.layers = nn.ModuleList(Layer(plan, i) for i in range(plan.num_hidden_layers))
        self.final_norm = plan.norm(hidden) if plan.norm_position == "pre" else nn.Identity()
        self.head = nn.Identity() if plan.head == "none" else Head(plan)
        self.decoder = (
            None
            if plan.tie_word_embeddings
            else nn.Parameter(torch.zeros(plan.vocab_size, plan.decoder_size))
        )
        self.decoder_bias = (
            nn.Parameter(torch.zeros(plan.vocab_size)) if plan.decoder_bias else None
        )

    @property
    def decoder_weight(self) -> Tensor:
        """The matrix (V, D) that turns decoder input into logits; the word embeddings when tied."""
        return self.embeddings.word.weight if self.decoder is None else self.decoder

    def encode(
        self,
        input_ids_BL: Tensor,
        attention_mask_BL: Tensor | None = None,
        position_ids_BL: Tensor | None = None,
    ) -> Tensor:
        """Last hidden states, (B, L, H).

        Args:
            input_ids_BL: Token ids, (B, L), int32 or int64.
            attention_mask_BL: True (or 1) at tokens that may be seen, (B, L); or who sees whom,
                (B, L, L), for several texts in one row. None: every position is seen, padding too.
            position_ids_BL: Place of each token in its text, from 0; (B, L) or (1, L). None: counted
                from the left (where the layout gives padding a row of its own, over real tokens).
        """
        x_NH, shared = self._run_to_last(input_ids_BL, attention_mask_BL, position_ids_BL)
        last_NH = self.layers[-1](x_NH, shared)
        return self.final_norm(last_NH).view(shared.batch, shared.length, -1)

    def encode_at(
        self,
        input_ids_BL: Tensor,
        places_B: Tensor,
        attention_mask_BL: Tensor | None = None,
    ) -> Tensor:
        """Last hidden states at one place of each text, (B, H): `encode(...)[range(B), places_B]`.

        For models that see both sides. The last layer computes these rows, and keys and values.
        """
        assert not self.plan.is_causal
        x_NH, shared = self._run_to_last(input_ids_BL, attention_mask_BL, None)
        rows_B = torch.arange(shared.batch, device=x_NH.device) * shared.length + places_B
        return self.final_norm(self.layers[-1](x_NH, shared, rows_B, one_each=True))

    def encode_some(
        self,
        input_ids_BL: Tensor,
        positions_N: Tensor,
        attention_mask_BL: Tensor | None = None,
        position_ids_BL: Tensor | None = None,
    ) -> Tensor:
        """Last hidden states at some positions, (N, H): `encode(...).flatten(0, 1)[positions_N]`.

        After its attention the last layer computes these alone: in a masked LM one in seven.
        """
        x_NH, shared = self._run_to_last(input_ids_BL, attention_mask_BL, position_ids_BL)
        return self.final_norm(self.layers[-1](x_NH, shared, positions_N))

    def head_hidden(self, hidden_NH: Tensor) -> Tensor:
        """What the decoder multiplies, z_ND, for hidden states of any selection of tokens."""
        return self.head(hidden_NH)

    def logits(self, hidden_NH: Tensor) -> Tensor:
        """Scores (N, V) of every token of the vocabulary."""
        return functional.linear(
            self.head_hidden(hidden_NH), self.decoder_weight, self.decoder_bias
        )

    def drop_head(self) -> None:
        """Take head and decoder off; `encode` stays."""
        self.head = nn.Identity()
        self.decoder = None
        self.decoder_bias = None

    def _run_to_last(
        self,
        input_ids_BL: Tensor,
        attention_mask_BL: Tensor | None,
        position_ids_BL: Tensor | None,
    ) -> tuple[Tensor, Attending]:
        """What the last layer reads, and what all layers share."""
        batch, length = input_ids_BL.shape
        rows_BL = self._position_rows(input_ids_BL, position_ids_BL)
        x_BLE = self.embeddings(input_ids_BL, rows_BL)
        x_NH = self.projection_norm(self.projection(x_BLE.view(batch * length, -1)))
        shared = Attending(
            batch,
            length,
            self.plan.num_built_heads,
            self.attention_kernel,
            self.plan.is_causal,
            self._attention_bias(attention_mask_BL, length, x_NH),
            self._rotation(rows_BL, x_NH.dtype),
        )
        for layer in self.layers[:-1]:
            x_NH = layer(x_NH, shared)
        return x_NH, shared

    def _position_rows(self, input_ids_BL: Tensor, position_ids_BL: Tensor | None) -> Tensor:
        offset = self.plan.position_offset
        if position_ids_BL is not None:
            return position_ids_BL + offset
        if offset == 0:
            return torch.arange(input_ids_BL.shape[1], device=input_ids_BL.device)[None]
        is_real_BL = input_ids_BL != self.plan.pad_token_id
        return is_real_BL.cumsum(1) * is_real_BL + (offset - 1)

    def _attention_bias(self, mask: Tensor | None, length: int, like: Tensor) -> Tensor | None:
        """Additive bias of the attention scores: 0 where a token may look, `_HIDDEN` elsewhere."""
        past_LL = None
        if self.plan.is_causal and (mask is not None or self.attention_kernel == "plain"):
            ones_LL = torch.ones(length, length, dtype=torch.bool, device=like.device)
            past_LL = ones_LL.tril()
        if mask is None:
            visible = None if past_LL is None else past_LL[None, None]
        else:
            visible = mask.bool()[:, None, None] if mask.dim() == 2 else mask.bool()[:, None]
            visible = visible if past_LL is None else visible & past_LL
        if visible is None:
            return None
        return torch.zeros_like(visible, dtype=_product_dtype(like)).masked_fill(~visible, _HIDDEN)

    def _rotation(self, rows_BL: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
        if self.plan.position_embedding_type != "rotary":
            return None
        width = self.plan.hidden_size // self.plan.num_built_heads
        even = torch.arange(0, width, 2, dtype=torch.float32, device=rows_BL.device)
        angles_BLW = rows_BL[..., None] * self.plan.rope_theta ** (-even / width)
        angles_B1LW = torch.cat((angles_BLW, angles_BLW), dim=-1)[:, None]
        return angles_B1LW.cos().to(dtype), angles_B1LW.sin().to(dtype)


def plain_attention(
    q_BAQW: Tensor, k_BALW: Tensor, v_BALW: Tensor, shared: Attending, dropout: float
) -> Tensor:
    """softmax(q k^T / sqrt(W) + bias) v, as two products in plain sight; Q queries, as a rule all L.

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
    q_BALW: Tensor, k_BALW: Tensor, v_BALW: Tensor, shared: Attending, dropout: float
) -> Tensor:
    """The same by `scaled_dot_product_attention`."""
    return functional.scaled_dot_product_attention(
        q_BALW,
        k_BALW,
        v_BALW,
        attn_mask=shared.bias,
        dropout_p=dropout,
        is_causal=shared.is_causal and shared.bias is None,
    )


def _product_dtype(x: Tensor) -> torch.dtype:
    """What products with `x` are computed in: autocast would cast a bias anew in every layer."""
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


def rotate(x_BALW: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotary positions: each pair (w, w + W/2) turned by its angle (Su et al., arXiv 2104.09864)."""
    first, second = x_BALW.chunk(2, dim=-1)
    return x_BALW * cosines + torch.cat((-second, first), dim=-1) * sines


def _activation(name: str) -> Callable[[Tensor], Tensor]:
    if name == "gelu":
        return functional.gelu
    return _geglu if name == "geglu" else _swiglu


def _geglu(x_N2I: Tensor) -> Tensor:
    gate_NI, value_NI = x_N2I.chunk(2, dim=-1)
    return functional.gelu(gate_NI) * value_NI


def _swiglu(x_N2I: Tensor) -> Tensor:
    gate_NI, value_NI = x_N2I.chunk(2, dim=-1)
    return functional.silu(gate_NI) * value_NI
