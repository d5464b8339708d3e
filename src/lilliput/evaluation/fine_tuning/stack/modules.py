"""The parts of a classifier for K members at once: each row of a batch meets its own member's weights.

A batch holds the rows of member 0, then those of member 1, and so on, equally many each; so all code that
treats rows alike (attention, pooling, activations) is the single model's own. Weights are attributes that
the stack sets, with the members along the first axis.

K members, B rows (of all members), L length, N tokens, E embedding, H hidden, I inputs, O outputs, A heads,
W width of a head.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lilliput.evaluation.fine_tuning.classifier import Classifier
from lilliput.evaluation.fine_tuning.stack.attention import short_attention
from lilliput.evaluation.fine_tuning.stack.dropout import DropoutKeys, KeyedDropout
from lilliput.models.transformer import (
    AttentionContext,
    Embeddings,
    Layer,
    NetworkConfig,
    RequestedPositions,
    rotate,
)


def stack_parts(model: Classifier, draws: DropoutKeys, encoder_dropout: float | None) -> None:
    """Put the parts below in the place of the model's own; their weights are yet to be set.

    Args:
        model: Changed in place.
        draws: Masks of its dropout.
        encoder_dropout: Share dropped inside the encoder; None leaves it as it is.
    """
    encoder, plan = model.encoder, model.encoder.plan
    if encoder_dropout is not None:
        plan = replace(
            plan, hidden_dropout_prob=encoder_dropout, attention_probs_dropout_prob=encoder_dropout
        )
        encoder.embeddings.dropout.p = encoder_dropout
    with torch.device(
        "meta"
    ):  # Their own weights are never drawn, nor the caller's random numbers.
        layers = [StackedLayer(plan, i, draws) for i in range(len(encoder.layers))]
    encoder.layers = nn.ModuleList(layers)
    _stack_children(model, draws)


def _stack_children(part: nn.Module, draws: DropoutKeys) -> None:
    for name, child in part.named_children():
        if isinstance(child, nn.Dropout):
            setattr(part, name, KeyedDropout(child.p, draws))
        elif isinstance(child, nn.Linear):
            setattr(part, name, StackedLinear())
        elif isinstance(child, (nn.LayerNorm, nn.RMSNorm)):
            setattr(part, name, StackedNorm(child))
        elif isinstance(child, nn.Embedding):
            setattr(part, name, StackedTable(child.padding_idx))
        else:
            _stack_children(child, draws)
            if isinstance(child, Embeddings):
                setattr(part, name, StackedEmbeddings(child))


class StackedLinear(nn.Module):
    """K linear maps."""

    weight: Tensor  # (K, O, I)
    bias: Tensor | None = None  # (K, O)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (..., O) of inputs (..., I), the members' rows along the first axis."""
        members, outputs, inputs = self.weight.shape
        x_KNI = x.reshape(members, -1, inputs)
        # Autograd's own way back copies each weight and each gradient to turn it.
        y_KNO: Any = _Linear.apply(x_KNI, self.weight, self.bias)
        return y_KNO.view(*x.shape[:-1], outputs)


class StackedNorm(nn.Module):
    """K norms over the last axis, layer or root-mean-square as the one it stands for."""

    weight: Tensor  # (K, H)
    bias: Tensor | None = None  # (K, H)

    def __init__(self, norm: nn.LayerNorm | nn.RMSNorm) -> None:
        super().__init__()
        self.is_rms, self.eps = isinstance(norm, nn.RMSNorm), norm.eps

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` normalised, the members' rows along the first axis."""
        members, width = self.weight.shape
        parts = x.reshape(members, -1, width).unbind(0)
        if self.is_rms:
            done = [
                functional.rms_norm(part, (width,), weight, self.eps)
                for part, weight in zip(parts, self.weight, strict=True)
            ]
        else:
            biases = self.bias if self.bias is not None else [None] * members
            done = [
                functional.layer_norm(part, (width,), weight, bias, self.eps or 0.0)
                for part, weight, bias in zip(parts, self.weight, biases, strict=True)
            ]
        return torch.cat(done).view(x.shape)


class StackedTable(nn.Module):
    """K tables of vectors."""

    weight: Tensor  # (K, R, E)

    def __init__(self, padding_idx: int | None) -> None:
        super().__init__()
        self.padding_idx = padding_idx

    def forward(self, rows_KBL: Tensor) -> Tensor:
        """Return the vectors (K, B/K, L, E) of the rows asked for, (K, B/K, L)."""
        pairs = zip(rows_KBL.expand(len(self.weight), -1, -1), self.weight, strict=True)
        return torch.stack([functional.embedding(r, w, self.padding_idx) for r, w in pairs])


class StackedEmbeddings(nn.Module):
    """K sets of embeddings: tokens, positions and the one token type."""

    def __init__(self, parts: Embeddings) -> None:
        super().__init__()
        self.word, self.position, self.token_type = parts.word, parts.position, parts.token_type
        self.norm, self.dropout = parts.norm, parts.dropout

    def forward(self, input_ids_BL: Tensor, rows_BL: Tensor) -> Tensor:
        """Do the same as `Embeddings.forward`."""
        members = len(self._weight(self.word))
        batch, length = input_ids_BL.shape
        x_KBLE = self.word(input_ids_BL.view(members, -1, length))
        if self.position is not None:
            rows_KBL = rows_BL[None] if len(rows_BL) == 1 else rows_BL.view(members, -1, length)
            x_KBLE = x_KBLE + self.position(rows_KBL)
        if self.token_type is not None:
            x_KBLE = x_KBLE + self._weight(self.token_type)[:, None, :1]
        return self.dropout(self.norm(x_KBLE.view(batch, length, -1)))

    @staticmethod
    def _weight(table: Any) -> Tensor:
        return table.weight


class StackedLayer(Layer):
    """A layer whose attention weights are dropped by key."""

    def __init__(self, plan: NetworkConfig, index: int, draws: DropoutKeys) -> None:
        super().__init__(plan, index)
        self.draws = draws

    def attend(
        self, x_NH: Tensor, shared: AttentionContext, wanted: RequestedPositions | None
    ) -> Tensor:
        """Do the same as `Layer.attend`; on a processor by `short_attention`, for all rows or one of each text."""
        if not x_NH.is_cpu or (shared.is_causal and shared.bias is None):
            return super().attend(x_NH, shared, wanted)
        rows_N = None if wanted is None else wanted.rows_N
        assert rows_N is None or len(rows_N) == shared.batch
        qkv_BL3AW = self.qkv(x_NH).view(shared.batch, shared.length, 3, self.heads, -1)
        if shared.rotation is not None:
            q_BALW, k_BALW, v_BALW = qkv_BL3AW.permute(2, 0, 3, 1, 4)
            turned = [rotate(part, *shared.rotation) for part in (q_BALW, k_BALW)]
            qkv_BL3AW = torch.stack([*turned, v_BALW], dim=2).permute(0, 3, 2, 1, 4)
        is_dropping = self.training and self.attention_dropout > 0
        keys = self.draws.keys() if is_dropping else None
        y_BQAW = short_attention(
            qkv_BL3AW, shared.bias_by_pair, rows_N, keys, self.attention_dropout
        )
        return self.dropout(self.attention_out(y_BQAW.view(-1, x_NH.shape[1])))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        x_KNI, weight_KOI, bias_KO = inputs
        ctx.save_for_backward(x_KNI, weight_KOI)
        ctx.has_bias = bias_KO is not None
        y_KNO = torch.bmm(x_KNI, weight_KOI.transpose(1, 2))
        return y_KNO if bias_KO is None else y_KNO.add_(bias_KO[:, None])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x_KNI, weight_KOI = ctx.saved_tensors
        grad_KNO = grad_outputs[0].contiguous()
        grad_weight_KOI = torch.bmm(grad_KNO.transpose(1, 2), x_KNI)
        bias = grad_KNO.sum(1) if ctx.has_bias else None
        return torch.bmm(grad_KNO, weight_KOI), grad_weight_KOI, bias
