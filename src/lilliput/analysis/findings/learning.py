"""Sort runs by what they learned, measured against a model that knows only how frequent each token is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
