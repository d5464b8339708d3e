"""Compute gradients of a step's micro-batches, and losses at predicted positions without gradients.

Shapes: B sequences, L their width, H hidden width, N predicted positions, D width of the head.
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
from lilliput.training.execution.vocabulary_head import VocabularyHead, row_chunks, token_losses
from lilliput.training.objectives.base import Objective

HEAD_ROWS = 32  # Predicted positions of a micro-batch are rounded up to these.


def add_gradients(
    model: LanguageModel,
    objective: Objective,
    micro_batches: Iterable[MicroBatch],
    plan: ExecutionPlan,
) -> Tensor:
    """Add the gradients of the micro-batches' weighted losses to the model's; return the loss in nats.

    Those of the decoder go straight where they belong: through autograd each micro-batch would fill, scale
    and add matrices as large as the vocabulary. Weights are cast once for all micro-batches.
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
            z_ND, read = _head_inputs(model, micro, plan)
            with torch.autocast(plan.device, enabled=False):
                loss, grad_z_ND = objective.head_loss(
                    head, z_ND.detach(), read, grad_weight_VD, grad_bias_V
                )
                with_gradient(z_ND, grad_z_ND).backward()
            total += loss
    return total


def with_gradient(z: Tensor, gradient: Tensor) -> Tensor:
    """Return a scalar of which `gradient`, to the bit, is the derivative by `z`, of the same shape.

    To be given a gradient, torch compares two shapes with sympy: 0.4 s and 34 MB of every worker's start.
    """
    return (z * gradient).sum()


def gradient_of(parameter: Tensor) -> Tensor:
    """Return the gradient of a parameter; zeros where it has none yet."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def predicted_losses(model: LanguageModel, micro: MicroBatch, plan: ExecutionPlan) -> Tensor:
    """Return the cross-entropy at each predicted position in nats, float32 of shape (N,), without gradients."""
    with torch.no_grad(), precision(plan):
        z_ND, read = _head_inputs(model, micro, plan)
    losses_N = token_losses(z_ND, model.decoder_weight, model.decoder_bias, read.targets_N)
    return losses_N[: len(micro.targets_N)]


def prediction_errors(model: LanguageModel, micro: MicroBatch, plan: ExecutionPlan) -> Tensor:
    """Return the length of softmax(logits) - onehot(target) at each predicted position, float32 of shape (N,).

    Its square is sum p^2 - 2 p(target) + 1. No gradients are kept, and logits of some rows at a time.
    """
    with torch.no_grad(), precision(plan):
        z_ND, read = _head_inputs(model, micro, plan)
        errors_N = z_ND.new_empty(len(z_ND), dtype=torch.float32)
        weight_VD, bias_V = model.decoder_weight, model.decoder_bias
        for rows in row_chunks(z_ND, weight_VD.shape[0]):
            logits_CV = functional.linear(z_ND[rows].float(), weight_VD.float(), bias_V)
            p_CV = logits_CV.float().softmax(1)
            p_target_C = p_CV.gather(1, read.targets_N[rows, None])[:, 0]
            errors_N[rows] = ((p_CV**2).sum(1) - 2 * p_target_C + 1).clamp(min=0).sqrt()
    return errors_N[: len(micro.targets_N)]


def _head_inputs(
    model: LanguageModel, micro: MicroBatch, plan: ExecutionPlan
) -> tuple[Tensor, MicroBatch]:
    """Return what the decoder multiplies at the predicted positions, and what was read, on the device.

    In bfloat16 on a processor oneDNN prepares every shape of a product anew, which takes longer than some
    rows more: there positions of weight zero fill up the last few.
    """
    is_prepared = plan.device == "cpu" and plan.dtype == "bfloat16"
    spare = -len(micro.targets_N) % HEAD_ROWS if is_prepared else 0
    read = micro if plan.device == "cpu" else micro.to(plan.device)
    if spare:
        read = read.with_spare(spare)
    hidden_NH = model.encode_some(
        read.input_ids_BL,
        read.positions_N,
        read.attention_mask,
        read.position_ids_BL,
        read.queries_BQ,
        read.slots_N,
    )
    # A norm without a head after it gives float32 back: the vocabulary is multiplied as the plan says.
    return model.head_hidden(hidden_NH).to(plan.torch_dtype), read


def precision(plan: ExecutionPlan) -> AbstractContextManager[object]:
    """Return the block in which forward passes run: autocast where the plan says bfloat16."""
    if plan.dtype == "float32":
        return nullcontext()
    return torch.autocast(plan.device, dtype=plan.torch_dtype)
