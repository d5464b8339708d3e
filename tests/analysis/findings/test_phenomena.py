"""The paradigms of BLiMP under its phenomena."""

from __future__ import annotations

from lilliput.analysis.findings.phenomena import PHENOMENA, scores_by_phenomenon
from lilliput.analysis.findings.quantities import Quantity
from lilliput.analysis.findings.scores import TaskScore


def score(task: str, value: float) -> TaskScore:
    return TaskScore("r", task, "trained", "accuracy", Quantity(value), 1, None, 0.5, "", "blimp")


def test_every_paradigm_belongs_to_one_phenomenon():
    paradigms = [paradigm for group in PHENOMENA.values() for paradigm in group]
    # Warstadt et al., section 3: 67 paradigms of 12 phenomena.
    assert (len(PHENOMENA), len(paradigms), len(set(paradigms))) == (12, 67, 67)


def test_a_phenomenon_is_the_mean_of_its_paradigms_and_other_tasks_are_left_out():
    scores = [score("ellipsis_n_bar_1", 0.4), score("ellipsis_n_bar_2", 0.8), score("cola", 0.9)]
    (found,) = scores_by_phenomenon(scores)
    assert (found.phenomenon, found.value, found.paradigms) == ("ellipsis", 0.6000000000000001, 2)
