"""Paired tests: McNemar as the oracle, calibrated under the null, silent on small sets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from lilliput.core.errors import InputError
from lilliput.evaluation import compare_evaluations, evaluate_pairs
from lilliput.evaluation.scores.comparison import paired_p_value
from lilliput.evaluation.scores.score import caution


@pytest.mark.parametrize(("wins", "losses"), [(14, 6), (30, 10), (8, 8)])
def test_for_one_seed_and_accuracy_it_is_mcnemars_exact_test(wins, losses):
    labels = np.ones(200)
    first, second = np.zeros(200), np.zeros(200)
    first[:wins] = 1
    second[wins : wins + losses] = 1
    first[100:150] = second[100:150] = 1
    found = paired_p_value(["accuracy"], labels, first[None], second[None], resamples=5_000)
    expected = stats.binomtest(wins, wins + losses).pvalue
    # Four standard errors of 5,000 random draws, and the one that is always added.
    assert found == pytest.approx(expected, abs=4 * np.sqrt(0.25 / 5_000) + 2e-4)


def test_under_the_null_one_test_in_twenty_rejects():
    rng = np.random.default_rng(0)
    rejected = 0
    for trial in range(100):
        labels = rng.integers(0, 2, 120).astype(float)
        models = (rng.random((2, 3, 120)) < 0.6) == labels
        p = paired_p_value(
            ["matthews_corrcoef"], labels, *models.astype(float), resamples=100, seed=trial
        )
        rejected += p < 0.05
    # 5 expected of 100; 14 lies beyond four standard deviations.
    assert rejected <= 14


def test_the_same_predictions_never_differ():
    predictions = np.random.default_rng(0).integers(0, 2, (2, 150)).astype(float)
    labels = predictions[0]
    assert paired_p_value(["f1"], labels, predictions, predictions, resamples=50) == 1.0


def test_fewer_than_a_hundred_items_allow_no_conclusion():
    assert caution(100) == ""
    assert "14 scored items" in caution(14)  # filtered RTE


def _pairs(folder, count):
    rng = np.random.default_rng(0)
    words = ["the", "cat", "sees", "a", "dog", "old", "sun"]
    lines = []
    for _ in range(count):
        good = list(rng.choice(words, 5))
        lines.append(
            json.dumps({"sentence_good": " ".join(good), "sentence_bad": " ".join(good[::-1])})
        )
    folder.mkdir(exist_ok=True)
    (folder / f"order{count}.jsonl").write_text("\n".join(lines) + "\n")


def test_two_evaluations_are_compared_item_by_item(line, tmp_path):
    data = tmp_path / "data"
    _pairs(data, 150)
    _pairs(data, 20)
    for name, checkpoint in (("a", "final"), ("b", "step-1")):
        evaluate_pairs(line.run, data, line.tokenizer, tmp_path / name, checkpoint=checkpoint)
    found = {c.task: c for c in compare_evaluations(tmp_path / "a", tmp_path / "b", resamples=200)}
    assert "no conclusion" in found["order20"].verdict
    large = found["order150"]
    assert large.difference == pytest.approx(large.first - large.second)
    assert large.verdict in {"first", "second", "no difference shown"}
    same = compare_evaluations(tmp_path / "a", tmp_path / "a", resamples=50)
    assert all((c.difference, c.p_value) == (0.0, 1.0) for c in same)


def test_evaluations_of_other_tasks_cannot_be_compared(line, tmp_path):
    for count, name in ((20, "a"), (30, "b")):
        _pairs(tmp_path / f"data{name}", count)
        evaluate_pairs(line.run, tmp_path / f"data{name}", line.tokenizer, tmp_path / name)
    with pytest.raises(InputError, match="share a task"):
        compare_evaluations(tmp_path / "a", tmp_path / "b")
