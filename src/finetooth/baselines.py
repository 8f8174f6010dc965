"""What a tuned model has to beat: the commonest class, words without any network, the network without any tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetooth import linear, machine, tfidf
from finetooth.predict import predict, states
from finetooth.progress import Progress
from finetooth.seeds import row_keys
from finetooth.table import Predictions, Table
from finetooth.tasks import Encoded, Task

LEAST_SECONDS = 20.0  # that may be spent on baselines, however short the run was
SHARE = 0.1  # of the run's time that may be spent where it is longer
TIMED = 128  # rows that tell how long all take
HELD_OUT = 5  # one row of so many chooses the probe's penalty


@dataclass(frozen=True)
class Rows:
    """Some rows of a table: their ids, the texts or the image file of each, and class numbers.

    `encoded` are the same rows where they were read already.
    """

    ids: Sequence[str]
    inputs: Sequence[Sequence[str]]
    targets: NDArray[np.int64]
    images: bool = False
    encoded: Encoded | None = None

    @staticmethod
    def of(table: Table, ids: Sequence[str], names: Sequence[str]) -> Rows:
        """These rows of the table; a class number is -1 where the label is not known."""
        number = {name: i for i, name in enumerate(names)}
        places = [table.position[i] for i in ids]
        targets = np.array([number.get(table.labels[r] or "", -1) for r in places], dtype=np.int64)
        return Rows(ids, table.sources(places), targets, table.folder is not None)

    @property
    def texts(self) -> list[str]:
        """All that stands in a row, as one text."""
        return ["\n".join(cells) for cells in self.inputs]

    def said(self, probabilities: NDArray[np.float64], names: list[str]) -> Predictions:
        """What somebody says of these rows, shape (rows, classes)."""
        return Predictions(list(self.ids), self.targets, probabilities, names)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows, in this order."""
        chosen = rows.tolist()
        encoded = None if self.encoded is None else self.encoded.take(rows)
        ids, inputs = [self.ids[r] for r in chosen], [self.inputs[r] for r in chosen]
        return Rows(ids, inputs, self.targets[rows], self.images, encoded)


Answer = Callable[[Rows], NDArray[np.float64]]  # probabilities, (rows, classes)


@dataclass(frozen=True)
class Baseline:
    """How it answers, on how many training rows it was fitted, and the seconds that took."""

    answer: Answer
    rows: int
    seconds: float

    def predict(self, rows: Rows, names: list[str]) -> Predictions:
        """What it says of these rows."""
        return rows.said(self.answer(rows), names)


def budget(seconds: float) -> float:
    """Seconds that the baselines of a run that took so many may take."""
    return max(LEAST_SECONDS, SHARE * seconds)


def shares(training: Rows, names: list[str]) -> NDArray[np.float64]:
    """The share of each class among the training rows."""
    return np.bincount(training.targets, minlength=len(names)) / len(training.ids)


def always(probabilities: NDArray[np.float64], rows: int) -> Baseline:
    """The same probabilities to everything: decided is the commonest class."""
    return Baseline(lambda asked: np.tile(probabilities, (len(asked.ids), 1)), rows, 0.0)


def words(training: Rows, names: list[str]) -> Baseline | None:
    """TF-IDF and a linear classifier; None where there are too many rows and classes for a cheap model."""
    clock, targets, classes = perf_counter(), training.targets, len(names)
    if not tfidf.cheap(len(targets), classes):
        return None
    counter, matrix = tfidf.Counter.of(training.texts)
    order = np.lexsort((targets, row_keys(training.ids)))
    model = linear.gradient_descent(tfidf.passes(targets, classes))(matrix[order], targets[order])
    return Baseline(
        lambda rows: linear.said(model, counter.weigh(rows.texts), classes), len(targets), perf_counter() - clock
    )


def without_network(training: Rows, names: list[str]) -> tuple[dict[str, Baseline], dict[str, str]]:
    """The baselines that need no network, by name, and why one of them cannot be had."""
    found = {"majority": always(shares(training, names), len(training.ids))}
    if training.images:
        return found, {"tfidf": "the rows are images, and have no words"}
    counted = words(training, names)
    if counted is None:
        why = f"{len(names):,} classes of {len(training.ids):,} rows are too many for a cheap model"
        return found, {"tfidf": why}
    return {**found, "tfidf": counted}, {}


@dataclass(frozen=True)
class Reader:
    """Reads rows with a network as it stands, texts cut at `max_length` tokens."""

    net: Any
    tokenizer: Any
    task: Task
    max_length: int
    precision: str

    def states(self, rows: Rows) -> NDArray[np.float64]:
        """(rows, width)."""
        return states(self.net.to(machine.device()), self.task, self.encoded(rows), **self._how())

    def predict(self, rows: Rows, names: list[str]) -> Predictions:
        """What the network's own head says."""
        return predict(self.net.to(machine.device()), self.task, self.encoded(rows), names, **self._how())

    def encoded(self, rows: Rows) -> Encoded:
        """As the network takes them."""
        if rows.encoded is not None:
            return rows.encoded
        return self.task.read(rows.inputs, self.tokenizer, self.max_length, ids=rows.ids, targets=rows.targets)

    def _how(self) -> dict[str, Any]:
        pad = self.tokenizer.pad_token_id
        return {"pad": pad, "precision": self.precision, "device": machine.device()}


@dataclass(frozen=True)
class Probed:
    """The probe's numbers, the states of the rows that it was fitted on, and the seconds that took."""

    affine: linear.Affine
    states: NDArray[np.float64]
    targets: NDArray[np.int64]
    seconds: float


def probe(training: Rows, reader: Reader, names: list[str], *, seconds: float, progress: Progress) -> Probed | None:
    """Logistic regression on the states of as many training rows as can be read in the given seconds.

    None where those are all of one class.
    """
    clock, keys = perf_counter(), row_keys(training.ids)
    everything = np.arange(len(keys))
    few = training.take(tfidf.some(keys, everything, TIMED))
    reader.states(few)  # the first batches of a network are slower than the rest
    began = perf_counter()
    reader.states(few)
    # Half of the time is for reading, the rest for fitting and for the rows that are asked about.
    readable = int(seconds / 2 / max(perf_counter() - began, 1e-6) * len(few.ids))
    chosen = tfidf.some(keys, everything, max(readable, TIMED))
    if len(chosen) < len(keys):
        progress.say(f"the probe of the untouched model is fitted on {len(chosen):,} of {len(keys):,} training rows")
    # In the order of their keys, whatever the order of the file.
    part = training.take(chosen[np.argsort(keys[chosen], kind="stable")])
    if len(np.unique(part.targets)) < 2:
        return None
    found = reader.states(part)
    strength = linear.strongest(found, part.targets, _held_out(part.targets), len(names))
    affine = linear.Affine.of(linear.probe(strength)(found, part.targets), len(names))
    return Probed(affine, found, part.targets, perf_counter() - clock)


def _held_out(targets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Every fifth row of each class; none of a class that has fewer."""
    order = np.argsort(targets, kind="stable")
    first = np.searchsorted(targets[order], targets[order])
    held = np.zeros(len(targets), dtype=bool)
    held[order] = (np.arange(len(targets)) - first) % HELD_OUT == HELD_OUT - 1
    return held
