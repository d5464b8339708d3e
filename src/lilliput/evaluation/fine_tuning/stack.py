"""Train and read K classifiers of one shape as one computation: one batch of all their rows, one buffer of weights.

A batch holds the rows of member 0, then those of member 1, and so on, equally many each; so all code that
treats rows alike (attention, pooling, activations) is the single model's own. Weights are attributes that
the stack sets, with the members along the first axis.

K members, B rows (of all members), L length, N tokens, E embedding, H hidden, I inputs, O outputs, A heads,
W width of a head, C outputs of a classifier, P parameters of a member.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lilliput.evaluation.fine_tuning.attention import short_attention
from lilliput.evaluation.fine_tuning.classifier import Classifier
from lilliput.evaluation.fine_tuning.dropout import DropoutKeys, KeyedDropout
from lilliput.evaluation.fine_tuning.fused import (
    NO_DROP,
    Drop,
    activate,
    add_residual,
    add_residual_and_norm,
    normalise,
)
from lilliput.evaluation.settings import FineTuningSettings
from lilliput.models.attention import AttentionContext, RequestedPositions
from lilliput.models.transformer import Embeddings, Layer, NetworkConfig
from lilliput.training.execution.optimizer import (
    FlatAdamW,
    flat_size,
    member_views,
)

_BETAS = (0.9, 0.999)
_EPSILON = 1e-8


class ClassifierStack:
    """Classifiers with their optimizers, trained and read together.

    Each member's parameters become views of its row of one float32 buffer. With bfloat16 the products
    read a rounded copy of that buffer, made once a step, and activations are bfloat16 too.

    Args:
        models: Of one shape, on one device, in training mode or not.
        seeds: Of each member's dropout.
        settings: Optimizer, clipping and dtype.

    Attributes:
        gradients: Of the last step, clipped, float32, shape (K, P).
    """

    def __init__(
        self, models: Sequence[Classifier], seeds: Sequence[int], settings: FineTuningSettings
    ) -> None:
        first, device = models[0], models[0].out.weight.device
        self._settings = settings
        self._draws = DropoutKeys(tuple(seeds))
        self._model = copy.deepcopy(first)
        stack_parts(self._model, self._draws, settings.encoder_dropout)
        self._weights_KP = torch.zeros(len(models), flat_size(first), device=device)
        self.gradients = torch.zeros_like(self._weights_KP)
        self._optimizers = [
            FlatAdamW(
                model,
                weight_decay=settings.weight_decay,
                betas=_BETAS,
                eps=_EPSILON,
                buffers=(weights_P, gradients_P),
            )
            for model, weights_P, gradients_P in zip(
                models, self._weights_KP, self.gradients, strict=True
            )
        ]
        dtype = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
        places = self._optimizers[0].places
        self._weights = list(member_views(self._weights_KP, first, places).values())
        self._gradients = list(member_views(self.gradients, first, places).values())
        # Batched products copy what lies apart, as the rows of a buffer do: they read these instead.
        self._leaves = [
            torch.empty(view.shape, dtype=dtype, device=device, requires_grad=True)
            for view in self._weights
        ]
        self._refresh()
        names = [name for name, _ in first.named_parameters()]
        for name, leaf in zip(names, self._leaves, strict=True):
            path, _, last = name.rpartition(".")
            setattr(self._model.get_submodule(path), last, leaf)

    def __len__(self) -> int:
        return len(self._optimizers)

    @property
    def outputs(self) -> int:
        """Width of a member's result."""
        return self._model.out.weight.shape[1]

    @property
    def device(self) -> torch.device:
        """Return the device on which it computes."""
        return self._weights_KP.device

    def step(
        self,
        step: int,
        ids_BL: Tensor,
        is_token_BL: Tensor | None,
        labels_B: Tensor,
        learning_rates: Sequence[float],
    ) -> Tensor:
        """Take optimizer step number `step` and return the members' mean losses, (K,).

        Args:
            step: From 0; dropout is a function of the member's seed and of it.
            ids_BL: The rows of member 0, then of member 1, and so on.
            is_token_BL: None where nothing is padding.
            labels_B: Class numbers (int64), or values (float32) where the task is a regression.
            learning_rates: Of each member.
        """
        self._draws.begin(step)
        self._model.train()
        losses_K = self._losses(self._model(ids_BL, is_token_BL).float(), labels_B)
        # Not `backward`: it would find fault with gradients that lie apart, as rows of a buffer.
        found = torch.autograd.grad(losses_K.sum(), self._leaves)
        for gradient, part in zip(self._gradients, found, strict=True):
            gradient.copy_(part)
        self._clip()
        for rate in dict.fromkeys(learning_rates):
            same = [
                one
                for one, own in zip(self._optimizers, learning_rates, strict=True)
                if own == rate
            ]
            same[0].set_learning_rate(rate)
            same[0].step_together(same)
        self._refresh()
        return losses_K.detach()

    def _clip(self) -> None:
        """Scale each member's gradient so that its norm is at most the largest that is allowed."""
        if most := self._settings.max_grad_norm:
            norms_K1 = torch.linalg.vector_norm(self.gradients, dim=1, keepdim=True)
            self.gradients.mul_((most / (norms_K1 + 1e-6)).clamp(max=1.0))

    def weights_of(self, member: int) -> Tensor:
        """Return a copy of all weights of a member, float32, shape (P,)."""
        return self._weights_KP[member].clone()

    def load_weights(self, weights_K: Sequence[Tensor]) -> None:
        """Take over what `weights_of` returned, for each member."""
        self._weights_KP.copy_(torch.stack(list(weights_K)))
        self._refresh()

    @torch.no_grad()
    def _refresh(self) -> None:
        for leaf, view in zip(self._leaves, self._weights, strict=True):
            leaf.copy_(view)

    def _losses(self, out_BC: Tensor, labels_B: Tensor) -> Tensor:
        """Return the mean cross-entropy in nats, or mean squared error, of each member, (K,)."""
        if labels_B.is_floating_point():
            losses_B = functional.mse_loss(out_BC[:, 0], labels_B, reduction="none")
        else:
            losses_B = functional.cross_entropy(out_BC, labels_B, reduction="none")
        return losses_B.view(len(self), -1).mean(1)

    @torch.no_grad()
    def read(self, ids_BL: Tensor, is_token_BL: Tensor | None) -> Tensor:
        """Return each member's float32 outputs (K, B, C) for the same rows, without dropout."""
        self._model.eval()
        members = len(self)
        is_token = None if is_token_BL is None else is_token_BL.repeat(members, 1)
        return self._model(ids_BL.repeat(members, 1), is_token).float().unflatten(0, (members, -1))


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
        return self._multiplied(x, self.bias)

    def product(self, x: Tensor) -> Tensor:
        """Return the same without the bias, which the next pass over the activations adds."""
        return self._multiplied(x, None)

    def _multiplied(self, x: Tensor, bias_KO: Tensor | None) -> Tensor:
        members, outputs, inputs = self.weight.shape
        x_KNI = x.reshape(members, -1, inputs)
        # Autograd's own way back copies each weight and each gradient to turn it.
        y_KNO: Any = _Linear.apply(x_KNI, self.weight, bias_KO)
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
        if x.is_cpu:
            done = normalise(
                x.reshape(-1, width),
                self.weight,
                self.bias,
                is_rms=self.is_rms,
                eps=self.eps or 0.0,
            )
            return done.view(x.shape)
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
    """Look vectors up in K tables, one for each member of the stack."""

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
    """A layer that drops attention weights by key and, on a processor, goes over activations once between products."""

    def __init__(self, plan: NetworkConfig, index: int, draws: DropoutKeys) -> None:
        super().__init__(plan, index)
        self.draws, self.activation_name = draws, plan.hidden_act

    def forward(
        self, x_NH: Tensor, shared: AttentionContext, wanted: RequestedPositions | None = None
    ) -> Tensor:
        """Do the same as `Layer.forward`."""
        if not x_NH.is_cpu or (shared.is_causal and shared.bias is None):
            return super().forward(x_NH, shared, wanted)
        parts: Any = self
        kept_NH = x_NH if wanted is None else x_NH.index_select(0, wanted.rows_N)
        first, second = parts.attention_norm, parts.feed_forward_norm
        if self.is_pre:
            branch_NH = self._attended(first(x_NH), shared, wanted)
            kept_NH, y_NH = self._added(kept_NH, branch_NH, parts.attention_out.bias, second)
            return add_residual(kept_NH, self._fed_forward(y_NH), parts.down.bias, self._drop())
        branch_NH = self._attended(x_NH, shared, wanted)
        _, y_NH = self._added(kept_NH, branch_NH, parts.attention_out.bias, first)
        _, y_NH = self._added(y_NH, self._fed_forward(y_NH), parts.down.bias, second)
        return y_NH

    def _attended(
        self, x_NH: Tensor, shared: AttentionContext, wanted: RequestedPositions | None
    ) -> Tensor:
        """Return the product of attention, (N, H), without its bias, at all positions or one of each text."""
        parts: Any = self
        rows_N = None if wanted is None else wanted.rows_N
        assert rows_N is None or len(rows_N) == shared.batch
        is_dropping = self.training and self.attention_dropout > 0
        keys = self.draws.keys() if is_dropping else None
        y_NH = short_attention(
            parts.qkv.product(x_NH), parts.qkv.bias, shared, rows_N, keys, self.attention_dropout
        )
        return parts.attention_out.product(y_NH)

    def _fed_forward(self, x_NH: Tensor) -> Tensor:
        """Return the product of the feed-forward, (N, H), without its bias."""
        parts: Any = self
        inner_NI = activate(parts.up.product(x_NH), parts.up.bias, self.activation_name)
        return parts.down.product(inner_NI)

    def _added(
        self, kept_NH: Tensor, branch_NH: Tensor, bias_KH: Tensor | None, norm: nn.Module
    ) -> tuple[Tensor, Tensor]:
        return add_residual_and_norm(kept_NH, branch_NH, bias_KH, self._drop(), norm)

    def _drop(self) -> Drop:
        """Return the dropout of the next pass."""
        share: float = self.dropout.p
        return Drop(self.draws.keys(), share) if self.training and share else NO_DROP


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
