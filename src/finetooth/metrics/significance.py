"""Two models on the same rows: is one better, how sure is that, and what is the least that could have been seen?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2, t

from finetooth.metrics.base import Metric
from finetooth.metrics.intervals import DRAWS, LEVEL, affordable, count_of, resampled, statistic, widening
from finetooth.table import Answers, Predictions

POWER = 0.8
ROUNDING = 1e-12


@dataclass(frozen=True)
class Comparison:
    """`difference` is above 0.0 where the first is better, whatever the metric's direction.

    `smallest` is the least true difference that rows like these would show in POWER of such tests. It is estimated from
    these rows, and stated so large that this holds in POWER of the cases in which it is stated.
    """

    difference: float
    low: float
    high: float
    p_value: float
    smallest: float

    @property
    def better(self) -> bool:
        """Whether the first is shown to be better."""
        return self.low > 0.0


def paired(
    metric: Metric,
    one: Answers,
    other: Answers,
    units: NDArray[np.int64],
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """The difference under a paired bootstrap: both models are asked about the same rows in every draw.

    `units` numbers the group of each row (`units_of`); whole groups are drawn. Bounds and p-value are Student's t with
    the bootstrap's standard error (Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 12.4). The
    difference of two models of the same rows is close to symmetric: BCa's corrections would only add their own noise,
    and call 8 of 100 pairs of equals different by AUROC where there are 40 groups. NaN where most draws are undefined.
    """
    assert one.ids == other.ids, "paired predictions are about the same rows in the same order"
    sign = 1.0 if metric.better == "higher" else -1.0
    first, second = statistic(metric, one), statistic(metric, other)
    count = count_of(units)
    value, drawn = resampled(
        lambda weights: sign * (first(weights) - second(weights)), units, draws=affordable(metric, draws), seed=seed
    )
    if not len(drawn):
        return Comparison(value, nan, nan, nan, nan)
    error, student = float(drawn.std(ddof=1)) * widening(count), t(count - 1)
    half = float(student.ppf((1 + level) / 2)) * error
    # Without any error the two differ everywhere or nowhere; what is left then is rounding.
    size = abs(value)
    p_value = float(size <= ROUNDING) if error <= ROUNDING else 2 * float(student.sf(size / error))
    # The error found may be too small by chance: its upper bound, as for the standard deviation of normal values.
    bound = float(np.sqrt((count - 1) / chi2.ppf(1 - POWER, count - 1)))
    smallest = bound * (half + float(student.ppf(POWER)) * error)
    return Comparison(value, value - half, value + half, p_value, smallest)


def mcnemar(one: Predictions, other: Predictions) -> float:
    """The exact two-sided p-value that the two are wrong equally often, from the rows on which only one is right.

    McNemar 1947 (Note on the Sampling Error of the Difference Between Correlated Proportions).
    """
    here, there = one.decided == one.labels, other.decided == other.labels
    only_one, only_other = int((here & ~there).sum()), int((there & ~here).sum())
    if not only_one + only_other:
        return 1.0
    return float(binomtest(only_one, only_one + only_other).pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Each p-value adjusted for there being several (Holm 1979, A Simple Sequentially Rejective Test Procedure)."""
    order = sorted(p_values, key=lambda name: p_values[name])
    scaled = [min(1.0, (len(order) - rank) * p_values[name]) for rank, name in enumerate(order)]
    return dict(zip(order, np.maximum.accumulate(scaled).tolist(), strict=True)) if order else {}
