"""The metrics of any of several labels, scikit-learn's numbers, under row weights as well."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from finetooth.metrics.base import Metric, Values, under_weights
from finetooth.metrics.weighted import precision_of
from finetooth.table import AnyOf


def macro_f1(p: AnyOf, weights: Values) -> Values:
    """The mean over the labels of the F1 of each; 0 for a label that is neither true of a row nor given to one."""
    right, below = _counts(p, weights)
    return np.asarray(np.divide(2 * right, below, out=np.zeros_like(right), where=below > 0).mean(axis=1))


def micro_f1(p: AnyOf, weights: Values) -> Values:
    """F1 of all pairs of a row and a label taken together."""
    right, below = (each.sum(axis=1) for each in _counts(p, weights))
    return np.asarray(np.divide(2 * right, below, out=np.zeros_like(right), where=below > 0))


def samples_f1(p: AnyOf, weights: Values) -> Values:
    """The mean over rows of the F1 of each row's labels; 1 where a row has none and is given none."""
    right, below = (p.labels & p.decided).sum(axis=1), p.labels.sum(axis=1) + p.decided.sum(axis=1)
    each = np.divide(2.0 * right, below, out=np.ones(len(right)), where=below > 0)
    return np.asarray(weights @ each / weights.sum(axis=1))


def mean_average_precision(p: AnyOf, weights: Values) -> Values:
    """The mean of the average precision of each label that is true of a row; it needs no threshold."""
    total, number = np.zeros(len(weights)), np.zeros(len(weights))
    for c in range(len(p.names)):
        value = precision_of(p.labels[:, c] == 1, p.probabilities[:, c], weights)
        total += np.nan_to_num(value)
        number += np.isfinite(value)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / number)


def subset_accuracy(p: AnyOf, weights: Values) -> Values:
    """The share of rows that are given exactly their labels."""
    return np.asarray(weights @ exact(p) / weights.sum(axis=1))


def loss(p: AnyOf, weights: Values) -> Values:
    """Mean binary cross-entropy over rows and labels, in nats."""
    likelihood = np.where(p.labels == 1, p.probabilities, 1 - p.probabilities)
    return np.asarray(weights @ -np.log(np.maximum(likelihood, 1e-12)).mean(axis=1) / weights.sum(axis=1))


def exact(p: AnyOf) -> NDArray[np.bool_]:
    """Which rows are given exactly their labels."""
    return np.asarray((p.decided == p.labels).all(axis=1))


def _counts(p: AnyOf, weights: Values) -> tuple[Values, Values]:
    """Of each label the weight on rows that rightly have it, and on rows that have it plus on those given it."""
    return weights @ (p.labels & p.decided), weights @ (p.labels + p.decided)


MULTI_LABEL: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        under_weights("mean_average_precision", "higher", mean_average_precision, by_class=True),
        under_weights("macro_f1", "higher", macro_f1, by_class=True),
        under_weights("micro_f1", "higher", micro_f1),
        under_weights("samples_f1", "higher", samples_f1),
        replace(under_weights("subset_accuracy", "higher", subset_accuracy), share=exact),
        under_weights("loss", "lower", loss),
    )
}
