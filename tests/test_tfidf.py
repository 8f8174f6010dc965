"""The cheap model: its folds keep alike rows together, and it is honest about rows that it has not seen."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.feature_extraction.text import HashingVectorizer

from finetooth import tfidf
from finetooth.seeds import row_keys

WORDS = {0: ("awful", "dull", "tedious", "bland"), 1: ("lovely", "bright", "fresh", "funny")}


def reviews(count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    rng = random.Random(seed)
    targets = np.array([i % 2 for i in range(count)])
    fill = ("the film", "this story", "a plot", "that scene")
    return [f"{rng.choice(fill)} {i} was {rng.choice(WORDS[int(t)])}" for i, t in enumerate(targets)], targets


def test_folds_are_even_within_classes_keep_clusters_and_know_no_order() -> None:
    targets = np.array([0] * 80 + [1] * 20)
    clusters = np.arange(100)
    clusters[1::10] = clusters[::10]  # the first two of every ten are alike
    keys = row_keys(f"row {i}" for i in range(100))
    folds = tfidf.folds_of(targets, clusters, keys, 5)
    assert (folds[1::10] == folds[::10]).all()
    assert all(
        abs(int((folds[:80] == f).sum()) - 16) <= 3 and abs(int((folds[80:] == f).sum()) - 4) <= 2 for f in range(5)
    )
    order = np.random.default_rng(0).permutation(100)
    again = tfidf.folds_of(targets[order], clusters[order], keys[order], 5)
    assert (again == folds[order]).all()


def test_words_weigh_as_their_counts_say() -> None:
    matrix = tfidf.features(["film film film plot", *(f"other {i} film" for i in range(9)), "plot again"])
    assert matrix.min() >= 0  # the logarithm of a share would be negative
    assert np.allclose(np.sqrt(matrix.multiply(matrix).sum(axis=1)), np.sqrt(2))  # words and letters, each of norm 1


def test_letters_are_those_that_scikit_learn_finds_in_whole_texts() -> None:
    texts = ["Aaaa bb  Aaaa, a\tb!", "", "  ", "ΟΔΟΣ İstanbul ß\u00a0é", "x" * 3000, *reviews(40)[0]]
    whole = HashingVectorizer(
        n_features=tfidf.FEATURES, alternate_sign=False, norm=None, ngram_range=(2, 4), analyzer="char_wb"
    ).transform([text[: tfidf.LETTERS] for text in texts])
    found = tfidf.Counts(texts).letters
    for kind in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(found, kind), getattr(whole, kind)), kind
    assert tfidf.Counts(["", " "]).letters.nnz == 0


def test_counts_of_some_texts_are_those_of_all_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, _ = reviews(60)
    rows, others = np.arange(0, 60, 3), np.arange(1, 60, 3)
    every = tfidf.Counts(texts)
    counter, matrix = tfidf.Counter.of(every.take(rows))
    alone, own = tfidf.Counter.of(tfidf.Counts([texts[row] for row in rows.tolist()]))
    assert (matrix != own).nnz == 0
    monkeypatch.setattr(tfidf, "_counting", None)  # whoever counts anew now fails
    asked = counter.weigh(every.take(others))
    monkeypatch.undo()
    assert (asked != alone.weigh(tfidf.Counts([texts[row] for row in others.tolist()]))).nnz == 0


def test_what_can_be_learnt_is_learnt_from_other_folds_alone() -> None:
    texts, targets = reviews(200)
    matrix, folds, keys = tfidf.features(texts), np.arange(200) // 2 % 5, row_keys(texts)
    p = tfidf.out_of_fold(matrix, targets, folds, 2, keys)
    assert np.allclose(p.sum(axis=1), 1.0) and (p.argmax(axis=1) == targets).mean() > 0.95
    # The row's own label plays no part in what is said of it.
    other = targets.copy()
    other[folds == 0] = 1 - other[folds == 0]
    assert np.array_equal(tfidf.out_of_fold(matrix, other, folds, 2, keys)[folds == 0], p[folds == 0])


def test_what_cannot_be_learnt_gets_even_odds() -> None:
    texts, _ = reviews(20)
    targets, folds = np.zeros(20, dtype=np.int64), np.arange(20) % 5
    assert (tfidf.out_of_fold(tfidf.features(texts), targets, folds, 2, row_keys(texts)) == 0.5).all()


def test_the_order_of_the_rows_plays_no_part() -> None:
    texts, targets = reviews(300)
    folds, order = np.arange(300) % 5, np.random.default_rng(1).permutation(300)
    p = tfidf.out_of_fold(tfidf.features(texts), targets, folds, 2, row_keys(texts))
    moved = [texts[i] for i in order]
    again = tfidf.out_of_fold(tfidf.features(moved), targets[order], folds[order], 2, row_keys(moved))
    assert np.array_equal(again, p[order])


def test_what_is_not_cheap_is_not_tried() -> None:
    assert tfidf.cheap(1_000_000, 3) and tfidf.cheap(30_000, 50)
    assert not tfidf.cheap(100_000, 150) and not tfidf.cheap(4_000, 1_000)


def test_signs_without_spaces_between_them_are_words() -> None:
    """Of very many texts the letters are not looked at, so that a Chinese sentence would be one word."""
    rng = random.Random(0)
    kinds = [("好", "快", "喜"), ("坏", "慢", "贵")]
    targets = np.array([i % 2 for i in range(tfidf.MANY)])
    texts = ["".join(rng.sample("房间服务员早餐品种味道", 6)) + rng.choice(kinds[t]) for t in targets.tolist()]
    matrix, folds = tfidf.features(texts), np.arange(tfidf.MANY) % 5
    p = tfidf.out_of_fold(matrix, targets, folds, 2, row_keys(map(str, range(tfidf.MANY))))
    assert (p.argmax(axis=1) == targets).mean() > 0.95
