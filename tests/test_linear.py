"""Linear models: honest about unseen rows, and the probe takes the penalty that suits the rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import sparse

from finetooth import linear
from finetooth.seeds import row_keys


def clouds(rows: int, width: int, gap: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, 3, rows)
    states = generator.normal(size=(rows, width))
    states[np.arange(rows), targets] += gap
    return states, targets


def test_a_probe_says_nothing_it_learnt_from_the_row_itself() -> None:
    states, targets = clouds(300, 5, 3.0)
    keys, folds = row_keys(map(str, range(300))), np.arange(300) % 5
    fit = linear.probe(0.1)
    p = linear.out_of_fold(states, targets, folds, 3, keys, fit)
    assert (p.argmax(axis=1) == targets).mean() > 0.85 and np.allclose(p.sum(axis=1), 1)
    other = targets.copy()
    other[folds == 0] = (other[folds == 0] + 1) % 3
    assert np.array_equal(linear.out_of_fold(states, other, folds, 3, keys, fit)[folds == 0], p[folds == 0])


def test_fits_side_by_side_say_what_they_say_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    states, targets = clouds(400, 30, 1.0)
    matrix, keys, folds = sparse.csr_matrix(states / 50), row_keys(map(str, range(400))), np.arange(400) % 5
    fit, several = linear.gradient_descent(3), list[int]()

    def pool(threads: int) -> ThreadPoolExecutor:
        several.append(threads)
        return ThreadPoolExecutor(1 if len(several) == 2 else threads)

    monkeypatch.setattr(linear, "ThreadPoolExecutor", pool)
    together, apart = (linear.out_of_fold(matrix, targets % 2, folds, 2, keys, fit) for _ in range(2))
    assert several == [2, 2] and len(np.unique(together[:, 0])) > 300
    np.testing.assert_array_equal(together, apart)


def test_a_class_that_a_fold_has_not_seen_is_said_to_be_impossible_there() -> None:
    states, targets = clouds(60, 3, 1.0)
    folds = np.where(targets == 2, 0, np.arange(60) % 3)
    p = linear.out_of_fold(states, targets, folds, 3, row_keys(map(str, range(60))), linear.probe(0.1))
    assert (p[folds == 0, 2] == 0).all() and (p[folds == 1, 2] > 0).all()


def test_columns_that_tell_nothing_ask_for_a_stronger_penalty() -> None:
    held_out = np.arange(400) % 4 == 0
    clear, clear_targets = clouds(400, 4, 4.0)
    noisy, noisy_targets = clouds(400, 300, 0.3)
    strengths = [
        linear.strongest(clear, clear_targets, held_out, 3),
        linear.strongest(noisy, noisy_targets, held_out, 3),
    ]
    assert strengths == [max(linear.STRENGTHS), min(linear.STRENGTHS)]


def test_a_strength_is_found_where_a_class_stands_in_the_held_out_rows_alone() -> None:
    states, targets = clouds(200, 4, 4.0)
    assert linear.strongest(states, targets, (targets == 2) | (np.arange(200) % 4 == 0), 3) in linear.STRENGTHS
