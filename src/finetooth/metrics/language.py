"""The metrics of answers in words: how likely the right answer was, token by token."""

from __future__ import annotations

import numpy as np

from finetooth.metrics.base import Metric, Values, under_weights
from finetooth.table import Written


def loss(p: Written, weights: Values) -> Values:
    """Mean negative log likelihood of a token of the right answers, in nats."""
    return np.asarray(weights @ p.surprise / (weights @ p.labels))


def perplexity(p: Written, weights: Values) -> Values:
    """Among how many tokens, equally likely, the model is as good as choosing: e to the power of the loss."""
    return np.exp(loss(p, weights))


def token_accuracy(p: Written, weights: Values) -> Values:
    """The share of the answers' tokens that the model would have written next, the right ones before them given."""
    return np.asarray(weights @ p.right / (weights @ p.labels))


def reward_accuracy(p: Written, weights: Values) -> Values:
    """The share of rows whose preferred answer has gained on the other by tuning; where neither has, a half."""
    return token_accuracy(p, weights)


LANGUAGE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        under_weights("loss", "lower", loss),
        under_weights("perplexity", "lower", perplexity),
        under_weights("token_accuracy", "higher", token_accuracy),
    )
}

PREFERENCE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        under_weights("loss", "lower", loss),
        under_weights("reward_accuracy", "higher", reward_accuracy),
    )
}
