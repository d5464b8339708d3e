"""Sentences about what the runs learned beyond how frequent each token is."""

from __future__ import annotations

from collections.abc import Iterable

from lilliput.analysis.findings.groups import named_for_group
from lilliput.analysis.findings.learning import (
    LAST_MEASUREMENTS,
    LEARNED_NATS,
    PLATEAU_EXIT_NATS,
    Learning,
    depth_of,
    last_losses,
    learning_of,
)
from lilliput.analysis.findings.quantities import format_number
from lilliput.analysis.findings.runs import Run
from lilliput.core.wording import listed, plural
from lilliput.report.reading.evidence import Evidence


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
    return [sentence if len(bare) == len(names) else named_for_group("; ".join(bare), sentence)]


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
    curves = [] if evidence.table is None else last_losses(evidence.table, found.known)
    if not curves:
        return "Next: train on more tokens, or try a higher learning rate."
    falling = sum(losses == sorted(losses, reverse=True) for losses in curves)
    still = (
        f"{falling} of {plural(len(curves), 'curve')} still fell over the last {LAST_MEASUREMENTS} "
        "measurements"
    )
    if 2 * falling > len(curves):
        return f"{still}, so the training was too short. Next: more tokens, then a higher learning rate; {figure}."
    return (
        f"{still}, so most stand still. Next: a higher learning rate, then more tokens; {figure}."
    )


PLATEAU_EXIT_RULE = (
    f"A mark shows where a run left the plateau: the first of two measurements in a row at least "
    f"{PLATEAU_EXIT_NATS} nat below. That asks for more than the {LEARNED_NATS} nat by which an end is judged, "
    "since one lucky measurement on a wavering curve must not date it."
)
