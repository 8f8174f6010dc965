"""Metrics: Predictions -> a number, each knowing in which direction it is better.

`CLASSIFICATION` names those of a classification task; one of one's own is a Metric as well.
"""

from __future__ import annotations

from finetooth.metrics.base import Metric
from finetooth.metrics.classification import CLASSIFICATION, sensitivity_at
from finetooth.metrics.intervals import bootstrap

__all__ = ["CLASSIFICATION", "Metric", "bootstrap", "sensitivity_at"]
