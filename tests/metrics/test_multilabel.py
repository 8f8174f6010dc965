"""The metrics of several labels are scikit-learn's, also when a row stands several times."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from finetooth.decide import label_thresholds
from finetooth.metrics import MULTI_LABEL, interval
from finetooth.table import AnyOf

THEIRS: dict[str, Any] = {
    "macro_f1": partial(f1_score, average="macro", zero_division=0),
    "micro_f1": partial(f1_score, average="micro", zero_division=0),
    "samples_f1": partial(f1_score, average="samples", zero_division=1),
    "subset_accuracy": accuracy_score,
}


def some(draw: np.random.Generator, rows: int | None = None) -> AnyOf:
    rows, classes = rows or int(draw.integers(3, 30)), int(draw.integers(2, 6))
    labels = (draw.random((rows, classes)) < draw.uniform(0.1, 0.8)).astype(np.int64)
    labels[draw.integers(0, rows, classes), np.arange(classes)] = 1
    p = np.clip(0.5 * labels + draw.normal(0.3, 0.3, labels.shape), 0, 1)
    if draw.random() < 0.5:
        p = p.round(1)  # ties
    thresholds = draw.uniform(0.2, 0.8, classes) if draw.random() < 0.5 else None
    return AnyOf([str(i) for i in range(rows)], labels, p, [str(c) for c in range(classes)], thresholds)


def test_equal_to_scikit_learn_on_a_thousand_cases() -> None:
    draw = np.random.default_rng(0)
    for _ in range(1000):
        p = some(draw)
        mean = average_precision_score(p.labels, p.probabilities, average="macro")
        assert MULTI_LABEL["mean_average_precision"].of(p) == pytest.approx(mean, abs=1e-12)
        for name, theirs in THEIRS.items():
            assert MULTI_LABEL[name].of(p) == pytest.approx(theirs(p.labels, p.decided), abs=1e-12), name


@pytest.mark.parametrize("name", MULTI_LABEL)
def test_weights_say_how_often_a_row_counts(name: str) -> None:
    draw, weighted = np.random.default_rng(1), MULTI_LABEL[name].weighted
    assert weighted is not None
    for _ in range(100):
        p = some(draw)
        weights = draw.integers(0, 4, (3, len(p.ids)))
        weights[:, 0] += 1
        for found, row in zip(weighted(p, weights.astype(float)), weights, strict=True):
            again = p.take(np.repeat(np.arange(len(p.ids)), row))
            assert found == pytest.approx(MULTI_LABEL[name].of(again), abs=1e-9, nan_ok=True)


def test_a_rare_label_takes_the_interval_of_what_counts_labels_alike() -> None:
    draw = np.random.default_rng(2)
    labels = np.stack([draw.random(300) < 0.4, np.arange(300) < 4], axis=1).astype(np.int64)
    p = AnyOf([str(i) for i in range(300)], labels, draw.random((300, 2)), ["common", "rare"])
    assert "too few rows of 'rare' (4" in interval(MULTI_LABEL["macro_f1"], p).how
    assert interval(MULTI_LABEL["micro_f1"], p).low is not None
    assert interval(MULTI_LABEL["subset_accuracy"], p).how == "Wilson"


def test_thresholds_of_labels_gain_where_a_half_is_wrong() -> None:
    draw = np.random.default_rng(3)
    labels = (draw.random((600, 3)) < [0.5, 0.1, 0.008]).astype(np.int64)
    p = AnyOf(
        [str(i) for i in range(600)],
        labels,
        np.clip(0.3 * labels + draw.normal(0.1, 0.05, (600, 3)), 0, 1),
        ["a", "b", "c"],
    )
    rule = label_thresholds(p, MULTI_LABEL["macro_f1"])
    assert rule.held == ("c",) and rule.matrix[2] == 0.5
    assert rule.before < 0.3 and rule.after > 0.6
    assert all(0.2 < threshold < 0.35 for threshold in rule.matrix[:2])
