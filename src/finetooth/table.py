"""Table, Split and Answers: rows with stable ids, which of them serve for what, and what a model said of them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import blake2b, sha256
from math import isfinite, nan
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from finetooth.errors import DataError
from finetooth.findings import Finding
from finetooth.tags import Tags, begun, one_sign_for_begin

PARTS = ("train", "validation", "test")
Kind = Literal["one-of", "numbers", "any-of", "texts", "tags"]  # of answers, and of what stands in a label column
TALKS = ("messages", "conversations")  # columns that hold whole conversations, answers included
ASKED = (  # columns of a prompt or a source, and of the answer to it
    (("prompt",), "completion"),
    (("instruction", "input"), "output"),
    (("instruction",), "output"),
    (("source",), "target"),
    (("text",), "summary"),
    (("document",), "summary"),
    (("article",), "highlights"),
    (("dialogue",), "summary"),
)


@dataclass(frozen=True)
class Columns:
    """Which column plays which role; where that of the label is preferred to another answer, which column has it."""

    input: tuple[str, ...]
    label: str | None = None
    group: str | None = None
    id: str | None = None
    time: str | None = None
    weights: str | None = None
    rejected: str | None = None

    @property
    def talk(self) -> bool:
        """Whether they have the usual names of conversations, or of prompts or sources and what is written to them."""
        asked = tuple(name.lower() for name in self.input)
        return (
            self.rejected is not None
            or (self.label is None and asked[0] in TALKS)
            or (asked, (self.label or "").lower()) in ASKED
        )

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
        if self.columns.label not in self.data.column_names:
            return self._beside_one_another(self.columns.label.split(","))
        return [cell if cell and cell.strip() else None for cell in self.column(self.columns.label)]

    def _beside_one_another(self, names: list[str]) -> list[str | None]:
        """Of columns that each say whether one label is true the names of those that are, as JSON.

        A soft score counts from a half on. Raises DataError, naming the row, for what says neither yes nor no.
        """
        columns = [[_true(cell, self.place(i), name) for i, cell in enumerate(self.column(name))] for name in names]
        return [
            json.dumps([name for name, true in zip(names, row, strict=True) if true], ensure_ascii=False)
            for row in zip(*columns, strict=True)
        ]

    @cached_property
    def rejected(self) -> list[str | None] | None:
        """The answer of each row to which another is preferred, where rows have two."""
        return None if self.columns.rejected is None else self.column(self.columns.rejected)

    @cached_property
    def words(self) -> list[list[str] | None]:
        """The words of each row whose one input is a list of them; None for a text."""
        return [None if len(cells) > 1 else words_in(cells[0]) for cells in self.inputs]

    @cached_property
    def tags(self) -> list[list[str] | None]:
        """The tag of each word of each row, those of IOB1 in BIO; None where the label is missing.

        Raises DataError, naming the row, for what is no list, or of another length than the words.
        """
        known: dict[str, str] = {}  # one object for all that are equal
        found: list[list[str] | None] = []
        for i, (cell, words) in enumerate(zip(self.labels, self.words, strict=True)):
            own = None if cell is None else words_in(cell)
            if cell is not None and (own is None or words is None or len(own) != len(words)):
                said = "a text" if words is None else f"{len(words):,} words"
                tagged = f"{cell[:40]!r}" if own is None else f"{len(own):,} tags"
                raise DataError(
                    f"{self.place(i)}: found {said} in the column '{self.columns.input[0]}' and {tagged} in the column "
                    f"'{self.columns.label}', expected a list of words and a list with a tag for each."
                )
            found.append(None if own is None else [known.setdefault(tag, tag) for tag in own])
        if one_sign_for_begin(found):
            return [None if own is None else begun(own) for own in found]
        return found

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

        Rows with the same inputs are numbered in the order of their parts, labels, groups and what else they have, so
        that the order of the rows in the file plays no part.
        """
        if self.columns.id is not None:
            return self._named_ids(self.columns.id)
        beside = zip(self.contents, self.parts, self.labels, self.groups, strict=True)
        further = [self.column(name) for name in (self.columns.time, self.columns.weights) if name is not None]
        further += [] if self.rejected is None else [self.rejected]
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
            if self.rejected is not None:
                row.append(self.rejected[i])
            total.update(json.dumps(row).encode())
        return total.hexdigest()

    @cached_property
    def fingerprint(self) -> str:
        """The digest of all rows."""
        return self.digest(self.ids)


def words_in(cell: str) -> list[str] | None:
    """The entries of a cell that is a list of texts or numbers, as JSON has it; None for another."""
    if not cell.startswith("["):
        return None
    try:
        own = json.loads(cell)
    except ValueError:
        return None
    if not isinstance(own, list) or not all(isinstance(word, str | int | float) for word in own):
        return None
    return [word if isinstance(word, str) else json.dumps(word) for word in own]


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


def _true(cell: str | None, place: str, column: str) -> bool:
    text = (cell or "").strip().lower()
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not 0 <= number <= 1:
        raise DataError(
            f"{place}, column '{column}': found {cell!r}, expected 0 or 1, true or false, or a share between them: "
            f"whether this label is true of the row."
        )
    return number >= 0.5


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


class Answers(Protocol):
    """What a model said of some rows, and the truth: as much as intervals, comparisons and slices need to know of it.

    `labels` and `said` have a row for each id, of whatever shape the kind of answers has; an array of objects where the
    rows are of several lengths.
    """

    @property
    def kind(self) -> Kind:
        """Which kind it is."""

    @property
    def ids(self) -> list[str]:
        """Of the rows."""

    @property
    def labels(self) -> NDArray[Any]:
        """The truth."""

    @property
    def said(self) -> NDArray[np.float64]:
        """What the model said: what is averaged over models, and changes where an input does."""

    def about(self, ids: list[str], labels: NDArray[Any], said: NDArray[np.float64]) -> Self:
        """Of other rows, or saying other things of them, by the same names and decisions."""

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the rows, in this order; one may come several times."""

    def cases(self, units: NDArray[np.int64]) -> dict[str, int]:
        """In how many groups each class occurs that does; `units` numbers the group of each row."""

    @property
    def decisions(self) -> dict[str, Any] | None:
        """What turns what is said into answers, as JSON has it; None where nothing was fitted for that."""

    def ruled(self, decisions: Mapping[str, Any] | None) -> Self:
        """The same with other decisions."""

    def cells(self) -> dict[str, Any]:
        """Columns for somebody who reads the answers, by their names."""

    def summary(self) -> dict[str, Any]:
        """All rows in a few words, for programs."""

    def arrow(self) -> pa.Table:
        """As `answers_of` reads it."""


A = TypeVar("A", bound=Answers)


def together(parts: Sequence[A]) -> A:
    """All rows of several answers of one kind, one after the other."""
    labels, said = (np.concatenate(each) for each in ([p.labels for p in parts], [p.said for p in parts]))
    return parts[0].about([row_id for p in parts for row_id in p.ids], labels, said)


def answers_of(table: pa.Table) -> Answers:
    """What `arrow` wrote; the metadata tell the kind. Raises KeyError or TypeError for another table."""
    about = {key.decode(): json.loads(value) for key, value in table.schema.metadata.items()}
    if "tags" in about:
        return Tags.of(table, about["tags"])
    ids, labels = table["id"].to_pylist(), table["label"].to_pylist()
    if "thresholds" in about:
        known = [None if own is None else [name in own for name in about["names"]] for own in labels]
        each = np.array([[-1] * len(about["names"]) if own is None else own for own in known], dtype=np.int64)
        bounds = None if about["thresholds"] is None else np.array(about["thresholds"])
        return AnyOf(ids, each, np.array(table["probabilities"].to_pylist()), about["names"], bounds)
    if "half" in about:
        truth = np.array([nan if label is None else label for label in labels])
        return Numbers(ids, truth, np.array(table["value"].to_pylist()), about["name"], about["half"])
    if "written" in about:
        said = np.array([table["surprise"].to_pylist(), table["right"].to_pylist()]).T
        return Written(ids, np.array(labels, dtype=np.int64), said.reshape(len(ids), 2))
    names, said = about["names"], np.array(table["probabilities"].to_pylist())
    number = {name: i for i, name in enumerate(names)}
    rule = None if about["rule"] is None else np.array(about["rule"])
    return Predictions(ids, np.array([number.get(label, -1) for label in labels], dtype=np.int64), said, names, rule)


@dataclass(frozen=True)
class Predictions:
    """One of several classes: probabilities of shape (rows, classes), columns in the order of `names`.

    `labels` are the true class numbers, -1 where unknown. `rule`, (classes, classes), moves decisions and nothing else:
    with it the class is decided whose column of `probabilities @ rule` is the largest.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    names: list[str]
    rule: NDArray[np.float64] | None = None
    kind: ClassVar[Kind] = "one-of"

    @property
    def said(self) -> NDArray[np.float64]:
        """The probabilities."""
        return self.probabilities

    def about(self, ids: list[str], labels: NDArray[np.int64], said: NDArray[np.float64]) -> Predictions:
        """Of other rows, or saying other things of them, by the same names and rule."""
        return Predictions(ids, labels, said, self.names, self.rule)

    def take(self, rows: NDArray[np.int64]) -> Predictions:
        """Some of the rows, in this order; one may come several times."""
        return self.about([self.ids[row] for row in rows.tolist()], self.labels[rows], self.probabilities[rows])

    def cases(self, units: NDArray[np.int64]) -> dict[str, int]:
        """In how many groups each class occurs that does."""
        counts = np.bincount(np.unique(np.stack([units, self.labels]), axis=1)[1], minlength=len(self.names))
        return {self.names[c]: int(counts[c]) for c in np.flatnonzero(counts).tolist()}

    @property
    def decisions(self) -> dict[str, Any] | None:
        """The names and the rule; None where the likeliest class is decided."""
        return None if self.rule is None else {"names": self.names, "rule": self.rule.tolist()}

    def ruled(self, decisions: Mapping[str, Any] | None) -> Predictions:
        """The same by another rule."""
        return replace(self, rule=None if decisions is None else np.array(decisions["rule"]))

    def cells(self) -> dict[str, Any]:
        """The class that is decided, how sure that is, and the probability of each class."""
        each = {f"probability_{name}": np.ascontiguousarray(self.said[:, c]) for c, name in enumerate(self.names)}
        return {"prediction": [self.names[c] for c in self.decided.tolist()], "probability": self.sure, **each}

    def summary(self) -> dict[str, Any]:
        """How often each class is decided."""
        return {name: int((self.decided == c).sum()) for c, name in enumerate(self.names)}

    def arrow(self) -> pa.Table:
        """id, label (null where unknown), probabilities; names and rule stand in the metadata."""
        labels = [self.names[c] if c >= 0 else None for c in self.labels.tolist()]
        table = pa.table({"id": self.ids, "label": labels, "probabilities": list(self.probabilities)})
        rule = None if self.rule is None else self.rule.tolist()
        return table.replace_schema_metadata({"names": json.dumps(self.names), "rule": json.dumps(rule)})

    @cached_property
    def decided(self) -> NDArray[np.int64]:
        """The class number that is decided, per row: the likeliest, or what the rule says."""
        worth = self.probabilities if self.rule is None else self.probabilities @ self.rule
        return cast("NDArray[np.int64]", worth.argmax(axis=1))

    @cached_property
    def sure(self) -> NDArray[np.float64]:
        """The probability of the class that is decided, per row."""
        return self.probabilities[np.arange(len(self.ids)), self.decided]


@dataclass(frozen=True)
class Numbers:
    """A number for each row: `values` and the true `labels`, (rows,), both in the unit of the column `name`.

    A label is NaN where it is unknown. `half` is how far to either side of a value its prediction interval reaches;
    None where there is none.
    """

    ids: list[str]
    labels: NDArray[np.float64]
    values: NDArray[np.float64]
    name: str
    half: float | None = None
    kind: ClassVar[Kind] = "numbers"

    @property
    def said(self) -> NDArray[np.float64]:
        """The values."""
        return self.values

    def about(self, ids: list[str], labels: NDArray[np.float64], said: NDArray[np.float64]) -> Numbers:
        """Of other rows, or saying other things of them, in the same unit."""
        return Numbers(ids, labels, said, self.name, self.half)

    def take(self, rows: NDArray[np.int64]) -> Numbers:
        """Some of the rows, in this order; one may come several times."""
        return self.about([self.ids[row] for row in rows.tolist()], self.labels[rows], self.values[rows])

    def cases(self, units: NDArray[np.int64]) -> dict[str, int]:
        """None: there are no classes."""
        return {}

    @property
    def decisions(self) -> dict[str, Any] | None:
        """The half width of the prediction interval."""
        return None if self.half is None else {"half": self.half}

    def ruled(self, decisions: Mapping[str, Any] | None) -> Numbers:
        """The same with another prediction interval."""
        return replace(self, half=None if decisions is None else decisions["half"])

    def cells(self) -> dict[str, Any]:
        """The value, and the ends of its prediction interval."""
        ends = {} if self.half is None else {"low": self.values - self.half, "high": self.values + self.half}
        return {"prediction": self.values, **ends}

    def summary(self) -> dict[str, Any]:
        """The least value, the mean and the greatest."""
        found = self.values
        return {"least": float(found.min()), "mean": float(found.mean()), "greatest": float(found.max())}

    def arrow(self) -> pa.Table:
        """id, label (null where unknown), value; the column's name and the half width stand in the metadata."""
        labels = [None if label != label else label for label in self.labels.tolist()]
        table = pa.table({"id": self.ids, "label": pa.array(labels, pa.float64()), "value": self.values})
        return table.replace_schema_metadata({"name": json.dumps(self.name), "half": json.dumps(self.half)})

    @property
    def off(self) -> NDArray[np.float64]:
        """By how much each value is above the truth."""
        return self.values - self.labels


@dataclass(frozen=True)
class AnyOf:
    """Any of several labels, or none: probabilities of shape (rows, labels), columns in the order of `names`.

    `labels` are 1 where a label is true, 0 where not, -1 where that is not known, (rows, labels). A label is given from
    its own of the `thresholds` on, (labels,), or from a half.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    names: list[str]
    thresholds: NDArray[np.float64] | None = None
    kind: ClassVar[Kind] = "any-of"

    @property
    def said(self) -> NDArray[np.float64]:
        """The probabilities."""
        return self.probabilities

    def about(self, ids: list[str], labels: NDArray[np.int64], said: NDArray[np.float64]) -> AnyOf:
        """Of other rows, or saying other things of them, by the same names and thresholds."""
        return AnyOf(ids, labels, said, self.names, self.thresholds)

    def take(self, rows: NDArray[np.int64]) -> AnyOf:
        """Some of the rows, in this order; one may come several times."""
        return self.about([self.ids[row] for row in rows.tolist()], self.labels[rows], self.probabilities[rows])

    def cases(self, units: NDArray[np.int64]) -> dict[str, int]:
        """In how many groups each label is true of a row, of those that are."""
        counts = [len(np.unique(units[column == 1])) for column in self.labels.T]
        return {name: count for name, count in zip(self.names, counts, strict=True) if count}

    @property
    def decisions(self) -> dict[str, Any] | None:
        """The names and the thresholds; None where they are all a half."""
        return None if self.thresholds is None else {"names": self.names, "thresholds": self.thresholds.tolist()}

    def ruled(self, decisions: Mapping[str, Any] | None) -> AnyOf:
        """The same with other thresholds."""
        return replace(self, thresholds=None if decisions is None else np.array(decisions["thresholds"]))

    def cells(self) -> dict[str, Any]:
        """The labels that are given, with a bar between them, and the probability of each label."""
        each = {f"probability_{name}": np.ascontiguousarray(self.said[:, c]) for c, name in enumerate(self.names)}
        return {"prediction": ["|".join(self.given(row)) for row in self.decided], **each}

    def summary(self) -> dict[str, Any]:
        """How often each label is given."""
        return dict(zip(self.names, self.decided.sum(axis=0).tolist(), strict=True))

    def arrow(self) -> pa.Table:
        """id, label (a list; null where unknown), probabilities; names and thresholds stand in the metadata."""
        labels = [None if (row < 0).any() else self.given(row) for row in self.labels]
        columns = {"id": self.ids, "label": pa.array(labels, pa.list_(pa.string()))}
        table = pa.table({**columns, "probabilities": list(self.probabilities)})
        thresholds = None if self.thresholds is None else self.thresholds.tolist()
        return table.replace_schema_metadata({"names": json.dumps(self.names), "thresholds": json.dumps(thresholds)})

    def given(self, row: NDArray[np.int64]) -> list[str]:
        """The names of the labels that are 1 in a row."""
        return [self.names[c] for c in np.flatnonzero(row == 1).tolist()]

    @cached_property
    def decided(self) -> NDArray[np.int64]:
        """1 where a label is given, 0 where not, (rows, labels)."""
        bounds = 0.5 if self.thresholds is None else self.thresholds
        return (self.probabilities >= bounds).astype(np.int64)


@dataclass(frozen=True)
class Written:
    """How likely a model found the right answer, in words, of each row; `said` is (rows, 2), `surprise` and `right`.

    `labels` are how many tokens an answer has.
    """

    ids: list[str]
    labels: NDArray[np.int64]
    said: NDArray[np.float64]
    kind: ClassVar[Kind] = "texts"

    @property
    def surprise(self) -> NDArray[np.float64]:
        """The negative log likelihood of the answer, in nats, (rows,)."""
        return self.said[:, 0]

    @property
    def right(self) -> NDArray[np.float64]:
        """How many of its tokens the model would have written next, (rows,)."""
        return self.said[:, 1]

    def about(self, ids: list[str], labels: NDArray[np.int64], said: NDArray[np.float64]) -> Written:
        """Of other rows, or saying other things of them."""
        return Written(ids, labels, said)

    def take(self, rows: NDArray[np.int64]) -> Written:
        """Some of the rows, in this order; one may come several times."""
        return self.about([self.ids[row] for row in rows.tolist()], self.labels[rows], self.said[rows])

    def cases(self, units: NDArray[np.int64]) -> dict[str, int]:
        """None: there are no classes."""
        return {}

    @property
    def decisions(self) -> dict[str, Any] | None:
        """None: nothing is fitted."""
        return None

    def ruled(self, decisions: Mapping[str, Any] | None) -> Written:
        """The same."""
        return self

    def cells(self) -> dict[str, Any]:
        """How likely a token of the answer was on average, and the share that would have been written."""
        return {"loss": self.surprise / self.labels, "token_accuracy": self.right / self.labels}

    def summary(self) -> dict[str, Any]:
        """How many tokens were looked at."""
        return {"tokens": int(self.labels.sum())}

    def arrow(self) -> pa.Table:
        """id, label (the tokens of the answer), surprise, right."""
        columns = {"id": self.ids, "label": self.labels, "surprise": self.surprise, "right": self.right}
        return pa.table(columns).replace_schema_metadata({"written": "true"})
