"""One update: forward and backward passes over the micro-batches, clipping, AdamW.

Shapes: B sequences, L their width, H hidden width, N scored positions, D width of the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from lilliput.core.seeding import stream_key
from lilliput.models import LanguageModel
from lilliput.training.batches import GlobalBatch, MicroBatch
from lilliput.training.config import RunConfig, TrainingConfig
from lilliput.training.loss import VocabularyHead, token_losses
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
        # A batch uses few of the rows: their gradients are added, no matrix of zeros is filled with them.
        model.embeddings.word.sparse = plan.device == "cpu"
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
        return add_gradients(self.model, batch.micro_batches, self._plan)


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


def add_gradients(
    model: LanguageModel, micro_batches: Sequence[MicroBatch], plan: ExecutionPlan
) -> Tensor:
    """Add the gradients of the micro-batches' weighted losses to the model's; the loss in nats.

    Those of the decoder go straight where they belong: through autograd each pass would fill, scale and
    add matrices as large as the vocabulary. Weights are cast once for all passes.
    """
    weight_VD, bias_V = model.decoder_weight, model.decoder_bias
    head = VocabularyHead(weight_VD, bias_V, plan.torch_dtype)
    grad_weight_VD = _gradient(weight_VD)
    grad_bias_V = None if bias_V is None else _gradient(bias_V)
    total = torch.zeros((), device=plan.device)
    with precision(plan):
        for micro in micro_batches:
            if not len(micro.targets_N):
                continue
            z_ND, targets_N, weights_N = _head_inputs(model, micro, plan)
            with torch.autocast(plan.device, enabled=False):
                loss, grad_z_ND = head.add_gradients(
                    z_ND.detach(), targets_N, weights_N, grad_weight_VD, grad_bias_V
                )
                z_ND.backward(grad_z_ND)
            total += loss
    return total


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient of a parameter; zeros where it has none yet."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def scored_losses(model: LanguageModel, micro: MicroBatch, plan: ExecutionPlan) -> Tensor:
    """The loss of each scored position in nats, float32 of shape (N,), without gradients."""
    with torch.no_grad(), precision(plan):
        z_ND, targets_N, _ = _head_inputs(model, micro, plan)
    losses_N = token_losses(z_ND, model.decoder_weight, model.decoder_bias, targets_N)
    return losses_N[: len(micro.targets_N)]


def _head_inputs(
    model: LanguageModel, micro: MicroBatch, plan: ExecutionPlan
) -> tuple[Tensor, Tensor, Tensor]:
    """What the decoder multiplies at the scored positions, their targets and weights.

    In bfloat16 on a processor oneDNN prepares every shape of a product anew, which takes longer than some
    rows more: there positions of weight zero fill up the last few.
    """
    is_prepared = plan.device == "cpu" and plan.dtype == "bfloat16"
    spare = -len(micro.targets_N) % HEAD_ROWS if is_prepared else 0
    micro = micro if plan.device == "cpu" else micro.to(plan.device)
    positions_N, targets_N, weights_N = (
        functional.pad(part_N, (0, spare))
        for part_N in (micro.positions_N, micro.targets_N, micro.weights_N)
    )
    hidden_NH = model.encode_some(
        micro.input_ids_BL,
        positions_N,
        micro.attention_mask,
        micro.position_ids_BL,
        micro.queries_BQ,
        None if micro.slots_N is None else functional.pad(micro.slots_N, (0, spare)),
    )
    # A norm without a head after it gives float32 back: the vocabulary is multiplied as the plan says.
    return model.head_hidden(hidden_NH).to(plan.torch_dtype), targets_N, weights_N


def precision(plan: ExecutionPlan) -> AbstractContextManager[object]:
    """The block in which forward passes run: autocast where the plan says bfloat16."""
    if plan.dtype == "float32":
        return nullcontext()
    return torch.autocast(plan.device, dtype=plan.torch_dtype)
