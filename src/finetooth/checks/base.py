"""The contract of a check: a Sample of rows in, Findings out. No check loads a model, changes a row or drops one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from finetooth import tfidf
from finetooth.findings import Finding
from finetooth.likeness import Seen
from finetooth.table import PARTS, Split, Table

Numbers = NDArray[np.int64]
FOLDS = 5


@dataclass(frozen=True)
class Sample:
    """What a check may look at: the rows, how they are parted, which are alike, and what the caller has besides.

    `equal` and `near` are cluster numbers per row, of inputs that are the same but for case and punctuation, and of
    these and the lightly edited. `lengths` are tokens per row for a model that takes `limit` of them; `against` are
    rows of the place where the model will work; `seen` are the images of a table of images. Where training follows,
    the test rows are `sealed`: checks that weigh labels leave theirs alone.
    """

    table: Table
    split: Split | None
    equal: Numbers
    near: Numbers
    lengths: Numbers | None = None
    limit: int | None = None
    against: Table | None = None
    seen: Seen | None = None
    sealed: bool = False

    @cached_property
    def texts(self) -> list[str]:
        """Each row's input as one text."""
        return ["\n".join(row) for row in self.table.inputs]

    @cached_property
    def part(self) -> list[str | None]:
        """The part in which each row stands."""
        of = {i: part for part in PARTS for i in getattr(self.split, part)} if self.split else {}
        return [of.get(row_id) for row_id in self.table.ids]

    @cached_property
    def open(self) -> Numbers:
        """The places of the rows with a label that a check may weigh."""
        shut = np.array([self.sealed and part == "test" for part in self.part])
        return np.flatnonzero((self.targets >= 0) & ~shut)

    @cached_property
    def names(self) -> list[str]:
        """The labels that occur."""
        return sorted({label for label in self.table.labels if label is not None})

    @cached_property
    def targets(self) -> Numbers:
        """The number of each row's label among `names`, -1 where it is missing; shape (rows,)."""
        number = {name: i for i, name in enumerate(self.names)}
        return np.array([-1 if label is None else number[label] for label in self.table.labels], dtype=np.int64)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """TF-IDF features of the texts, shape (rows, features), made once for all checks that ask."""
        return tfidf.features(self.texts)

    @cached_property
    def folds(self) -> Numbers:
        """A fold for each row, alike rows in one."""
        return tfidf.folds_of(self.targets, self.near, self.table.contents, FOLDS)

    def finding(
        self,
        check: str,
        severity: str,
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
        assert severity in ("info", "warning", "error"), severity
        return Finding(check, severity, says, remedy, len(ids) if count is None else count, ids, tuple(evidence), chart)  # type: ignore[arg-type]

    def place(self, i: int) -> str:
        """How a sentence names row i."""
        return self.table.place(i)


Check = Callable[[Sample], Iterable[Finding]]


def quoted(names: Iterable[str], most: int = 6) -> str:
    """Some names in quotes, the rest as a number."""
    known = list(names)
    shown = ", ".join(f"'{name}'" for name in known[:most])
    return shown + (f" and {len(known) - most:,} more" if len(known) > most else "")


def rows_of(count: int, what: str = "row") -> str:
    """1 row, 2,000 rows."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
