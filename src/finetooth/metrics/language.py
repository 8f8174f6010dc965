"""The metrics of answers in words: how likely the right answer was, token by token."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np

from finetooth.metrics.base import Metric, Values
from finetooth.table import Written

Weighted = Callable[[Written, Values], Values]  # answers and weights (draws, rows) -> (draws,)


def loss(p: Written, weights: Values) -> Values:
    """Mean negative log likelihood of a token of the right answers, in nats."""
    return np.asarray(weights @ p.surprise / (weights @ p.labels))


def perplexity(p: Written, weights: Values) -> Values:
    """Among how many tokens, equally likely, the model is as good as choosing: e to the power of the loss."""
    return np.exp(loss(p, weights))


def token_accuracy(p: Written, weights: Values) -> Values:
    """The share of the answers' tokens that the model would have written next, the right ones before them given."""
    return np.asarray(weights @ p.right / (weights @ p.labels))


def _metric(name: str, better: Literal["higher", "lower"], weighted: Weighted) -> Metric:
    return Metric(name, better, partial(_plain, weighted), weighted=weighted)


def _plain(weighted: Weighted, p: Written) -> float:
    return float(weighted(p, np.ones((1, len(p.ids))))[0])


LANGUAGE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _metric("loss", "lower", loss),
        _metric("perplexity", "lower", perplexity),
        _metric("token_accuracy", "higher", token_accuracy),
    )
}
