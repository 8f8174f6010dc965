"""Metrics: answers -> a number, each knowing in which direction it is better, and how sure the number is.

`CLASSIFICATION` names those of one of several classes, `REGRESSION` those of numbers, `MULTI_LABEL` those of any of
several labels, `LANGUAGE` those of answers in words, `PREFERENCE` those of which of two is preferred, `ENTITIES` and
`PLAIN_TAGS` those of tags of words; one of one's own is a Metric as well.
"""

from __future__ import annotations

from finetooth.metrics.agreement import LONG, SHORT, Agreement
from finetooth.metrics.base import Metric, finite
from finetooth.metrics.calibration import Bin, Calibration, abstention, calibration
from finetooth.metrics.classification import CLASSIFICATION, sensitivity_at
from finetooth.metrics.entities import ENTITIES, PLAIN_TAGS
from finetooth.metrics.folds import chance_over_folds, over_folds
from finetooth.metrics.intervals import Interval, bca, interval, statistic, too_few, units_of, wilson
from finetooth.metrics.language import LANGUAGE, PREFERENCE
from finetooth.metrics.multilabel import MULTI_LABEL
from finetooth.metrics.regression import REGRESSION
from finetooth.metrics.significance import Comparison, holm, mcnemar, paired

__all__ = [
    "CLASSIFICATION",
    "ENTITIES",
    "LANGUAGE",
    "LONG",
    "MULTI_LABEL",
    "PLAIN_TAGS",
    "PREFERENCE",
    "REGRESSION",
    "SHORT",
    "Agreement",
    "Bin",
    "Calibration",
    "Comparison",
    "Interval",
    "Metric",
    "abstention",
    "bca",
    "calibration",
    "chance_over_folds",
    "finite",
    "holm",
    "interval",
    "mcnemar",
    "over_folds",
    "paired",
    "sensitivity_at",
    "statistic",
    "too_few",
    "units_of",
    "wilson",
]
