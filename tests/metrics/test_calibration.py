"""Calibration against scikit-learn, against its definition, and on data of which the calibration is known."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra import numpy as arrays
from sklearn import metrics as sk

from finetooth import Predictions
from finetooth.metrics import CLASSIFICATION, Bin, abstention, calibration
from tests.metrics.simulated import Design
from tests.test_metrics import draw, predictions, two_classes


def answered(design: Design, seed: int, heat: float = 1.0) -> Predictions:
    """Labels drawn from a model's probabilities, which are then made too sure by `heat`; half the groups have one luck
    for all their rows."""
    generator, rows = np.random.default_rng(seed), design.groups * design.rows
    logits = 1.5 * generator.normal(size=(rows, 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    luck = generator.random(rows)
    if design.rows > 1:
        joined = (generator.random(design.groups) < 0.5).repeat(design.rows)
        luck = np.where(joined, generator.random(design.groups).repeat(design.rows), luck)
    # The likeliest class first, so that one luck is right or wrong as one.
    order = np.argsort(-probabilities, axis=1)
    places = (luck[:, None] > np.take_along_axis(probabilities, order, axis=1).cumsum(axis=1)).sum(axis=1)
    labels = order[np.arange(rows), np.minimum(places, 2)]
    hot = np.exp(heat * logits)
    return predictions(labels, hot / hot.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("classes", [2, 5])
def test_the_brier_score_and_the_loss_are_scikit_learns(classes: int) -> None:
    for seed in range(5):
        p = draw(seed, classes)
        expected = sk.brier_score_loss(p.labels, p.probabilities, labels=range(classes), scale_by_half=False)
        found = calibration(p, draws=10)
        assert found.brier == pytest.approx(expected)
        assert found.loss == CLASSIFICATION["loss"].of(p)


def test_the_error_by_hand() -> None:
    """Two bins of two rows: sure 0.6 and 0.7 with one right, sure 0.8 and 1.0 with both right."""
    p = two_classes([1, 0, 1, 1], [0.6, 0.7, 0.8, 1.0])
    found = calibration(p, bins=2, draws=10)
    assert found.error == pytest.approx((2 * abs(0.65 - 0.5) + 2 * abs(0.9 - 1.0)) / 4)
    assert [bin.rows for bin in found.bins] == [2, 2]
    assert [bin.confidence for bin in found.bins] == pytest.approx([0.65, 0.9])
    assert [bin.right for bin in found.bins] == [0.5, 1.0]


def test_bins_are_of_equally_many_rows_and_the_error_is_the_mean_of_their_distances() -> None:
    p = draw(0, 5, rows=307)
    found = calibration(p, draws=10)
    assert len(found.bins) == 15 and {bin.rows for bin in found.bins} == {20, 21}
    assert [bin.confidence for bin in found.bins] == sorted(bin.confidence for bin in found.bins)
    distances = [bin.rows * abs(bin.confidence - bin.right) for bin in found.bins]
    assert found.error == pytest.approx(sum(distances) / 307)
    assert sum(bin.rows * bin.right for bin in found.bins) / 307 == pytest.approx(CLASSIFICATION["accuracy"].of(p))


def test_rows_of_equal_confidence_are_in_one_bin_whatever_their_order() -> None:
    p = draw(0, 2, rows=300, decimals=1)
    turned = p.take(np.random.default_rng(0).permutation(300))
    found, again = calibration(p, draws=10), calibration(turned, draws=10)
    assert len(found.bins) == len(again.bins) <= 6
    assert found.error == pytest.approx(again.error)
    alike = calibration(two_classes([1] * 150 + [0] * 50, [0.75] * 200), draws=50)
    assert alike.bins == (Bin(0.75, 0.75, 200),) and alike.error == 0.0


def test_the_decided_class_is_the_one_that_is_asked_about() -> None:
    """Weights of classes decide otherwise; the confidence is then the probability of what was decided."""
    p = replace(two_classes([1] * 100 + [0] * 200, [0.3] * 300), rule=np.diag([1.0, 9.0]))
    found = calibration(p, draws=10)
    assert found.bins[0].confidence == pytest.approx(0.3) and found.bins[0].right == pytest.approx(1 / 3)


@pytest.mark.parametrize("design", [Design(400), Design(80, 5)], ids=lambda design: design.name)
def test_a_calibrated_model_shows_the_noise_floor_and_an_interval_from_0(design: Design) -> None:
    """Over 100 data sets: the mean error is the mean floor within 5 %, and 90 intervals and more begin at 0 (97.5 are
    expected; fewer than 93 come once in 100 times)."""
    found = [calibration(answered(design, seed), design.of, draws=200) for seed in range(100)]
    errors, floors = (np.mean([getattr(f, name) for f in found]) for name in ("error", "noise_floor"))
    assert errors == pytest.approx(floors, rel=0.05)
    assert sum(f.debiased.low == 0.0 for f in found) >= 93
    assert np.mean([f.debiased.value for f in found]) < 0.7 * errors


def test_copies_of_a_row_in_one_group_tell_no_more_than_the_row() -> None:
    """Five copies of 200 rows have the floor and the debiased error of the rows; taken for rows, a floor too low."""
    single = answered(Design(200), 0)
    copied, groups = single.take(np.repeat(np.arange(200), 5)), Design(200, 5).of
    found, expected = calibration(copied, groups), calibration(single)
    assert found.error == pytest.approx(expected.error, abs=0.02)
    assert found.noise_floor == pytest.approx(expected.noise_floor, rel=0.1)
    assert found.debiased.value == pytest.approx(expected.debiased.value, abs=0.02)
    assert calibration(copied).noise_floor == pytest.approx(expected.noise_floor / 5**0.5, rel=0.1)


@pytest.mark.parametrize("heat", [1.5, 2.5])
@pytest.mark.parametrize("design", [Design(400), Design(80, 5)], ids=lambda design: design.name)
def test_the_interval_covers_the_error_of_a_model_that_is_too_sure(design: Design, heat: float) -> None:
    """At least 93 of 100, less 2 binomial errors of 100 data sets; the truth is the error on 200,000 rows."""
    truth = calibration(answered(Design(200_000 // design.rows, design.rows), 2**31, heat), draws=2).error
    found = [calibration(answered(design, seed, heat), design.of, draws=200) for seed in range(100)]
    covered = np.mean([f.debiased.low <= truth <= f.debiased.high for f in found])
    assert covered >= 0.93 - 2 * (0.95 * 0.05 / 100) ** 0.5
    plain, debiased = np.mean([(f.error - truth, f.debiased.value - truth) for f in found], axis=0)
    assert abs(debiased) < plain


def test_few_rows_or_groups_have_no_interval_and_it_says_why() -> None:
    found = calibration(draw(0, 2, rows=199), draws=10).debiased
    assert found.low is None and found.how == "too few rows (199; at least 200 are needed)"
    groups = [f"{i % 29}" for i in range(200)]
    assert calibration(draw(0, 2, rows=200), groups, draws=10).debiased.how.startswith("too few groups (29")
    assert calibration(draw(0, 2, rows=1), draws=10).bins[0].rows == 1


def test_certainty_is_calibrated_where_it_is_right() -> None:
    found = calibration(two_classes([0, 1] * 100, [0.0, 1.0] * 100), [f"{i // 2}" for i in range(200)], draws=20)
    assert (found.error, found.noise_floor, found.brier) == (0.0, 0.0, 0.0)
    assert (found.debiased.value, found.debiased.low, found.debiased.high) == (0.0, 0.0, 0.0)


# Abstention


def test_abstention_by_hand() -> None:
    """The surest row is right, the next two are equally sure and one is right, the last is wrong."""
    p = two_classes([1, 1, 1, 1], [0.4, 0.7, 0.9, 0.3])
    assert abstention(p) == [(0.25, 1.0), (0.75, pytest.approx(2 / 3)), (1.0, 0.5)]


@settings(max_examples=100, deadline=None)
@given(arrays.arrays(np.int64, some.integers(1, 400), elements=some.integers(0, 60)), some.integers(0, 9))
def test_each_point_is_the_accuracy_above_a_threshold(sureness: np.ndarray, seed: int) -> None:
    generator = np.random.default_rng(seed)
    p = two_classes(generator.integers(0, 2, len(sureness)).tolist(), (sureness / 60).tolist())
    confidence, right = p.probabilities.max(axis=1), p.decided == p.labels
    above = {(confidence >= c).mean(): right[confidence >= c].mean() for c in confidence}
    found = abstention(p)
    assert len(found) <= 100 and found == sorted(set(found))
    assert all(above[coverage] == pytest.approx(accuracy) for coverage, accuracy in found)
    assert found[-1] == (1.0, pytest.approx(right.mean()))
    turned = p.take(generator.permutation(len(sureness)))
    assert abstention(turned) == found
    if len(above) <= 100 and len(sureness) <= 100:
        assert len(found) == len(above)


def test_many_rows_are_100_points_and_a_good_model_gains_by_abstaining() -> None:
    found = abstention(draw(0, 2, rows=5000))
    assert [coverage for coverage, _ in found] == pytest.approx(np.arange(1, 101) / 100)
    assert found[9][1] > found[49][1] > found[99][1]
