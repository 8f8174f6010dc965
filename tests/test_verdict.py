"""The verdict: better, worse, not shown, or too few rows; against the baseline that was chosen beforehand."""

from __future__ import annotations

import numpy as np

from finetooth.metrics import CLASSIFICATION
from finetooth.table import Predictions
from finetooth.verdict import answer, difference, judged, strongest

ACCURACY = CLASSIFICATION["accuracy"]


def right_on(share: float, rows: int = 800, seed: int = 0) -> Predictions:
    """Predictions of which so large a share is right."""
    generator = np.random.default_rng(seed)
    labels = np.random.default_rng(99).integers(0, 2, rows)
    decided = np.where(generator.random(rows) < share, labels, 1 - labels)
    likely = np.where(decided == 1, 0.8, 0.2)
    return Predictions([str(i) for i in range(rows)], labels, np.stack([1 - likely, likely], axis=1), ["no", "yes"])


def test_better_worse_and_not_shown() -> None:
    others = {"majority": right_on(0.5, seed=1), "tfidf": right_on(0.75, seed=2), "frozen_probe": right_on(0.7, seed=3)}
    assert strongest(ACCURACY, others) == "tfidf"
    good = judged(ACCURACY, right_on(0.9, seed=4), others, "tfidf", None)
    assert good["answer"] == "better" and good["better_than"] == "tfidf" and good["low"] > 0 and good["p_value"] < 0.01
    assert set(good["others"]) == {"majority", "frozen_probe"}
    assert all(rest["adjusted"] >= rest["p_value"] for rest in good["others"].values())
    bad = judged(ACCURACY, right_on(0.6, seed=5), others, "tfidf", None)
    assert bad["answer"] == "worse" and bad["better_than"] is None and bad["difference"] < 0
    same = judged(ACCURACY, right_on(0.75, seed=6), others, "tfidf", None)
    assert same["answer"] == "not shown" and same["smallest"] > 0.02
    assert same["low"] < same["difference"] < same["high"]


def test_a_loss_is_better_where_it_is_lower() -> None:
    loss = CLASSIFICATION["loss"]
    others = {"one": right_on(0.6, seed=1), "other": right_on(0.7, seed=2)}
    assert strongest(loss, others) == "other"
    found = judged(loss, right_on(0.9, seed=3), others, "other", None)
    assert found["answer"] == "better" and found["difference"] > 0 and found["mcnemar"] is None


def test_a_few_rows_decide_nothing() -> None:
    found = difference(ACCURACY, right_on(0.95, rows=60), right_on(0.5, rows=60, seed=1), None)
    assert found["low"] is None and "too few rows" in found["how"] and answer(found) == "too few"
    groups = [str(i % 10) for i in range(800)]
    assert "too few groups" in difference(ACCURACY, right_on(0.95), right_on(0.5, seed=1), groups)["how"]


def test_rows_that_hang_together_make_a_difference_less_sure() -> None:
    one, other = right_on(0.85, seed=4), right_on(0.8, seed=2)
    alone = difference(ACCURACY, one, other, None)
    # Ten copies of each row say no more than the row.
    rows = np.repeat(np.arange(400), 10)
    first, second = (
        Predictions([str(i) for i in range(4000)], p.labels[rows], p.probabilities[rows], p.names) for p in (one, other)
    )
    grouped = difference(ACCURACY, first, second, [str(r) for r in rows])
    flattered = difference(ACCURACY, first, second, None)
    assert grouped["mcnemar"] is None and flattered["mcnemar"] is not None
    assert grouped["high"] - grouped["low"] > 2.5 * (flattered["high"] - flattered["low"])
    assert grouped["high"] - grouped["low"] > alone["high"] - alone["low"]
