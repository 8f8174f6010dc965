"""The metrics of a classification task, from scikit-learn where it has them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import nan
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from finetooth.metrics import weighted
from finetooth.metrics.base import Metric
from finetooth.table import Predictions


def accuracy(p: Predictions) -> float:
    """Share of rows whose decided class is the true one."""
    return float((p.decided == p.labels).mean())


def averaged(score: Callable[..., Any], average: Literal["macro", "weighted"], p: Predictions) -> float:
    """Precision, recall or F1 over the classes that occur among the true or decided ones; 0 where undefined."""
    return float(score(p.labels, p.decided, average=average, zero_division=0))


def auroc(p: Predictions) -> float:
    """Area under the ROC curve; with more than two classes the mean over those that occur, each against the rest."""
    return _one_against_rest(sk.roc_auc_score, p)


def average_precision(p: Predictions) -> float:
    """Average precision, of the second class where there are two, else the mean over the classes that occur."""
    return _one_against_rest(sk.average_precision_score, p)


def _one_against_rest(score: Callable[..., Any], p: Predictions) -> float:
    classes = [1] if len(p.names) == 2 else sorted(set(p.labels.tolist()))
    if len(set(p.labels.tolist())) < 2:
        return nan
    return float(np.mean([score(p.labels == c, p.probabilities[:, c]) for c in classes]))


def loss(p: Predictions) -> float:
    """Mean negative log likelihood of the true class, in nats."""
    rows = np.arange(len(p.labels))
    return float(-np.log(np.maximum(p.probabilities[rows, p.labels], 1e-12)).mean())


def sensitivity_at(specificity: float, p: Predictions) -> tuple[float, float]:
    """Two classes: the largest sensitivity at no less than this specificity, and the threshold that gives it."""
    if len(set(p.labels.tolist())) < 2:
        return nan, nan
    false_positives, true_positives, thresholds = sk.roc_curve(
        p.labels == 1, p.probabilities[:, 1], drop_intermediate=False
    )
    allowed = np.flatnonzero(1.0 - false_positives >= specificity - 1e-12)
    chosen = allowed[true_positives[allowed].argmax()]
    # The curve begins at infinity; a threshold just above 1 says the same of probabilities.
    return float(true_positives[chosen]), float(min(thresholds[chosen], np.nextafter(1.0, 2.0)))


def right(p: Predictions) -> NDArray[np.bool_]:
    """Which rows are decided as they are labelled; accuracy is their share."""
    return cast("NDArray[np.bool_]", p.decided == p.labels)


def _averaged(score: Literal["precision", "recall", "f1"], average: Literal["macro", "weighted"]) -> Metric:
    found = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}[score]
    return Metric(
        f"{average}_{score}",
        "higher",
        partial(averaged, found, average),
        weighted=partial(weighted.averaged, score, average),
        by_class=average == "macro",
    )


CLASSIFICATION: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "higher", accuracy, weighted=weighted.accuracy, share=right),
        *(_averaged(score, average) for average in ("macro", "weighted") for score in ("f1", "precision", "recall")),
        Metric("auroc", "higher", auroc, weighted=weighted.auroc, by_class=True),
        Metric("average_precision", "higher", average_precision, weighted=weighted.average_precision, by_class=True),
        Metric("loss", "lower", loss, weighted=weighted.loss),
    )
}
