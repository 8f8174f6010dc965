"""Temperatures and decision rules: fitted where they help, harmless elsewhere, honest about their gain."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finetooth import decide
from finetooth.metrics import CLASSIFICATION
from finetooth.table import Predictions

MACRO = CLASSIFICATION["macro_f1"]


def drawn(rows: int, seed: int, *, classes: int = 3, sharpness: float = 1.0, skew: float = 0.0) -> Predictions:
    """Labels drawn from honest probabilities, which are then made sharper than they should be."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(rows, classes)) * 2 - skew * np.arange(classes)
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (honest.cumsum(axis=1) > generator.random((rows, 1))).argmax(axis=1)
    sharp = honest**sharpness
    names = [f"class {c}" for c in range(classes)]
    return Predictions([str(i) for i in range(rows)], labels, sharp / sharp.sum(axis=1, keepdims=True), names)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_how_much_too_sharp_probabilities_are(sharpness: float) -> None:
    assert decide.temperature(drawn(6000, 0, sharpness=sharpness)) == pytest.approx(sharpness, rel=0.08)


def test_cooling_moves_no_decision_and_is_undone_by_its_inverse() -> None:
    p = drawn(500, 1, sharpness=3.0)
    cool = decide.cooled(p, 3.0)
    assert (cool.decided == p.decided).all() and np.allclose(cool.probabilities.sum(axis=1), 1)
    assert np.allclose(decide.cooled(cool, 1 / 3.0).probabilities, p.probabilities)
    assert CLASSIFICATION["loss"].of(cool) < CLASSIFICATION["loss"].of(p)


def test_a_temperature_of_new_rows_does_no_harm_to_honest_probabilities() -> None:
    loss, found = CLASSIFICATION["loss"], [decide.temperature(drawn(500, seed)) for seed in range(20)]
    assert found.count(1.0) >= 16  # a test at 5 % errs once in twenty
    fresh = [drawn(2000, 100 + seed) for seed in range(20)]
    changes = [loss.of(decide.cooled(p, t)) - loss.of(p) for p, t in zip(fresh, found, strict=True)]
    assert np.mean(changes) < 0.001


def slighted(rows: int, seed: int) -> Predictions:
    """A model that gives the third class too little."""
    p = drawn(rows, seed, skew=1.0)
    less = p.probabilities * [1.0, 1.0, 0.2]
    return replace(p, probabilities=less / less.sum(axis=1, keepdims=True))


def test_thresholds_mend_what_is_slighted_and_say_what_they_gain_on_rows_they_have_not_seen() -> None:
    claimed, true = [], []
    for seed in range(8):
        rule = decide.thresholds(slighted(600, seed), MACRO)
        fresh = slighted(4000, 50 + seed)
        true.append(MACRO.of(replace(fresh, rule=rule.matrix)) - MACRO.of(fresh))
        claimed.append(rule.after - rule.before)
        assert rule.goal == "macro_f1" and rule.matrix[2, 2] > 2 * rule.matrix[0, 0]
    assert np.mean(true) > 0.03
    assert abs(np.mean(claimed) - np.mean(true)) < 0.015  # the claim is no flattery


def test_a_class_that_is_too_rare_keeps_the_weight_one() -> None:
    p = drawn(300, 0)
    rare = replace(p, labels=np.where((p.labels == 2) & (np.arange(300) > 9), 0, p.labels))
    rule = decide.thresholds(rare, MACRO)
    assert rule.held == ("class 2",) and rule.matrix[2, 2] == 1.0
    # The others share one scale: together they gain nothing on the class that is held.
    assert np.log(np.diag(rule.matrix)[:2]).sum() == pytest.approx(0.0, abs=1e-9)


def test_what_mistakes_cost_moves_decisions_to_the_cheapest() -> None:
    p = drawn(2000, 0, classes=2)
    rule = decide.cheapest(p, {"class 1": {"class 0": 9.0}, "class 0": {"class 1": 1.0}})
    ruled = replace(p, rule=rule.matrix)
    # The optimal threshold is 1 / (1 + 9): Elkan 2001, equation 2.
    assert (ruled.decided == (p.probabilities[:, 1] > 0.1)).all()
    assert rule.after < rule.before and rule.goal == "cost"


def test_a_rule_moves_labels_and_never_probabilities() -> None:
    p = drawn(100, 0)
    ruled = replace(p, rule=np.diag([1.0, 1.0, 50.0]))
    assert (ruled.probabilities == p.probabilities).all() and (ruled.decided == 2).mean() > (p.decided == 2).mean()
    assert (ruled.take(np.arange(10)).decided == ruled.decided[:10]).all()
