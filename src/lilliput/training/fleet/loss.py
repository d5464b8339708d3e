"""Compute the vocabulary heads of a fleet, and their cross-entropies.

Shapes: K members, N predicted rows, C rows of a chunk, D width of the head, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lilliput.training.execution.vocabulary_head import (
    CHUNK_BYTES_GPU,
    VocabularyHead,
    padded_words,
)


def stacked_heads(
    weight_KVD: Tensor, bias_KV: Tensor | None, dtype: torch.dtype
) -> SeparateHeads | BatchedHeads:
    """Return the heads of K members as all micro-batches of a step multiply with them.

    On a processor the heads take turns, each with the cache to itself, and each gives the bits it would
    give alone; on a GPU they are batched products, since there launches cost more than memory.
    """
    kind = SeparateHeads if weight_KVD.device.type == "cpu" else BatchedHeads
    return kind(weight_KVD, bias_KV, dtype)


class SeparateHeads:
    """Compute K heads, one after another.

    Args:
        weight_KVD: Decoder matrices.
        bias_KV: Decoder biases, or None.
        dtype: Of the products.
    """

    def __init__(self, weight_KVD: Tensor, bias_KV: Tensor | None, dtype: torch.dtype) -> None:
        self._heads = [
            VocabularyHead(weight_VD, None if bias_KV is None else bias_KV[k], dtype)
            for k, weight_VD in enumerate(weight_KVD)
        ]

    def add_gradients(
        self,
        z_KND: Tensor,
        targets_KN: Tensor,
        row_weights_KN: Tensor,
        counts: Sequence[int],
        grad_weight_KVD: Tensor,
        grad_bias_KV: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Do `VocabularyHead.add_gradients` for each head; return losses (K,), and their gradients by `z_KND`.

        Args:
            z_KND: What the decoders multiply.
            targets_KN: Target ids, int64.
            row_weights_KN: Weight of each row; 0 from `counts` on.
            counts: Rows of each head that count; the rest fill the array.
            grad_weight_KVD: The gradients by the decoders are added here, float32.
            grad_bias_KV: Those by their biases, or None.
        """
        loss_K = z_KND.new_empty(len(self._heads), dtype=torch.float32)
        grad_z_KND = torch.zeros_like(z_KND)
        for k, (head, count) in enumerate(zip(self._heads, counts, strict=True)):
            loss_K[k], grad_z_KND[k, :count] = head.add_gradients(
                z_KND[k, :count],
                targets_KN[k, :count],
                row_weights_KN[k, :count],
                grad_weight_KVD[k],
                None if grad_bias_KV is None else grad_bias_KV[k],
            )
        return loss_K, grad_z_KND


class BatchedHeads:
    """Compute what `SeparateHeads` does by batched products, a chunk of rows at a time; no row is left out, whatever `counts` says."""

    def __init__(self, weight_KVD: Tensor, bias_KV: Tensor | None, dtype: torch.dtype) -> None:
        self._words = weight_KVD.shape[1]
        cast_KVD = weight_KVD.detach().to(dtype)
        bias_KV = cast_KVD.new_zeros(cast_KVD.shape[:2]) if bias_KV is None else bias_KV.detach()
        self._weight_KVD, padded_KV = padded_words(cast_KVD, bias_KV.to(dtype))
        self._bias_K1V = padded_KV[:, None]

    def add_gradients(
        self,
        z_KND: Tensor,
        targets_KN: Tensor,
        row_weights_KN: Tensor,
        counts: Sequence[int],  # noqa: ARG002
        grad_weight_KVD: Tensor,
        grad_bias_KV: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Do the same as `SeparateHeads.add_gradients`."""
        weight_KVD = self._weight_KVD
        heads, rows, _ = z_KND.shape
        loss_K = z_KND.new_zeros(heads, dtype=torch.float32)
        grad_z_KND = torch.empty_like(z_KND)
        member_K1 = torch.arange(heads, device=z_KND.device)[:, None]
        size = max(16, CHUNK_BYTES_GPU // (heads * weight_KVD.shape[1] * z_KND.element_size()))
        for start in range(0, rows, size):
            part = slice(start, start + size)
            z_KCD, weights_KC, targets_KC = (
                z_KND[:, part],
                row_weights_KN[:, part],
                targets_KN[:, part],
            )
            logits_KCV = torch.baddbmm(self._bias_K1V, z_KCD, weight_KVD.transpose(1, 2))
            picked_KC = logits_KCV.gather(2, targets_KC[..., None])[..., 0].float()
            shift_KC = logits_KCV.amax(2)
            e_KCV = logits_KCV.sub_(shift_KC[..., None]).exp_()
            sums_KC = e_KCV.sum(2, dtype=torch.float32)
            loss_K += ((sums_KC.log() + shift_KC.float() - picked_KC) * weights_KC).sum(1)
            share_KC1 = (weights_KC / sums_KC)[..., None]
            target_KCD = weight_KVD[member_K1, targets_KC] * weights_KC[..., None]
            grad_z_KND[:, part] = torch.bmm(e_KCV, weight_KVD) * share_KC1 - target_KCD
            shared_KCD = (z_KCD * share_KC1).to(z_KCD.dtype)
            e_KCV = e_KCV[..., : self._words]
            grad_weight_KVD += torch.bmm(e_KCV.transpose(1, 2), shared_KCD)
            if grad_bias_KV is not None:
                grad_bias_KV += torch.bmm(e_KCV.transpose(1, 2), share_KC1.to(z_KCD.dtype))[..., 0]
        # Once for all chunks: into rows of a buffer it copies the whole matrices out and back.
        places = (member_K1.expand_as(targets_KN), targets_KN)
        pulled_KND = z_KND.float() * -row_weights_KN[..., None]
        grad_weight_KVD.index_put_(places, pulled_KND, accumulate=True)
        if grad_bias_KV is not None:
            grad_bias_KV.index_put_(places, -row_weights_KN, accumulate=True)
        return loss_K, grad_z_KND
