"""Table, Split and Predictions: rows with stable ids, which of them serve for what, and what a model said of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b, sha256
from math import isfinite, nan
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finetooth.errors import DataError
from finetooth.findings import Finding

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Columns:
    """Which column plays which role."""

    input: tuple[str, ...]
    label: str | None = None
    group: str | None = None
    id: str | None = None
    time: str | None = None
    weights: str | None = None

    def roles(self) -> dict[str, Any]:
        """As data.json keeps it."""
        return {
            "input": list(self.input),
            "label": self.label,
            "group": self.group,
            "id": self.id,
            "time": self.time,
            "weights": self.weights,
        }


@dataclass(frozen=True)
class Table:
    """Rows as they were read: every cell is text or missing.

    `places` tells for each row the file and the row number in it (1 is the first row after the header, 0 the file as a
    whole), for messages; `parts` the part that the source itself assigns (None where it does not); `found` what reading
    had to clean. A mix of several sources tells which rows are `synthetic`, made up by a model or a template, and in
    `shares` how much each counts. A table of images has the `folder` in which the files that its input column names
    lie.
    """

    data: pa.Table
    columns: Columns
    source: str
    places: Sequence[tuple[str, int]] = field(repr=False)
    parts: Sequence[str | None] = field(repr=False)
    found: tuple[Finding, ...] = ()
    synthetic: Sequence[bool] | None = field(default=None, repr=False)
    shares: Sequence[float] | None = field(default=None, repr=False)
    folder: Path | None = None

    def __len__(self) -> int:
        return cast(int, self.data.num_rows)

    def column(self, name: str) -> list[str | None]:
        """The cells of one column, in row order."""
        return cast("list[str | None]", self.data.column(name).to_pylist())

    @cached_property
    def inputs(self) -> list[tuple[str, ...]]:
        """The input cells of each row; a missing cell is an empty text."""
        cells = [self.column(name) for name in self.columns.input]
        return [tuple(cell or "" for cell in row) for row in zip(*cells, strict=True)]

    @cached_property
    def labels(self) -> list[str | None]:
        """The label of each row; None where it is missing, or where there is no label column."""
        if self.columns.label is None:
            return [None] * len(self)
        return [cell if cell and cell.strip() else None for cell in self.column(self.columns.label)]

    @cached_property
    def groups(self) -> list[str | None]:
        """The group of each row; None where it is empty, or where there is no group column."""
        if self.columns.group is None:
            return [None] * len(self)
        return [cell or None for cell in self.column(self.columns.group)]

    def groups_of(self, ids: Sequence[str]) -> list[str | None] | None:
        """The group of each of these rows; None where the table has no groups."""
        return None if self.columns.group is None else [self.groups[self.position[i]] for i in ids]

    @cached_property
    def times(self) -> list[float] | None:
        """The time of each row, as a number; None where there is no time column.

        Numbers stay as they are, dates and times in ISO 8601 become seconds (without a zone they count as UTC). Raises
        DataError, naming the row, for what is neither.
        """
        if self.columns.time is None:
            return None
        found = [_time(cell, self.place(i), self.columns.time) for i, cell in enumerate(self.column(self.columns.time))]
        kinds = [dated for _, dated in found]
        if len(set(kinds)) > 1:
            number, date = kinds.index(False), kinds.index(True)
            raise DataError(
                f"{self.source}: the column '{self.columns.time}' has a number in {self.place(number)} and a date in "
                f"{self.place(date)}, expected one kind: they cannot be put in one order. Write all as dates."
            )
        return [time for time, _ in found]

    @cached_property
    def weights(self) -> list[float]:
        """How much each row counts in training: its share of the mix times its cell in the weights column; else 1.

        Raises DataError, naming the row, for a weight that is no number or below zero.
        """
        shares = self.shares or [1.0] * len(self)
        if self.columns.weights is None:
            return list(shares)
        cells = enumerate(self.column(self.columns.weights))
        return [
            share * _weight(c, self.place(i), self.columns.weights) for share, (i, c) in zip(shares, cells, strict=True)
        ]

    @cached_property
    def contents(self) -> list[str]:
        """A digest of each row's inputs: equal for equal inputs, whatever file or row they stand in.

        An image counts by the bytes of its file.
        """
        if self.folder is not None:
            return [_file_digest(self.file(i)) for i in range(len(self))]
        return [content_digest(row) for row in self.inputs]

    def file(self, i: int) -> Path:
        """The image file of row i."""
        assert self.folder is not None, "only a table of images has files"
        return self.folder / self.inputs[i][0]

    def sources(self, rows: Iterable[int]) -> list[tuple[str, ...]]:
        """What is to be read of these rows: their input cells or, of images, the paths of their files."""
        return [self.inputs[i] if self.folder is None else (str(self.file(i)),) for i in rows]

    @cached_property
    def ids(self) -> list[str]:
        """A stable id per row: the id column's, else the digest of the inputs.

        Rows with the same inputs are numbered in the order of their parts, labels, groups, times and weights, so that
        the order of the rows in the file plays no part.
        """
        if self.columns.id is not None:
            return self._named_ids(self.columns.id)
        beside = zip(self.contents, self.parts, self.labels, self.groups, strict=True)
        further = [self.column(name) for name in (self.columns.time, self.columns.weights) if name is not None]
        further += [list(map(str, values)) for values in (self.synthetic, self.shares) if values is not None]
        # The test part comes last, so that what stands in it never moves the id of a training row.
        ranks = [
            (content, PARTS.index(part or "train"), label or "", group or "", *(column[i] or "" for column in further))
            for i, (content, part, label, group) in enumerate(beside)
        ]
        ranked = sorted(range(len(self)), key=ranks.__getitem__)
        ids, seen = [""] * len(self), Counter[str]()
        for i in ranked:
            digest = self.contents[i]
            seen[digest] += 1
            ids[i] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        return ids

    def _named_ids(self, name: str) -> list[str]:
        first: dict[str, int] = {}
        for i, cell in enumerate(self.column(name)):
            if not cell:
                raise DataError(f"{self.place(i)}: the id column '{name}' is empty; each row needs an id of its own.")
            if cell in first:
                raise DataError(
                    f"{self.place(i)}: the id '{cell}' was already used in {self.place(first[cell])}; "
                    f"ids have to be unique. Leave --id away to have them made from the rows' contents."
                )
            first[cell] = i
        return list(first)

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each id stands."""
        return {row_id: i for i, row_id in enumerate(self.ids)}

    def place(self, i: int) -> str:
        """How a message names row i."""
        file, row = self.places[i]
        return f"{file}, row {row}" if row else file

    def digest(self, ids: Iterable[str]) -> str:
        """SHA-256 over the ids, contents, labels and groups of these rows; their order plays no part."""
        total = sha256()
        for row_id in sorted(ids):
            i = self.position[row_id]
            row = [row_id, self.contents[i], self.labels[i], self.groups[i], self.parts[i]]
            # Only where there are any: the digest of a plain table stays what it was.
            if self.columns.time is not None or self.columns.weights is not None or self.shares is not None:
                row += [str(self.times[i]) if self.times else None, str(self.weights[i])]
            if self.synthetic is not None:
                row.append(str(self.synthetic[i]))
            total.update(json.dumps(row).encode())
        return total.hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """The digest of all rows."""
        return self.digest(self.ids)


_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})([T ]\d\d:\d\d(?::\d\d)?)?$")


def _time(cell: str | None, place: str, column: str) -> tuple[float, bool]:
    """The time as a number, and whether it was a date."""
    text = (cell or "").strip()
    try:
        number = float(text)
    except ValueError:
        if dotted := _DOTTED.match(text):  # the dots tell which number is the day; slashes do not
            day, month, year, clock = dotted.groups()
            text = f"{year}-{month:0>2}-{day:0>2}{clock or ''}"
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise DataError(
                f"{place}, column '{column}': found {cell!r}, expected a time: a number or a date such as 2026-11-21, "
                f"21.11.2026 or 2026-11-21T09:30:00; write 3/17/2026 as one of these, since 3/4 may be March or April."
            ) from None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp(), True
    if not isfinite(number):
        raise DataError(f"{place}, column '{column}': found {cell!r}, expected a finite number or a date.")
    return number, False


def _weight(cell: str | None, place: str, column: str) -> float:
    try:
        number = float((cell or "").strip())
    except ValueError:
        number = nan
    if not (isfinite(number) and number >= 0):
        raise DataError(f"{place}, column '{column}': found {cell!r}, expected a weight: a number, 0 or more.")
    return number


def _file_digest(path: Path) -> str:
    try:
        return blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: the file cannot be read: {error.strerror}.") from error


def content_digest(inputs: Sequence[str]) -> str:
    """16 hexadecimal digits that stand for these input cells."""
    # As JSON, so that no text in a cell can look like the end of the cell.
    return blake2b(json.dumps(inputs).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Split:
    """Ids only. `digest` is the seal: the digest of the test rows; `contents` are the digests of the inputs per
    part, by which rows are known again under other ids; `notes` say what was done for rare cases."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    how: str
    digest: str
    contents: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...] = ()

    def counts(self) -> dict[str, int]:
        """Rows per part."""
        return {part: len(getattr(self, part)) for part in PARTS}


@dataclass(frozen=True)
class Predictions:
    """What a model said of some rows: probabilities of shape (rows, classes), columns in the order of `names`.

    `labels` are the true class numbers, -1 where unknown. `rule`, (classes, classes), moves decisions and nothing else:
    with it the class is decided whose column of `probabilities @ rule` is the largest.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    names: list[str]
    rule: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """Some of the rows, in this order; one may come several times."""
        ids, names = [self.ids[row] for row in rows.tolist()], self.names
        return Predictions(ids, self.labels[rows], self.probabilities[rows], names, self.rule)

    @cached_property
    def decided(self) -> NDArray[np.int64]:
        """The class number that is decided, per row: the likeliest, or what the rule says."""
        worth = self.probabilities if self.rule is None else self.probabilities @ self.rule
        return cast("NDArray[np.int64]", worth.argmax(axis=1))

    @cached_property
    def sure(self) -> NDArray[np.float64]:
        """The probability of the class that is decided, per row."""
        return self.probabilities[np.arange(len(self.ids)), self.decided]
