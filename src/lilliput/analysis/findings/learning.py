"""Sort runs by what they learned, and find when a run left the plateau of token frequencies.

A model that knows only how frequent each token is has the unigram entropy as its loss. Example of leaving that
plateau: the held-out tokens have a unigram entropy of 6.0 nats, so the limit is 5.5.

    losses      7.1   6.0   5.4   5.8   5.3   4.9
    below 5.5   no    no    yes   no    yes   yes

Index 2 is one lucky evaluation. Index 4 is below the limit and so is the next one: there the run left the plateau.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lilliput.analysis.findings.groups import group_names
from lilliput.analysis.findings.runs import Run, rows_by_run
from lilliput.analysis.table.tidy import Table

# A final loss this far below the unigram entropy shows that context was used.
LEARNED_NATS = 0.3
# By chance three measurements stand in falling order once in six.
LAST_MEASUREMENTS = 3


@dataclass(frozen=True)
class Learning:
    """Compare final losses with the entropy of the held-out tokens; runs that lack either are left out.

    Attributes:
        learned: Ended `LEARNED_NATS` or more below it: they use context.
        between: Ended below it by less.
        above: Ended above it: not even the frequencies were learned.
    """

    learned: tuple[Run, ...] = ()
    between: tuple[Run, ...] = ()
    above: tuple[Run, ...] = ()

    @property
    def known(self) -> tuple[Run, ...]:
        """Return all of these runs."""
        return (*self.learned, *self.between, *self.above)

    @property
    def is_nothing(self) -> bool:
        """Return whether it is known that no run learned more than token frequencies."""
        return bool(self.known) and not self.learned


def depth_of(run: Run) -> float | None:
    """Return the nats by which a run ended below the unigram entropy; None where either is unknown."""
    loss = run.final.get("loss")
    return None if run.unigram_entropy is None or loss is None else run.unigram_entropy - loss


def learning_of(runs: Iterable[Run]) -> Learning:
    """Return the runs by what they learned."""
    depths = [(run, depth) for run in runs if (depth := depth_of(run)) is not None]
    return Learning(
        learned=tuple(run for run, depth in depths if depth >= LEARNED_NATS),
        between=tuple(run for run, depth in depths if 0 <= depth < LEARNED_NATS),
        above=tuple(run for run, depth in depths if depth < 0),
    )


def unlearned_groups(runs: tuple[Run, ...]) -> frozenset[str]:
    """Return the groups of which it is known that no run learned more than token frequencies."""
    members: dict[str, list[Run]] = {}
    groups = group_names(runs)
    for run in runs:
        members.setdefault(groups[run.name], []).append(run)
    return frozenset(g for g, some in members.items() if learning_of(some).is_nothing)


def last_losses(table: Table, runs: tuple[Run, ...]) -> list[list[float]]:
    """Return the last losses of each run that was measured often enough."""
    losses, rows = table.number("loss"), rows_by_run(table)
    ends = [losses[rows[run.name][-LAST_MEASUREMENTS:]].tolist() for run in runs]
    return [end for end in ends if len(end) == LAST_MEASUREMENTS]


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


def plateau_crossing(
    costs: Sequence[float],
    losses: Sequence[float],
    entropy: float,
    *,
    nats: float = PLATEAU_EXIT_NATS,
) -> float | None:
    """Return the cost at which a run left the plateau, between the two evaluations that show it.

    The loss is taken as straight in the logarithm of the cost between the last evaluation above the limit and the
    first below it. Example with the limit 5.5: 5.6 at 1,000 steps and 5.4 at 4,000 steps give 2,000 steps.

    Args:
        costs: Steps, tokens or FLOPs of the evaluations, ascending.
        losses: Held-out losses at these costs, nats.
        entropy: Held-out token-unigram entropy, nats.
        nats: How far below the entropy a loss must be, in two evaluations in a row.

    Returns:
        The cost in the unit of `costs`, or None where the run never left the plateau.
    """
    index = plateau_exit_index(losses, entropy, nats=nats)
    if index is None:
        return None
    if index == 0 or costs[index - 1] <= 0:
        return costs[index]
    above, below = losses[index - 1], losses[index]
    share = (above - (entropy - nats)) / (above - below)
    low, high = math.log(costs[index - 1]), math.log(costs[index])
    return math.exp(low + share * (high - low))
