"""Data sets whose truth is known: rows, or groups of rows that are hard or easy together, and models of them.

A model's logits are its `strength` on the true class, over noise of which half the variance is shared by all models of
the same rows. In groups, half the rows take the group's class, and half of each noise is the group's own: the rows of a
group are right and wrong together. The truth is the metric on 500,000 rows. Intervals are
made of fewer draws here than in use, to have more data sets: that costs a little coverage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from scipy.optimize import brentq

from finetooth.metrics import CLASSIFICATION, Comparison, Interval, holm, interval, paired, units_of
from finetooth.table import Predictions

SHARES = np.array([0.5, 0.3, 0.2])
NAMES = ["a", "b", "c"]
STRENGTH = 1.5
DRAWS = 400
METRICS = ["accuracy", "macro_f1", "auroc"]


@dataclass(frozen=True)
class Design:
    """So many groups of so many rows each; groups of one row are independent rows."""

    groups: int
    rows: int = 1

    @property
    def name(self) -> str:
        """As the results say it."""
        return f"{self.groups} rows" if self.rows == 1 else f"{self.groups} groups of {self.rows}"

    @property
    def of(self) -> list[str | None] | None:
        """The group of each row."""
        return None if self.rows == 1 else [f"group {i}" for i in np.repeat(range(self.groups), self.rows)]


def models(design: Design, seed: int, *strengths: float) -> list[Predictions]:
    """What models of these strengths say of the same rows."""
    generator, rows = np.random.default_rng(seed), design.groups * design.rows
    labels = generator.choice(len(SHARES), rows, p=SHARES)
    if design.rows > 1:
        shared = np.repeat(generator.choice(len(SHARES), design.groups, p=SHARES), design.rows)
        labels = np.where(generator.random(rows) < 0.5, shared, labels)

    def noise() -> np.ndarray:
        own = generator.normal(size=(rows, len(SHARES)))
        if design.rows == 1:
            return own
        grouped = generator.normal(size=(design.groups, len(SHARES))).repeat(design.rows, axis=0)
        return np.sqrt(0.5) * (own + grouped)

    common, found = noise(), []
    for strength in strengths:
        logits = strength * np.eye(len(SHARES))[labels] + np.sqrt(0.5) * (common + noise())
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        found.append(Predictions([str(i) for i in range(rows)], labels, probabilities, NAMES))
    return found


@cache
def truth(metric: str, grouped: bool, strength: float = STRENGTH, rows: int = 500_000) -> float:
    """The metric on many rows."""
    large = Design(rows // 5, 5) if grouped else Design(rows)
    return CLASSIFICATION[metric].of(models(large, 2**31, strength)[0])


@cache
def apart(metric: str, grouped: bool, by: float) -> tuple[float, float]:
    """The strengths of two models of which the first is better by so much, as far above STRENGTH as below it.

    Fewer rows do for a difference: they are the same rows.
    """

    def at(strength: float) -> float:
        return truth(metric, grouped, strength, 100_000)

    better, worse = (
        float(brentq(lambda s, to=to: at(s) - at(STRENGTH) - to, STRENGTH / 4, STRENGTH * 4, xtol=1e-3))
        for to in (by / 2, -by / 2)
    )
    return better, worse


def intervals(metric: str, design: Design, sets: range) -> list[Interval]:
    """One interval of each data set."""
    data = (models(design, seed, STRENGTH)[0] for seed in sets)
    return [interval(CLASSIFICATION[metric], p, design.of, draws=DRAWS) for p in data]


def coverage(metric: str, design: Design, sets: range) -> float:
    """The share of data sets whose interval holds the truth."""
    true = truth(metric, design.rows > 1)
    found = intervals(metric, design, sets)
    return float(np.mean([i.low is not None and i.high is not None and i.low <= true <= i.high for i in found]))


def comparisons(metric: str, design: Design, sets: range, better: float, worse: float) -> list[Comparison]:
    """A model of one strength against a model of another, on each data set."""
    units = units_of(design.of, design.groups * design.rows)
    pairs = (models(design, seed, better, worse) for seed in sets)
    return [paired(CLASSIFICATION[metric], one, other, units, draws=DRAWS) for one, other in pairs]


def null_and_power(metric: str, design: Design, sets: range) -> dict[str, float]:
    """How often the first of two equally good models is called better, and how often one that is, by `smallest`."""
    null = comparisons(metric, design, sets, STRENGTH, STRENGTH)
    smallest = float(np.mean([c.smallest for c in null]))
    better, worse = apart(metric, design.rows > 1, smallest)
    # Other rows than those that told what is the smallest.
    shown = comparisons(metric, design, range(sets.stop, sets.stop + len(sets)), better, worse)
    return {
        "wrongly": float(np.mean([c.better for c in null])),
        "smallest": smallest,
        "rightly": float(np.mean([c.better for c in shown])),
    }


def permuted(design: Design, sets: range) -> dict[str, float]:
    """The share of data sets with permuted labels in which nothing is significant.

    `ranking`: the interval of AUROC holds chance; `difference`: no metric tells two models apart, once adjusted.
    """
    units = units_of(design.of, design.groups * design.rows)
    ranking, difference = [], []
    for seed in sets:
        pair = models(design, seed, STRENGTH, STRENGTH)
        labels = np.random.default_rng(seed).permutation(pair[0].labels)
        one, other = (replace(p, labels=labels) for p in pair)
        chance = interval(CLASSIFICATION["auroc"], one, design.of, draws=DRAWS)
        ranking.append(chance.low is not None and chance.high is not None and chance.low <= 0.5 <= chance.high)
        p_values = {m: paired(CLASSIFICATION[m], one, other, units, draws=DRAWS).p_value for m in METRICS}
        difference.append(min(holm(p_values).values()) >= 0.05)
    return {"ranking": float(np.mean(ranking)), "difference": float(np.mean(difference))}
