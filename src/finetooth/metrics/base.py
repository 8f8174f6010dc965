"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isfinite, nan
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


def finite(value: float | None) -> float | None:
    """The value, or None where it is NaN or infinite: JSON has neither."""
    return value if value is not None and isfinite(value) else None


@dataclass(frozen=True)
class Metric:
    """`of` takes answers of one kind with known labels and gives a number, NaN where it is not defined.

    What intervals are made with, where there is more to say: `weighted` is the same under row weights of shape (draws,
    rows), a value for each draw; `share` says of which rows the metric is the share; `by_class` that every class counts
    alike, so that a rare one needs rows of its own.
    """

    name: str
    better: Literal["higher", "lower"]
    of: Callable[[Any], float]
    weighted: Callable[[Any, Values], Values] | None = None
    share: Callable[[Any], NDArray[np.bool_]] | None = None
    by_class: bool = False


def under_weights(
    name: str, better: Literal["higher", "lower"], weighted: Callable[[Any, Values], Values], *, by_class: bool = False
) -> Metric:
    """A metric that is written once, under row weights; the plain one has every row weigh one."""
    return Metric(name, better, partial(_plain, weighted), weighted=weighted, by_class=by_class)


def _plain(weighted: Callable[[Any, Values], Values], p: Any) -> float:
    return float(weighted(p, np.ones((1, len(p.ids))))[0]) if len(p.ids) else nan
