"""Labels that look wrong: what cheap models, which did not see the row, say against them.

Confident learning (Northcutt, Jiang and Chuang 2021, section 3): a row counts as probably mislabelled when another
class is as likely for it as that class is on average for its own rows. The ranking is our own. Nothing is changed or
dropped on its account.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from finetooth import linear, tfidf
from finetooth.checks.base import MOST, NAMED, Numbers, Sample, clipped, folded, rows_of
from finetooth.findings import Finding
from finetooth.linear import Probabilities
from finetooth.seeds import Keys, numbers

FEWEST = 100  # labelled rows below which a model out of fold knows nothing
PLANTED = 0.05  # of the labels, mistaken on purpose to see how many of them are found
TELLING = 2.0  # times what guessing finds: less, and the flags are no reason to look
SHOWN = 500
COMMON, BALANCED = 0.25, 1.1


def suspects(sample: Sample) -> Iterator[Finding]:
    """The labels that a model out of fold contradicts, the surest first, and how far such flags can be trusted here.

    Spellings of one class count as one. Texts without a letter or a figure are left out, and rows that are in no part,
    since training started small.
    """
    shown = {folded(name): name for name in sample.names}
    kinds = sorted(shown)
    places = {name: i for i, name in enumerate(kinds)}
    number = np.array([places[folded(name)] for name in sample.names], dtype=np.int64)
    used = [i for i in sample.open if sample.split is None or sample.part[i] is not None]
    labelled = np.array([i for i in used if any(map(str.isalnum, sample.texts[i]))], dtype=np.int64)
    if not 2 <= len(shown) <= len(labelled) / 20 or len(labelled) < FEWEST or sample.table.folder is not None:
        return
    classes = len(shown)
    if not tfidf.cheap(min(len(labelled), MOST), classes):
        yield sample.finding(
            "suspected labels",
            "info",
            f"Wrong labels were not looked for: {rows_of(len(labelled))} of {classes:,} classes are too many for the "
            f"cheap model that does it.",
            "Check a part of the rows, or of the classes, by itself.",
            count=0,
        )
        return
    whole = len(labelled)
    labelled = tfidf.some(sample.keys, labelled, MOST)
    targets = number[sample.targets[labelled]]
    witness = Witness(
        sample.features(labelled),
        None if sample.states is None else sample.states[labelled],
        sample.folds[labelled],
        classes,
        sample.keys[labelled],
    )
    p = witness.asked(targets)
    order, count = ranked(p, targets, sample.keys[labelled]), doubtful(p, targets)
    order = order[p.argmax(axis=1)[order] != targets[order]]
    if not count:
        return
    precision = trial(witness, targets)
    accuracy = float((p.argmax(axis=1) == targets).mean())
    if precision < TELLING * PLANTED:
        yield sample.finding(
            "suspected labels",
            "info",
            f"Whether labels are wrong cannot be told here: {witness.name} that did not see the row is right on "
            f"{accuracy:.0%} of them, and with {PLANTED:.0%} of the labels mistaken on purpose {precision:.0%} of as "
            f"many flags were right.",
            "Let two people label some rows and compare."
            + ("" if witness.states is not None else " With --model a pre-trained model is asked too."),
            count=0,
        )
        return
    flagged = labelled[order[:count]]
    other = np.where(np.arange(classes) == targets[:, None], -1.0, p).argmax(axis=1)
    evidence = [
        f"labelled {clipped(str(sample.labels[labelled[r]]), NAMED)} ({p[r, targets[r]]:.2f}), looks like "
        f"{clipped(shown[kinds[other[r]]], NAMED)} "
        f"({p[r, other[r]]:.2f})"
        for r in order[: min(count, SHOWN)]
    ]
    yield sample.finding(
        "suspected labels",
        "info",
        f"{rows_of(count, 'label')} may be wrong: {witness.name} that did not see the row, right on {accuracy:.0%} "
        f"of all rows, leans to another class. With {PLANTED:.0%} of the labels mistaken on purpose, {precision:.0%} "
        f"of as many flags were right, where guessing finds {PLANTED:.0%}."
        + (f" Looked at were {MOST:,} of {whole:,} rows, drawn at random." if whole > MOST else ""),
        "Read the first of them; the order is by suspicion. No label is changed.",
        flagged[:SHOWN],
        evidence=evidence,
        count=count,
        chart={"kind": "share", "title": "flags that were right in the trial", "value": precision, "guess": PLANTED},
    )


@dataclass(frozen=True)
class Witness:
    """Models that are asked of each row without having seen it: of its words and, where there are any, its states."""

    words: sparse.csr_matrix
    states: NDArray[np.float64] | None
    folds: Numbers
    classes: int
    keys: Keys

    @property
    def name(self) -> str:
        """What the report calls it."""
        return "a word-count model" if self.states is None else "a word-count model with a probe of the network"

    def asked(self, targets: Numbers) -> Probabilities:
        """What is said of each row where these are the labels, shape (rows, classes): the mean of what each says.

        The two err on different rows, so their mean is better than either.
        """
        p = tfidf.out_of_fold(self.words, targets, self.folds, self.classes, self.keys)
        if self.states is None:
            return p
        strength = linear.strongest(self.states, targets, self.folds == self.folds.min(), self.classes)
        fit = linear.probe(strength)
        return (p + linear.out_of_fold(self.states, targets, self.folds, self.classes, self.keys, fit)) / 2


def ranked(p: Probabilities, targets: Numbers, keys: Keys) -> Numbers:
    """The rows by suspicion, the most suspicious first; shapes (rows, classes), (rows,) and (rows,).

    A row is suspected by log p(its class) - COMMON * log(its class's share of the rows): a class that is often given
    is given wrongly more often than a rare one (shares within BALANCED of each other count as equal). Where mistakes
    are made without regard to the class, the probability alone is the best ranking that there is; the weight, chosen on
    six sets, is as large as costs nothing there (docs/log.md). `keys` decide between equals.
    """
    rows = np.arange(len(targets))
    counts = np.bincount(targets, minlength=p.shape[1])[targets]
    common = np.log(counts) if counts.max() > BALANCED * counts.min() else np.zeros(len(targets))
    suspicion = np.log(np.maximum(p[rows, targets], 1e-9)) - COMMON * common
    return np.lexsort((targets, keys, suspicion))


def doubtful(p: Probabilities, targets: Numbers) -> int:
    """How many rows confident learning counts as mislabelled: the off-diagonal of the confident joint."""
    classes = p.shape[1]
    usual = np.array([p[targets == c, c].mean() if (targets == c).any() else 2.0 for c in range(classes)])
    sure = p >= usual
    choice = np.where(sure, p, -1.0).argmax(axis=1)
    return int((sure.any(axis=1) & (choice != targets) & (p.argmax(axis=1) != targets)).sum())


def trial(witness: Witness, given: Numbers) -> float:
    """The share of right flags when PLANTED of the labels are mistaken on purpose and as many rows are flagged."""
    targets, keys, classes = given.copy(), witness.keys, witness.classes
    chosen = np.lexsort((targets, numbers(0, "planted", 0, keys)))[: max(1, round(PLANTED * len(targets)))]
    shift = 1 + (numbers(0, "planted as", 0, keys[chosen]) % np.uint64(classes - 1)).astype(np.int64)
    targets[chosen] = (targets[chosen] + shift) % classes
    return float(np.isin(ranked(witness.asked(targets), targets, keys)[: len(chosen)], chosen).mean())
