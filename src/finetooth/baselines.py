"""What a tuned model has to beat: the commonest class, words without any network, the network without any tuning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetooth import linear, machine, tfidf
from finetooth.predict import predict, states
from finetooth.progress import Progress
from finetooth.seeds import row_keys
from finetooth.table import Answers, Kind, Table, words_in
from finetooth.tags import flat, ragged
from finetooth.tasks import Encoded, Task

LEAST_SECONDS = 20.0  # that may be spent on baselines, however short the run was
SHARE = 0.1  # of the run's time that may be spent where it is longer
TIMED = 128  # rows that tell how long all take
MOST_WORDS = 20_000  # that the probe of tags is fitted on: more take minutes, and tell little more
HELD_OUT = 5  # one row of so many chooses the probe's penalty


@dataclass(frozen=True)
class Rows:
    """Some rows of a table: their ids, the texts or the image file of each, and targets, as the task makes them.

    `encoded` are the same rows where they were read already, `counted` where their words are to be counted but once.
    """

    ids: Sequence[str]
    inputs: Sequence[Sequence[str]]
    targets: NDArray[Any]
    names: list[str]
    task: Task
    images: bool = False
    encoded: Encoded | None = None
    counted: tfidf.Counts | None = None

    @staticmethod
    def of(table: Table, ids: Sequence[str], names: list[str], task: Task) -> Rows:
        """These rows of the table; where the label is not known, the target says so."""
        inputs = table.sources([table.position[i] for i in ids])
        return Rows(ids, inputs, task.targets(table, ids, names), names, task, table.folder is not None)

    @property
    def texts(self) -> list[str]:
        """All that stands in a row, as one text."""
        if self.task.kind == "tags":
            return [" ".join(words_in(cells[0]) or cells) for cells in self.inputs]
        return ["\n".join(cells) for cells in self.inputs]

    @property
    def counts(self) -> tfidf.Counts:
        """What stands in the texts how often."""
        return self.counted or tfidf.Counts(self.texts)

    @property
    def words(self) -> list[list[str]]:
        """The words of each row, where they are tagged; none of a text."""
        return [words_in(cells[0]) or [] for cells in self.inputs]

    def said(self, said: NDArray[Any]) -> Answers:
        """What somebody says of these rows, shape (rows, outputs), or of the words of each."""
        return self.task.answers(self.ids, self.targets, said, self.names)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows, in this order."""
        chosen = rows.tolist()
        encoded = None if self.encoded is None else self.encoded.take(rows)
        ids, inputs = [self.ids[r] for r in chosen], [self.inputs[r] for r in chosen]
        counted = None if self.counted is None else self.counted.take(rows)
        return replace(self, ids=ids, inputs=inputs, targets=self.targets[rows], encoded=encoded, counted=counted)


Answer = Callable[[Rows], NDArray[Any]]  # what is said, (rows, outputs), or an array for each row, (words, outputs)


@dataclass(frozen=True)
class Baseline:
    """How it answers, on how many training rows it was fitted, and the seconds that took."""

    answer: Answer
    rows: int
    seconds: float

    def predict(self, rows: Rows) -> Answers:
        """What it says of these rows."""
        return rows.said(self.answer(rows))


@dataclass(frozen=True)
class Fits:
    """How baselines of one kind of answers are fitted; `outputs` are the numbers that are said of a row.

    `constant` makes what is said of every row, (outputs,), of targets and `outputs`; `words` a model of counts, to be
    asked, and `probe` one of states, each of a matrix, targets, the rows held out and `outputs`; `asked` is what the
    probe's numbers say of states. `name` is what the constant is called, `worded` what knows words and no network.
    """

    name: str
    constant: Callable[[NDArray[Any], int], NDArray[np.float64]]
    words: Callable[[Any, NDArray[Any], NDArray[np.bool_], int], Callable[[Any], NDArray[np.float64]]]
    probe: Callable[[NDArray[Any], NDArray[Any], NDArray[np.bool_], int], linear.Affine]
    asked: Callable[[linear.Affine, NDArray[Any]], NDArray[Any]]
    worded: str = "tfidf"


def _class_words(
    matrix: Any, targets: NDArray[Any], held_out: NDArray[np.bool_], classes: int
) -> Callable[[Any], NDArray[np.float64]]:
    model = linear.gradient_descent(tfidf.passes(targets, classes))(matrix, targets)
    return lambda asked: linear.said(model, asked, classes)


def _class_probe(
    states: NDArray[np.float64], targets: NDArray[Any], held_out: NDArray[np.bool_], classes: int
) -> linear.Affine:
    strength = linear.strongest(states, targets, held_out, classes)
    return linear.Affine.of(linear.probe(strength)(states, targets), classes)


def _number_words(
    matrix: Any, targets: NDArray[Any], held_out: NDArray[np.bool_], outputs: int
) -> Callable[[Any], NDArray[np.float64]]:
    model = linear.ridge(matrix, targets, held_out, linear.WORD_PENALTIES)
    return lambda asked: np.asarray(model.predict(asked))


def _number_probe(
    states: NDArray[np.float64], targets: NDArray[Any], held_out: NDArray[np.bool_], outputs: int
) -> linear.Affine:
    return linear.Affine.of(linear.ridge(states, targets, held_out, linear.PENALTIES), outputs)


def _label_words(
    matrix: Any, targets: NDArray[Any], held_out: NDArray[np.bool_], labels: int
) -> Callable[[Any], NDArray[np.float64]]:
    models = linear.one_by_one(linear.gradient_descent(tfidf.passes(targets, labels)), matrix, targets)
    return lambda asked: linear.each_said(models, asked)


def _label_probe(
    states: NDArray[np.float64], targets: NDArray[Any], held_out: NDArray[np.bool_], labels: int
) -> linear.Affine:
    def missed(strength: float) -> float:
        fitted = linear.one_by_one(linear.probe(strength), states[~held_out], targets[~held_out])
        p = np.clip(linear.each_said(fitted, states[held_out]), 1e-9, 1 - 1e-9)
        return float(-np.log(np.where(targets[held_out] == 1, p, 1 - p)).mean())

    tried = linear.STRENGTHS
    strength = min(tried, key=missed) if held_out.any() else tried[len(tried) // 2]
    return linear.Affine.beside(linear.one_by_one(linear.probe(strength), states, targets), states.shape[1])


def _tag_words(
    rows: Sequence[Sequence[str]], targets: NDArray[Any], held_out: NDArray[np.bool_], tags: int
) -> Callable[[Sequence[Sequence[str]]], NDArray[Any]]:
    """How often each word has each tag; of a word that never came, how often any has."""
    tagged, place = flat(targets), dict[str, int]()
    seen = np.array([place.setdefault(word, len(place)) for row in rows for word in row], dtype=np.int64)
    counts = np.bincount(seen * tags + tagged, minlength=len(place) * tags).reshape(-1, tags)
    every = np.concatenate([counts, counts.sum(axis=0)[None]])
    shares = (every / every.sum(axis=1, keepdims=True)).astype(np.float32)

    def said(asked: Sequence[Sequence[str]]) -> NDArray[Any]:
        found = np.array([place.get(word, len(place)) for row in asked for word in row], dtype=np.int64)
        return ragged(shares[found], np.array([len(row) for row in asked], dtype=np.int64))

    return said


def _tag_probe(states: NDArray[Any], targets: NDArray[Any], held_out: NDArray[np.bool_], tags: int) -> linear.Affine:
    counts = [len(row) for row in states]
    read = np.concatenate([own[:count] for own, count in zip(targets, counts, strict=True)])
    return _class_probe(flat(states), read, np.repeat(held_out, counts), tags)


def _tags_asked(probe: linear.Affine, states: NDArray[Any]) -> NDArray[Any]:
    counts = np.array([len(row) for row in states], dtype=np.int64)
    return ragged(probe.predict_proba(flat(states)).astype(np.float32), counts)


FITS: dict[Kind, Fits] = {
    "one-of": Fits(
        "majority",
        lambda targets, classes: np.bincount(targets, minlength=classes) / len(targets),
        _class_words,
        _class_probe,
        linear.Affine.predict_proba,
    ),
    "numbers": Fits(
        "mean",
        lambda targets, outputs: np.array([targets.mean()]),
        _number_words,
        _number_probe,
        linear.Affine.predict,
    ),
    "any-of": Fits(
        "majority",
        lambda targets, labels: targets.astype(np.float64).mean(axis=0),
        _label_words,
        _label_probe,
        linear.Affine.predict_each,
    ),
    "tags": Fits(
        "majority",
        lambda targets, tags: np.bincount(flat(targets), minlength=tags) / len(flat(targets)),
        _tag_words,
        _tag_probe,
        _tags_asked,
        "lookup",
    ),
}


def budget(seconds: float) -> float:
    """Seconds that the baselines of a run that took so many may take."""
    return max(LEAST_SECONDS, SHARE * seconds)


def fits(rows: Rows) -> Fits:
    """How the baselines of these rows are fitted."""
    return FITS[rows.task.kind]


def shares(training: Rows) -> NDArray[np.float64]:
    """The share of each class among the training rows; of numbers their mean."""
    return fits(training).constant(training.targets, len(training.names))


def always(said: NDArray[np.float64], rows: int) -> Baseline:
    """The same to everything: of classes the commonest is decided."""

    def answer(asked: Rows) -> NDArray[Any]:
        if asked.task.kind != "tags":
            return np.tile(said, (len(asked.ids), 1))
        counts = np.array([len(own) for own in asked.targets], dtype=np.int64)
        return ragged(np.broadcast_to(said.astype(np.float32), (counts.sum(), len(said))), counts)

    return Baseline(answer, rows, 0.0)


def words(training: Rows) -> Baseline | None:
    """TF-IDF and a linear model, or each word's tags; None where rows and classes are too many for a cheap one."""
    clock, targets, outputs = perf_counter(), training.targets, len(training.names)
    if training.task.kind == "tags":
        known = fits(training).words(training.words, targets, np.zeros(len(targets), dtype=bool), outputs)
        return Baseline(lambda rows: known(rows.words), len(targets), perf_counter() - clock)
    if not tfidf.cheap(len(targets), outputs):
        return None
    counter, matrix = tfidf.Counter.of(training.counts)
    order = np.lexsort((*np.atleast_2d(targets.T), row_keys(training.ids)))
    held_out = _held_out(np.zeros(len(order), dtype=np.int64))
    ask = fits(training).words(matrix[order], targets[order], held_out, outputs)
    return Baseline(lambda rows: ask(counter.weigh(rows.counts)), len(targets), perf_counter() - clock)


def without_network(training: Rows) -> tuple[dict[str, Baseline], dict[str, str]]:
    """The baselines that need no network, by name, and why one of them cannot be had."""
    found = {fits(training).name: always(shares(training), len(training.ids))}
    if training.images:
        return found, {"tfidf": "the rows are images, and have no words"}
    counted = words(training)
    if counted is None:
        why = f"{len(training.names):,} classes of {len(training.ids):,} rows are too many for a cheap model"
        return found, {"tfidf": why}
    return {**found, fits(training).worded: counted}, {}


@dataclass(frozen=True)
class Reader:
    """Reads rows with a network as it stands, texts cut at `max_length` tokens."""

    net: Any
    tokenizer: Any
    task: Task
    max_length: int
    precision: str

    def states(self, rows: Rows) -> NDArray[Any]:
        """(rows, width); where words are tagged an array for each row, (words, width)."""
        return states(self.net.to(machine.device()), self.task, self.encoded(rows), **self._how())

    def predict(self, rows: Rows) -> Answers:
        """What the network's own head says."""
        return predict(self.net.to(machine.device()), self.task, self.encoded(rows), rows.names, **self._how())

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
    states: NDArray[Any]
    targets: NDArray[Any]
    seconds: float


def probe(training: Rows, reader: Reader, *, seconds: float, progress: Progress) -> Probed | None:
    """A linear model on the states of as many training rows as can be read in the given seconds.

    None where those have all the same label.
    """
    clock, keys = perf_counter(), row_keys(training.ids)
    everything = np.arange(len(keys))
    few = training.take(tfidf.some(keys, everything, TIMED))
    reader.states(few)  # the first batches of a network are slower than the rest
    began = perf_counter()
    reader.states(few)
    # Half of the time is for reading, the rest for fitting and for the rows that are asked about.
    readable = int(seconds / 2 / max(perf_counter() - began, 1e-6) * len(few.ids))
    if training.task.kind == "tags":
        readable = min(readable, MOST_WORDS * len(few.ids) // max(len(flat(few.targets)), 1))
    chosen = tfidf.some(keys, everything, max(readable, TIMED))
    if len(chosen) < len(keys):
        progress.say(f"the probe of the untouched model is fitted on {len(chosen):,} of {len(keys):,} training rows")
    # In the order of their keys, whatever the order of the file.
    part = training.take(chosen[np.argsort(keys[chosen], kind="stable")])
    if len(np.unique(flat(part.targets), axis=0)) < 2:
        return None
    found = reader.states(part)
    by = part.targets if part.task.kind == "one-of" else np.zeros(len(part.ids), dtype=np.int64)
    affine = fits(part).probe(found, part.targets, _held_out(by), len(part.names))
    return Probed(affine, found, part.targets, perf_counter() - clock)


def _held_out(targets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Every fifth row of each class; none of a class that has fewer."""
    order = np.argsort(targets, kind="stable")
    first = np.searchsorted(targets[order], targets[order])
    held = np.zeros(len(targets), dtype=bool)
    held[order] = (np.arange(len(targets)) - first) % HELD_OUT == HELD_OUT - 1
    return held
