"""What is left of several correlations when chance is allowed for."""

from __future__ import annotations

from dataclasses import replace

from lilliput.analysis import Correlation, CorrelationResult
from lilliput.analysis.findings.correlations import TaskCorrelation, significant_among_all
from lilliput.report.pages.summary.answers_from_scores import answer_correlation


def correlation(task: str, rho: float, low: float | None, high: float | None, n: int):
    one = Correlation(rho, low, high, n)
    facts = {"n_resampled": n}
    result = CorrelationResult(one, one, one, "loss", "score", facts=facts)
    return TaskCorrelation("constrained", task, result)


STRONG = correlation("strong", -0.98, -1.0, -0.8, 12)
# What a newcomer saw: one of six intervals, barely beyond zero, from eight models.
WEAK = [
    correlation("one", -0.83, -1.0, -0.02, 8),
    *(correlation(f"other {i}", 0.1 * i, -0.8, 0.9, 8) for i in range(5)),
]


def test_one_of_six_by_chance_is_no_yes_in_part():
    said = answer_correlation(tuple(WEAK), frozenset())
    assert significant_among_all(WEAK) == [False] * 6
    assert (said.verdict, said.label) == ("unclear", "Cannot tell")
    text = " ".join(said.paragraphs)
    assert "Of 6 comparisons 1 has an interval beyond zero" in text
    assert "Holm's correction" in text
    assert "0 are left" in text
    assert "taken alone, the lower the loss, the higher the score" in text


def test_a_strong_one_among_six_is_left():
    said = answer_correlation((STRONG, *WEAK[1:]), frozenset())
    assert (said.verdict, said.label) == ("yes", "Yes, in part")
    assert "1 is left" in " ".join(said.paragraphs)


def test_no_prediction_by_models_that_learned_nothing():
    said = answer_correlation((STRONG,), frozenset({"constrained"}))
    assert said.verdict == "unclear"
    assert "learned more than how frequent each token is" in " ".join(said.paragraphs)


def test_what_is_undecided_is_one_sentence_and_what_learned_nothing_is_left_to_the_table():
    bare = [replace(item, group="bare") for item in WEAK]
    said = answer_correlation((STRONG, *WEAK[1:], *bare), frozenset({"bare"})).paragraphs
    assert said[0].startswith("bare: none of these models learned")
    assert said[1].startswith("strong, constrained: the lower the loss, the higher the score")
    assert said[2].startswith("constrained: for other 0, other 1, other 2, other 3 and other 4 the")
    assert said[3].startswith("Of 12 comparisons 2 have an interval beyond zero")
    assert len(said) == 4
