"""Probabilities -> decisions: a temperature that makes them honest, and class weights that serve a goal; of numbers
prediction intervals.

Both are fitted on rows that the model did not learn from and that are not sealed: validation rows, or out of fold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import chi2

from finetooth.metrics import Metric
from finetooth.seeds import number
from finetooth.table import AnyOf, Numbers, Predictions

Values = NDArray[np.float64]

COOLEST, HOTTEST = 0.1, 10.0
NOISE = float(chi2.ppf(0.95, 1))  # twice the gain in log likelihood that one free number has by chance
COOLING = "calibration_temperature"  # among the scores of an evaluation
FEWEST = 100  # rows below which a temperature would be a guess
FEWEST_OF_A_CLASS = 10  # and the weight of a class
STEPS = np.linspace(-1.5, 1.5, 13)  # that the logarithm of a class's weight is tried at
ROUNDS = 2  # over the classes
# Metrics of probabilities, which no decision changes.
UNMOVED = ("auroc", "average_precision", "mean_average_precision", "loss")
RESAMPLES = 10  # over which weights are averaged
FOLDS = 5  # that tell what the weights gain


def temperature(p: Predictions) -> float:
    """The number by which logits are divided so that the labels of these rows are likeliest; 1.0 within the noise.

    Guo et al. 2017 (On Calibration of Modern Neural Networks), section 4.2; a likelihood-ratio test (Wilks 1938) tells
    whether these rows are enough to say that it is not 1.
    """
    logits, rows = _logits(p), np.arange(len(p.labels))

    def nll(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[rows, p.labels]).mean())

    found = minimize_scalar(nll, bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded")
    surprise = 2 * len(rows) * (nll(0.0) - float(found.fun))
    return float(np.exp(found.x)) if surprise > NOISE else 1.0


def cooled(p: Predictions, temperature: float) -> Predictions:
    """The same predictions with their logits divided by a temperature; without weights no decision changes."""
    scaled = _logits(p) / temperature
    return replace(p, probabilities=np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)))


def _logits(p: Predictions) -> Values:
    return np.log(np.maximum(p.probabilities, 1e-30))


@dataclass(frozen=True)
class Rule:
    """How probabilities become decisions, as `Predictions.rule` or `AnyOf.thresholds` has it, what for, and its gain.

    `held` are the classes too rare to be given a weight of their own; `before` and `after` are the goal without and
    with the rule, the latter on rows that the rule was not fitted on.
    """

    matrix: Values
    goal: str
    held: tuple[str, ...]
    before: float
    after: float


def thresholds(p: Predictions, metric: Metric) -> Rule:
    """A weight for each class that makes a metric of the decisions best; with two classes, a threshold.

    Coordinate ascent for one class after the other, averaged over resamples so that no few rows decide. Lipton et al.
    2014 (Optimal Thresholding of Classifiers to Maximize F1 Measure) show that such a threshold is optimal for F1.
    """
    counts = np.bincount(p.labels, minlength=len(p.names))
    free = np.flatnonzero(counts >= FEWEST_OF_A_CLASS)
    generator = np.random.default_rng(number(0, "thresholds"))
    fold = generator.permutation(len(p.labels)) % FOLDS
    crossed = p.probabilities.copy()
    for k in range(FOLDS):
        crossed[fold == k] *= _fitted(p.take(np.flatnonzero(fold != k)), metric, free, generator)
    after = metric.of(replace(p, probabilities=crossed / crossed.sum(axis=1, keepdims=True)))
    held = tuple(name for name, count in zip(p.names, counts.tolist(), strict=True) if count < FEWEST_OF_A_CLASS)
    return Rule(np.diag(_fitted(p, metric, free, generator)), metric.name, held, metric.of(p), after)


def label_thresholds(p: AnyOf, metric: Metric) -> Rule:
    """For each label the threshold at which its F1 is best, averaged over resamples so that no few rows decide.

    Each label's threshold stands alone, as macro-F1 is a mean over labels (Lipton et al. 2014, section 3); `metric`
    tells what they gain. A label with few true rows keeps a half.
    """
    generator = np.random.default_rng(number(0, "thresholds"))
    fold = generator.permutation(len(p.labels)) % FOLDS
    crossed = np.zeros_like(p.labels)
    for k in range(FOLDS):
        here = p.take(np.flatnonzero(fold == k))
        rest = p.take(np.flatnonzero(fold != k))
        crossed[fold == k] = here.probabilities >= _label_thresholds(rest, generator)
    counts = (p.labels == 1).sum(axis=0).tolist()
    held = tuple(name for name, count in zip(p.names, counts, strict=True) if count < FEWEST_OF_A_CLASS)
    after = metric.of(replace(p, probabilities=crossed.astype(np.float64), thresholds=None))
    return Rule(_label_thresholds(p, generator), metric.name, held, metric.of(replace(p, thresholds=None)), after)


def _label_thresholds(p: AnyOf, generator: np.random.Generator) -> Values:
    """(labels,)."""
    rows, found = len(p.labels), np.full(len(p.names), 0.5)
    resamples = [generator.integers(0, rows, rows) for _ in range(RESAMPLES)]
    for c in np.flatnonzero((p.labels == 1).sum(axis=0) >= FEWEST_OF_A_CLASS).tolist():
        true, sure = p.labels[:, c] == 1, p.probabilities[:, c]
        found[c] = np.mean([_best_threshold(true[drawn], sure[drawn]) for drawn in resamples])
    return found


def _best_threshold(true: NDArray[np.bool_], sure: Values) -> float:
    """In the middle between the probabilities where F1 is best when those above are given the label."""
    order = np.argsort(-sure, kind="stable")
    ranked, right = sure[order], np.cumsum(true[order])
    f1 = 2 * right / (np.arange(1, len(order) + 1) + max(int(true.sum()), 1))
    ends = np.append(np.diff(ranked) != 0, True)  # rows of equal probability stand on one side
    best = int(np.where(ends, f1, -1.0).argmax())
    return float((ranked[best] + (ranked[best + 1] if best + 1 < len(ranked) else 0.0)) / 2)


def cheapest(p: Predictions, costs: Mapping[str, Mapping[str, float]]) -> Rule:
    """Decide what costs least on average; `costs` has of each true class what deciding another one costs.

    What is not named costs nothing. Elkan 2001 (The Foundations of Cost-Sensitive Learning), section 1. Nothing is
    fitted, so the gain needs no rows held back.
    """
    matrix = np.array([[float(costs.get(true, {}).get(name, 0.0)) for name in p.names] for true in p.names])
    ruled = replace(p, rule=-matrix)
    before, after = (float(matrix[p.labels, each.decided].mean()) for each in (p, ruled))
    return Rule(-matrix, "cost", (), before, after)


def half_width(p: Numbers, level: float) -> float | None:
    """How far around a value the truth lies in `level` of the rows like these; None where these are too few to tell.

    Split-conformal: Lei et al. 2018 (Distribution-Free Predictive Inference for Regression), section 2.2. It holds for
    rows that are exchangeable with these, over all of them and not for each kind.
    """
    rank = ceil((len(p.labels) + 1) * level)
    return None if rank > len(p.labels) else float(np.sort(np.abs(p.off))[rank - 1])


def _fitted(p: Predictions, metric: Metric, free: NDArray[np.int64], generator: np.random.Generator) -> Values:
    """The geometric mean of the weights that are best on each resample."""
    rows = len(p.labels)
    logs = [_best(p.take(generator.integers(0, rows, rows)), metric, free) for _ in range(RESAMPLES)]
    return np.asarray(np.exp(np.mean(logs, axis=0)))


def _best(p: Predictions, metric: Metric, free: NDArray[np.int64]) -> Values:
    """Logarithms of the class weights that are best on these rows, of those tried."""
    sign, ones = 1.0 if metric.better == "higher" else -1.0, np.ones((1, len(p.labels)))

    def worth(logs: Values) -> float:
        tried = replace(p, rule=np.diag(np.exp(logs)))
        return sign * (metric.of(tried) if metric.weighted is None else float(metric.weighted(tried, ones)[0]))

    logs = np.zeros(len(p.names))
    best = worth(logs)
    for _ in range(ROUNDS):
        before = logs
        for c in free.tolist():
            for step in STEPS:
                tried = np.where(np.arange(len(logs)) == c, step, logs)
                # One scale for all: the classes that are held at 1 lose nothing to the others.
                tried[free] -= tried[free].mean()
                if (value := worth(tried)) > best:
                    best, logs = value, tried
        if logs is before:
            break
    return logs
