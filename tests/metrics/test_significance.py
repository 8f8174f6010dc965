"""Comparisons against scipy, examples by hand, and simulated pairs of which the truth is known."""

from dataclasses import replace
from math import isnan, nan

import numpy as np
import pytest
from scipy import stats

from finetooth import Metric, Predictions
from finetooth.metrics import CLASSIFICATION, holm, mcnemar, paired, units_of
from tests.metrics.simulated import METRICS, STRENGTH, Design, models, null_and_power, permuted
from tests.test_metrics import draw, two_classes

ACCURACY, LOSS = CLASSIFICATION["accuracy"], CLASSIFICATION["loss"]


def right_and_wrong(both: int, only_one: int, only_other: int, neither: int) -> tuple[Predictions, Predictions]:
    """Two models of the same rows of class 1."""
    counts = [both, only_one, only_other, neither]
    one, other = (np.repeat(found, counts).tolist() for found in ([0.9, 0.9, 0.1, 0.1], [0.9, 0.1, 0.9, 0.1]))
    return two_classes([1] * sum(counts), one), two_classes([1] * sum(counts), other)


@pytest.mark.parametrize("name", CLASSIFICATION)
def test_the_difference_is_above_0_where_the_first_is_better_whatever_the_direction(name: str) -> None:
    strong, weak = models(Design(300), 0, 2.5, 0.5)
    metric, units = CLASSIFICATION[name], units_of(None, 300)
    found, turned = paired(metric, strong, weak, units), paired(metric, weak, strong, units)
    assert found.difference == pytest.approx(abs(metric.of(strong) - metric.of(weak)))
    assert found.better and found.p_value < 1e-6 and 0 < found.low < found.difference < found.high
    assert not turned.better
    assert (turned.difference, turned.low, turned.high) == pytest.approx((-found.difference, -found.high, -found.low))


def test_the_p_value_says_the_same_as_the_interval() -> None:
    for seed in range(30):
        pair = models(Design(40, 5), seed, 1.8, 1.4)
        units = units_of(Design(40, 5).of, 200)
        p_value = paired(ACCURACY, *pair, units, draws=200).p_value
        edge = paired(ACCURACY, *pair, units, draws=200, level=1 - p_value)
        assert min(abs(edge.low), abs(edge.high)) == pytest.approx(0, abs=1e-9)


def test_it_is_students_t_of_the_differences_of_rows_or_of_group_means() -> None:
    """A mean has a known error; 20,000 draws have it within 2 % (4 errors of a standard deviation)."""
    pair = models(Design(50, 6), 1, 1.7, 1.5)
    here, there = ((p.decided == p.labels).astype(float) for p in pair)
    for groups, apart in ((None, here - there), (Design(50, 6).of, (here - there).reshape(50, 6).mean(axis=1))):
        expected = stats.ttest_1samp(apart, 0.0)
        found = paired(ACCURACY, *pair, units_of(groups, 300), draws=20_000)
        assert found.difference == pytest.approx(apart.mean())
        half = expected.confidence_interval(0.95).high - apart.mean()
        assert found.high - found.difference == pytest.approx(half, rel=0.02)
        assert stats.norm.isf(found.p_value) == pytest.approx(stats.norm.isf(expected.pvalue), abs=0.05)


def test_equal_models_are_equal_and_what_differs_everywhere_differs() -> None:
    p = draw(0, 2, rows=200)
    same = paired(LOSS, p, p, units_of(None, 200), draws=50)
    assert (same.difference, same.low, same.high, same.p_value, same.smallest) == (0, 0, 0, 1, 0)
    assert not same.better
    right, wrong = right_and_wrong(0, 200, 0, 0)
    sure = paired(ACCURACY, right, wrong, units_of(None, 200), draws=50)
    assert (sure.low, sure.p_value, sure.better) == (1, 0, True)


def test_where_most_draws_are_undefined_or_there_is_one_unit_nothing_is_shown() -> None:
    never = Metric("never", "higher", lambda p: nan)
    p = draw(0, 2, rows=200)
    for found in (
        paired(never, p, p, units_of(None, 200), draws=20),
        paired(LOSS, p, draw(1, 2, rows=200), np.zeros(200, dtype=np.int64), draws=20),
    ):
        assert isnan(found.low) and isnan(found.p_value) and isnan(found.smallest) and not found.better


def test_a_users_own_metric_is_compared_as_ours_are() -> None:
    one, other = models(Design(200), 3, 1.8, 1.5)
    own = replace(LOSS, weighted=None)
    found = paired(own, one, other, units_of(None, 200), draws=60)
    expected = paired(LOSS, one, other, units_of(None, 200), draws=60)
    assert (found.low, found.p_value) == pytest.approx((expected.low, expected.p_value), rel=1e-9)


def test_predictions_of_other_rows_are_not_compared() -> None:
    p = draw(0, 2, rows=200)
    with pytest.raises(AssertionError, match="the same rows"):
        paired(ACCURACY, p, p.take(np.arange(200)[::-1]), units_of(None, 200))


@pytest.mark.parametrize("only", [(0, 0), (1, 0), (5, 0), (6, 0), (3, 9), (40, 22), (200, 100)])
def test_mcnemar_is_the_binomial_test_of_the_rows_on_which_one_is_right(only: tuple[int, int]) -> None:
    one, other = right_and_wrong(50, *only, 20)
    expected = stats.binomtest(only[0], sum(only)).pvalue if sum(only) else 1.0
    assert mcnemar(one, other) == pytest.approx(expected) == mcnemar(other, one)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(*right_and_wrong(10, 5, 0, 10)) == pytest.approx(2 / 2**5)


def test_holm_by_hand() -> None:
    """Of 4: 4 x 0.005, 3 x 0.01, 2 x 0.03, 1 x 0.04, none below the one before."""
    found = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.2}) == {"a": 0.2}
    assert holm({}) == {}


# Against the truth: bench/simulate.py measures the same on 2,000 data sets, and allows nothing.


@pytest.mark.parametrize("design", [Design(200), Design(40, 5)], ids=lambda design: design.name)
@pytest.mark.parametrize("metric", METRICS)
def test_better_is_seldom_said_wrongly_and_often_rightly(metric: str, design: Design) -> None:
    """At most 6 of 100 pairs of equals (2.5 are expected), and 80 of 100 that differ by what was stated as `smallest`.

    Nothing is allowed for the binomial error of 300 pairs, 1 point and 2 points: there is room enough.
    """
    found = null_and_power(metric, design, range(300))
    assert found["wrongly"] <= 0.06
    assert found["rightly"] >= 0.8


def test_permuted_labels_show_nothing() -> None:
    """In at least 90 of 100 data sets; 95 are expected. Nothing is allowed beyond."""
    found = permuted(Design(200), range(100))
    assert found["ranking"] >= 0.9
    assert found["difference"] >= 0.9


def test_the_simulated_models_are_equally_good_and_disagree() -> None:
    """So that the pairs of the tests above are what they are said to be."""
    one, other = models(Design(100_000), 0, STRENGTH, STRENGTH)
    assert ACCURACY.of(one) == pytest.approx(ACCURACY.of(other), abs=0.005)
    assert 0.1 < (one.decided != other.decided).mean() < 0.3
