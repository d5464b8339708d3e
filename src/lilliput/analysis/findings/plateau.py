"""When a run leaves the plateau on which it only knows how frequent each token is.

Example: the held-out tokens have a unigram entropy of 6.0 nats, so the limit is 5.5.

    losses      7.1   6.0   5.4   5.8   5.3   4.9
    below 5.5   no    no    yes   no    yes   yes

Index 2 is one lucky evaluation. Index 4 is below the limit and so is the next one: there the run left the plateau.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

PLATEAU_EXIT_NATS = 0.5


def plateau_exit_index(
    losses: Sequence[float], entropy: float, *, nats: float = PLATEAU_EXIT_NATS
) -> int | None:
    """Return the index of the first of two consecutive evaluations at least `nats` below the unigram entropy.

    Args:
        losses: Held-out losses in order of training, nats.
        entropy: Held-out token-unigram entropy, nats.
        nats: How far below the entropy a loss must be. Two losses in a row must be, so that one lucky
            evaluation does not count.

    Returns:
        The index, or None where the run never left the plateau.
    """
    limit = entropy - nats
    below = [loss <= limit for loss in losses]
    pairs = enumerate(pairwise(below))
    return next((index for index, (now, then) in pairs if now and then), None)
