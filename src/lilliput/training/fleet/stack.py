"""Train K models of one shape as one: rows of one buffer of weights, computed by batched products.

Shapes: K members, B sequences, L their width, H hidden width, N predicted positions, D width of the head,
P parameters of a member.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lilliput.models import LanguageModel
from lilliput.training.config import TrainingConfig
from lilliput.training.execution.engine import make_optimizer
from lilliput.training.execution.gradients import precision, with_gradient
from lilliput.training.execution.interrupts import Interrupts
from lilliput.training.execution.optimizer import FlatAdamW, flat_size, member_views
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.fleet.batches import StackedMicroBatch
from lilliput.training.fleet.loss import stacked_heads

# What only the head multiplies with, if a model has it: its gradients come from there.
_HEAD_ONLY = ("decoder", "decoder_bias")


class _PredictedHidden(nn.Module):
    """Hold what the decoder multiplies, at the predicted positions of one member."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids_BL: Tensor,
        attention_mask: Tensor | None,
        position_ids_BL: Tensor | None,
        positions_N: Tensor,
        queries_BQ: Tensor | None,
        slots_N: Tensor | None,
    ) -> Tensor:
        """Return decoder input z_ND."""
        hidden_NH = self.model.encode_some(
            input_ids_BL, positions_N, attention_mask, position_ids_BL, queries_BQ, slots_N
        )
        return self.model.head_hidden(hidden_NH)


class Stack:
    """Train models together, each with its optimizer, one global batch at a time.

    Each model's parameters become views of its row of one buffer: evaluating a member, saving it and
    stepping its AdamW are what they are alone, bit for bit.

    Args:
        models: Of one shape, without dropout, on the plan's device.
        recipes: Optimizer settings of each.
        plan: Precision and device.
        interrupts: What may cut a step short; weights and moments are then as they were.
    """

    def __init__(
        self,
        models: Sequence[LanguageModel],
        recipes: Sequence[TrainingConfig],
        plan: ExecutionPlan,
        interrupts: Interrupts | None = None,
    ) -> None:
        self._interrupts = interrupts or Interrupts()
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
        clipped = [recipe.switches.max_grad_norm or math.inf for recipe in recipes]
        self._max_norms_K1 = torch.tensor(clipped)[:, None].to(device)
        self._scored = _PredictedHidden(models[0])
        places = self.optimizers[0].places
        self._leaves = member_views(self._weights_KP, models[0], places)
        for leaf in self._leaves.values():
            leaf.requires_grad_()
        self._gradients = member_views(self._gradients_KP, models[0], places)

    def step(
        self, micro_batches: Sequence[StackedMicroBatch], learning_rates: Mapping[int, float]
    ) -> Tensor:
        """Step the members that have a rate; all members' training losses in nats, (K,)."""
        losses_K = self.accumulate(micro_batches)
        for member, learning_rate in learning_rates.items():
            self.optimizers[member].set_learning_rate(learning_rate)
        self.apply(learning_rates)
        return losses_K

    def apply(self, members: Iterable[int]) -> None:
        """Clip the gradients of some members, and let their AdamW use them at the rates that are set."""
        if self._plan.device != "cpu":
            self.apply_together(members)
            return
        for member in members:
            self.optimizers[member].clip(self._recipes[member].switches.max_grad_norm)
            self.optimizers[member].step()

    def apply_together(self, members: Iterable[int]) -> None:
        """Do the same in few launches: one norm for all, and one AdamW for those of one recipe, who have one rate."""
        norms_K1 = torch.linalg.vector_norm(self._gradients_KP, dim=1, keepdim=True)
        self._gradients_KP.mul_((self._max_norms_K1 / (norms_K1 + 1e-6)).clamp(max=1.0))
        by_recipe: dict[tuple[object, ...], list[FlatAdamW]] = {}
        for member in members:
            key = _steps_alike(self._recipes[member])
            by_recipe.setdefault(key, []).append(self.optimizers[member])
        for optimizers in by_recipe.values():
            optimizers[0].step_together(optimizers)

    def accumulate(self, micro_batches: Sequence[StackedMicroBatch]) -> Tensor:
        """Leave the gradients of all members' losses in their buffers; the losses, (K,)."""
        # No dropout acts; vmap refuses the very calls that would draw it, and an evaluation may have
        # left the model in training mode.
        self._scored.eval()
        self._gradients_KP.zero_()
        members = len(self.optimizers)
        total_K = torch.zeros(members, device=self._plan.device)
        decoder = "decoder" if "decoder" in self._leaves else "embeddings.word.weight"
        heads = stacked_heads(
            self._leaves[decoder], self._leaves.get("decoder_bias"), self._plan.torch_dtype
        )
        trunk = {name: leaf for name, leaf in self._leaves.items() if name not in _HEAD_ONLY}
        for one in micro_batches:
            if not one.targets_KN.shape[1]:
                continue
            self._interrupts.check()
            read = one if self._plan.device == "cpu" else one.to(self._plan.device)
            with precision(self._plan):
                z_KND = self._head_inputs(read).to(self._plan.torch_dtype)
            losses_K, grad_z_KND = heads.add_gradients(
                z_KND.detach(),
                read.targets_KN.expand(members, -1),
                read.weights_KN.expand(members, -1),
                read.counts,
                self._gradients[decoder],
                self._gradients.get("decoder_bias"),
            )
            # Not `backward`: it would find fault with gradients that lie apart, as rows of a buffer.
            scalar = with_gradient(z_KND, grad_z_KND)
            found = torch.autograd.grad(scalar, list(trunk.values()))
            for name, more in zip(trunk, found, strict=True):
                self._gradients[name].add_(more)
            total_K += losses_K
        return total_K

    def _head_inputs(self, one: StackedMicroBatch) -> Tensor:
        """Return decoder inputs of all members, (K, N, D)."""
        named = {f"model.{name}": leaf for name, leaf in self._leaves.items()}
        inputs = (
            one.input_ids_KBL,
            one.attention_mask,
            one.position_ids_KBL,
            one.positions_KN,
            one.queries_KBQ,
            one.slots_KN,
        )
        axis: int | None = 0
        if one.is_shared:
            axis, inputs = None, tuple(None if part is None else part[0] for part in inputs)

        def member(state: dict[str, Tensor], *read: Tensor | None) -> Tensor:
            return functional_call(self._scored, state, read)

        axes = (0, *(None if part is None else axis for part in inputs))
        return vmap(member, in_dims=axes)(named, *inputs)


def _steps_alike(recipe: TrainingConfig) -> tuple[object, ...]:
    """Return what two members of a fleet must share for their optimizers to take one step at one rate."""
    names = (
        "learning_rate", "lr_scheduler_type", "warmup_ratio", "warmup_steps", "decay_ratio", "min_lr_ratio",
        "num_cycles", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon",
    )  # fmt: skip
    return *(getattr(recipe, name) for name in names), recipe.switches.decay_all_parameters
