"""Compute the loss of predicting by frequency alone: the plateau on which training starts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_CHUNK_TOKENS = 1 << 24


def unigram_entropy(
    train_tokens: NDArray[Any], validation_tokens: NDArray[Any], vocab_size: int
) -> float:
    """Return nats per held-out token for a model that knows only how frequent each token is.

    It is the cross-entropy of the validation tokens under the train split's frequencies with one added
    to each count: the height of the plateau on which masked-LM training starts.
    """
    held_out = _counts(validation_tokens, vocab_size)
    expected = log_unigram(train_tokens, vocab_size)
    return float(-(held_out @ expected) / max(held_out.sum(), 1.0))


def log_unigram(train_tokens: NDArray[Any], vocab_size: int) -> NDArray[np.float64]:
    """Return log frequency of each id in the train split with one added to each count, shape (vocab_size,)."""
    counts = _counts(train_tokens, vocab_size) + 1.0
    return np.log(counts / counts.sum())


def _counts(tokens: NDArray[Any], vocab_size: int) -> NDArray[np.float64]:
    total = np.zeros(vocab_size, dtype=np.float64)
    for start in range(0, len(tokens), _CHUNK_TOKENS):
        total += np.bincount(tokens[start : start + _CHUNK_TOKENS], minlength=vocab_size)
    return total
