"""Answers of the summary that follow from downstream scores."""

from __future__ import annotations

import math
from statistics import fmean

from lilliput.analysis.findings.comparisons import difference_of_means
from lilliput.analysis.findings.correlations import TaskCorrelation, significant_among_all
from lilliput.analysis.findings.laws import GroupLaw
from lilliput.analysis.findings.quantities import (
    format_count,
)
from lilliput.report.pages import shared
from lilliput.report.pages.downstream.sentences import (
    correlation_sentences,
    gain_sentences,
    task_label,
    tasks_of,
    whole_scores,
)
from lilliput.report.pages.scaling.page import main_laws
from lilliput.report.pages.training.learning import unlearned_sentences
from lilliput.report.parts import Answer, Verdict, yes_in_part
from lilliput.report.reading.evidence import Evidence


def answer_gain(evidence: Evidence) -> Answer:
    """Answer whether pre-training helps, and down to which size."""
    question = "Does pre-training help, even the smallest models?"
    paper = "Masked-language-model pre-training helped even at 1.25 million parameters."
    gains = [s for s in whole_scores(evidence.scores) if s.gain is not None]
    if not gains:
        return Answer(
            question,
            "absent",
            "No task was scored with and without pre-training.",
            paper,
            "downstream",
        )
    sentences = gain_sentences(evidence.scores)
    clear = [s for s in gains if s.is_learned]
    harmed = [s for s in gains if s.gain and s.gain.high is not None and s.gain.high < 0]
    verdict: Verdict = "yes" if clear else "no" if len(harmed) == len(gains) else "unclear"
    return Answer(
        question, verdict, [*sentences, _smallest(evidence)], paper, "downstream",
        verdict_text=yes_in_part(clear, gains),
    )  # fmt: skip


def _smallest(evidence: Evidence) -> str:
    """Return the smallest model that gained on any task."""
    size = {run.name: run.final.get("num_parameters", math.inf) for run in evidence.runs}
    clear = [
        s
        for s in whole_scores(evidence.scores)
        if s.is_learned and math.isfinite(size.get(s.run, math.inf))
    ]
    if not clear:
        return ""
    least = min(clear, key=lambda s: size[s.run])
    return (
        f"The smallest model with a clear gain, to above the most frequent label, has {format_count(size[least.run])} parameters: "
        f"{task_label(least.task)}, {least.gain.text if least.gain else ''}."
    )


def answer_correlation(found: tuple[TaskCorrelation, ...], unlearned: frozenset[str]) -> Answer:
    """Answer whether loss predicts scores; groups that learned only token frequencies do not count."""
    question = "Does a lower loss predict better downstream scores?"
    paper = "Perplexity and downstream score were strongly correlated."
    sentences = correlation_sentences(found, unlearned)
    if not found:
        return Answer(question, "absent", sentences, paper, "downstream")
    clear = [
        item
        for item, is_left in zip(found, significant_among_all(found), strict=True)
        if is_left and (item.rank.value or 0.0) < 0 and item.group not in unlearned
    ]
    text = yes_in_part(clear, found)
    remarks = unlearned_sentences((item.group for item in found), unlearned, _NO_PREDICTION)
    verdict: Verdict = "yes" if clear else "unclear"
    return Answer(question, verdict, [*remarks, *sentences], paper, "downstream", text)


_NO_PREDICTION = "so differences between their losses can hardly predict what they do downstream"


def answer_optimality(evidence: Evidence, laws: tuple[GroupLaw, ...]) -> Answer:
    """Answer whether compute-optimal models are better downstream."""
    question = "Are compute-optimal models better downstream?"
    paper = "Compute-optimality did not play an important role downstream at this scale."
    optimal = {run for law in main_laws(laws) if law.frontier for run in law.frontier.runs}
    scores = _mean_scores(evidence)
    on = [scores[name] for name in scores if name in optimal]
    off = [scores[name] for name in scores if name not in optimal]
    if len(on) < 2 or len(off) < 2:
        counts = (
            f"That needs scored models on and off the frontier of compute and loss: {len(on)} are on it "
            f"and {len(off)} are not."
        )
        return Answer(question, "absent", f"{counts} {_WHICH_FRONTIER}", paper, "downstream")
    difference = difference_of_means(on, off)
    sentence = (
        f"The mean score of {len(on)} models on the frontier of compute and loss minus that of {len(off)} "
        f"others is {difference.text}. Models on it differ in size too, so this is no proof of a cause."
    )
    verdict: Verdict = "unclear"
    if difference.excludes(0.0):
        verdict = "yes" if (difference.value or 0.0) > 0 else "no"
    return Answer(question, verdict, [sentence, _WHICH_FRONTIER], paper, "downstream")


_WHICH_FRONTIER = (
    "A model is on it when, at any moment of its training, it had the lowest loss of its bin of FLOPs (page "
    "Scaling); the efficient shapes of the page Cost are another choice, made by where shapes ended."
)


def _mean_scores(evidence: Evidence) -> dict[str, float]:
    """Return the mean over tasks of each pre-trained model, of those scored on every task."""
    whole = whole_scores(evidence.scores)
    tasks = len(tasks_of(whole))
    values: dict[str, list[float]] = {}
    for score in whole:
        if score.weights == "trained" and score.value.value is not None:
            values.setdefault(score.run, []).append(score.value.value)
    return {run: fmean(v) for run, v in values.items() if len(v) == tasks}


def answer_language(evidence: Evidence) -> Answer:
    """Answer whether a reduced language helps smaller models."""
    question = "Does a reduced language let smaller models benefit from pre-training?"
    paper = "In simplified language smaller models began to benefit earlier."
    languages = shared.distinct(evidence, "language")
    if len(languages) < 2 or not any(s.gain for s in evidence.scores):
        return Answer(
            question, "absent", "That needs scored models of two languages.", paper, "downstream"
        )
    smallest = {language: _first_gain(evidence, language) for language in languages}
    words = [
        f"{language}: {format_count(size)} parameters"
        if size is not None
        else f"{language}: no model"
        for language, size in smallest.items()
    ]
    sentence = (
        f"The smallest model with a clear gain on any task: {'; '.join(words)}. The tasks of each language are made "
        "from its own text and the order of a few sizes is no test, so a difference may have other causes."
    )
    return Answer(question, "unclear", sentence, paper, "downstream")


def _first_gain(evidence: Evidence, language: str) -> float | None:
    members = {
        r.name: r.final.get("num_parameters")
        for r in evidence.runs
        if r.facets.get("language") == language
    }
    sizes = [
        size
        for s in whole_scores(evidence.scores)
        if s.is_learned and (size := members.get(s.run)) is not None
    ]
    return min(sizes) if sizes else None
