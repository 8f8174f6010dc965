"""A cheap model of texts: TF-IDF of words and letters under a linear classifier. What is asked of rows before any
network is tuned is asked of it: which labels look wrong, whether two sets of texts differ, what a column gives away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from finetooth import linear
from finetooth.linear import Numbers, Probabilities
from finetooth.seeds import Keys, numbers

FEATURES = 2**18
WORD = r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+"  # an ideograph is one
LETTERS = 2_000  # of a text; more tell little, and cost time
MANY = 30_000
PASSES = (3, 10)  # over the rows: fewer where there is much to fit
FITTED = 3_000_000  # rows times classes, over all passes
MOST_FITTED = 3_000_000  # rows times classes that are fitted at all; beyond it the model is no longer cheap
MOST_CLASSES = 200  # a class takes 4 MB


@dataclass(frozen=True)
class Counts:
    """How often what stands in each text, counted once, when somebody asks; these may be some of the `whole`."""

    texts: Sequence[str]
    whole: tuple[Counts, Numbers] | None = None

    def take(self, rows: Numbers) -> Counts:
        """Those of some of the texts, in this order."""
        return Counts([self.texts[row] for row in rows.tolist()], (self, rows))

    @cached_property
    def words(self) -> sparse.csr_matrix:
        """Words and pairs of words."""
        if self.whole is not None:
            return self.whole[0].words[self.whole[1]]
        return _counting(ngram_range=(1, 2), token_pattern=WORD).transform(_cut(self.texts))

    @cached_property
    def letters(self) -> sparse.csr_matrix:
        """Runs of 2 to 4 letters within words, looked for once in each word however often it stands."""
        if self.whole is not None:
            return self.whole[0].letters[self.whole[1]]
        places, columns, ends = {"": 0}, list[int](), [0]
        for text in _cut(self.texts):
            columns += [places.setdefault(word, len(places)) for word in text.lower().split()]
            ends.append(len(columns))
        held = sparse.csr_matrix((np.ones(len(columns)), columns, ends), shape=(len(self.texts), len(places)))
        found = held @ _counting(ngram_range=(2, 4), analyzer="char_wb").transform(places)
        found.sort_indices()
        return found


@dataclass(frozen=True)
class Counter:
    """Words and pairs of words, and runs of 2 to 4 letters within words, weighed by how rare they are in some texts."""

    words: TfidfTransformer
    letters: TfidfTransformer | None

    @staticmethod
    def of(counts: Counts) -> tuple[Counter, sparse.csr_matrix]:
        """Learn from these texts what is rare; with what it makes of these very texts.

        Of MANY texts the words alone are taken: they are enough then, and letters take six times the room.
        """
        words = TfidfTransformer(sublinear_tf=True).fit(counts.words)
        letters = None if len(counts.texts) >= MANY else TfidfTransformer(sublinear_tf=True).fit(counts.letters)
        counter = Counter(words, letters)
        return counter, counter.weigh(counts)

    def weigh(self, counts: Counts) -> sparse.csr_matrix:
        """Shape (texts, features)."""
        weighed = [self.words.transform(counts.words)]
        return _beside(weighed if self.letters is None else [*weighed, self.letters.transform(counts.letters)])


def features(texts: Sequence[str]) -> sparse.csr_matrix:
    """Shape (texts, features): what a Counter of these very texts makes of them."""
    return Counter.of(Counts(texts))[1]


def _counting(**how: Any) -> HashingVectorizer:
    # norm=None: sublinear_tf takes the logarithm of counts, and of shares it would be negative.
    return HashingVectorizer(n_features=FEATURES, alternate_sign=False, norm=None, **how)


def _beside(weighed: list[sparse.csr_matrix]) -> sparse.csr_matrix:
    return sparse.hstack(weighed, format="csr", dtype=np.float32)


def _cut(texts: Sequence[str]) -> list[str]:
    return [text[:LETTERS] for text in texts]


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
    """What models of words that did not see a row's fold say of it, as `linear.out_of_fold`."""
    return linear.out_of_fold(matrix, targets, folds, classes, keys, linear.gradient_descent(passes(targets, classes)))


def passes(targets: Numbers, classes: int) -> int:
    """How often the rows are gone through: less often where there are many."""
    return int(np.clip(FITTED // max(len(targets) * _fits(classes), 1), *PASSES))


def _fits(classes: int) -> int:
    """Two classes are told apart by one fit."""
    return classes if classes > 2 else 1
