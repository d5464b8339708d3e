"""Forward and backward passes over the micro-batches of an update, and forward ones that only score.

Shapes: B sequences, L their width, H hidden width, N scored positions, D width of the head.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn import functional

from lilliput.models import LanguageModel
from lilliput.training.data.batches import MicroBatch
from lilliput.training.execution.plan import ExecutionPlan
from lilliput.training.objectives.cross_entropy import VocabularyHead, token_losses

HEAD_ROWS = 32  # Scored positions of a pass are rounded up to these.


def add_gradients(
    model: LanguageModel, micro_batches: Iterable[MicroBatch], plan: ExecutionPlan
) -> Tensor:
    """Add the gradients of the micro-batches' weighted losses to the model's; the loss in nats.

    Those of the decoder go straight where they belong: through autograd each pass would fill, scale and
    add matrices as large as the vocabulary. Weights are cast once for all passes.
    """
    weight_VD, bias_V = model.decoder_weight, model.decoder_bias
    head = VocabularyHead(weight_VD, bias_V, plan.torch_dtype)
    grad_weight_VD = gradient_of(weight_VD)
    grad_bias_V = None if bias_V is None else gradient_of(bias_V)
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
                with_gradient(z_ND, grad_z_ND).backward()
            total += loss
    return total


def with_gradient(z: Tensor, gradient: Tensor) -> Tensor:
    """A scalar of which `gradient`, to the bit, is the derivative by `z`, of the same shape.

    To be given a gradient, torch compares two shapes with sympy: 0.4 s and 34 MB of every worker's start.
    """
    return (z * gradient).sum()


def gradient_of(parameter: Tensor) -> Tensor:
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
