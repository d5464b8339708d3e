"""Metrics against scikit-learn and scipy on random inputs, constant predictions among them."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as oracle

from lilliput.evaluation.scores.metrics import (
    accuracy,
    f1,
    majority_predictions,
    matthews_corrcoef,
    pearson,
    spearman,
)

classes = st.integers(2, 4).flatmap(
    lambda k: st.lists(st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)), min_size=1)
)
binary = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1)
# Halves keep the oracle itself exact enough; ties are frequent.
numbers = st.lists(st.tuples(st.integers(-20, 20), st.integers(-20, 20)), min_size=2, max_size=60)


def _columns(pairs):
    array = np.array(pairs, dtype=np.float64)
    return array[:, 0], array[:, 1]


@given(classes)
def test_accuracy_and_matthews_equal_scikit_learn(pairs):
    labels, predictions = _columns(pairs)
    assert accuracy(labels, predictions) == oracle.accuracy_score(labels, predictions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the oracle warns about single-label input
        expected = oracle.matthews_corrcoef(labels, predictions)
    assert matthews_corrcoef(labels, predictions) == pytest.approx(expected, abs=1e-12)


@given(binary)
def test_f1_equals_scikit_learn(pairs):
    labels, predictions = _columns(pairs)
    expected = oracle.f1_score(labels, predictions, zero_division=0.0)
    assert f1(labels, predictions) == pytest.approx(expected, abs=1e-12)


@given(numbers)
def test_correlations_equal_scipy_and_are_zero_for_constant_predictions(pairs):
    labels, predictions = _columns(pairs)
    if np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        assert pearson(labels, predictions) == 0.0
        assert spearman(labels, predictions) == 0.0
        return
    assert pearson(labels, predictions) == pytest.approx(
        stats.pearsonr(labels, predictions).statistic, abs=1e-9
    )
    assert spearman(labels, predictions) == pytest.approx(
        stats.spearmanr(labels, predictions).statistic, abs=1e-9
    )


@given(numbers, st.floats(1e-150, 1e150))
def test_pearson_does_not_depend_on_units(pairs, scale):
    labels, predictions = _columns(pairs)
    assert pearson(labels, predictions * scale) == pytest.approx(
        pearson(labels, predictions), abs=1e-9
    )


@given(binary)
def test_constant_guesses_score_no_correlation(pairs):
    labels, _ = _columns(pairs)
    guesses = majority_predictions(labels)
    assert matthews_corrcoef(labels, guesses) == 0.0
    majority = max(labels.sum(), (1 - labels).sum())
    assert accuracy(labels, guesses) == majority / labels.size
