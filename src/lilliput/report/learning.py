"""What the runs learned, measured against a model that knows only how frequent each token is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lilliput.analysis.findings.groups import group_names, said_of
from lilliput.analysis.findings.plateau import ESCAPE_NATS
from lilliput.analysis.findings.quantities import format_number
from lilliput.analysis.findings.runs import Run, rows_by_run
from lilliput.analysis.table.tidy import Table
from lilliput.core.wording import listed, plural
from lilliput.report.evidence import Evidence

# A final loss this far below the unigram entropy shows that context was used.
LEARNED_NATS = 0.3
# By chance three measurements stand in falling order once in six.
_LAST_MEASUREMENTS = 3


@dataclass(frozen=True)
class Learning:
    """Where runs ended against the entropy of their held-out tokens; those without either are left out.

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
        """All of them."""
        return (*self.learned, *self.between, *self.above)

    @property
    def is_nothing(self) -> bool:
        """Return whether it is known that no run learned more than token frequencies."""
        return bool(self.known) and not self.learned


def depth_of(run: Run) -> float | None:
    """Return by how many nats a run ended below the unigram entropy; None where either is unknown."""
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


def unlearned_groups(evidence: Evidence) -> frozenset[str]:
    """Return the groups of which it is known that no run learned more than token frequencies."""
    members: dict[str, list[Run]] = {}
    groups = group_names(evidence.runs)
    for run in evidence.runs:
        members.setdefault(groups[run.name], []).append(run)
    return frozenset(g for g, runs in members.items() if learning_of(runs).is_nothing)


def unlearned_sentences(
    groups: Iterable[str], unlearned: frozenset[str], consequence: str
) -> list[str]:
    """Say that groups learned no more than token frequencies, and what follows, in one sentence; none where all did."""
    names = list(dict.fromkeys(groups))
    bare = [name for name in names if name in unlearned]
    if not bare:
        return []
    sentence = (
        "None of these models learned more than how frequent each token is (see the first answer of the "
        f"Summary), {consequence}."
    )
    return [sentence if len(bare) == len(names) else said_of("; ".join(bare), sentence)]


def learning_sentences(evidence: Evidence) -> list[str]:
    """Return how many runs learned to use context, where the others ended, and what to try next, in words."""
    found = learning_of(evidence.runs)
    if not found.known:
        return [
            "The entropy of the held-out tokens is not known here, so it cannot be said which runs "
            "learned more than how frequent each token is."
        ]
    sentences = [_counts(found), _ends(found), _lowest(found)]
    return [*sentences, _next_step(evidence, found)] if found.is_nothing else sentences


def _counts(found: Learning) -> str:
    ended = (
        f"ended {LEARNED_NATS} nat or more below the unigram entropy of their held-out tokens "
        f"({_entropies(found.known)})"
    )
    why = (
        "A model that knows only how frequent each token is stands at that entropy; ending so far below "
        "it takes use of context"
    )
    runs = plural(len(found.known), "run")
    if found.is_nothing:
        return f"None of {runs} {ended}: no more than the frequency of tokens was learned. {why}."
    shapes, deep = (
        {run.facets.get("shape", run.name) for run in runs} for runs in (found.known, found.learned)
    )
    return (
        f"{len(found.learned)} of {runs} ({len(deep)} of {plural(len(shapes), 'shape')}) {ended}: they "
        f"learned to use context. {why}."
    )


def _entropies(runs: tuple[Run, ...]) -> str:
    """Return the entropy of each language; a mean where its runs differ."""
    values: dict[str, list[float]] = {}
    for run in runs:
        values.setdefault(run.facets.get("language", ""), []).append(run.unigram_entropy or 0.0)
    means = {language: sum(v) / len(v) for language, v in values.items()}
    if len(means) == 1:
        return f"{format_number(next(iter(means.values())))} nat"
    return listed([f"{format_number(v)} nat for {language}" for language, v in means.items()])


def _ends(found: Learning) -> str:
    ends: list[str] = []
    if found.above:
        ends.append(
            f"{len(found.above)} ended above the entropy, so not even the frequencies were learned in full"
        )
    if found.between:
        ends.append(
            f"{len(found.between)} ended between the entropy and {LEARNED_NATS} nat below it"
        )
    return f"{'; '.join(ends)}." if ends else ""


def _lowest(found: Learning) -> str:
    best = max(found.known, key=lambda run: depth_of(run) or 0.0)
    depth = depth_of(best) or 0.0
    side = "below" if depth >= 0 else "above"
    return (
        f"The lowest against its entropy, {best.label}, ended at {format_number(best.final['loss'])} nat, "
        f"{format_number(abs(depth))} {side} (a single run)."
    )


def _next_step(evidence: Evidence, found: Learning) -> str:
    """Return what to change where nothing was learned, by whether the curves still fell."""
    figure = "see the figure “Loss while training”"
    curves = [] if evidence.table is None else _last_losses(evidence.table, found.known)
    if not curves:
        return "Next: train on more tokens, or try a higher learning rate."
    falling = sum(losses == sorted(losses, reverse=True) for losses in curves)
    still = (
        f"{falling} of {plural(len(curves), 'curve')} still fell over the last {_LAST_MEASUREMENTS} "
        "measurements"
    )
    if 2 * falling > len(curves):
        return f"{still}, so the training was too short. Next: more tokens, then a higher learning rate; {figure}."
    return (
        f"{still}, so most stand still. Next: a higher learning rate, then more tokens; {figure}."
    )


def _last_losses(table: Table, runs: tuple[Run, ...]) -> list[list[float]]:
    """Return the last losses of each run that was measured often enough."""
    losses, rows = table.number("loss"), rows_by_run(table)
    ends = [losses[rows[run.name][-_LAST_MEASUREMENTS:]].tolist() for run in runs]
    return [end for end in ends if len(end) == _LAST_MEASUREMENTS]


ESCAPE_RULE = (
    f"A mark shows where a run left the plateau: the first of two measurements in a row at least "
    f"{ESCAPE_NATS} nat below. That asks for more than the {LEARNED_NATS} nat by which an end is judged, "
    "since one lucky measurement on a wavering curve must not date it."
)
