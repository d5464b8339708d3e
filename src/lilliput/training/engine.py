"""One update: forward and backward passes over the micro-batches, clipping, AdamW.

Shapes: B sequences, L their width, H hidden width, N scored positions, D width of the head.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from lilliput.core.seeding import stream_key
from lilliput.models import LanguageModel
from lilliput.training.batches import GlobalBatch, MicroBatch
from lilliput.training.config import RunConfig, TrainingConfig
from lilliput.training.loss import fused_cross_entropy, token_losses
from lilliput.training.optimizer import FlatAdamW
from lilliput.training.plan import ExecutionPlan

HEAD_ROWS = 32  # Scored positions of a pass are rounded up to these.


class Engine:
    """A model with its optimizer, updated one global batch at a time.

    Args:
        model: On the plan's device.
        config: Optimizer settings and seed.
        plan: Precision and device.
    """

    def __init__(self, model: LanguageModel, config: RunConfig, plan: ExecutionPlan) -> None:
        training = config.training
        self.model = model
        self.optimizer = make_optimizer(model, training)
        self._plan = plan
        self._max_grad_norm = training.switches.max_grad_norm
        self._seed = config.seed
        built = config.built_model()
        self.has_dropout = built.hidden_dropout_prob + built.attention_probs_dropout_prob > 0

    def update(self, batch: GlobalBatch, learning_rate: float, step: int) -> Tensor:
        """Take update number `step`; its training loss in nats, a scalar still on the device."""
        if self.has_dropout:
            torch.manual_seed(stream_key(self._seed, "dropout", step) >> 1)
        loss = self.accumulate(batch)
        self.optimizer.set_learning_rate(learning_rate)
        self.apply()
        return loss

    def apply(self) -> None:
        """Clip the gradient in the buffer, and let AdamW use it at the rate that is set."""
        self.optimizer.clip(self._max_grad_norm)
        self.optimizer.step()

    def accumulate(self, batch: GlobalBatch) -> Tensor:
        """Leave the gradient of the batch's loss in the optimizer's buffer; the loss."""
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self._plan.device)
        for micro in batch.micro_batches:
            if len(micro.targets_N):
                loss = weighted_loss(self.model, micro, self._plan)
                loss.backward()
                total += loss.detach()
        return total


def make_optimizer(
    model: LanguageModel, training: TrainingConfig, buffers: tuple[Tensor, Tensor] | None = None
) -> FlatAdamW:
    """The optimizer that a recipe asks for, over the parameters of `model`."""
    return FlatAdamW(
        model,
        weight_decay=training.weight_decay,
        betas=(training.adam_beta1, training.adam_beta2),
        eps=training.adam_epsilon,
        decay_all=training.switches.decay_all_parameters,
        buffers=buffers,
    )


def weighted_loss(model: LanguageModel, micro: MicroBatch, plan: ExecutionPlan) -> Tensor:
    """The weighted sum of the micro-batch's losses in nats, with gradients."""
    micro = micro if plan.device == "cpu" else micro.to(torch.device(plan.device))
    spare = _spare_positions(len(micro.targets_N), plan)
    z_ND = _head_inputs(model, micro, plan, spare)
    targets_N, weights_N = (
        functional.pad(part_N, (0, spare)) for part_N in (micro.targets_N, micro.weights_N)
    )
    return fused_cross_entropy(z_ND, model.decoder_weight, model.decoder_bias, targets_N, weights_N)


def scored_losses(model: LanguageModel, micro: MicroBatch, plan: ExecutionPlan) -> Tensor:
    """The loss of each scored position in nats, float32 of shape (N,), without gradients."""
    micro = micro if plan.device == "cpu" else micro.to(torch.device(plan.device))
    with torch.no_grad():
        count = len(micro.targets_N)
        spare = _spare_positions(count, plan)
        z_ND = _head_inputs(model, micro, plan, spare)
        targets_N = functional.pad(micro.targets_N, (0, spare))
        return token_losses(z_ND, model.decoder_weight, model.decoder_bias, targets_N)[:count]


def _spare_positions(count: int, plan: ExecutionPlan) -> int:
    """Positions of weight zero to add to `count` scored ones, so that the head has few shapes.

    In bfloat16 on a processor oneDNN prepares every shape of a product anew, which takes longer than some
    rows more.
    """
    is_prepared = plan.device == "cpu" and plan.dtype == "bfloat16"
    return -count % HEAD_ROWS if is_prepared else 0


def _head_inputs(
    model: LanguageModel, micro: MicroBatch, plan: ExecutionPlan, spare: int
) -> Tensor:
    positions_N = functional.pad(micro.positions_N, (0, spare))
    with precision(plan):
        hidden_NH = model.encode_some(
            micro.input_ids_BL, positions_N, micro.attention_mask, micro.position_ids_BL
        )
        return model.head_hidden(hidden_NH)


def precision(plan: ExecutionPlan) -> AbstractContextManager[object]:
    """The block in which forward passes run: autocast where the plan says bfloat16."""
    if plan.dtype == "float32":
        return nullcontext()
    return torch.autocast(plan.device, dtype=plan.torch_dtype)
