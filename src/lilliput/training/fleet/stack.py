"""K models of one shape as one: the rows of one buffer of weights, computed by batched products.

Shapes: K members, B sequences, L their width, H hidden width, N scored positions, D width of the head,
P parameters of a member.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lilliput.models import LanguageModel
from lilliput.training.config import TrainingConfig
from lilliput.training.engine import make_optimizer, precision
from lilliput.training.fleet.batches import StackedPass
from lilliput.training.fleet.loss import stacked_cross_entropy
from lilliput.training.optimizer import FlatAdamW, flat_size, member_views
from lilliput.training.plan import ExecutionPlan


class _ScoredHidden(nn.Module):
    """What the decoder multiplies, at the scored positions of one member."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids_BL: Tensor,
        attention_mask: Tensor | None,
        position_ids_BL: Tensor | None,
        positions_N: Tensor,
    ) -> Tensor:
        """Decoder input z_ND."""
        hidden_NH = self.model.encode_some(
            input_ids_BL, positions_N, attention_mask, position_ids_BL
        )
        return self.model.head_hidden(hidden_NH)


class Stack:
    """Models with their optimizers, updated together one global batch at a time.

    Each model's parameters become views of its row of one buffer: evaluating a member, saving it and
    stepping its AdamW are what they are alone, bit for bit.

    Args:
        models: Of one shape, without dropout, on the plan's device.
        recipes: Optimizer settings of each.
        plan: Precision and device.
    """

    def __init__(
        self,
        models: Sequence[LanguageModel],
        recipes: Sequence[TrainingConfig],
        plan: ExecutionPlan,
    ) -> None:
        device = torch.device(plan.device)
        self._plan, self._recipes = plan, recipes
        self._weights_KP = torch.zeros(len(models), flat_size(models[0]), device=device)
        self._gradients_KP = torch.zeros_like(self._weights_KP)
        self.optimizers: list[FlatAdamW] = [
            make_optimizer(model, recipe, (weights_P, gradients_P))
            for model, recipe, weights_P, gradients_P in zip(
                models, recipes, self._weights_KP, self._gradients_KP, strict=True
            )
        ]
        self._scored = _ScoredHidden(models[0])
        places = self.optimizers[0].places
        self._leaves = member_views(self._weights_KP, models[0], places)
        for leaf in self._leaves.values():
            leaf.requires_grad_()
        self._gradients = list(member_views(self._gradients_KP, models[0], places).values())

    def update(self, passes: Sequence[StackedPass], learning_rates: Mapping[int, float]) -> Tensor:
        """Update the members that have a rate; all members' training losses in nats, (K,)."""
        losses_K = self.accumulate(passes)
        for member, learning_rate in learning_rates.items():
            optimizer = self.optimizers[member]
            optimizer.clip(self._recipes[member].switches.max_grad_norm)
            optimizer.set_learning_rate(learning_rate)
            optimizer.step()
        return losses_K

    def accumulate(self, passes: Sequence[StackedPass]) -> Tensor:
        """Leave the gradients of all members' losses in their buffers; the losses, (K,)."""
        # No dropout acts; vmap refuses the very calls that would draw it, and an evaluation may have
        # left the model in training mode.
        self._scored.eval()
        self._gradients_KP.zero_()
        total_K = torch.zeros(len(self.optimizers), device=self._plan.device)
        for one in passes:
            if one.targets_KN.shape[1]:
                losses_K = self._losses(one.to(total_K.device))
                # Not `backward`: it would find fault with gradients that lie apart, as rows of a buffer.
                found = torch.autograd.grad(losses_K.sum(), list(self._leaves.values()))
                for gradient, more in zip(self._gradients, found, strict=True):
                    gradient.add_(more)
                total_K += losses_K.detach()
        return total_K

    def _losses(self, one: StackedPass) -> Tensor:
        with precision(self._plan):
            z_KND = self._head_inputs(one)
        head = "decoder" if "decoder" in self._leaves else "embeddings.word.weight"
        members = len(self.optimizers)
        return stacked_cross_entropy(
            z_KND,
            self._leaves[head],
            self._leaves.get("decoder_bias"),
            one.targets_KN.expand(members, -1),
            one.weights_KN.expand(members, -1),
            one.counts,
        )

    def _head_inputs(self, one: StackedPass) -> Tensor:
        """Decoder inputs of all members, (K, N, D)."""
        named = {f"model.{name}": leaf for name, leaf in self._leaves.items()}
        inputs = (
            one.input_ids_KBL,
            one.attention_mask,
            one.position_ids_KBL,
            one.positions_KN,
        )
        axis: int | None = 0
        if one.is_shared:
            axis, inputs = None, tuple(None if part is None else part[0] for part in inputs)

        def member(state: dict[str, Tensor], *read: Tensor | None) -> Tensor:
            return functional_call(self._scored, state, read)

        axes = (0, *(None if part is None else axis for part in inputs))
        return vmap(member, in_dims=axes)(named, *inputs)
