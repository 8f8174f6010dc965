"""Scores of a method over folds: their mean, and how far it could be from what folds of other rows would give.

Here it is the method that is judged, trained on so many rows, and not one trained model.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, nan, sqrt

import numpy as np
from scipy.stats import t

from finetooth.metrics.intervals import LEVEL, Interval
from finetooth.metrics.significance import ROUNDING


def over_folds(scores: Sequence[float], tested: float, *, level: float = LEVEL) -> Interval:
    """The mean of a score, or of a paired difference, over folds, with its corrected resampled t interval.

    Models of different folds learn from mostly the same rows, so that the plain variance of their mean is too small.
    Nadeau and Bengio 2003 (Inference for the Generalization Error), section 3, take 1 / folds + `tested` of the
    variance between the folds instead of 1 / folds; `tested` is the rows validated on per row trained on.
    """
    mean, error = _mean_and_error(scores, tested)
    if why := _untold(scores, error):
        return Interval(mean, None, None, why)
    half = float(t.ppf((1 + level) / 2, len(scores) - 1)) * error
    return Interval(mean, mean - half, mean + half, "corrected resampled t")


def chance_over_folds(differences: Sequence[float], tested: float) -> float:
    """The two-sided p-value that the mean difference is 0, as `over_folds`; NaN where that gives no interval."""
    mean, error = _mean_and_error(differences, tested)
    return nan if _untold(differences, error) else 2 * float(t.sf(abs(mean) / error, len(differences) - 1))


def _mean_and_error(scores: Sequence[float], tested: float) -> tuple[float, float]:
    """The mean and its standard error; NaN where there is none."""
    count = len(scores)
    if count < 2:
        return scores[0] if scores else nan, nan
    return float(np.mean(scores)), sqrt(1 / count + tested) * float(np.std(scores, ddof=1))


def _untold(scores: Sequence[float], error: float) -> str | None:
    """Why these scores have no interval, or None."""
    if undefined := sum(not isfinite(score) for score in scores):
        return f"not defined on {undefined} of {len(scores)} folds"
    if len(scores) < 2:
        return "one fold has no spread"
    return None if error > ROUNDING else "every fold scores the same, which tells no spread"
