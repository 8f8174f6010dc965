"""Stops: the evaluations so far -> is it enough?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, isnan

from finetooth.history import Epoch
from finetooth.metrics import Metric

Stop = Callable[[Sequence[Epoch]], bool]


def never() -> Stop:
    """Go on to the last step of the plan."""
    return lambda history: False


def patience(metric: Metric, evaluations: int) -> Stop:
    """Enough when `evaluations` looks in a row brought nothing better than the best before them.

    Prechelt 1998 (Early Stopping: But When?), the UP criterion's relative.
    """

    def enough(history: Sequence[Epoch]) -> bool:
        return bool(history) and len(history) - 1 - best(metric, history) >= evaluations

    return enough


def best(metric: Metric, history: Sequence[Epoch]) -> int:
    """The number of the best evaluation so far; of equals, the earliest. A score that is not a number is the worst."""
    sign = 1.0 if metric.better == "higher" else -1.0
    scores = [sign * epoch.scores[metric.name] for epoch in history]
    return max(range(len(scores)), key=lambda i: (-inf if isnan(scores[i]) else scores[i], -i))
