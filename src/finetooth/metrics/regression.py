"""The metrics of numbers. Each is written once, under row weights; the plain metric has every row weigh one."""

from __future__ import annotations

import numpy as np

from finetooth.metrics.base import Metric, Values, under_weights
from finetooth.metrics.weighted import at_ties, before
from finetooth.table import Numbers


def mae(p: Numbers, weights: Values) -> Values:
    """Mean distance between value and truth, in the unit of the labels."""
    return np.asarray(weights @ np.abs(p.off) / weights.sum(axis=1))


def rmse(p: Numbers, weights: Values) -> Values:
    """Root of the mean squared distance, in the unit of the labels: large misses count more."""
    return np.asarray(np.sqrt(weights @ p.off**2 / weights.sum(axis=1)))


def r2(p: Numbers, weights: Values) -> Values:
    """The share of the labels' variance that the values explain: 0 for the mean, below 0 for worse than that."""
    spread = _covariance(p.labels - p.labels.mean(), p.labels - p.labels.mean(), weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, 1 - weights @ p.off**2 / weights.sum(axis=1) / spread, np.nan)


def pearson(p: Numbers, weights: Values) -> Values:
    """Linear correlation of values and truth."""
    return _correlation(p.values - p.values.mean(), p.labels - p.labels.mean(), weights)


def spearman(p: Numbers, weights: Values) -> Values:
    """Correlation of the ranks of values and truth, equals having their mean rank (Spearman 1904)."""
    return _correlation(_ranks(p.values, weights), _ranks(p.labels, weights), weights)


def _mean(values: Values, weights: Values) -> Values:
    """Of values (rows,), or (draws, rows), under each weighting: (draws, 1)."""
    total = weights.sum(axis=1, keepdims=True)
    return np.asarray(
        ((weights * values).sum(axis=1, keepdims=True) if values.ndim > 1 else weights @ values[:, None]) / total
    )


def _covariance(one: Values, other: Values, weights: Values) -> Values:
    return np.asarray((_mean(one * other, weights) - _mean(one, weights) * _mean(other, weights))[:, 0])


def _correlation(one: Values, other: Values, weights: Values) -> Values:
    """NaN where one of the two does not vary; what is left of its variance then is rounding."""
    spreads = [_covariance(each, each, weights) for each in (one, other)]
    least = [1e-12 * float((each**2).max(initial=0)) for each in (one, other)]
    varies = (spreads[0] > least[0]) & (spreads[1] > least[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(varies, _covariance(one, other, weights) / np.sqrt(spreads[0] * spreads[1]), np.nan)


def _ranks(values: Values, weights: Values) -> Values:
    """The middle rank of each row under each weighting, (draws, rows), from 0 in the middle of all."""
    order = np.argsort(values, kind="stable")
    first, last = at_ties(before(weights[:, order]), values[order], values)
    return np.asarray((first + last - weights.sum(axis=1, keepdims=True)) / 2)


REGRESSION: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        under_weights("rmse", "lower", rmse),
        under_weights("spearman", "higher", spearman),
        under_weights("pearson", "higher", pearson),
        under_weights("mae", "lower", mae),
        under_weights("r2", "higher", r2),
    )
}
