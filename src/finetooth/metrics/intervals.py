"""Intervals: how far a score could be from what more rows like these would give."""

from __future__ import annotations

import warnings
from dataclasses import replace
from math import isfinite, nan

import numpy as np

from finetooth.metrics.base import Metric
from finetooth.seeds import number
from finetooth.table import Predictions

DRAWS = 1000


def bootstrap(
    metric: Metric, p: Predictions, *, draws: int = DRAWS, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval: rows drawn with replacement, for this one trained model.

    Efron and Tibshirani 1993 (An Introduction to the Bootstrap), chapter 13. NaN, NaN when most draws are undefined.
    """
    generator = np.random.default_rng(number(seed, "bootstrap"))
    values = []
    with warnings.catch_warnings():
        # scikit-learn warns of a class that a draw happens to miss; the metric's own definition covers that.
        warnings.simplefilter("ignore")
        for _ in range(draws):
            rows = generator.integers(0, len(p.labels), len(p.labels))
            drawn = replace(p, ids=[], labels=p.labels[rows], probabilities=p.probabilities[rows])
            values.append(metric.of(drawn))
    finite = [v for v in values if isfinite(v)]
    if len(finite) < draws / 2:
        return nan, nan
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
