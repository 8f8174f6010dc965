"""What a tuned model has to beat: the commonest class, words without any network, the network without any tuning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from finetooth import linear, machine, tfidf
from finetooth.backbones import Backbone
from finetooth.predict import predict, states
from finetooth.progress import Progress
from finetooth.seeds import row_keys
from finetooth.table import Predictions, Table
from finetooth.tasks import Encoded, Task

SAYS = {
    "majority": "the commonest class to everything",
    "tfidf": "TF-IDF of words and letters under a linear classifier, fitted on the same rows",
    "frozen_probe": "logistic regression on what the model makes of the rows before tuning",
    "untuned": "the model before tuning",
    "scratch": "the same network trained from scratch on the same rows",
}
LEAST_SECONDS = 20.0  # that may be spent on baselines, however short the run was
SHARE = 0.1  # of the run's time that may be spent where it is longer
TIMED = 128  # rows that tell how long all take
HELD_OUT = 5  # one row of so many chooses the probe's penalty


@dataclass(frozen=True)
class Rows:
    """Some rows of a table: their texts, class numbers and tokens."""

    texts: Sequence[str]
    encoded: Encoded


Answer = Callable[[Rows], NDArray[np.float64]]  # probabilities, (rows, classes)


@dataclass(frozen=True)
class Baseline:
    """How it answers, on how many training rows it was fitted, and the seconds that took."""

    answer: Answer
    rows: int
    seconds: float

    def predict(self, rows: Rows, names: list[str]) -> Predictions:
        """What it says of these rows."""
        return Predictions(list(rows.encoded.ids), rows.encoded.targets, self.answer(rows), names)


def budget(seconds: float) -> float:
    """Seconds that the baselines of a run that took so many may take."""
    return max(LEAST_SECONDS, SHARE * seconds)


def texts_of(table: Table, encoded: Encoded) -> Rows:
    """The rows that were encoded, with their texts."""
    return Rows(["\n".join(table.inputs[table.position[i]]) for i in encoded.ids], encoded)


def majority(training: Rows, names: list[str]) -> Baseline:
    """The class that is commonest among the training rows, to everything."""
    answers = np.zeros(len(names))
    answers[commonest(training.encoded.targets)] = 1.0
    return Baseline(lambda rows: np.tile(answers, (len(rows.encoded), 1)), len(training.encoded), 0.0)


def commonest(targets: NDArray[np.int64]) -> int:
    """The class number that occurs most often, the first of several."""
    counts = Counter(targets.tolist())
    return int(max(sorted(counts), key=lambda c: counts[c]))


def words(training: Rows, names: list[str]) -> Baseline | None:
    """TF-IDF and a linear classifier; None where there are too many rows and classes for a cheap model."""
    clock, targets, classes = perf_counter(), training.encoded.targets, len(names)
    if not tfidf.cheap(len(targets), classes):
        return None
    counter, matrix = tfidf.Counter.of(training.texts)
    order = np.lexsort((targets, row_keys(training.encoded.ids)))
    fit = linear.gradient_descent(tfidf.passes(targets, classes))
    model = fit(matrix[order], targets[order])
    return Baseline(
        lambda rows: linear.said(model, counter.weigh(rows.texts), classes), len(targets), perf_counter() - clock
    )


class Reader:
    """Reads rows with a network as it stands."""

    def __init__(self, backbone: Backbone, task: Task, precision: str) -> None:
        self.backbone, self.task, self.precision = backbone, task, precision
        self.net = backbone.net.to(machine.device())

    def states(self, encoded: Encoded) -> NDArray[np.float64]:
        """(rows, width)."""
        return states(
            self.net,
            self.task,
            encoded,
            pad=self.backbone.tokenizer.pad_token_id,
            precision=self.precision,
            device=machine.device(),
        )

    def predict(self, encoded: Encoded, names: list[str]) -> NDArray[np.float64]:
        """What its own head says, (rows, classes)."""
        pad, device = self.backbone.tokenizer.pad_token_id, machine.device()
        return predict(
            self.net, self.task, encoded, names, pad=pad, precision=self.precision, device=device
        ).probabilities


@dataclass(frozen=True)
class Probed:
    """The probe, its numbers to be kept, and the states that it was fitted on."""

    baseline: Baseline
    affine: linear.Affine
    states: NDArray[np.float64]
    targets: NDArray[np.int64]


def probe(training: Rows, reader: Reader, names: list[str], *, seconds: float, progress: Progress) -> Probed:
    """Logistic regression on the states of as many training rows as can be read in the given seconds."""
    clock, encoded = perf_counter(), training.encoded
    keys, everything = row_keys(encoded.ids), np.arange(len(encoded))
    few = encoded.take(tfidf.some(keys, everything, TIMED))
    reader.states(few)  # the first batches of a network are slower than the rest
    began = perf_counter()
    reader.states(few)
    # Half of the time is for reading, the rest for fitting and for the rows that are asked about.
    fitting = int(seconds / 2 / max(perf_counter() - began, 1e-6) * len(few))
    chosen = tfidf.some(keys, everything, max(fitting, TIMED))
    if len(chosen) < len(encoded):
        progress.say(f"the probe of the untouched model is fitted on {len(chosen):,} of {len(encoded):,} training rows")
    # In the order of their keys, whatever the order of the file.
    part = encoded.take(chosen[np.argsort(keys[chosen], kind="stable")])
    found, targets = reader.states(part), part.targets
    strength = linear.strongest(found, targets, np.arange(len(targets)) % HELD_OUT == 0, len(names))
    affine = linear.Affine.of(linear.probe(strength)(found, targets), len(names))
    baseline = Baseline(
        lambda rows: affine.predict_proba(reader.states(rows.encoded)), len(targets), perf_counter() - clock
    )
    return Probed(baseline, affine, found, targets)
