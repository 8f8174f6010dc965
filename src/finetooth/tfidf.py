"""A cheap model of texts: TF-IDF of words and letters under a linear classifier. What is asked of rows before any
network is tuned is asked of it: which labels look wrong, whether two sets of texts differ, what a column gives away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import SGDClassifier

from finetooth.seeds import Keys, numbers

Numbers = NDArray[np.int64]
Probabilities = NDArray[np.float64]

FEATURES = 2**18
WORD = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"  # an ideograph is one
LETTERS = 2_000  # of a text; more tell little, and cost time
MANY = 30_000
PASSES = (3, 10)  # over the rows: fewer where there is much to fit
FITTED = 3_000_000  # rows times classes, over all passes
MOST_FITTED = 3_000_000  # rows times classes that are fitted at all; beyond it the model is no longer cheap
MOST_CLASSES = 200  # a class takes 4 MB


def features(texts: Sequence[str]) -> sparse.csr_matrix:
    """Shape (texts, features): words and pairs of words, and runs of 2 to 4 letters within words, weighed.

    Of MANY texts the words alone are taken: they are enough then, and letters take six times the room.
    """
    cut = [text[:LETTERS] for text in texts]
    kinds = [
        HashingVectorizer(n_features=FEATURES, ngram_range=(1, 2), alternate_sign=False, token_pattern=WORD),
        HashingVectorizer(n_features=FEATURES, ngram_range=(2, 4), alternate_sign=False, analyzer="char_wb"),
    ][: 1 if len(texts) >= MANY else 2]
    counted = [TfidfTransformer(sublinear_tf=True).fit_transform(kind.transform(cut)) for kind in kinds]
    return sparse.hstack(counted, format="csr", dtype=np.float32)


def some(keys: Keys, rows: Numbers, most: int) -> Numbers:
    """At most so many of the rows, drawn by their keys, whatever the order in which they stand."""
    return np.sort(rows[np.argsort(numbers(0, "some", 0, keys[rows]), kind="stable")[:most]])


def cheap(rows: int, classes: int) -> bool:
    """Whether a model of so many rows and classes is fitted within a minute or so."""
    return classes <= MOST_CLASSES and rows * _fits(classes) <= MOST_FITTED


def folds_of(targets: Numbers, clusters: Numbers, keys: Keys, folds: int) -> Numbers:
    """The fold of each row, shape (rows,): even within classes, clusters whole, whatever the order of the rows."""
    order = np.lexsort((targets, keys))
    # Of each cluster the row with the least key speaks for it.
    leaders, first, which = np.unique(clusters[order], return_index=True, return_inverse=True)
    spokesmen = order[first]
    ranks = numbers(0, "cheap fold", 0, keys[spokesmen])
    dealt = np.lexsort((ranks, targets[spokesmen]))
    fold = np.empty(len(leaders), dtype=np.int64)
    fold[dealt] = np.arange(len(leaders)) % folds
    found = np.empty(len(keys), dtype=np.int64)
    found[order] = fold[which]
    return found


def out_of_fold(matrix: sparse.csr_matrix, targets: Numbers, folds: Numbers, classes: int, keys: Keys) -> Probabilities:
    """What models that did not see a row's fold say of it, shape (rows, classes); uniform where none could be fitted.

    Averaged stochastic gradient descent (Polyak and Juditsky 1992), one class against the rest, over the rows in an
    order that their `keys` decide.
    """
    passes = int(np.clip(FITTED // max(len(targets) * _fits(classes), 1), *PASSES))
    found = np.full((len(targets), classes), 1.0 / classes)
    order = np.lexsort((targets, keys))
    for fold in range(int(folds.max()) + 1):
        seen, asked = order[folds[order] != fold], np.flatnonzero(folds == fold)
        known = np.unique(targets[seen])
        if len(known) < 2 or not len(asked):
            continue
        model = SGDClassifier(loss="log_loss", alpha=1e-4, max_iter=passes, tol=None, average=True, random_state=0)
        model.fit(matrix[seen], targets[seen])
        found[asked] = 0.0
        found[np.ix_(asked, known)] = model.predict_proba(matrix[asked])
    return found


def _fits(classes: int) -> int:
    """Two classes are told apart by one fit."""
    return classes if classes > 2 else 1
