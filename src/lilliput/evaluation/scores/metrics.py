"""Compute the official metrics of GLUE in numpy, equal to those of scikit-learn and scipy.

They are also defined for constant predictions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from lilliput.core.arrays import FloatArray

Metric = Callable[[FloatArray, FloatArray], float]
"""Labels and predictions, both of shape (examples,), to a number."""


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the share of predictions that equal their label."""
    return float(np.mean(np.asarray(labels) == np.asarray(predictions)))


def pair_accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the mean over minimal pairs of 1 (right), one half (a tie) and 0; the labels are all 1."""
    del labels
    return float(np.mean(np.asarray(predictions)))


def f1(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the harmonic mean of precision and recall of class 1; 0 where neither has a case."""
    truth, guess = np.asarray(labels) == 1, np.asarray(predictions) == 1
    found = int(np.sum(truth & guess))
    cases = int(truth.sum() + guess.sum())
    return 2 * found / cases if cases else 0.0


def matthews_corrcoef(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the correlation of label and predicted class (any number of classes); 0 when either is constant.

    Source: Gorodkin 2004, the R_K statistic, which is Matthews's coefficient for two classes.
    """
    truth = np.asarray(labels)
    guess = np.asarray(predictions)
    classes = np.union1d(truth, guess)
    truth_counts = (truth[:, None] == classes).sum(axis=0).astype(np.float64)
    guess_counts = (guess[:, None] == classes).sum(axis=0).astype(np.float64)
    n = float(truth.size)
    covariance = n * float(np.sum(truth == guess)) - truth_counts @ guess_counts
    spread = (n**2 - truth_counts @ truth_counts) * (n**2 - guess_counts @ guess_counts)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0


def pearson(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the linear correlation; 0 when either side is constant, where the ratio has no value."""
    x = np.asarray(labels, dtype=np.float64)
    y = np.asarray(predictions, dtype=np.float64)
    if x.size < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    # Scaling before squaring keeps tiny and huge values inside the range of floats.
    dx = (x - x.mean()) / np.ptp(x)
    dy = (y - y.mean()) / np.ptp(y)
    ratio = float(dx @ dy) / float(np.sqrt((dx @ dx) * (dy @ dy)))
    return max(-1.0, min(1.0, ratio))


def spearman(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Return the correlation of ranks, ties sharing their mean rank; 0 when either side is constant."""
    return pearson(rankdata(np.asarray(labels)), rankdata(np.asarray(predictions)))


METRICS: dict[str, Metric] = {
    "accuracy": accuracy,
    "pair_accuracy": pair_accuracy,
    "f1": f1,
    "matthews_corrcoef": matthews_corrcoef,
    "pearson": pearson,
    "spearman": spearman,
}


def majority_predictions(labels: ArrayLike) -> FloatArray:
    """Return the most frequent label for every example, shape (examples,): what knowing nothing scores."""
    values, counts = np.unique(np.asarray(labels, dtype=np.float64), return_counts=True)
    return np.full(np.asarray(labels).shape, values[counts.argmax()])
