"""The contract of a check: a Sample of rows in, Findings out. No check loads a model, changes a row or drops one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from finetooth import tfidf
from finetooth.findings import Finding, Severity
from finetooth.likeness import Seen
from finetooth.seeds import Keys, row_keys
from finetooth.table import PARTS, Kind, Split, Table

Numbers = NDArray[np.int64]
FOLDS = 5
TOLD = 200  # characters of a user's text in a sentence
NAMED = 60  # and of a label
MOST = 200_000  # rows that the cheap model looks at: more take memory, and tell little more


@dataclass(frozen=True)
class Sample:
    """What a check may look at: the rows, how they are parted, which are alike, and what the caller has besides.

    `equal` and `near` are cluster numbers per row, of inputs that are the same but for case and punctuation, and of
    these and the lightly edited. `lengths` are tokens per row for a model that takes `limit` of them, `states` what
    that model makes of each row, (rows, width); `against` are rows of the place where the model will work; `seen` are
    the images of a table of images. Where training follows, the test rows are `sealed`: no check learns their labels.
    `kind` is what stands in the label column: what asks for classes finds none where it is something else.
    """

    table: Table
    split: Split | None
    equal: Numbers
    near: Numbers
    lengths: Numbers | None = None
    limit: int | None = None
    states: NDArray[np.float64] | None = None
    against: Table | None = None
    seen: Seen | None = None
    sealed: bool = False
    kind: Kind = "one-of"

    @cached_property
    def texts(self) -> list[str]:
        """Each row's input as one text."""
        if self.kind == "tags":
            return [" ".join(words or cells) for words, cells in zip(self.table.words, self.table.inputs, strict=True)]
        return ["\n".join(row) for row in self.table.inputs]

    @cached_property
    def part(self) -> list[str | None]:
        """The part in which each row stands."""
        if self.split is None:  # the rows could not be parted; what the source says of them still holds
            return list(self.table.parts)
        of = {i: part for part in PARTS for i in getattr(self.split, part)}
        return [of.get(row_id) for row_id in self.table.ids]

    @cached_property
    def own_part(self) -> list[str | None]:
        """The part in which the source has each row, where it has parts: what is cut from one is of it still."""
        if not any(self.table.parts):
            return self.part
        return [part or "train" for part in self.table.parts]

    @cached_property
    def labels(self) -> list[str | None]:
        """Each row's class as far as a check may know it: None where it has none, and where it is sealed."""
        if self.kind != "one-of":
            return [None] * len(self.table)
        if not self.sealed:
            return list(self.table.labels)
        return [None if part == "test" else label for label, part in zip(self.table.labels, self.part, strict=True)]

    @cached_property
    def open(self) -> Numbers:
        """The places of the rows with a known label."""
        return np.flatnonzero(self.targets >= 0)

    @cached_property
    def names(self) -> list[str]:
        """The known labels that occur."""
        return sorted({label for label in self.labels if label is not None})

    @cached_property
    def targets(self) -> Numbers:
        """The number of each row's label among `names`, -1 where it is not known; shape (rows,)."""
        number = {name: i for i, name in enumerate(self.names)}
        return np.array([-1 if label is None else number[label] for label in self.labels], dtype=np.int64)

    def labelled(self, names: Iterable[str]) -> list[int]:
        """The places of the rows with one of these labels."""
        wanted = {*names}
        return [i for i, label in enumerate(self.labels) if label in wanted]

    @cached_property
    def keys(self) -> Keys:
        """A number for each row's input, shape (rows,): work done in their order does not depend on the file's."""
        return row_keys(self.table.contents)

    def features(self, rows: Numbers) -> sparse.csr_matrix:
        """TF-IDF features of these rows' texts, shape (rows, features)."""
        return tfidf.features([self.texts[i] for i in rows.tolist()])

    @cached_property
    def folds(self) -> Numbers:
        """A fold for each row, alike rows in one."""
        return tfidf.folds_of(self.targets, self.near, self.keys, FOLDS)

    def finding(
        self,
        check: str,
        severity: Severity,
        says: str,
        remedy: str,
        rows: Sequence[int] | Numbers = (),
        *,
        evidence: Sequence[str] = (),
        count: int | None = None,
        chart: dict[str, object] | None = None,
    ) -> Finding:
        """A Finding about rows given by their places in the table."""
        ids = tuple(self.table.ids[int(i)] for i in rows)
        return Finding(check, severity, says, remedy, len(ids) if count is None else count, ids, tuple(evidence), chart)

    def leak(
        self, one: str, other: str, same: str, remedy: str, rows: Sequence[int], evidence: Sequence[str]
    ) -> Finding:
        """A Finding about rows of the part `other` that have the `same` something as rows of the part `one`."""
        verb = "has" if len(rows) == 1 else "have"
        return self.finding(
            "leak",
            "error" if other == "test" else "warning",
            f"{rows_of(len(rows), f'{other} row')} {verb} the same {same}; scores on them flatter.",
            remedy,
            rows,
            evidence=evidence,
        )

    def place(self, i: int) -> str:
        """How a sentence names row i."""
        return self.table.place(i)


Check = Callable[[Sample], Iterable[Finding]]


def quoted(names: Iterable[str], most: int = 6) -> str:
    """Some names in quotes, the rest as a number."""
    known = list(names)
    shown = ", ".join(f"'{clipped(name, NAMED)}'" for name in known[:most])
    return shown + (f" and {len(known) - most:,} more" if len(known) > most else "")


def rows_of(count: int, what: str = "row") -> str:
    """1 row, 2,000 rows."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def folded(label: str) -> str:
    """What two spellings of one class have in common: case and spaces aside."""
    return " ".join(label.split()).casefold()


def clipped(text: str, most: int = TOLD) -> str:
    """The beginning of a text: a cell may be as long as a book."""
    return text if len(text) <= most else text[: most - 3] + "..."
