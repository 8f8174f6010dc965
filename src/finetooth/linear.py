"""Linear models of rows, cheap to fit, and what they say of rows that they did not see.

Of classes there are two: averaged stochastic gradient descent on sparse word counts, and logistic regression on what a
frozen network makes of the rows, a linear probe. Of numbers there is ridge regression on both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from finetooth.seeds import Keys

Numbers = NDArray[np.int64]
Probabilities = NDArray[np.float64]
Values = NDArray[np.float64]
STRENGTHS = (1e-3, 1e-2, 1e-1)  # of the probe: inverse penalties that are tried
PENALTIES = (10.0, 100.0, 1000.0, 10000.0)  # of ridge regression on states
WORD_PENALTIES = (0.3, 1.0, 3.0, 10.0)  # and on counts of words


class Model(Protocol):
    """What a fit gives."""

    @property
    def classes_(self) -> Numbers:
        """The class numbers that it has seen."""

    def predict_proba(self, matrix: Any) -> Probabilities:
        """Shape (rows, classes_)."""


Fit = Callable[[Any, Numbers], Model]


def gradient_descent(passes: int) -> Fit:
    """For sparse counts: one class against the rest, over the rows in the order given.

    Averaged stochastic gradient descent, Polyak and Juditsky 1992.
    """

    def fit(matrix: Any, targets: Numbers) -> Model:
        model = SGDClassifier(loss="log_loss", alpha=1e-4, max_iter=passes, tol=None, average=True, random_state=0)
        return cast("Model", model.fit(matrix, targets))

    return fit


def probe(strength: float) -> Fit:
    """For hidden states: logistic regression on standardised columns. Alain and Bengio 2017, section 3."""

    def fit(states: Any, targets: Numbers) -> Model:
        # What is left after so many steps changes no answer, and some columns of some networks never settle.
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=100, tol=1e-3))
        return cast("Model", model.fit(states, targets))

    return fit


def ridge(matrix: Any, targets: Values, held_out: NDArray[np.bool_], penalties: Sequence[float]) -> Any:
    """Ridge regression by the penalty that leaves the held-out rows the least squared error; `predict` gives (rows,).

    Hoerl and Kennard 1970 (Ridge Regression). The columns are standardised where they are dense.
    """

    def fit(penalty: float, rows: NDArray[np.bool_]) -> Any:
        # Counts are sparse and stay so: their columns are as long as rarity makes them.
        scaled = [StandardScaler()] if isinstance(matrix, np.ndarray) else []
        how = {} if scaled else {"solver": "sparse_cg", "tol": 1e-3}
        return make_pipeline(*scaled, Ridge(alpha=penalty, **how)).fit(matrix[rows], targets[rows])

    def missed(penalty: float) -> float:
        return float(((fit(penalty, ~held_out).predict(matrix[held_out]) - targets[held_out]) ** 2).mean())

    least = min(penalties, key=missed) if held_out.any() else penalties[len(penalties) // 2]
    return fit(least, np.ones(len(targets), dtype=bool))


def one_by_one(fit: Fit, matrix: Any, targets: Values) -> list[Model | float]:
    """A model for each column of `targets`, (rows, labels) of 0 and 1; where one is the same in all rows, that."""
    columns = [column.astype(np.int64) for column in targets.T]
    return [fit(matrix, c) if len(np.unique(c)) > 1 else float(c[0]) for c in columns]


def each_said(models: Sequence[Model | float], matrix: Any) -> Probabilities:
    """Shape (rows, labels): how likely each label is to be true."""
    rows = matrix.shape[0]
    found = [np.full(rows, m) if isinstance(m, float) else m.predict_proba(matrix)[:, 1] for m in models]
    return np.stack(found, axis=1)


@dataclass(frozen=True)
class Affine:
    """A probe as plain numbers, to keep and to ask again: states @ weights + bias, (width, outputs)."""

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    @staticmethod
    def of(model: Any, classes: int) -> Affine:
        """The numbers of what `probe` or `ridge` fitted; a class that it has not seen gets no probability."""
        if not hasattr(model[-1], "classes_"):
            weights = model[-1].coef_ / model[0].scale_
            return Affine(weights[:, None], np.array([model[-1].intercept_ - weights @ model[0].mean_]))
        scaler, regression = model[0], model[-1]
        inner, offset = regression.coef_ / scaler.scale_, regression.intercept_
        if len(regression.classes_) == 2:  # one row of numbers tells two classes apart
            inner, offset = np.concatenate([np.zeros_like(inner), inner]), np.concatenate([[0.0], offset])
        weights, bias = np.zeros((inner.shape[1], classes)), np.full(classes, -1e4)
        weights[:, regression.classes_], bias[regression.classes_] = inner.T, offset - inner @ scaler.mean_
        return Affine(weights, bias)

    @staticmethod
    def beside(models: Sequence[Any], width: int) -> Affine:
        """The numbers of a `probe` for each label, or of the label that is always or never true."""
        parts = [Affine.of(m, 2) if not isinstance(m, float) else None for m in models]
        weights = [np.zeros(width) if a is None else a.weights[:, 1] - a.weights[:, 0] for a in parts]
        # A label that no row has, or every one, is as sure as these numbers can be.
        sure = [1e2 if m == 1.0 else -1e2 for m in models]
        bias = [s if a is None else a.bias[1] - a.bias[0] for a, s in zip(parts, sure, strict=True)]
        return Affine(np.stack(weights, axis=1), np.array(bias))

    def predict(self, states: Any) -> Values:
        """Shape (rows, outputs)."""
        return np.asarray(states @ self.weights + self.bias)

    def predict_proba(self, states: Any) -> Probabilities:
        """Shape (rows, classes): the softmax of it."""
        return cast("Probabilities", softmax(self.predict(states), axis=1))

    def predict_each(self, states: Any) -> Probabilities:
        """Shape (rows, labels): the sigmoid of it."""
        return cast("Probabilities", expit(self.predict(states)))


def strongest(states: Any, targets: Numbers, held_out: NDArray[np.bool_], classes: int) -> float:
    """The strength of the probe that gives the held-out rows the least loss; a middling one where there are none."""
    if not held_out.any():
        return STRENGTHS[len(STRENGTHS) // 2]
    losses = []
    for strength in STRENGTHS:
        p = said(probe(strength)(states[~held_out], targets[~held_out]), states[held_out], classes)
        # A class that the fit has not seen has probability 0.
        losses.append(-np.log(np.maximum(p[np.arange(len(p)), targets[held_out]], 1e-9)).mean())
    return STRENGTHS[int(np.argmin(losses))]


def said(model: Model, matrix: Any, classes: int) -> Probabilities:
    """Shape (rows, classes): 0 for a class that the model has not seen."""
    found = np.zeros((matrix.shape[0], classes))
    found[:, model.classes_] = model.predict_proba(matrix)
    return found


def out_of_fold(matrix: Any, targets: Numbers, folds: Numbers, classes: int, keys: Keys, fit: Fit) -> Probabilities:
    """What models that did not see a row's fold say of it, shape (rows, classes); uniform where none could be fitted.

    The rows are fitted in an order that their `keys` decide, whatever the order in which they stand. Where a fit is one
    thread that lets others run, two go side by side.
    """
    found = np.full((len(targets), classes), 1.0 / classes)
    order = np.lexsort((targets, keys))

    def ask(fold: int) -> None:
        seen, asked = order[folds[order] != fold], np.flatnonzero(folds == fold)
        if len(np.unique(targets[seen])) >= 2 and len(asked):
            found[asked] = said(fit(matrix[seen], targets[seen]), matrix[asked], classes)

    # Of more classes each takes room, and scikit-learn turns warnings off and on for the whole process.
    with ThreadPoolExecutor(2 if classes == 2 and sparse.issparse(matrix) else 1) as pool:
        list(pool.map(ask, range(int(folds.max()) + 1)))
    return found
