"""The same metrics under row weights, many weightings at once: what resampling asks for thousands of times.

Each takes Predictions and weights of shape (draws, rows), how often a row counts in each draw, and gives the metric's
value in each draw, shape (draws,); NaN where it is not defined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from finetooth.table import Predictions

Values = NDArray[np.float64]
Weighted = Callable[[Predictions, Values], Values]


def accuracy(p: Predictions, weights: Values) -> Values:
    """Share of the weight on rows whose decided class is the true one."""
    return np.asarray(weights @ (p.decided == p.labels) / weights.sum(axis=1))


def loss(p: Predictions, weights: Values) -> Values:
    """Mean negative log likelihood of the true class."""
    likelihood = np.maximum(p.probabilities[np.arange(len(p.labels)), p.labels], 1e-12)
    return np.asarray(weights @ -np.log(likelihood) / weights.sum(axis=1))


def averaged(
    score: Literal["precision", "recall", "f1"], average: Literal["macro", "weighted"], p: Predictions, weights: Values
) -> Values:
    """Precision, recall or F1 over the classes that have weight among the true or decided ones; 0 where undefined."""
    classes = len(p.names)
    true, decided = _counts(p.labels, classes, weights), _counts(p.decided, classes, weights)
    right = _counts(p.labels, classes, weights * (p.decided == p.labels))
    below = {"precision": decided, "recall": true, "f1": (true + decided) / 2}[score]
    each = np.divide(right, below, out=np.zeros_like(right), where=below > 0)
    share = true if average == "weighted" else (true + decided > 0).astype(float)
    return np.asarray((each * share).sum(axis=1) / share.sum(axis=1))


def auroc(p: Predictions, weights: Values) -> Values:
    """Area under the ROC curve, with more than two classes the mean over those with weight, each against the rest."""
    return _one_against_rest(_area, p, weights)


def average_precision(p: Predictions, weights: Values) -> Values:
    """Average precision, in the same way."""
    return _one_against_rest(_precision, p, weights)


def _counts(chosen: NDArray[np.int64], classes: int, weights: Values) -> Values:
    """The weight on each class, (draws, classes)."""
    rows = np.arange(len(chosen))
    return np.asarray(weights @ sparse.csr_array((np.ones(len(chosen)), (rows, chosen)), shape=(len(chosen), classes)))


def _one_against_rest(score: Callable[[Values, Values], Values], p: Predictions, weights: Values) -> Values:
    total, number = np.zeros(len(weights)), np.zeros(len(weights))
    for c in [1] if len(p.names) == 2 else np.unique(p.labels).tolist():
        order = np.argsort(-p.probabilities[:, c], kind="stable")
        scores, mine = p.probabilities[order, c], (p.labels == c)[order]
        # Rows of equal probability count together: neither comes before the other.
        starts = np.flatnonzero(np.concatenate([[True], scores[1:] != scores[:-1]]))
        drawn = weights[:, order]
        positive = np.add.reduceat(drawn * mine, starts, axis=1)
        value = score(positive, np.add.reduceat(drawn * ~mine, starts, axis=1))
        occurs = drawn @ mine > 0
        total += np.where(occurs, value, 0.0)
        number += occurs
    with np.errstate(invalid="ignore"):
        return total / number


def _area(positive: Values, negative: Values) -> Values:
    """From weights at each threshold, the surest first: the share of pairs in which the positive row is surer."""
    surer = np.cumsum(positive, axis=1) - positive / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((surer * negative).sum(axis=1) / pairs)


def _precision(positive: Values, negative: Values) -> Values:
    """The mean over positive rows of the precision at their threshold."""
    found = np.cumsum(positive, axis=1)
    asked = found + np.cumsum(negative, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.divide(found, asked, out=np.zeros_like(found), where=asked > 0)
        value = (positive * precision).sum(axis=1) / found[:, -1]
        return np.where(negative.sum(axis=1) > 0, value, np.nan)
