"""Metrics against scikit-learn and against their definitions."""

from dataclasses import replace
from itertools import product
from math import isclose, isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sk

from finetooth import Predictions
from finetooth.metrics import CLASSIFICATION, sensitivity_at


def predictions(labels: np.ndarray, probabilities: np.ndarray) -> Predictions:
    names = [f"class {c}" for c in range(probabilities.shape[1])]
    return Predictions([str(i) for i in range(len(labels))], labels, probabilities, names)


def draw(
    seed: int, classes: int, rows: int = 120, present: int | None = None, decimals: int | None = None
) -> Predictions:
    """Random rows; labels from the first `present` classes only; probabilities lean towards the true class."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, present or classes, rows)
    leaning = generator.dirichlet(np.ones(classes), rows) + 0.6 * np.eye(classes)[labels] * generator.random((rows, 1))
    probabilities = leaning / leaning.sum(axis=1, keepdims=True)
    if decimals is not None:
        probabilities = probabilities.round(decimals)
    return predictions(labels, probabilities)


def two_classes(labels: list[int], second: list[float]) -> Predictions:
    return predictions(np.array(labels), np.stack([1 - np.array(second), np.array(second)], axis=1))


def pairs_in_order(labels: np.ndarray, scores: np.ndarray) -> float:
    """The area under the ROC curve by its meaning: the share of pairs in which the positive row scores higher."""
    difference = scores[labels][:, None] - scores[~labels][None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


CASES = [(2, None), (5, None), (5, 3), (5, 2)]
SCIKIT = {
    "accuracy": lambda p: sk.accuracy_score(p.labels, p.decided),
    **{
        f"{average}_{name}": lambda p, score=score, average=average: score(
            p.labels, p.decided, average=average, zero_division=0
        )
        for average, (name, score) in product(
            ["macro", "weighted"],
            [("f1", sk.f1_score), ("precision", sk.precision_score), ("recall", sk.recall_score)],
        )
    },
    "loss": lambda p: sk.log_loss(p.labels, p.probabilities, labels=range(len(p.names))),
    "auroc": lambda p: np.mean([pairs_in_order(p.labels == c, p.probabilities[:, c]) for c in scored(p)]),
    "average_precision": lambda p: np.mean(
        [sk.average_precision_score(p.labels == c, p.probabilities[:, c]) for c in scored(p)]
    ),
}


def scored(p: Predictions) -> list[int]:
    """The classes over which a one-against-rest score is a mean."""
    return [1] if len(p.names) == 2 else sorted(set(p.labels.tolist()))


@pytest.mark.parametrize(("classes", "present"), CASES)
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_metric_equals_scikit_learn(name: str, classes: int, present: int | None) -> None:
    for seed, decimals in product(range(10), [None, 1]):
        if name == "loss" and decimals:
            continue  # scikit-learn warns of rounded probabilities, which do not add up to one
        p = draw(seed, classes, present=present, decimals=decimals)
        assert isclose(CLASSIFICATION[name].of(p), SCIKIT[name](p), rel_tol=1e-9)


def test_auroc_over_all_classes_is_scikit_learns_one_against_rest() -> None:
    p = draw(0, 5)
    expected = sk.roc_auc_score(p.labels, p.probabilities, multi_class="ovr", average="macro")
    assert isclose(CLASSIFICATION["auroc"].of(p), expected)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_metric_knows_its_name_and_direction(name: str) -> None:
    metric = CLASSIFICATION[name]
    labels = np.array([0, 1, 0, 1, 1])
    right, wrong = (predictions(labels, np.eye(2)[c] * 0.8 + 0.1) for c in (labels, 1 - labels))
    assert metric.name == name
    assert (metric.of(right) > metric.of(wrong)) == (metric.better == "higher")
    assert metric.of(right) == pytest.approx(-np.log(0.9) if name == "loss" else 1.0)


@pytest.mark.parametrize("classes", [2, 5])
def test_with_one_class_only_what_ranks_is_undefined_and_the_rest_is_not(classes: int) -> None:
    p = draw(0, classes, present=1)
    undefined = {name for name, metric in CLASSIFICATION.items() if isnan(metric.of(p))}
    assert undefined == {"auroc", "average_precision"}
    assert all(isnan(x) for x in sensitivity_at(0.9, p))


def test_certainty_of_the_wrong_class_costs_much_but_not_infinitely_much() -> None:
    assert 20 < CLASSIFICATION["loss"].of(two_classes([0, 1], [1.0, 0.0])) < 40


# Under row weights


@some.composite
def weighted_rows(chosen: some.DrawFn) -> tuple[Predictions, np.ndarray]:
    """Few rows with ties among their probabilities, of some of two or five classes, and three whole weightings."""
    classes, rows = chosen(some.sampled_from([2, 5])), chosen(some.integers(1, 20))
    labels = chosen(arrays.arrays(np.int64, rows, elements=some.integers(0, chosen(some.integers(0, classes - 1)))))
    shares = chosen(arrays.arrays(np.int64, (rows, classes), elements=some.integers(0, 4))) + 0.0
    shares[:, 0] += shares.sum(axis=1) == 0
    weights = chosen(arrays.arrays(np.int64, (3, rows), elements=some.integers(0, 3)))
    weights[:, 0] += weights.sum(axis=1) == 0
    return predictions(labels, shares / shares.sum(axis=1, keepdims=True)), weights


@settings(max_examples=150, deadline=None)
@given(weighted_rows())
@pytest.mark.parametrize("name", CLASSIFICATION)
def test_a_metric_under_weights_is_the_metric_of_rows_that_come_so_often(
    name: str, case: tuple[Predictions, np.ndarray]
) -> None:
    p, weights = case
    metric = CLASSIFICATION[name]
    repeated = [metric.of(p.take(np.repeat(np.arange(len(p.labels)), row))) for row in weights]
    assert metric.weighted is not None
    assert metric.weighted(p, weights.astype(float)) == pytest.approx(repeated, rel=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_class_weights_count_in_decisions_under_weights_too(name: str) -> None:
    p = replace(draw(3, 5), rule=np.diag([1.0, 2.0, 0.5, 1.0, 3.0]))
    assert (p.decided != draw(3, 5).decided).any()
    assert CLASSIFICATION[name].weighted(p, np.ones((1, 120)))[0] == pytest.approx(CLASSIFICATION[name].of(p))


# Sensitivity at a specificity


def rates_at(threshold: float, p: Predictions) -> tuple[float, float]:
    """Sensitivity and specificity when rows at or above the threshold are called positive."""
    called, positive = p.probabilities[:, 1] >= threshold, p.labels == 1
    return float(called[positive].mean()), float((~called)[~positive].mean())


SENSITIVITY = {
    "continuous": [draw(seed, 2) for seed in range(20)],
    "with ties": [draw(seed, 2, decimals=1) for seed in range(20)],
    "few rows": [p for p in (draw(seed, 2, rows=9) for seed in range(20)) if len(set(p.labels.tolist())) == 2],
    "straight stretches of the curve": [two_classes([1, 0] * 10, np.repeat(np.arange(10) / 10, 2).tolist())],
    "a negative row at probability 1": [two_classes([0, 1, 1, 0, 1], [1.0, 0.8, 0.6, 0.4, 0.2])],
}


@pytest.mark.parametrize("specificity", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("cases", SENSITIVITY.values(), ids=SENSITIVITY)
def test_sensitivity_at_is_the_largest_that_any_threshold_gives(cases: list[Predictions], specificity: float) -> None:
    for p in cases:
        reached = [rates_at(t, p) for t in (*p.probabilities[:, 1].tolist(), np.inf)]
        largest = max(sensitivity for sensitivity, kept in reached if kept >= specificity - 1e-12)
        assert isclose(sensitivity_at(specificity, p)[0], largest)


@pytest.mark.parametrize("specificity", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("cases", SENSITIVITY.values(), ids=SENSITIVITY)
def test_the_threshold_gives_the_sensitivity_and_keeps_the_specificity(
    cases: list[Predictions], specificity: float
) -> None:
    for p in cases:
        sensitivity, threshold = sensitivity_at(specificity, p)
        found, kept = rates_at(threshold, p)
        assert isclose(found, sensitivity)
        assert kept >= specificity - 1e-12
