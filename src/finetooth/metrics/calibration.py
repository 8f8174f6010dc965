"""How far probabilities can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finetooth.metrics.classification import loss
from finetooth.metrics.intervals import Interval
from finetooth.table import Predictions


@dataclass(frozen=True)
class Calibration:
    loss: float
    brier: float
    ece: Interval
    floor: float
    bins: list[dict[str, Any]]


def calibration(p: Predictions, groups: Sequence[str | None] | None = None) -> Calibration:
    c = p.probabilities.max(axis=1)
    r = p.probabilities.argmax(axis=1) == p.labels
    parts = np.array_split(np.argsort(c, kind="stable"), 15)
    parts = [x for x in parts if len(x)]
    e = float(sum(len(x) * abs(c[x].mean() - r[x].mean()) for x in parts) / len(c))
    onehot = np.eye(len(p.names))[p.labels]
    return Calibration(
        loss(p),
        float(((p.probabilities - onehot) ** 2).sum(axis=1).mean()),
        Interval(e, None, None, "x"),
        0.01,
        [{"confidence": float(c[x].mean()), "right": float(r[x].mean()), "rows": len(x)} for x in parts],
    )


def abstention(p: Predictions) -> list[tuple[float, float]]:
    c = np.argsort(-p.probabilities.max(axis=1), kind="stable")
    r = (p.decided == p.labels)[c]
    n = np.unique(np.linspace(1, len(c), 100).round().astype(int))
    return [(float(k / len(c)), float(r[:k].mean())) for k in n]
