"""Intervals: how far a score could be from what more rows like these would give, for this one trained model.

Where rows come in groups (the sentences of a document, the scans of a patient), whole groups are drawn, since rows of
one group tell less than as many rows of many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from finetooth.metrics.base import Metric
from finetooth.seeds import number
from finetooth.table import Predictions

LEVEL = 0.95
DRAWS = 2000
BLOCKS = 400  # of the jackknife
AT_ONCE = 2_000_000  # weights held at a time

FEWEST_ROWS = 200
FEWEST_GROUPS = 30
FEWEST_OF_A_CLASS = 10

Values = NDArray[np.float64]
Statistic = Callable[[Values], Values]  # weights of shape (draws, rows) -> a value for each draw


@dataclass(frozen=True)
class Interval:
    """A value and its bounds; where there are none, `how` says why, else it names the method."""

    value: float
    low: float | None
    high: float | None
    how: str


def interval(
    metric: Metric, p: Predictions, groups: Sequence[str | None] | None = None, *, level: float = LEVEL
) -> Interval:
    """The metric with its interval: Wilson's for a share of independent rows, BCa for the rest; or why there is none.

    `groups` has one entry per row, None for a row that stands alone.
    """
    value, units = metric.of(p), units_of(groups, len(p.labels))
    if why := too_few(metric, p, units):
        return Interval(value, None, None, why)
    if metric.share is not None and units.max() + 1 == len(units):
        low, high = wilson(float(metric.share(p).sum()), len(p.labels), level)
        return Interval(value, low, high, "Wilson")
    low, high = bca(statistic(metric, p), units, level=level)
    if not (isfinite(low) and isfinite(high)):
        return Interval(value, None, None, "not defined in most draws")
    return Interval(value, low, high, "BCa" if units.max() + 1 == len(units) else "BCa over groups")


def too_few(metric: Metric, p: Predictions, units: NDArray[np.int64]) -> str | None:
    """Why there are too few rows for an interval, or None."""
    rows, of = len(p.labels), int(units.max()) + 1 if len(units) else 0
    if rows < FEWEST_ROWS:
        return f"too few rows ({rows:,}, {FEWEST_ROWS} are the least)"
    if of < min(rows, FEWEST_GROUPS):
        return f"too few groups ({of:,}, {FEWEST_GROUPS} are the least)"
    counts = np.bincount(p.labels, minlength=len(p.names))
    rare = [p.names[c] for c in np.flatnonzero((counts > 0) & (counts < FEWEST_OF_A_CLASS))]
    if metric.by_class and rare:
        return f"too few rows of '{rare[0]}'" + (f" and {len(rare) - 1} more classes" if len(rare) > 1 else "")
    return None


def units_of(groups: Sequence[str | None] | None, rows: int) -> NDArray[np.int64]:
    """The number of the group of each row, from 0; a row without group is one of its own."""
    if groups is None:
        return np.arange(rows)
    names: dict[object, int] = {}
    return np.array([names.setdefault(i if name is None else (name,), len(names)) for i, name in enumerate(groups)])


def wilson(right: float, rows: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share of independent rows (Wilson 1927, Probable Inference)."""
    z = float(norm.ppf((1 + level) / 2))
    share, wide = right / rows, z * z / rows
    middle = (share + wide / 2) / (1 + wide)
    half = z / (1 + wide) * sqrt(share * (1 - share) / rows + wide / (4 * rows))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def statistic(metric: Metric, p: Predictions) -> Statistic:
    """The metric as a function of row weights; one of the user's own is asked row by row."""
    weighted = metric.weighted
    if weighted is not None:
        return lambda weights: weighted(p, weights)

    def asked(weights: Values) -> Values:
        places = np.arange(len(p.labels))
        return np.array([metric.of(p.take(np.repeat(places, row.astype(int)))) for row in weights])

    return asked


def bca(
    of: Statistic, units: NDArray[np.int64], *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap bounds of a statistic, whole units drawn with replacement.

    Efron 1987 (Better Bootstrap Confidence Intervals), section 3, with the quantiles widened for few units as in
    Hesterberg 2015 (What Teachers Should Know About the Bootstrap), section 4.3.1. NaN where most draws are undefined.
    """
    found = Bootstrap.of(of, units, draws, seed)
    return found.bounds(level)


@dataclass(frozen=True)
class Bootstrap:
    """The draws of a statistic, and what their shape says: median bias and acceleration, both 0.0 for a plain mean."""

    value: float
    drawn: Values  # those that are defined
    bias: float
    acceleration: float
    units: int
    whole: bool  # whether most draws were defined

    @staticmethod
    def of(statistic: Statistic, units: NDArray[np.int64], draws: int = DRAWS, seed: int = 0) -> Bootstrap:
        """Draw whole units with replacement, and leave each out once, or each of BLOCKS blocks of them."""
        count = int(units.max()) + 1
        generator = np.random.default_rng(number(seed, "bootstrap"))
        value = float(statistic(np.ones((1, len(units))))[0])
        drawn = _asked(
            statistic, units, lambda size: generator.multinomial(count, np.full(count, 1 / count), size), draws
        )
        block = np.arange(count) * BLOCKS // count if count > BLOCKS else np.arange(count)
        block = block[generator.permutation(count)]
        left_out = iter(range(int(block.max()) + 1))
        jackknife = _asked(
            statistic,
            units,
            lambda size: np.stack([block != next(left_out) for _ in range(size)]),
            int(block.max()) + 1,
        )
        whole = bool(np.isfinite(drawn).sum() >= draws / 2)
        drawn, jackknife = drawn[np.isfinite(drawn)], jackknife[np.isfinite(jackknife)]
        pull = jackknife.mean() - jackknife if len(jackknife) else np.zeros(1)
        spread = float((pull**2).sum() ** 1.5)
        below = float((drawn < value).mean() + (drawn == value).mean() / 2) if len(drawn) else 0.5
        return Bootstrap(
            value,
            drawn,
            float(norm.ppf(np.clip(below, 1 / (draws + 1), draws / (draws + 1)))),
            float((pull**3).sum() / (6 * spread)) if spread > 0 else 0.0,
            count,
            whole,
        )

    def bounds(self, level: float = LEVEL) -> tuple[float, float]:
        """The two ends of the interval."""
        if not self.whole:
            return float("nan"), float("nan")
        wide = float(t.ppf((1 + level) / 2, self.units - 1)) * sqrt(self.units / (self.units - 1))
        z = self.bias + np.array([-wide, wide])
        low, high = np.quantile(self.drawn, norm.cdf(self.bias + z / (1 - self.acceleration * z)))
        return float(low), float(high)

    def p_value(self, null: float = 0.0) -> float:
        """Two-sided: one less the level at which an end of the interval meets `null`."""
        below = float((self.drawn < null).mean() + (self.drawn == null).mean() / 2)
        edge = 1 / (len(self.drawn) + 1)
        w = float(norm.ppf(np.clip(below, edge, 1 - edge))) - self.bias
        z = w / (1 + self.acceleration * w) - self.bias
        narrowed = z / sqrt(self.units / (self.units - 1))
        return min(1.0, 2 * float(t.cdf(-abs(narrowed), self.units - 1)))

    @property
    def error(self) -> float:
        """The standard error."""
        return float(self.drawn.std(ddof=1)) * sqrt(self.units / (self.units - 1))


def _asked(statistic: Statistic, units: NDArray[np.int64], counts: Callable[[int], NDArray[Any]], draws: int) -> Values:
    """The statistic under so many weightings of the units, some at a time."""
    return np.concatenate([statistic(counts(size)[:, units].astype(float)) for size in _sizes(draws, len(units))])


def _sizes(draws: int, rows: int) -> Iterator[int]:
    most = max(1, AT_ONCE // max(rows, 1))
    yield from (min(most, draws - start) for start in range(0, draws, most))
