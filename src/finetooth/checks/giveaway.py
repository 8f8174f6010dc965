"""Columns that give the label away: one cell, that the model may not have when it matters, tells the answer."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier

from finetooth.checks.base import FOLDS, Numbers, Sample
from finetooth.findings import Finding

SURE = 0.6  # of the errors of always answering the commonest class, those that the one feature has to take away
LEAVES = 32
CLASSES = 50
FEWEST = 100


def giveaway(sample: Sample) -> Iterator[Finding]:
    """Every other column, the length of the text, the place in the file: is one of them alone too good to be true?"""
    labelled = sample.open
    if len(labelled) < FEWEST or not 2 <= len(sample.names) <= len(labelled) / 10:
        return
    targets, folds = sample.targets[labelled], sample.folds[labelled]
    counts = np.bincount(targets)
    commonest = float(counts.max()) / len(targets)
    # Of many classes the commonest are told apart, and the rest count as one.
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    targets = np.minimum(rank, CLASSES)[targets]
    told = ""
    for what, cells in _features(sample):
        if told and what.endswith(told):  # the column as a whole was reported
            continue
        own = [cells[i] for i in labelled]
        accuracy = _accuracy(own, targets, folds)
        taken = (accuracy - commonest) / max(1.0 - commonest, 1e-9)
        if taken < SURE:
            continue
        if what == "order":
            yield sample.finding(
                "sorted by label",
                "info",
                f"The rows are sorted by label: their place in the file alone tells it for {accuracy:.0%} of them.",
                "The order plays no part in finetooth; other tools that cut off the end would test on one class.",
                count=len(own),
            )
        else:
            told = what.removeprefix("the ")
            yield sample.finding(
                "giveaway",
                "warning",
                f"{what[0].upper()}{what[1:]} alone tells the label of {accuracy:.0%} of the rows; the commonest label "
                f"is right for {commonest:.0%}.",
                "See whether a class was collected otherwise than the others, and whether that will be so at work."
                if what.startswith("the ") and "column" not in what
                else "See that it is not part of the input, and whether the label was made from it.",
                count=len(own),
            )


def _features(sample: Sample) -> Iterator[tuple[str, Sequence[str | float | None]]]:
    table = sample.table
    roles = table.columns
    for name in table.data.column_names:
        if name not in (*roles.input, roles.label, roles.weights, roles.group):
            cells = table.column(name)
            yield f"the column '{name}'", cells
            begun = [_beginning(cell) for cell in cells]
            if begun != cells and len(set(begun)) <= len(begun) / 2:
                yield f"the beginning of the column '{name}'", begun
    if table.folder is None:
        yield "the length of the input", [float(len(text)) for text in sample.texts]
        yield "order", [float(i) for i in range(len(table))]
    else:
        yield "the size of the file", [float(table.file(i).stat().st_size) for i in range(len(table))]


def _beginning(cell: str | None) -> str | None:
    """An id without the number at its end: pos of pos_0017."""
    return None if cell is None else re.split(r"[\W_]*\d", cell, maxsplit=1)[0]


def _accuracy(cells: Sequence[str | float | None], targets: Numbers, folds: Numbers) -> float:
    """The share of rows that one feature gets right out of fold: by a tree where it is a number, else by its commonest
    label."""
    right = 0
    values = _numeric(cells)
    for fold in range(FOLDS):
        seen, asked = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if not len(seen) or not len(asked):
            continue
        if values is not None:
            tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=5, random_state=0)
            tree.fit(values[seen, None], targets[seen])
            right += int((tree.predict(values[asked, None]) == targets[asked]).sum())
        else:
            by_cell: dict[object, Counter[int]] = defaultdict(Counter)
            for i in seen.tolist():
                by_cell[cells[i]][int(targets[i])] += 1
            usual = int(np.bincount(targets[seen]).argmax())
            for i in asked.tolist():
                votes = by_cell.get(cells[i])
                right += int((votes.most_common(1)[0][0] if votes else usual) == targets[i])
    return right / len(targets)


def _numeric(cells: Sequence[str | float | None]) -> NDArray[np.float64] | None:
    try:
        values = np.array([float(cell or 0.0) for cell in cells])
    except ValueError:
        return None
    finite: NDArray[np.float64] = np.clip(np.nan_to_num(values), -1e30, 1e30)
    return finite
