"""Intervals: how far a score could be from what more rows like these would give, for this one trained model.

Where rows come in groups (the sentences of a document, the scans of a patient), whole groups are drawn, since rows of
one group tell less than as many rows of many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, nan, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from finetooth.metrics.base import Metric, Values, finite
from finetooth.seeds import number
from finetooth.table import Answers

LEVEL = 0.95
DRAWS = 2000
ROW_BY_ROW = 400  # draws of a metric that is not known under weights
BLOCKS = 400  # of the jackknife
AT_ONCE = 2_000_000  # weights held at a time

FEWEST_ROWS = 200
FEWEST_GROUPS = 30
FEWEST_OF_A_CLASS = 10

Statistic = Callable[[Values], Values]  # weights of shape (draws, rows) -> a value for each draw


@dataclass(frozen=True)
class Interval:
    """A value and its bounds; where there are none, `how` says why, else it names the method."""

    value: float
    low: float | None
    high: float | None
    how: str

    def told(self) -> dict[str, Any]:
        """As report.json has it."""
        return {"value": finite(self.value), "low": finite(self.low), "high": finite(self.high), "how": self.how}


def interval(
    metric: Metric,
    p: Answers,
    groups: Sequence[str | None] | None = None,
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
) -> Interval:
    """The metric with its interval: Wilson's for a share of independent rows, BCa for the rest; or why there is none.

    `groups` has one entry per row, None for a row that stands alone.
    """
    value, units = metric.of(p), units_of(groups, len(p.labels))
    if why := too_few(p, units, by_class=metric.by_class):
        return Interval(value, None, None, why)
    apart = count_of(units) == len(units)
    if metric.share is not None and apart:
        low, high = wilson(float(metric.share(p).sum()), len(p.labels), level)
        return Interval(value, low, high, "Wilson")
    low, high = bca(statistic(metric, p), units, level=level, draws=affordable(metric, draws))
    if not (isfinite(low) and isfinite(high)):
        return Interval(value, None, None, "not defined in most draws")
    return Interval(value, low, high, "BCa" if apart else "BCa over groups")


def too_few(p: Answers, units: NDArray[np.int64], *, by_class: bool = False) -> str | None:
    """Why there are too few rows for an interval, or None; `by_class` asks for rows of every class that occurs.

    Ten rows of a class that stand in one group are one case of it, so with groups it is groups that are counted.
    """
    rows, of = len(p.labels), count_of(units)
    if rows < FEWEST_ROWS:
        return f"too few rows ({rows:,}; at least {FEWEST_ROWS} are needed)"
    if of < FEWEST_GROUPS:
        return f"too few groups ({of:,}; at least {FEWEST_GROUPS} are needed)"
    rare = [(name, n) for name, n in (p.cases(units) if by_class else {}).items() if n < FEWEST_OF_A_CLASS]
    if rare:
        name, cases = rare[0]
        found = f"too few rows of '{name}'" if of == rows else f"too few groups with '{name}'"
        others = f"; so for {len(rare) - 1} more classes" if len(rare) > 1 else ""
        return f"{found} ({cases}; at least {FEWEST_OF_A_CLASS} are needed{others})"
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


def statistic(metric: Metric, p: Answers) -> Statistic:
    """The metric as a function of row weights; one of the user's own is asked row by row."""
    weighted = metric.weighted
    if weighted is not None:
        return lambda weights: weighted(p, weights)

    def asked(weights: Values) -> Values:
        places = np.arange(len(p.labels))
        return np.array([metric.of(p.take(np.repeat(places, row.astype(int)))) for row in weights])

    return asked


def affordable(metric: Metric, draws: int) -> int:
    """Fewer draws of a metric of the user's own, which is asked row by row."""
    return draws if metric.weighted is not None else min(draws, ROW_BY_ROW)


def bca(
    of: Statistic, units: NDArray[np.int64], *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0
) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap bounds of a statistic, whole units drawn with replacement.

    Efron 1987 (Better Bootstrap Confidence Intervals), section 3, with the quantiles widened for few units as in
    Hesterberg 2015 (What Teachers Should Know About the Bootstrap), section 4.3.1. NaN where most draws are undefined.
    """
    count = count_of(units)
    value, drawn = resampled(of, units, draws=draws, seed=seed)
    if not len(drawn):
        return nan, nan
    # Each unit left out once, or each of BLOCKS blocks of them.
    blocks = min(count, BLOCKS)
    block = np.random.default_rng(number(seed, "jackknife")).permutation(np.arange(count) * blocks // count)
    without = _defined(of, units, (block != piece[:, None] for piece in pieces(blocks, len(units))))
    pull = without.mean() - without if len(without) else np.zeros(1)
    spread = float((pull**2).sum() ** 1.5)
    acceleration = float((pull**3).sum() / (6 * spread)) if spread > 0 else 0.0
    bias = _median_bias(drawn, value)
    wide = float(t.ppf((1 + level) / 2, count - 1)) * widening(count)
    z = bias + np.array([-wide, wide])
    # The acceleration is 1/6 at most: one unit pulls and no other does.
    low, high = np.quantile(drawn, norm.cdf(bias + z / np.maximum(1 - acceleration * z, 1e-3)))
    return float(low), float(high)


def resampled(of: Statistic, units: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0) -> tuple[float, Values]:
    """The statistic, and its draws, whole units drawn with replacement: those defined, or none where most are not."""
    value, generator = float(of(np.ones((1, len(units))))[0]), np.random.default_rng(number(seed, "bootstrap"))
    drawn = _defined(of, units, drawings(generator, count_of(units), draws, len(units)))
    enough = count_of(units) > 1 and len(drawn) >= draws / 2 and isfinite(value)
    return value, drawn if enough else drawn[:0]


def widening(units: int) -> float:
    """How much narrower draws from so few units are than draws from all that there could be."""
    return sqrt(units / (units - 1))


def drawings(generator: np.random.Generator, units: int, draws: int, rows: int) -> Iterator[NDArray[np.int64]]:
    """How often each unit comes in each draw, (some draws, units); as many at a time as `rows` of weights allow."""
    for piece in pieces(draws, rows):
        drawn = generator.integers(0, units, (len(piece), units)) + units * np.arange(len(piece))[:, None]
        yield np.bincount(drawn.ravel(), minlength=units * len(piece)).reshape(len(piece), units)


def _defined(asked: Statistic, units: NDArray[np.int64], drawn: Iterable[NDArray[Any]]) -> Values:
    """The statistic under these weights of the units, where it is defined."""
    values: Values = np.concatenate([asked(weights[:, units].astype(float)) for weights in drawn])
    return values[np.isfinite(values)]


def _median_bias(drawn: Values, value: float) -> float:
    """The normal quantile of the share of draws below the value, ties half: a share of rows comes in steps."""
    same = np.abs(drawn - value) <= 1e-9 * np.abs(drawn).max()
    below = float(((drawn < value) & ~same).mean() + same.mean() / 2)
    edge = 1 / (len(drawn) + 1)
    return float(norm.ppf(np.clip(below, edge, 1 - edge)))


def pieces(total: int, rows: int) -> Iterator[NDArray[np.int64]]:
    """The numbers from 0 to `total`, as many at a time as there may be weightings of so many rows."""
    most = max(1, AT_ONCE // max(rows, 1))
    yield from (np.arange(start, min(start + most, total)) for start in range(0, total, most))


def count_of(units: NDArray[np.int64]) -> int:
    """How many units there are."""
    return int(units.max(initial=-1)) + 1
