"""What a metric is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from finetooth.table import Predictions


@dataclass(frozen=True)
class Metric:
    """`of` takes Predictions with known labels and gives a number, NaN where it is not defined (one class only)."""

    name: str
    better: Literal["higher", "lower"]
    of: Callable[[Predictions], float]
