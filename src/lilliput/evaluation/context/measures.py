"""The losses behind the two measures: by position in held-out documents, and in both copies of a sequence.

B batch, L length, S sequences, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from lilliput.core.arrays import FloatArray
from lilliput.core.seeding import generator
from lilliput.models import LanguageModel
from lilliput.training.execution.vocabulary_head import token_losses

IntArray = NDArray[np.int64]


@torch.inference_mode()
def losses_by_position(
    model: LanguageModel, ids_SL: IntArray, batch_tokens: int = 4096
) -> FloatArray:
    """Return the loss in nats of each token but the first, float64 of shape (S, L - 1); column p - 1 is position p."""
    device = next(model.parameters()).device
    count, length = ids_SL.shape
    found = np.empty((count, length - 1))
    size = max(1, batch_tokens // length)
    for start in range(0, count, size):
        ids_BL = torch.from_numpy(ids_SL[start : start + size]).to(device)
        hidden_NH = model.encode(ids_BL)[:, :-1].flatten(0, 1)
        targets_N = ids_BL[:, 1:].flatten()
        losses_N = token_losses(
            model.head_hidden(hidden_NH), model.decoder_weight, model.decoder_bias, targets_N
        )
        found[start : start + size] = losses_N.double().cpu().numpy().reshape(-1, length - 1)
    return found


def window_mean(losses_SP: FloatArray, window: tuple[int, int]) -> FloatArray:
    """Return the mean loss of each document at positions `window[0]` to before `window[1]`, shape (S,)."""
    return losses_SP[:, window[0] - 1 : window[1] - 1].mean(1)


def repeated_sequences(
    candidates: IntArray, bos: int, count: int, length: int, seed: int
) -> IntArray:
    """Return sequences `<s> x x`, x of `length` different tokens drawn from `candidates`; (count, 1 + 2 length)."""
    rng = generator(seed, "repeated")
    drawn = np.stack([rng.choice(candidates, length, replace=False) for _ in range(count)])
    return np.concatenate([np.full((count, 1), bos), drawn, drawn], 1)


def copy_losses(losses_SP: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the mean loss of each first and each second copy, without their first tokens; (S,) each.

    Nothing says where the second copy begins, so that its first token cannot be known.
    """
    length = losses_SP.shape[1] // 2
    return losses_SP[:, 1:length].mean(1), losses_SP[:, length + 1 :].mean(1)
