"""The corrected interval over folds: by hand, against what it corrects, and in how many data sets it holds."""

from __future__ import annotations

from math import isnan, sqrt

import numpy as np
import pytest
from scipy.stats import norm, t, ttest_1samp

from finetooth.metrics import chance_over_folds, over_folds


def test_the_interval_by_hand() -> None:
    """Five folds: standard deviation 0.0316228, variance factor 1/5 + 1/4, t of 4 degrees of freedom 2.776445."""
    found = over_folds([0.80, 0.82, 0.84, 0.86, 0.88], 0.25)
    assert found.value == pytest.approx(0.84) and found.how == "corrected resampled t"
    assert (found.low, found.high) == pytest.approx((0.7811027, 0.8988973), abs=1e-6)


def test_without_rows_in_common_it_is_students_t() -> None:
    scores = [0.1, 0.4, 0.2, 0.2, 0.5]
    plain = ttest_1samp(scores, 0.0)
    found, bounds = over_folds(scores, 0.0), plain.confidence_interval()
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    assert chance_over_folds(scores, 0.0) == pytest.approx(plain.pvalue)


def test_the_p_value_says_the_same_as_the_interval() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        gains = rng.normal(0.02, 0.02, 5).tolist()
        found = over_folds(gains, 0.25)
        assert found.low is not None and found.high is not None
        assert (chance_over_folds(gains, 0.25) < 0.05) == (not found.low <= 0.0 <= found.high)


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ([0.7], "one fold"),
        ([0.7, 0.7, 0.7], "the same"),
        ([0.1 + 0.2, 0.3], "the same"),
        ([0.7, float("nan")], "1 of 2"),
    ],
)
def test_what_tells_no_spread_has_no_interval_and_says_why(scores: list[float], why: str) -> None:
    found = over_folds(scores, 0.25)
    assert found.low is None and found.high is None and why in found.how
    assert isnan(chance_over_folds(scores, 0.25))


def test_scores_that_lean_together_are_covered_as_often_as_it_says() -> None:
    """What any two folds have in common is the share of rows validated on, which is what the correction assumes."""
    rng, folds, trials = np.random.default_rng(1), 5, 4000
    common = 1 / folds
    scores = sqrt(common) * rng.normal(size=(trials, 1)) + sqrt(1 - common) * rng.normal(size=(trials, folds))
    found = [over_folds(row.tolist(), 1 / (folds - 1)) for row in scores]
    held = np.mean([each.low <= 0 <= each.high for each in found if each.low is not None and each.high is not None])
    plain = float(t.ppf(0.975, folds - 1)) * scores.std(axis=1, ddof=1) / sqrt(folds)
    assert 0.94 <= held <= 0.96
    assert np.mean(np.abs(scores.mean(axis=1)) <= plain) < 0.87, "folds taken for independent would promise too much"


def test_real_folds_of_a_real_learner_are_covered() -> None:
    """Two classes 0.8 apart in each of 5 directions, told apart by the nearer mean of the rows learnt from."""
    rng, width, gap, rows, folds = np.random.default_rng(2), 5, 0.4, 60, 5

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        sides = np.where(np.arange(count) % 2, 1.0, -1.0)
        return sides[:, None] * gap + rng.normal(size=(count, width)), sides

    def learnt(points: np.ndarray, sides: np.ndarray) -> np.ndarray:
        return points[sides > 0].mean(axis=0) - points[sides < 0].mean(axis=0)

    # Exactly, since a direction w that passes through the middle is right on this share of all rows.
    truth = np.mean([norm.cdf(gap * w.sum() / np.linalg.norm(w)) for w in (learnt(*drawn(48)) for _ in range(4000))])
    held = 0
    for _ in range(400):
        points, sides = drawn(rows)
        fold = rng.permutation(rows) % folds
        scores = [
            float(np.mean(np.sign(points[fold == k] @ learnt(points[fold != k], sides[fold != k])) == sides[fold == k]))
            for k in range(folds)
        ]
        found = over_folds(scores, 1 / (folds - 1))
        held += found.low is not None and found.high is not None and found.low <= truth <= found.high
    assert held / 400 >= 0.93
