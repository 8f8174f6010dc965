"""Probabilities -> decisions: a temperature that makes them honest, and thresholds that serve a goal.

Both are fitted on rows that the model did not learn from and that are not sealed: validation rows, or out of fold.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from finetooth.table import Predictions

Values = NDArray[np.float64]

COOLEST, HOTTEST = 0.1, 10.0
FEWEST = 10  # rows of a class below which its threshold stays where it is
STEPS = np.exp(np.linspace(-2.0, 2.0, 33))  # that a class's weight is tried at, around the others'
ROUNDS = 3


def temperature(p: Predictions) -> float:
    """The number by which logits are divided so that the labels of these rows are likeliest.

    Guo et al. 2017 (On Calibration of Modern Neural Networks), section 4.2.
    """
    logits, rows = _logits(p), np.arange(len(p.labels))

    def nll(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[rows, p.labels]).mean())

    found = minimize_scalar(nll, bounds=(np.log(COOLEST), np.log(HOTTEST)), method="bounded")
    return float(np.exp(found.x))


def cooled(p: Predictions, temperature: float) -> Predictions:
    """The same predictions with their logits divided by a temperature; no decision changes."""
    scaled = _logits(p) / temperature
    return replace(p, probabilities=np.exp(scaled - np.logaddexp.reduce(scaled, axis=1, keepdims=True)))


def _logits(p: Predictions) -> Values:
    return np.log(np.maximum(p.probabilities, 1e-30))


def expected_calibration_error(confidence: Values, right: NDArray[np.bool_], bins: int = 15) -> float:
    """The mean distance between confidence and share of right answers, over bins of equally many rows.

    Nixon et al. 2019 (Measuring Calibration in Deep Learning), section 4: adaptive bins.
    """
    order = np.argsort(confidence, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    return float(sum(len(part) * abs(confidence[part].mean() - right[part].mean()) for part in parts) / len(order))
