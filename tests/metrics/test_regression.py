"""The metrics of numbers are scikit-learn's and scipy's, also when a row stands several times."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from finetooth.metrics import REGRESSION, interval, paired, units_of
from finetooth.table import Numbers

THEIRS = {
    "rmse": root_mean_squared_error,
    "mae": mean_absolute_error,
    "r2": r2_score,
    "pearson": lambda labels, values: pearsonr(labels, values).statistic,
    "spearman": lambda labels, values: spearmanr(labels, values).statistic,
}


def some(draw: np.random.Generator) -> Numbers:
    rows = int(draw.integers(5, 40))
    labels = draw.normal(draw.normal() * 100, draw.uniform(0.1, 30), rows)
    values = labels * draw.uniform(-1, 1) + draw.normal(0, 5, rows)
    if draw.random() < 0.5:  # ties
        labels, values = labels.round(-1), values.round(-1)
        labels[0], values[0] = labels[1] + 10, values[1] + 10
    return Numbers([str(i) for i in range(rows)], labels, values, "x")


@pytest.mark.parametrize("name", REGRESSION)
def test_equal_to_scikit_learn_on_a_thousand_cases(name: str) -> None:
    draw = np.random.default_rng(0)
    for _ in range(1000):
        p = some(draw)
        assert REGRESSION[name].of(p) == pytest.approx(THEIRS[name](p.labels, p.values), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("name", REGRESSION)
def test_weights_say_how_often_a_row_counts(name: str) -> None:
    draw, weighted = np.random.default_rng(1), REGRESSION[name].weighted
    assert weighted is not None
    for _ in range(100):
        p = some(draw)
        weights = (
            draw.integers(0, 4, (3, len(p.ids)))
            + np.eye(len(p.ids), dtype=int)[:3]
            + np.eye(len(p.ids), dtype=int)[-3:]
        )
        for found, row in zip(weighted(p, weights.astype(float)), weights, strict=True):
            again = p.take(np.repeat(np.arange(len(p.ids)), row))
            assert found == pytest.approx(REGRESSION[name].of(again), rel=1e-6, abs=1e-9, nan_ok=True)


def test_what_does_not_vary_has_no_correlation() -> None:
    flat = Numbers(["a", "b", "c"], np.array([1.0, 2.0, 3.0]), np.full(3, 0.1), "x")
    assert all(np.isnan(REGRESSION[name].of(flat)) for name in ("pearson", "spearman"))
    assert REGRESSION["r2"].of(Numbers(["a", "b"], np.array([2.0, 2.0]), np.array([1.0, 2.0]), "x")) != 0.0
    assert np.isnan(REGRESSION["r2"].of(Numbers(["a", "b"], np.array([2.0, 2.0]), np.array([1.0, 2.0]), "x")))


def test_intervals_cover_and_pairs_compare() -> None:
    draw, covered = np.random.default_rng(2), 0
    for _ in range(60):
        labels = draw.normal(size=250)
        p = Numbers([str(i) for i in range(250)], labels, labels + draw.normal(0, 1, 250), "x")
        found = interval(REGRESSION["pearson"], p, draws=500)
        assert found.low is not None and found.high is not None
        covered += found.low <= np.sqrt(0.5) <= found.high
    assert covered >= 52
    better = Numbers(p.ids, labels, labels + draw.normal(0, 0.5, 250), "x")
    gain = paired(REGRESSION["rmse"], better, p, units_of(None, 250))
    assert gain.better and gain.difference == pytest.approx(0.5, abs=0.15)
