"""The vocabulary heads of a fleet, and their cross-entropies.

Shapes: K members, N scored rows, C rows of a chunk, D width of the head, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lilliput.training.loss import CHUNK_BYTES_GPU, Gradients, loss_and_gradients


def stacked_cross_entropy(
    z_KND: Tensor,
    weight_KVD: Tensor,
    bias_KV: Tensor | None,
    targets_KN: Tensor,
    row_weights_KN: Tensor,
    counts: Sequence[int],
) -> Tensor:
    """`fused_cross_entropy` of K heads at once, float32 of shape (K,).

    On a processor the heads take turns, each with the cache to itself, and each gives the bits it would
    give alone; on a GPU they are batched products, since there launches cost more than memory.

    Args:
        z_KND: What the decoders multiply.
        weight_KVD: Decoder matrices, float32.
        bias_KV: Decoder biases, or None.
        targets_KN: Target ids, int64.
        row_weights_KN: Weight of each row; 0 from `counts` on.
        counts: Rows of each head that count; the rest fill the array.
    """
    return _StackedCrossEntropy.apply(  # pyright: ignore[reportReturnType]
        z_KND, weight_KVD, bias_KV, targets_KN, row_weights_KN, counts
    )


class _StackedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        z_KND, weight_KVD, bias_KV, targets_KN, row_weights_KN, counts = inputs
        if z_KND.device.type == "cpu":
            made = _in_turns(z_KND, weight_KVD, bias_KV, targets_KN, row_weights_KN, counts)
        else:
            made = batched_gradients(z_KND, weight_KVD, bias_KV, targets_KN, row_weights_KN)
        ctx.save_for_backward(made.z_ND, made.weight_VD, made.bias_V)
        ctx.has_bias = bias_KV is not None
        return made.loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        grad_z_KND, grad_weight_KVD, grad_bias_KV = ctx.saved_tensors
        (scale_K,) = grad_outputs
        scale_K11 = scale_K[:, None, None]
        bias = grad_bias_KV * scale_K[:, None] if ctx.has_bias else None
        scaled = (grad_z_KND * scale_K11).to(grad_z_KND.dtype)
        return scaled, grad_weight_KVD * scale_K11, bias, None, None, None


def _in_turns(
    z_KND: Tensor,
    weight_KVD: Tensor,
    bias_KV: Tensor | None,
    targets_KN: Tensor,
    row_weights_KN: Tensor,
    counts: Sequence[int],
) -> Gradients:
    made: list[Gradients] = []
    for k, count in enumerate(counts):
        bias_V = None if bias_KV is None else bias_KV[k]
        one = loss_and_gradients(
            z_KND[k, :count],
            weight_KVD[k],
            bias_V,
            targets_KN[k, :count],
            row_weights_KN[k, :count],
        )
        spare = z_KND.shape[1] - count
        made.append(one._replace(z_ND=functional.pad(one.z_ND, (0, 0, 0, spare))))
    return Gradients(*map(torch.stack, zip(*made, strict=True)))


def batched_gradients(
    z_KND: Tensor,
    weight_KVD: Tensor,
    bias_KV: Tensor | None,
    targets_KN: Tensor,
    row_weights_KN: Tensor,
) -> Gradients:
    """Losses and gradients of K heads by batched products, a chunk of rows at a time."""
    heads, rows, _ = z_KND.shape
    vocab_size = weight_KVD.shape[1]
    cast_KVD = weight_KVD.to(z_KND.dtype)
    bias_K1V = z_KND.new_zeros(1, 1, 1) if bias_KV is None else bias_KV[:, None].to(z_KND.dtype)
    grad_z_KND = torch.empty_like(z_KND)
    grad_weight_KVD = torch.zeros_like(weight_KVD, dtype=torch.float32)
    grad_bias_KV = torch.zeros_like(grad_weight_KVD[:, :, 0])
    loss_K = z_KND.new_zeros(heads, dtype=torch.float32)
    first_K1 = torch.arange(heads, device=z_KND.device)[:, None] * vocab_size
    size = max(16, CHUNK_BYTES_GPU // (heads * vocab_size * z_KND.element_size()))
    for start in range(0, rows, size):
        part = slice(start, start + size)
        z_KCD, weights_KC = z_KND[:, part], row_weights_KN[:, part]
        places = (targets_KN[:, part] + first_K1).flatten()
        logits_KCV = torch.baddbmm(bias_K1V, z_KCD, cast_KVD.transpose(1, 2))
        picked_KC = logits_KCV.gather(2, targets_KN[:, part, None])[..., 0].float()
        shift_KC = logits_KCV.amax(2)
        e_KCV = logits_KCV.sub_(shift_KC[..., None]).exp_()
        sums_KC = e_KCV.sum(2, dtype=torch.float32)
        loss_K += ((sums_KC.log() + shift_KC.float() - picked_KC) * weights_KC).sum(1)
        share_KC1 = (weights_KC / sums_KC)[..., None]
        target_KCD = cast_KVD.flatten(0, 1)[places].view_as(z_KCD) * weights_KC[..., None]
        grad_z_KND[:, part] = torch.bmm(e_KCV, cast_KVD) * share_KC1 - target_KCD
        shared_KCD = (z_KCD * share_KC1).to(z_KCD.dtype)
        grad_weight_KVD += torch.bmm(e_KCV.transpose(1, 2), shared_KCD)
        grad_bias_KV += torch.bmm(e_KCV.transpose(1, 2), share_KC1.to(z_KCD.dtype))[..., 0]
        pulled_KCD = z_KCD.float() * -weights_KC[..., None]
        grad_weight_KVD.flatten(0, 1).index_add_(0, places, pulled_KCD.flatten(0, 1))
        grad_bias_KV.flatten().index_add_(0, places, -weights_KC.flatten())
    return Gradients(loss_K, grad_z_KND, grad_weight_KVD, grad_bias_KV)
