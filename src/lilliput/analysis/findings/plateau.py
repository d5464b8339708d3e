"""When a run leaves the plateau on which it only knows how frequent each token is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

ESCAPE_NATS = 0.5


def escape_index(
    losses: Sequence[float], entropy: float, *, nats: float = ESCAPE_NATS
) -> int | None:
    """The first of two consecutive evaluations at least `nats` below the unigram entropy.

    Args:
        losses: Held-out losses in order of training, nats.
        entropy: Held-out token-unigram entropy, nats.
        nats: How far below it a run must be. Twice in a row, so that one lucky draw is no escape.

    Returns:
        Its index, or None where the run never escaped.
    """
    limit = entropy - nats
    below = [loss <= limit for loss in losses]
    pairs = enumerate(pairwise(below))
    return next((index for index, (now, then) in pairs if now and then), None)
