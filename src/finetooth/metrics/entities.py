"""The metrics of tags of words: of the entities that they mark, or of plain tags; seqeval's numbers, under row weights.

An entity is found where type, first and last word are right (Tjong Kim Sang and De Meulder 2003, CoNLL-2003 shared
task, section 2.3). A row is drawn whole: its words are no independent cases.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from finetooth.metrics.base import Metric, Values, under_weights
from finetooth.tags import Tags

Score = Literal["precision", "recall", "f1"]
Counts = tuple[Values, Values, Values]  # right, true and found, each (rows, types)


def counted(p: Tags, *, strict: bool = False) -> Counts:
    """Of each row and type how many entities are found rightly, are there, and are found; of plain tags words.

    A word that the model did not read is never found rightly.
    """
    if not p.scheme.marks:
        rows = p.row_of(np.arange(len(p.truth)))
        right = p.decided == p.truth
        return (
            _table(p, rows[right], p.truth[right]),
            _table(p, rows, p.truth),
            _table(p, rows[p.read], p.decided[p.read]),
        )
    true, found = p.strict_spans if strict else p.spans
    right = found[np.isin(_numbers(found), _numbers(true))]
    first, second, third = (_table(p, p.row_of(spans[:, 1]), spans[:, 0]) for spans in (right, true, found))
    return first, second, third


def micro(score: Score, strict: bool, p: Tags, weights: Values) -> Values:
    """Precision, recall or F1 of all types together; 0 where there is nothing to divide by."""
    right, true, found = (weights @ each.sum(axis=1) for each in counted(p, strict=strict))
    return _divided(right, _below(score, true, found))


def macro_f1(p: Tags, weights: Values) -> Values:
    """The mean of the F1 of each type that has weight among the true or found ones; NaN without any."""
    right, true, found = (weights @ each for each in counted(p))
    there = true + found > 0
    with np.errstate(invalid="ignore"):
        return np.asarray(_divided(right, (true + found) / 2).sum(axis=1) / there.sum(axis=1))


def word_accuracy(p: Tags, weights: Values) -> Values:
    """The share of words that are given their tag; one that the model did not read is not."""
    right = _by_row(p, p.decided == p.truth)
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ right / (weights @ p.words))


def loss(p: Tags, weights: Values) -> Values:
    """Mean negative log likelihood of the true tag of a word that was read, in nats."""
    likelihood = [
        said[np.arange(len(said)), labels[: len(said)]] for said, labels in zip(p.said, p.labels, strict=True)
    ]
    each = np.array([-np.log(np.maximum(row.astype(np.float64), 1e-12)).sum() for row in likelihood])
    with np.errstate(invalid="ignore"):
        return np.asarray(weights @ each / (weights @ np.array([len(row) for row in likelihood])))


def _below(score: Score, true: Values, found: Values) -> Values:
    return {"precision": found, "recall": true, "f1": (true + found) / 2}[score]


def _divided(right: Values, below: Values) -> Values:
    return np.divide(right, below, out=np.zeros_like(right), where=below > 0)


def _table(p: Tags, rows: NDArray[np.int64], kinds: NDArray[np.int64]) -> Values:
    """How often each type comes in each row, (rows, types)."""
    kinds_of = len(p.scheme.kinds)
    return np.bincount(rows * kinds_of + kinds, minlength=len(p.ids) * kinds_of).reshape(-1, kinds_of).astype(float)


def _by_row(p: Tags, words: NDArray[np.bool_]) -> Values:
    return np.bincount(p.row_of(np.flatnonzero(words)), minlength=len(p.ids)).astype(float)


def _numbers(spans: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each span, equal for equal ones."""
    kind, begin, end = spans.T
    return np.asarray((begin << 40) + ((end - begin) << 20) + kind)


def _micro(name: str, score: Score, *, strict: bool = False) -> Metric:
    return under_weights(name, "higher", partial(micro, score, strict))


ENTITIES: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _micro("entity_f1", "f1"),
        _micro("entity_precision", "precision"),
        _micro("entity_recall", "recall"),
        under_weights("macro_entity_f1", "higher", macro_f1, by_class=True),
        _micro("strict_entity_f1", "f1", strict=True),
        under_weights("word_accuracy", "higher", word_accuracy),
        under_weights("loss", "lower", loss),
    )
}
PLAIN_TAGS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        under_weights("word_accuracy", "higher", word_accuracy),
        under_weights("macro_f1", "higher", macro_f1, by_class=True),
        under_weights("loss", "lower", loss),
    )
}
