"""What the page Downstream and the Summary say of scores, gains and correlations."""

from __future__ import annotations

from collections.abc import Sequence

from lilliput.analysis.coefficients import LEVEL
from lilliput.analysis.findings.correlations import TaskCorrelation, significant_among_all
from lilliput.analysis.findings.groups import ALL_RUNS, named_for_group
from lilliput.analysis.findings.scores import TaskScore
from lilliput.core.wording import listed, plural


def whole_scores(scores: Sequence[TaskScore]) -> tuple[TaskScore, ...]:
    """Return the scores on whole tasks, those that are a part of a mean left out."""
    return tuple(score for score in scores if not score.part_of)


def tasks_of(scores: Sequence[TaskScore]) -> list[str]:
    """Return the tasks, in order of appearance."""
    return list(dict.fromkeys(score.task for score in scores))


def task_label(task: str) -> str:
    """Return a task as people write it."""
    return task.replace("_", " ")


def gain_sentences(scores: tuple[TaskScore, ...]) -> list[str]:
    """Return what pre-training gave on each whole task, in words."""
    return [gain_sentence(scores, task) for task in tasks_of(whole_scores(scores))]


def part_sentences(scores: tuple[TaskScore, ...]) -> list[str]:
    """Say how many gains on the parts of each mean lie beyond their interval."""
    sentences: list[str] = []
    for mean in dict.fromkeys(score.part_of for score in scores if score.part_of):
        parts = [score for score in scores if score.part_of == mean]
        gains = [score for score in parts if score.gain is not None]
        clear = sum(score.shows_gain for score in gains)
        sentences.append(
            f"{task_label(mean)} is the mean of {len(tasks_of(parts))} parts: of {plural(len(gains), 'gain')} on one "
            f"part {clear} {'lies' if clear == 1 else 'lie'} beyond the interval, where chance alone would leave about "
            f"one in forty. Choose a part in the figures; all are in their data."
        )
    return sentences


def gain_sentence(scores: tuple[TaskScore, ...], task: str) -> str:
    """Return how many runs gained on a task beyond their interval, in words."""
    name = task_label(task)
    gains = [s for s in scores if s.task == task and s.gain is not None]
    if not gains:
        return f"{name}: the untrained model was not scored, so the gain is not known."
    clear = [score for score in gains if score.shows_gain]
    least = min(s.value.n or 0 for s in gains)
    models = plural(len(gains), "model")
    basis = f"intervals over seeds and at least {least:,} examples"
    if not clear:
        return (
            f"{name}: no gain from pre-training beyond its interval in any of {models} ({basis})."
        )
    best = max(clear, key=lambda s: s.gain.value or 0.0 if s.gain else 0.0)
    assert best.gain is not None
    return (
        f"{name}: pre-training helps beyond its interval in {len(clear)} of {models} ({basis}); "
        f"the largest gain is {best.gain.text}.{_beyond_chance(clear)}"
    )


def _beyond_chance(clear: Sequence[TaskScore]) -> str:
    """Return how many of the scores that gained are not above the most frequent label's, in words."""
    poor = sum(not score.is_learned for score in clear)
    if not poor:
        return ""
    which = (
        "That score is"
        if len(clear) == 1
        else f"{poor} of these scores {'is' if poor == 1 else 'are'}"
    )
    return f" {which} not above the most frequent label's with the whole interval: the gain may be over a poor initial score alone."


def several_sentence(found: tuple[TaskCorrelation, ...]) -> str:
    """Return what is left of several comparisons when chance is allowed for, in words; empty for one."""
    known = [item for item in found if item.rank.is_known]
    if len(known) < 2:
        return ""
    beyond, left = sum(item.rank.excludes(0.0) for item in known), sum(significant_among_all(found))
    return (
        f"Of {len(known)} comparisons {beyond} {'has' if beyond == 1 else 'have'} an interval beyond "
        f"zero. Among so many some may by chance alone: with Holm's correction, by which the chance of "
        f"any false one among all {len(known)} stays below {100 * LEVEL:.0f} %, {left} {'is' if left == 1 else 'are'} left."
    )


def correlation_sentences(
    found: tuple[TaskCorrelation, ...], unlearned: frozenset[str]
) -> list[str]:
    """Return what the rank correlations of loss and score say, in words.

    Each that is decided, the others in one sentence a group; those of groups that learned no more than token
    frequencies are left to the table, if others are not.
    """
    if not found:
        return ["No model was scored, so loss and score cannot be compared."]
    any_learned = any(item.group not in unlearned for item in found)
    clear: list[str] = []
    open_tasks: dict[str, list[str]] = {}
    for item, is_left in zip(found, significant_among_all(found), strict=True):
        if any_learned and item.group in unlearned:
            continue
        if item.result is None or item.rank.excludes(0.0):
            clear.append(_one_correlation(item, is_left))
        else:
            open_tasks.setdefault(item.group, []).append(task_label(item.task))
    undecided = [
        named_for_group(
            group, f"For {listed(tasks)} the data cannot tell whether loss and score go together."
        )
        for group, tasks in open_tasks.items()
    ]
    return [*clear, *undecided, several_sentence(found)]


def _one_correlation(found: TaskCorrelation, is_left: bool) -> str:
    task = task_label(found.task)
    where = task if found.group == ALL_RUNS else f"{task}, {found.group}"
    if found.result is None:
        return f"{where}: no correlation, {found.problem}"
    rank = found.rank
    falling = (rank.value or 0.0) < 0
    way = (
        "the lower the loss, the higher the score"
        if falling
        else "lower loss goes with lower scores"
    )
    alone = "" if is_left else "taken alone, "
    return f"{where}: {alone}{way}, Spearman's ρ {rank.text}. {_beyond_size(found)}".rstrip()


def _beyond_size(found: TaskCorrelation) -> str:
    partial = found.rank_given_size
    if not partial.is_known:
        return ""
    verb = "adds to" if partial.excludes(0.0) else "cannot be shown to add anything to"
    return f"Given the number of parameters, loss {verb} the forecast: partial {partial.text}."
