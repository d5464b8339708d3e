"""The vocabulary head and its cross-entropy in one pass over the logits, forward and backward.

With e = exp(logit - shift) and s the sum of e over the vocabulary, the gradient of cross-entropy by the
logits is e / s - onehot. The division by s commutes with both matrix products that follow, so the big
matrix is never normalised. It is made tile by tile: a tile of some rows and some words is multiplied out,
exponentiated, summed and multiplied back while it lies in the cache, and once more when s is known.

One row with logits 2, 1, 0 and target 0, without a shift, in numbers:

    e        7.389  2.718  1.000
    s        11.107
    loss     log(11.107) - 2 = 0.408
    e / s    0.665  0.245  0.090
    gradient -0.335  0.245  0.090

With words in tiles of one, s is known only after the last tile: e is kept, and divided where it is used.

Shapes: N predicted rows, C rows of a chunk, D width of the head, V vocabulary, T words of a tile.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

# A chunk of rows has this much in logits, which is all that is ever kept of them: larger chunks spread the
# pass over the gradient of the decoder over more rows. Tiles fit in a core's second-level cache. Measured in
# float32 on a core with 512 KiB and 32 MiB of cache: tiles of 256 to 4,096 words cost the same, and a
# fifth to a quarter less than whole rows.
_CHUNK_BYTES_CPU = 24 << 20
_TILE_BYTES_CPU = 1 << 20
CHUNK_BYTES_GPU = 1 << 30
WORDS_GPU = 64
_NEVER = -10_000.0  # Logit of a word that is not there.
# Exponents up to 40 are let through (sums stay below 1e22), and a row whose exponentials sum to less than
# e^-30 was shifted too far: its small terms would be lost, or slow, as denormal numbers.
_LARGEST_EXPONENT = 40.0
_SMALLEST_SUM = 1e-13


def plain_cross_entropy(
    z_ND: Tensor,
    weight_VD: Tensor,
    bias_V: Tensor | None,
    targets_N: Tensor,
    row_weights_N: Tensor,
) -> Tensor:
    """Return the weighted sum of cross-entropies in nats by the textbook way: the oracle of the fast one."""
    logits_NV = functional.linear(z_ND, weight_VD, bias_V).float()
    return (functional.cross_entropy(logits_NV, targets_N, reduction="none") * row_weights_N).sum()


def token_losses(
    z_ND: Tensor, weight_VD: Tensor, bias_V: Tensor | None, targets_N: Tensor
) -> Tensor:
    """Return cross-entropy of each row in nats, float32 of shape (N,); no gradients are kept."""
    losses_N = z_ND.new_empty(len(targets_N), dtype=torch.float32)
    with torch.no_grad():
        head = VocabularyHead(weight_VD, bias_V, z_ND.dtype)
        for rows in row_chunks(z_ND, weight_VD.shape[0]):
            losses_N[rows] = head.forward(z_ND[rows], targets_N[rows], keep=False).losses_C
    return losses_N


class _Chunk(NamedTuple):
    """Hold what is known of C rows after the forward pass.

    Attributes:
        losses_C: Cross-entropies in nats.
        sums_C: Row sums s of the exponentials.
        product_CD: Exponentials times decoder, not yet divided by s; float32.
        tiles: Words and exponentials of each tile.
    """

    losses_C: Tensor
    sums_C: Tensor
    product_CD: Tensor
    tiles: list[tuple[slice, Tensor]]


class VocabularyHead:
    """Hold the decoder for all micro-batches of a step: cast once, with a bound of its logits.

    Args:
        weight_VD: Decoder matrix.
        bias_V: Decoder bias, or None.
        dtype: Of the products, float32 or bfloat16.
    """

    def __init__(self, weight_VD: Tensor, bias_V: Tensor | None, dtype: torch.dtype) -> None:
        self.weight_VD = weight_VD.detach().to(dtype)
        self.bias_V = (
            self.weight_VD.new_zeros(weight_VD.shape[0])
            if bias_V is None
            else bias_V.detach().to(dtype)
        )
        # What is multiplied: on a GPU with as many words as its matrix units want.
        self._padded_weight, self._padded_bias = self.weight_VD, self.bias_V
        # Looking at the sums would make a GPU wait; there the maximum is taken at once.
        self._bound_is_loose = weight_VD.device.type != "cpu"
        if self._bound_is_loose:
            self._padded_weight, self._padded_bias = padded_words(self.weight_VD, self.bias_V)
        else:
            norms_V = torch.linalg.vector_norm(self.weight_VD, dim=1, dtype=torch.float32)
            self._largest_norm, self._largest_bias = norms_V.max(), self.bias_V.max().float()

    def add_gradients(
        self,
        z_ND: Tensor,
        targets_N: Tensor,
        row_weights_N: Tensor,
        grad_weight_VD: Tensor,
        grad_bias_V: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Return the weighted sum over rows of -log softmax(z W^T + b)[target], and its gradients.

        Args:
            z_ND: What the decoder multiplies, of the head's dtype.
            targets_N: Target ids, int64.
            row_weights_N: Weight of each row, float32; 1/n for a mean over n rows.
            grad_weight_VD: The gradient by the decoder is added here, float32.
            grad_bias_V: The gradient by the decoder's bias is added here, float32; None where it has no bias.

        Returns:
            The loss in nats, a float32 scalar, and its gradient by `z_ND`.
        """
        grad_z_ND = torch.empty_like(z_ND)
        loss = z_ND.new_zeros((), dtype=torch.float32)
        for rows in row_chunks(z_ND, self.weight_VD.shape[0]):
            z_CD, targets_C, weights_C = z_ND[rows], targets_N[rows], row_weights_N[rows]
            chunk = self.forward(z_CD, targets_C, keep=True)
            loss += chunk.losses_C @ weights_C
            weights_C1, share_C = weights_C[:, None], weights_C / chunk.sums_C
            grad_z_ND[rows] = chunk.product_CD * share_C[:, None]
            grad_z_ND[rows] -= (self.weight_VD[targets_C] * weights_C1).to(z_ND.dtype)
            share_C = share_C.to(z_ND.dtype)
            shared_z_CD = z_CD * share_C[:, None]
            for words, e_padded_CT in chunk.tiles:
                e_CT = e_padded_CT[:, : self.weight_VD.shape[0] - words.start]
                _add_product(grad_weight_VD[words], e_CT.t(), shared_z_CD)
                if grad_bias_V is not None:
                    grad_bias_V[words] += e_CT.t() @ share_C
            grad_weight_VD.index_add_(0, targets_C, z_CD.float() * -weights_C1)
            if grad_bias_V is not None:
                grad_bias_V.index_add_(0, targets_C, -weights_C)
        return loss, grad_z_ND

    def forward(self, z_CD: Tensor, targets_C: Tensor, *, keep: bool) -> _Chunk:
        """Return losses of some rows; with `keep` also what the gradients are made of."""
        if self._bound_is_loose:
            logits_CV = functional.linear(z_CD, self._padded_weight, self._padded_bias)
            shift_C = logits_CV.amax(1).float()
            # A processor makes them anew, tile by tile in its cache.
            known = None if z_CD.device.type == "cpu" else logits_CV
            return self._shifted(z_CD, targets_C, shift_C, known, keep=keep)
        # Cauchy-Schwarz bounds every logit and saves the pass that looks for the maximum. Only what is
        # needed against overflow is taken off: the bound may lie far above the largest logit.
        norm_C = torch.linalg.vector_norm(z_CD, dim=1, dtype=torch.float32)
        bound_C = norm_C * self._largest_norm + self._largest_bias
        shift_C = (bound_C - _LARGEST_EXPONENT).clamp_(min=0.0)
        chunk = self._shifted(z_CD, targets_C, shift_C, keep=keep)
        if bool((chunk.sums_C < _SMALLEST_SUM).any()):
            self._bound_is_loose = True
            return self.forward(z_CD, targets_C, keep=keep)
        return chunk

    def _shifted(
        self,
        z_CD: Tensor,
        targets_C: Tensor,
        shift_C: Tensor,
        logits_CV: Tensor | None = None,
        *,
        keep: bool,
    ) -> _Chunk:
        shift_C = shift_C.to(z_CD.dtype)
        sums_C = torch.zeros_like(shift_C, dtype=torch.float32)
        product_CD = torch.zeros_like(z_CD, dtype=torch.float32)
        tiles: list[tuple[slice, Tensor]] = []
        for words in _word_tiles(z_CD, self._padded_weight.shape[0]):
            weight_TD = self._padded_weight[words]
            if logits_CV is None:
                e_CT = torch.addmm(self._padded_bias[words], z_CD, weight_TD.t())
            else:
                e_CT = logits_CV[:, words]
            e_CT.sub_(shift_C[:, None]).exp_()
            sums_C += e_CT.sum(1, dtype=torch.float32)
            if keep:
                _add_product(product_CD, e_CT, weight_TD)
                tiles.append((words, e_CT))
        target_logits_C = (z_CD.float() * self.weight_VD[targets_C].float()).sum(1)
        target_logits_C += self.bias_V[targets_C].float()
        losses_C = sums_C.log() + shift_C.float() - target_logits_C
        return _Chunk(losses_C, sums_C, product_CD, tiles)


def padded_words(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Return decoder and bias with words added until there are a multiple of `WORDS_GPU`, for a GPU's matrix units.

    The added rows are zero and their bias is so low that exp(logit) is 0 in every float type: neither the loss nor
    a gradient changes. 19,010 words become 19,072.

    Args:
        weight: Decoder matrix, (V, D), or those of K members, (K, V, D).
        bias: Its bias, (V,) or (K, V).
    """
    spare = -weight.shape[-2] % WORDS_GPU
    if not spare:
        return weight, bias
    return functional.pad(weight, (0, 0, 0, spare)), functional.pad(bias, (0, spare), value=_NEVER)


def row_chunks(z_ND: Tensor, vocab_size: int) -> Generator[slice]:
    """Yield slices of rows whose logits over the whole vocabulary fit in a chunk."""
    budget = _CHUNK_BYTES_CPU if z_ND.device.type == "cpu" else CHUNK_BYTES_GPU
    rows = max(16, budget // (vocab_size * z_ND.element_size()))
    for start in range(0, z_ND.shape[0], rows):
        yield slice(start, start + rows)


def _word_tiles(z_CD: Tensor, vocab_size: int) -> Generator[slice]:
    words = vocab_size
    if z_CD.device.type == "cpu":
        words = max(256, _TILE_BYTES_CPU // (z_CD.shape[0] * z_CD.element_size()) // 64 * 64)
    for start in range(0, vocab_size, words):
        yield slice(start, min(start + words, vocab_size))


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Do `total += left @ right`, accumulated in float32 whatever the factors are."""
    if left.dtype == torch.float32:
        total.addmm_(left, right)
    else:
        total += torch.mm(left, right)
