"""Can a model's probabilities be believed, and what is gained where its unsure answers are left to people?

Asked of the decided class: how sure the model is of it, and whether it is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from finetooth.metrics.base import Values
from finetooth.metrics.classification import loss
from finetooth.metrics.intervals import DRAWS, LEVEL, Interval, count_of, drawings, pieces, too_few, units_of
from finetooth.seeds import number
from finetooth.table import Predictions

BINS = 15
POINTS = 100


@dataclass(frozen=True)
class Bin:
    """Rows of which the model is about equally sure: its mean probability, and the share in which it is right."""

    confidence: float
    right: float
    rows: int


@dataclass(frozen=True)
class Calibration:
    """`error` is the expected calibration error as found, `debiased` what of it is left without what noise adds.

    `noise_floor` is the mean error that a perfectly calibrated model of these rows would show.
    """

    brier: float
    loss: float
    error: float
    noise_floor: float
    debiased: Interval
    bins: tuple[Bin, ...]


def calibration(
    p: Predictions,
    groups: Sequence[str | None] | None = None,
    *,
    bins: int = BINS,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Calibration:
    """How far the probabilities are from how often the model is right; `p` has one known label per row.

    The Brier score is the sum over classes (Brier 1950, Verification of Forecasts Expressed in Terms of Probability),
    between 0 and 2. The calibration error is over bins of equally many rows (Nixon et al. 2019, Measuring Calibration
    in Deep Learning, section 4), rows of equal confidence in one bin. Noise can only raise it: the bootstrap tells by
    how much, and that is taken off. Where a calibrated model would show as much in more than (1 - level) / 2 of its
    draws, the low end is 0. Whole groups are drawn; those of a calibrated model are right as one as often as here.
    """
    units, (confidence, right) = units_of(groups, len(p.labels)), _decisions(p)
    places = np.searchsorted(np.sort(confidence), confidence) * bins // len(confidence)
    inside = (places[:, None] == np.unique(places)).astype(float)
    distances, generator = inside * (right - confidence)[:, None], np.random.default_rng(number(seed, "calibration"))
    error = float(np.abs(distances.sum(axis=0)).sum() / len(confidence))
    calm = _calm(confidence, right, units, inside, draws, generator)
    rows = inside.sum(axis=0)
    means = zip(confidence @ inside / rows, right @ inside / rows, rows, strict=True)
    return Calibration(
        float(((p.probabilities - np.eye(len(p.names))[p.labels]) ** 2).sum(axis=1).mean()),
        loss(p),
        error,
        float(calm.mean()),
        _debiased(error, distances, float(np.quantile(calm, (1 + level) / 2)), p, units, level, draws, generator),
        tuple(Bin(float(sure), float(share), int(size)) for sure, share, size in means),
    )


def abstention(p: Predictions) -> list[tuple[float, float]]:
    """Of rows with known labels, the surest first: (share that is answered, accuracy among these), POINTS at most.

    Rows of equal confidence are answered together; the last point is all rows (El-Yaniv and Wiener 2010, On the
    Foundations of Noise-free Selective Classification, section 2).
    """
    confidence, right = _decisions(p)
    order, rows = np.argsort(-confidence, kind="stable"), len(confidence)
    answered = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) + 1
    wanted = -(-rows * np.arange(1, POINTS + 1) // POINTS)
    answered = np.unique(answered[np.searchsorted(answered, wanted)])
    correct = np.cumsum(right[order])[answered - 1]
    return list(zip((answered / rows).tolist(), (correct / answered).tolist(), strict=True))


def _decisions(p: Predictions) -> tuple[Values, Values]:
    """How probable each row's decided class is to the model, and 1.0 where it is the true one."""
    return p.probabilities[np.arange(len(p.labels)), p.decided], (p.decided == p.labels).astype(float)


def _calm(
    confidence: Values,
    right: Values,
    units: NDArray[np.int64],
    inside: Values,
    draws: int,
    generator: np.random.Generator,
) -> Values:
    """The errors of a calibrated model: each row right with the probability that the model gives, (draws,)."""
    together, count = _together(confidence, right, units), count_of(units)
    errors = []
    for piece in pieces(draws, len(units)):
        luck = generator.random((len(piece), len(units)))
        if together > 0:  # so many of the groups have one luck for all their rows
            joined = (generator.random((len(piece), count)) < together)[:, units]
            luck = np.where(joined, generator.random((len(piece), count))[:, units], luck)
        errors.append(np.abs(((luck < confidence) - confidence) @ inside).sum(axis=1) / len(units))
    return np.concatenate(errors)


def _together(confidence: Values, right: Values, units: NDArray[np.int64]) -> float:
    """The correlation within groups of being right, beyond what the probabilities say."""
    if count_of(units) == len(units):
        return 0.0

    def pairs(values: Values) -> float:
        """The sum over pairs of rows of one group of the product of their values."""
        return float((np.bincount(units, values) ** 2).sum() - (values**2).sum())

    beyond, possible = right - confidence, pairs(np.sqrt(np.maximum(confidence * (1 - confidence), 0)))
    return float(np.clip(pairs(beyond - beyond.mean()) / possible, 0, 1)) if possible > 0 else 0.0


def _debiased(
    error: float,
    distances: Values,
    calm: float,
    p: Predictions,
    units: NDArray[np.int64],
    level: float,
    draws: int,
    generator: np.random.Generator,
) -> Interval:
    count = count_of(units)
    weights = (drawn[:, units] for drawn in drawings(generator, count, draws, len(units)))
    drawn = np.concatenate([each @ distances / each.sum(axis=1, keepdims=True) for each in weights])
    bias = float(np.abs(drawn).sum(axis=1).mean()) - error
    value = max(error - bias, 0.0)
    if why := too_few(p, units):
        return Interval(value, None, None, why)
    found = distances.mean(axis=0)
    # How the debiased error moves with each bin: a bin that could be on either side of 0 moves its own bias as well.
    moved = (drawn - found) @ (2 * np.sign(found) - np.sign(drawn).mean(axis=0))
    low, high = np.maximum(error - bias + np.quantile(moved, [(1 - level) / 2, (1 + level) / 2]), 0.0).tolist()
    return Interval(value, 0.0 if error <= calm else low, high, "debiased bootstrap")
