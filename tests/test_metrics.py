"""Metrics against scikit-learn and against their definitions; intervals against simulation."""

from itertools import product
from math import isclose, isnan, nan

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from finetooth import Metric, Predictions
from finetooth.metrics import CLASSIFICATION, bootstrap, sensitivity_at

ACCURACY = CLASSIFICATION["accuracy"]


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


# Intervals


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_an_interval_contains_the_value_and_is_the_same_each_time(name: str) -> None:
    for classes in (2, 5):
        p = draw(1, classes, rows=200)
        low, high = bootstrap(CLASSIFICATION[name], p, draws=60)
        assert low < CLASSIFICATION[name].of(p) < high
        assert (low, high) == bootstrap(CLASSIFICATION[name], p, draws=60)
        assert (low, high) != bootstrap(CLASSIFICATION[name], p, draws=60, seed=1)


def test_more_rows_and_a_lower_level_make_an_interval_narrower() -> None:
    def width(rows: int, level: float = 0.95) -> float:
        low, high = bootstrap(ACCURACY, draw(0, 2, rows=rows), draws=300, level=level)
        return high - low

    assert width(100) > width(1000) > width(10_000)
    assert width(1000, 0.5) < width(1000, 0.8) < width(1000, 0.99)
    # The normal approximation, 2 x 1.96 x sqrt(p (1 - p) / n), within the noise of 300 draws.
    p = ACCURACY.of(draw(0, 2, rows=1000))
    assert isclose(width(1000), 2 * 1.96 * (p * (1 - p) / 1000) ** 0.5, rel_tol=0.2)


def test_the_ends_of_an_interval_for_accuracy_are_quantiles_of_the_binomial() -> None:
    """Rows drawn with replacement are binomial; 2000 draws place an end within 3 errors of its quantile."""
    rows, right, draws = 2000, 1600, 2000
    p = two_classes([1] * rows, [0.8] * right + [0.2] * (rows - right))
    for level in (0.95, 0.5):
        tail = (1 - level) / 2
        error = 3 * (tail * (1 - tail) / draws) ** 0.5
        for end, quantile in zip(bootstrap(ACCURACY, p, draws=draws, level=level), (tail, 1 - tail), strict=True):
            assert stats.binom.cdf(end * rows - 1, rows, right / rows) < quantile + error
            assert stats.binom.cdf(end * rows, rows, right / rows) > quantile - error


def test_an_interval_for_accuracy_covers_the_truth_as_often_as_it_says() -> None:
    """400 data sets of 300 rows with a true accuracy of 0.8, allowed 4 binomial errors of 400 trials (1.1 points each).

    Accuracy on 300 rows moves in steps of 1/300 and the ends come from 200 draws: one more point is allowed for that.
    """
    truth, trials, rows = 0.8, 400, 300
    generator = np.random.default_rng(0)
    covered = 0
    for trial in range(trials):
        right = (generator.random(rows) < truth).astype(int)
        low, high = bootstrap(ACCURACY, two_classes([1] * rows, (0.2 + 0.6 * right).tolist()), draws=200, seed=trial)
        covered += low <= truth <= high
    error = (0.95 * 0.05 / trials) ** 0.5
    assert abs(covered / trials - 0.95) < 4 * error + 0.01


def test_draws_in_which_a_metric_is_undefined_are_left_out_until_they_are_most() -> None:
    rare = two_classes([1] + [0] * 2 + [0] * 40, np.linspace(0.9, 0.1, 43).tolist())
    low, high = bootstrap(CLASSIFICATION["auroc"], rare, draws=200)
    assert 0.9 < low <= high == 1.0
    half = Metric("half", "higher", lambda p: nan if p.labels[0] == 1 else 1.0)
    mostly = two_classes([1] * 9 + [0], [0.5] * 10)
    assert all(isnan(x) for x in bootstrap(half, mostly, draws=100))
    assert bootstrap(half, two_classes([0] * 9 + [1], [0.5] * 10), draws=100) == (1.0, 1.0)


def test_a_users_own_metric_is_drawn_with_the_rows_it_belongs_to() -> None:
    matched = Metric("matched", "higher", lambda p: float((p.probabilities[:, 1].round() == p.labels).all()))
    p = two_classes([0, 1] * 20, [0.1, 0.9] * 20)
    assert bootstrap(matched, p, draws=50) == (1.0, 1.0)
