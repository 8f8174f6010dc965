"""The same metrics under row weights, many weightings at once: what resampling asks for thousands of times.

Each takes Predictions and weights of shape (draws, rows), how often a row counts in each draw, and gives the metric's
value in each draw, shape (draws,); NaN where it is not defined.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from finetooth.metrics.base import Values
from finetooth.table import Predictions


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


@dataclass(frozen=True)
class _Ranked:
    """One class against the rest: of each of its rows (columns), under each weighting, what is at least as sure of it.

    `found` are rows of the class and `asked` all rows, each as the weight of those that are surer and of those that are
    surer or as sure: rows of equal probability count together, since neither comes before the other.
    """

    mine: Values
    found: tuple[Values, Values]
    asked: tuple[Values, Values]
    rows: Values  # the weight of all rows, (draws,)


def precision_of(mine: NDArray[np.bool_], sure: Values, weights: Values) -> Values:
    """Average precision of finding the rows that are `mine`, the surest first; NaN where none of them has weight."""
    ranked, found = _ranked(mine, sure, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(found > 0, _precision(ranked) / found, np.nan))


def _ranked(mine: NDArray[np.bool_], sure: Values, weights: Values) -> tuple[_Ranked, Values]:
    """These rows among the others, the surest first, and their weight."""
    order = np.argsort(-sure, kind="stable")
    descending, places = -sure[order], np.flatnonzero(mine[order])
    own, asked = weights[:, order[places]], before(weights[:, order])
    found = before(own)
    at = descending[places]
    return _Ranked(own, at_ties(found, at, at), at_ties(asked, descending, at), asked[:, -1]), found[:, -1]


def _one_against_rest(score: Callable[[_Ranked], Values], p: Predictions, weights: Values) -> Values:
    total, number = np.zeros(len(weights)), np.zeros(len(weights))
    for c in [1] if len(p.names) == 2 else np.unique(p.labels).tolist():
        ranked, found = _ranked(p.labels == c, p.probabilities[:, c], weights)
        occurs = found > 0
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.where(found < ranked.rows, score(ranked) / found, np.nan)
        total += np.where(occurs, value, 0.0)
        number += occurs
    with np.errstate(invalid="ignore"):
        return np.asarray(total / number)


def before(weights: Values) -> Values:
    """The weight that stands before each column, and before the end: one column more."""
    sums = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights, axis=1, out=sums[:, 1:])
    return sums


def at_ties(before: Values, sorted_values: Values, values: Values) -> tuple[Values, Values]:
    """What stands before the first, and up to the last, of the columns that have each of these values."""
    first, last = (np.searchsorted(sorted_values, values, side=side) for side in ("left", "right"))
    return before[:, first], before[:, last]


def _area(ranked: _Ranked) -> Values:
    """The sum over rows of the class of the share of other rows that are less sure, those as sure counting half."""
    surer, upto = (asked - found for asked, found in zip(ranked.asked, ranked.found, strict=True))
    others = ranked.rows - ranked.mine.sum(axis=1)
    return np.asarray((ranked.mine * (1 - (surer + upto) / 2 / others[:, None])).sum(axis=1))


def _precision(ranked: _Ranked) -> Values:
    """The sum over rows of the class of the precision at their threshold."""
    found, asked = ranked.found[1], ranked.asked[1]
    return np.asarray((ranked.mine * np.divide(found, asked, out=np.zeros_like(found), where=asked > 0)).sum(axis=1))
