"""Tags: the schemes by which tags of words mark entities, and what a model said of each word of some rows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

OUTSIDE = "O"
SIGNS = "BIESLU"  # begin, inside, end, single; last and unit are BILOU's words for the latter two
CODES = {"B": 1, "I": 2, "E": 3, "L": 3, "S": 4, "U": 4}  # 0 is outside
UNNAMED = "entity"  # the type of a tag that is a sign alone
_TAG = re.compile(rf"([{SIGNS}])(?:-(.+))?", re.DOTALL)

PerRow = NDArray[Any]  # of objects: an array for each row
Whole = NDArray[np.int64]


def ragged(flat: NDArray[Any], counts: Whole) -> PerRow:
    """So many of the entries for each row, one row after the other."""
    found, ends = np.empty(len(counts), dtype=object), np.cumsum(counts).tolist()
    for row, (end, count) in enumerate(zip(ends, counts.tolist(), strict=True)):
        found[row] = flat[end - count : end]
    return found


def flat(values: NDArray[Any]) -> NDArray[Any]:
    """The entries of all rows, one after the other; what is not ragged as it is."""
    return np.concatenate(values.tolist()) if values.dtype == object and len(values) else values


@dataclass(frozen=True)
class Scheme:
    """How tags are read: `codes` and `types` of each tag, and of none at the end; `kinds` are the names of the types.

    `name` is BIO, BIOES, BILOU or plain: plain tags, as parts of speech, mark no entities, and each is a type.
    """

    name: str
    kinds: tuple[str, ...]
    codes: Whole
    types: Whole

    @staticmethod
    def of(names: Sequence[str]) -> Scheme:
        """The scheme of these tags."""
        split = [_TAG.fullmatch(name) for name in names if name != OUTSIDE]
        if (
            not split
            or any(match is None for match in split)
            or not (OUTSIDE in names or any(m and m[2] for m in split))
        ):
            numbers = np.arange(len(names) + 1)
            return Scheme("plain", tuple(names), np.zeros_like(numbers), numbers)
        signs = {match[1] for match in split if match}
        ends = "BILOU" if signs & {"L", "U"} else "BIOES" if signs & {"E", "S"} else "BIO"
        of = [type_of(name) for name in names]
        kinds = tuple(sorted({*of} - {""}))
        codes = [CODES[name[0]] if kind else 0 for name, kind in zip(names, of, strict=True)]
        types = [kinds.index(kind) if kind else -1 for kind in of]
        return Scheme(ends, kinds, np.array([*codes, 0]), np.array([*types, -1]))

    @property
    def marks(self) -> bool:
        """Whether the tags mark entities."""
        return self.name != "plain"

    @property
    def strictly(self) -> bool:
        """Whether an entity says where it ends."""
        return self.name in ("BIOES", "BILOU")

    def entities(self, tags: Whole, first: NDArray[np.bool_], *, strict: bool = False) -> Whole:
        """(entities, 3): type, first word, word after the last; `tags` of all rows, `first` where one begins.

        The lenient reading is that of conlleval (Tjong Kim Sang and Buchholz 2000) and seqeval's default: a sign out of
        place begins an entity. The `strict` one takes those alone whose signs are all in place.
        """
        code, kind = self.codes[tags], self.types[tags]
        before, same = np.roll(code, 1), np.roll(kind, 1) == kind
        before[first] = 0
        opens, closes = np.isin(code, (1, 4)), np.isin(before, (3, 4))
        on = (code > 0) & (before > 0) & ~opens & ~closes & same
        begins = np.flatnonzero(opens if strict else (code > 0) & ~on)
        stops = np.append(np.flatnonzero(~on), len(tags))
        ends = stops[np.searchsorted(stops, begins, side="right")]
        if strict and self.strictly:
            closed = np.isin(code[ends - 1], (3, 4))
            begins, ends = begins[closed], ends[closed]
        return np.stack([kind[begins], begins, ends], axis=1)

    def misplaced(self, tags: Whole, first: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """At which words a tag stands that the scheme has no place for, such as I- where no entity was begun."""
        wrong = self.codes[tags] > 0
        for _, begin, end in self.entities(tags, first, strict=True).tolist():
            wrong[begin:end] = False
        return wrong


def type_of(tag: str) -> str:
    """The type of the entity that a tag marks; empty for the one that marks none."""
    match = _TAG.fullmatch(tag)
    return match[2] or UNNAMED if match else ""


def one_sign_for_begin(rows: Iterable[Sequence[str] | None]) -> bool:
    """Whether these are tags of IOB1, where B begins an entity behind another of its type alone.

    So I begins some entity, and B none that stands apart.
    """
    found = False
    for row in rows:
        before = ""
        for tag in row or ():
            kind = type_of(tag)
            if kind and kind != before:
                if tag[0] != "I":
                    return False
                found = True
            before = kind
    return found


def begun(row: Sequence[str]) -> list[str]:
    """Tags of IOB1 in BIO, where every entity begins with B (Ramshaw and Marcus 1995; Ratnaparkhi 1998)."""
    kinds = [type_of(tag) for tag in row]
    starts = (kind and kind != before for kind, before in zip(kinds, ["", *kinds], strict=False))
    return ["B" + tag[1:] if start else tag for tag, start in zip(row, starts, strict=True)]


@dataclass(frozen=True)
class Tags:
    """A tag for each word: `labels` and `said` have an array for each row, of the tag numbers, (words,), -1 where they
    are not known, and of probabilities in fp32, (words, tags), columns in the order of `names`.

    A model that cut a row says nothing of its last words: there are fewer probabilities than words then. `places` tell
    of rows that were texts where each word stands in them, (words, 2) in characters.
    """

    ids: list[str]
    labels: PerRow
    said: PerRow
    names: list[str]
    places: PerRow | None = None
    kind: ClassVar[Literal["tags"]] = "tags"

    def about(self, ids: list[str], labels: PerRow, said: PerRow) -> Tags:
        """Of other rows, or saying other things of them, by the same names."""
        return Tags(ids, labels, said, self.names)

    def take(self, rows: Whole) -> Tags:
        """Some of the rows, in this order; one may come several times."""
        found = self.about([self.ids[row] for row in rows.tolist()], self.labels[rows], self.said[rows])
        return found if self.places is None else replace(found, places=self.places[rows])

    @cached_property
    def scheme(self) -> Scheme:
        """How the tags are read."""
        return Scheme.of(self.names)

    @cached_property
    def words(self) -> Whole:
        """How many each row has, (rows,)."""
        return np.array([len(row) for row in self.labels], dtype=np.int64)

    @cached_property
    def starts(self) -> Whole:
        """Where each row begins among the words of all, and where the last ends, (rows + 1,)."""
        return np.concatenate([[0], np.cumsum(self.words)])

    @cached_property
    def first(self) -> NDArray[np.bool_]:
        """Which words are the first of their row, of the words of all."""
        found = np.zeros(self.starts[-1], dtype=bool)
        found[self.starts[:-1][self.words > 0]] = True
        return found

    @cached_property
    def truth(self) -> Whole:
        """The labels of the words of all rows."""
        return flat(self.labels).astype(np.int64)

    @cached_property
    def read(self) -> NDArray[np.bool_]:
        """Which words of all rows the model says something of."""
        rows = zip(self.words.tolist(), self.said, strict=True)
        return flat(_objects([np.arange(words) < len(said) for words, said in rows])).astype(bool)

    @cached_property
    def decided(self) -> Whole:
        """The likeliest tag of each word of all rows, -1 where the model says nothing: no tag, and no entity."""
        found = np.full(len(self.truth), -1, dtype=np.int64)
        found[self.read] = np.concatenate([[], *(row.argmax(axis=1) for row in self.said)])
        return found

    @cached_property
    def sure(self) -> NDArray[np.float64]:
        """The probability of each word's likeliest tag, of all rows; 0.0 where the model says nothing."""
        found = np.zeros(len(self.truth))
        found[self.read] = np.concatenate([[], *(row.max(axis=1) for row in self.said)])
        return found

    @cached_property
    def spans(self) -> tuple[Whole, Whole]:
        """The true and the found entities, as `Scheme.entities` gives them, by places among the words of all rows."""
        return self.scheme.entities(self.truth, self.first), self.scheme.entities(self.decided, self.first)

    @cached_property
    def strict_spans(self) -> tuple[Whole, Whole]:
        """The same by the strict reading."""
        scheme, first = self.scheme, self.first
        return scheme.entities(self.truth, first, strict=True), scheme.entities(self.decided, first, strict=True)

    def row_of(self, words: Whole) -> Whole:
        """In which row each of these places among the words of all stands."""
        return np.searchsorted(self.starts, words, side="right") - 1

    def cases(self, units: Whole) -> dict[str, int]:
        """In how many groups each type occurs that does: of entities, or of plain tags."""
        if self.scheme.marks:
            kinds, rows = self.spans[0][:, 0], self.row_of(self.spans[0][:, 1])
        else:
            kinds, rows = self.truth, self.row_of(np.arange(len(self.truth)))
        pairs = np.unique(np.stack([units[rows], kinds]), axis=1)[1]
        counts = np.bincount(pairs, minlength=len(self.scheme.kinds))
        return {self.scheme.kinds[k]: int(counts[k]) for k in np.flatnonzero(counts).tolist()}

    @property
    def decisions(self) -> dict[str, Any] | None:
        """None: nothing is fitted."""
        return None

    def ruled(self, decisions: Mapping[str, Any] | None) -> Tags:
        """The same."""
        return self

    def given(self, row: int) -> list[str | None]:
        """The tag of each word of a row, None where the model did not read so far."""
        part = self.decided[self.starts[row] : self.starts[row + 1]].tolist()
        return [self.names[tag] if tag >= 0 else None for tag in part]

    @cached_property
    def entities(self) -> list[list[dict[str, Any]]]:
        """The entities found in each row: `type`, `start` and `end`, the word after the last, `score`, the mean
        probability of their tags; of texts `start_char` and `end_char` too."""
        found: list[list[dict[str, Any]]] = [[] for _ in self.ids]
        spans = self.spans[1]
        for row, (kind, begin, end) in zip(self.row_of(spans[:, 1]).tolist(), spans.tolist(), strict=True):
            start, stop = begin - int(self.starts[row]), end - int(self.starts[row])
            told = {"type": self.scheme.kinds[kind], "start": start, "end": stop}
            if self.places is not None and len(self.places[row]):
                told |= {"start_char": int(self.places[row][start, 0]), "end_char": int(self.places[row][stop - 1, 1])}
            found[row].append({**told, "score": float(self.sure[begin:end].mean())})
        return found

    def cells(self) -> dict[str, Any]:
        """The tag of each word and the entities; of plain tags how likely each is; of texts where each word stands."""
        places = {} if self.places is None else {"words": [row.tolist() for row in self.places]}
        told = {"tags": [self.given(row) for row in range(len(self.ids))]}
        if self.scheme.marks:
            return {**told, "entities": self.entities, **places}
        return {**told, "scores": [row.tolist() for row in ragged(self.sure, self.words)], **places}

    def summary(self) -> dict[str, Any]:
        """How many entities of each type were found, or words given each tag."""
        found = self.spans[1][:, 0] if self.scheme.marks else self.decided[self.read]
        counts = np.bincount(found, minlength=len(self.scheme.kinds))
        return dict(zip(self.scheme.kinds, counts.tolist(), strict=True))

    def arrow(self) -> pa.Table:
        """id, label (a list; null where unknown), probabilities (all of a row in one list); names in the metadata."""
        names = [*self.names, None]
        labels = pa.array([[names[tag] for tag in row.tolist()] for row in self.labels], pa.list_(pa.string()))
        said = pa.array([row.ravel() for row in self.said], pa.list_(pa.float32()))
        table = pa.table({"id": pa.array(self.ids, pa.string()), "label": labels, "probabilities": said})
        return table.replace_schema_metadata({"tags": json.dumps(self.names)})

    @staticmethod
    def of(table: pa.Table, names: list[str]) -> Tags:
        """What `arrow` wrote."""
        number = {name: i for i, name in enumerate(names)}
        labels = [np.array([number.get(tag, -1) for tag in row], dtype=np.int64) for row in table["label"].to_pylist()]
        column = table["probabilities"].combine_chunks()
        counts = np.asarray(column.value_lengths()) // len(names)
        said = ragged(np.asarray(column.flatten()).reshape(-1, len(names)), counts)
        return Tags(table["id"].to_pylist(), _objects(labels), said, names)


def _objects(rows: Sequence[NDArray[Any]]) -> PerRow:
    found = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        found[i] = row
    return found
