"""The contract of a task, and Encoded: rows as flat arrays of tokens or as pixels, no padding yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any, Literal, Protocol, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth.backbones import Backbone, How
from finetooth.metrics import Metric
from finetooth.pixels import Pixels
from finetooth.seeds import Keys, row_keys
from finetooth.table import Answers, Kind, Table

READS = "reads"  # (rows, tokens), true where what the network says of a token is asked for
OWNERS = "owners"  # (sequences,), to which of the rows each belongs, where rows are read in windows

# How a row of more than `max_length` tokens is read. Sun et al. 2019 (How to Fine-Tune BERT for Text Classification?),
# section 5.3.1: of 510 tokens the first 128 and the last 382 did best; here each part has the same share of any number.
Long = Literal["cut", "head_tail", "windows"]
HEAD = 0.25
OVERLAP = 0.25  # of a window, at least, that the next one has too: what stands at an edge is seen whole in one of them
MOST_WINDOWS = 16  # of a row: all of them go through the network at once


@dataclass(frozen=True)
class Ragged:
    """Numbers of which row i has those from offsets[i] to offsets[i + 1]."""

    flat: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @staticmethod
    def of(rows: Sequence[Sequence[int]]) -> Ragged:
        """These numbers, row by row."""
        flat = np.array([number for row in rows for number in row], dtype=np.int32)
        return Ragged(flat, np.cumsum([0, *map(len, rows)], dtype=np.int64))

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many each row has."""
        return np.diff(self.offsets)

    def take(self, rows: NDArray[np.int64]) -> Ragged:
        """Some of the rows, in this order."""
        offsets = np.concatenate([[0], np.cumsum(self.counts[rows])])
        return Ragged(np.concatenate([self.flat[:0], *(self.row(row) for row in rows)]), offsets)

    def row(self, i: int) -> NDArray[np.int32]:
        """Those of row i."""
        return self.flat[self.offsets[i] : self.offsets[i + 1]]


@dataclass(frozen=True)
class Encoded:
    """Row i has the tokens from offsets[i] to offsets[i + 1]; targets are what the task makes of its label.

    `whole` is the number of tokens of each row before it was cut at the limit; `types` say of each token in which
    of two texts it stands, where the network wants to know. Where single tokens are learnt, `marks` say which; where
    tokens are to be written that the network does not read, `writes` are these. Where rows are read in `windows`, these
    are how many of its tokens are in each; so where a row has two answers, of which `types` say which tokens they are.
    Images have `pixels` and no tokens: their lengths, the same for each, only measure out the work.
    """

    ids: Sequence[str]
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    targets: NDArray[Any]
    whole: NDArray[np.int64]
    types: NDArray[np.int8] | None = None
    marks: NDArray[np.bool_] | None = None
    writes: Ragged | None = None
    windows: Ragged | None = None
    pixels: Pixels | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Encoded:
        """Some of the rows, in this order."""
        parts = [slice(self.offsets[row], self.offsets[row + 1]) for row in rows]
        return Encoded(
            ids=[self.ids[row] for row in rows],
            tokens=np.concatenate([self.tokens[part] for part in parts]),
            offsets=np.concatenate([[0], np.cumsum(np.diff(self.offsets)[rows])]),
            targets=self.targets[rows],
            whole=self.whole[rows],
            types=None if self.types is None else np.concatenate([self.types[part] for part in parts]),
            marks=None if self.marks is None else np.concatenate([self.marks[part] for part in parts]),
            writes=None if self.writes is None else self.writes.take(rows),
            windows=None if self.windows is None else self.windows.take(rows),
            pixels=None if self.pixels is None else self.pixels.take(rows),
        )

    def sequences(self, rows: NDArray[np.int64]) -> list[slice]:
        """Where the tokens stand that the network reads as one: of each of these rows all, or those of each window."""
        if self.windows is None:
            return [slice(self.offsets[row], self.offsets[row + 1]) for row in rows]
        edges = [self.offsets[row] + np.cumsum([0, *self.windows.row(row)]) for row in rows]
        return [slice(start, end) for each in edges for start, end in pairwise(each.tolist())]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per row, those that are to be written among them: what it takes to compute."""
        read = np.diff(self.offsets)
        if self.windows is not None:  # padded to the longest of them
            longest = np.array([self.windows.row(row).max() for row in range(len(self))], dtype=np.int64)
            return longest * self.windows.counts
        return read if self.writes is None else read + self.writes.counts

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Targets per row: its marked tokens or those to be written, or one."""
        if self.writes is not None:
            return self.writes.counts
        if self.marks is None:
            return np.ones(len(self), dtype=np.int64)
        return np.diff(np.concatenate([[0], np.cumsum(self.marks)])[self.offsets])

    @cached_property
    def keys(self) -> Keys:
        """The key of each row's randomness."""
        return row_keys(self.ids)


def tokenized(
    inputs: Sequence[Sequence[str]],
    tokenizer: Any,
    max_length: int,
    *,
    ids: Sequence[str],
    targets: NDArray[Any],
    how: Long = "cut",
) -> Encoded:
    """Each row's text, or its two, with the tokenizer's special tokens; the longer is cut first, to `max_length`.

    `how` says what else is read of a text that is too long; for rows of one text.
    """
    # What a tokenizer would list besides takes as long as the tokens do; of one text there is nothing else to know.
    kept: dict[str, Any] = {"return_attention_mask": False}
    if inputs and len(inputs[0]) == 1:
        kept["return_token_type_ids"] = False

    def asked(rows: Sequence[Sequence[str]], **further: Any) -> Any:
        return tokenizer(*map(list, zip(*rows, strict=True)), **kept, **further)

    # verbose=False: the tokenizer would warn of long rows that are cut in the next line anyway.
    found = asked(inputs, verbose=False) if inputs else {"input_ids": []}
    tokens, types = found["input_ids"], found.get("token_type_ids")
    lengths = [len(row) for row in tokens]
    long = [i for i, length in enumerate(lengths) if length > max_length]
    windows = None
    if how != "cut":
        read = [pieces(row, max_length, edges(tokenizer), how) for row in tokens]
        tokens = [[token for piece in row for token in piece] for row in read]
        windows = Ragged.of([[*map(len, row)] for row in read]) if how == "windows" and long else None
    elif long:
        shortened = asked([inputs[i] for i in long], truncation=True, max_length=max_length)
        for place, i in enumerate(long):
            tokens[i] = shortened["input_ids"][place]
            if types is not None:
                types[i] = shortened["token_type_ids"][place]
    flat = None if types is None else np.array([t for row in types for t in row], dtype=np.int8)
    return Encoded(
        ids=list(ids),
        tokens=np.array([t for row in tokens for t in row], dtype=np.int32),
        offsets=np.cumsum([0, *(len(row) for row in tokens)], dtype=np.int64),
        targets=targets,
        whole=np.array(lengths, dtype=np.int64),
        types=flat if flat is not None and flat.any() else None,
        windows=windows,
    )


def edges(tokenizer: Any) -> tuple[int, int]:
    """How many special tokens a tokenizer puts before a text, and how many behind it."""
    special = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
    inside = [place for place, each in enumerate(special) if not each]
    return inside[0], len(special) - 1 - inside[-1]


def pieces(row: list[int], max_length: int, edges: tuple[int, int], how: Long) -> list[list[int]]:
    """A row of at most `max_length` tokens as it is, else its head and tail, or its windows, between special tokens.

    Windows are of one length and lie evenly: the first begins with the row, the last ends with it.
    """
    if len(row) <= max_length:
        return [row]
    first, last = row[: edges[0]], row[len(row) - edges[1] :]
    body, room = row[edges[0] : len(row) - edges[1]], max_length - sum(edges)
    if how == "head_tail":
        head = int(room * HEAD)
        return [[*first, *body[:head], *body[len(body) - (room - head) :], *last]]
    starts = np.linspace(0, len(body) - room, min(windows_of(len(body), room), MOST_WINDOWS)).round().astype(int)
    return [[*first, *body[start : start + room], *last] for start in starts.tolist()]


def windows_of(tokens: int, room: int) -> int:
    """How many windows of `room` tokens it takes to read so many, so that they overlap enough."""
    return 1 + ceil(max(tokens - room, 0) / max(int(room * (1 - OVERLAP)), 1))


def reach(max_length: int, how: Long) -> int:
    """The tokens of a row that are read, at most."""
    return max_length if how != "windows" else max_length * MOST_WINDOWS


def averaged(values: Tensor, owners: Tensor | None) -> Tensor:
    """The mean over the sequences of each row, (rows, ...), in fp32; without owners each sequence is a row."""
    if owners is None:
        return values
    return summed(values, owners) / summed(torch.ones_like(values[:, :1]), owners)


def summed(values: Tensor, owners: Tensor) -> Tensor:
    """The sum over the sequences of each row, (rows, ...), in fp32."""
    rows = torch.zeros((int(owners[-1]) + 1, *values.shape[1:]), dtype=torch.float32, device=values.device)
    return rows.index_add(0, owners, values.float())


class Task(Protocol):
    """Stateless, but for what it reads of a text that is too long.

    `names` are what the network has an output for each: of classes the label names, in their order.
    """

    @property
    def kind(self) -> Kind:
        """Which kind of answers it gives."""

    @property
    def pipeline(self) -> tuple[str, str]:
        """The name of transformers' pipeline for what is saved, and what one asks it, in Python."""

    @property
    def loss(self) -> tuple[str, str]:
        """The loss that `auto` stands for, and the reason in words."""

    @property
    def losses(self) -> Sequence[str]:
        """The losses of `LOSSES` that fit these answers."""

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """The metrics that are reported of this task's kind of answers, where these are the names."""

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """The metric that chooses the best epoch under `auto`, for these training rows and this loss, and why."""

    def names(self, table: Table) -> list[str]:
        """The label names of the table. Raises DataError when the task cannot be learnt from these labels."""

    def refuse_strange(self, table: Table, names: list[str]) -> None:
        """Raise DataError, naming the row, for a label that a model of these `names` cannot be scored by."""

    def targets(self, table: Table, ids: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """The labels of these rows as the loss takes them, (rows, ...)."""

    def load(self, model: str, names: list[str], **how: Unpack[How]) -> Backbone:
        """The pre-trained model, with a new head."""

    def tuned(self, folder: Path) -> tuple[Any, Any]:
        """The network and tokenizer of a tuned model's directory."""

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """These rows as tokens, or as pixels."""

    def read(
        self,
        inputs: Sequence[Sequence[str]],
        tokenizer: Any,
        max_length: int,
        *,
        ids: Sequence[str],
        targets: NDArray[np.int64],
    ) -> Encoded:
        """The same of inputs that stand in no table: texts, or paths of images."""

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """Some rows as the network's keyword arguments, padded to the longest of them, and their targets.

        A row has `encoded.counts` targets, one after the other. READS and OWNERS among the arguments tell `logits` at
        which tokens to read, and which sequences are of one row.
        """

    def logits(self, net: Callable[..., Any], inputs: Mapping[str, Tensor]) -> Tensor:
        """What the network says, (targets, outputs)."""

    def said(self, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """What the logits say of each row, (rows, outputs), in fp32; a row has so many of the targets.

        Probabilities, of numbers the values themselves, of answers in words how likely the right ones were. Of tags of
        words it is what they say of each target, (targets, outputs).
        """

    def answers(
        self, ids: Sequence[str], targets: NDArray[Any], said: NDArray[np.float64], names: list[str]
    ) -> Answers:
        """What is said of these rows, (rows, outputs), as answers; of words an array for each row, (words, outputs)."""


def for_network(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of the arguments that `collate` gives which the network takes."""
    return {name: each for name, each in inputs.items() if name not in (READS, OWNERS)}


def padded(encoded: Encoded, rows: NDArray[np.int64], pad: int) -> dict[str, Tensor]:
    """input_ids, attention_mask and, where there are any, token_type_ids and marks; each (sequences, longest of them).

    A sequence is a row, or where rows are read in windows one of these; then OWNERS stands beside.
    """
    parts = encoded.sequences(rows)
    lengths = np.array([part.stop - part.start for part in parts])
    mask = np.arange(lengths.max())[None, :] < lengths[:, None]
    inputs = {
        "input_ids": spread([encoded.tokens[part] for part in parts], pad),
        "attention_mask": torch.from_numpy(mask.astype(np.int64)),
    }
    if encoded.windows is not None:
        inputs[OWNERS] = torch.from_numpy(np.repeat(np.arange(len(rows)), encoded.windows.counts[rows]))
    if encoded.types is not None:
        inputs["token_type_ids"] = spread([encoded.types[part] for part in parts], 0)
    if encoded.marks is not None:
        inputs["marks"] = spread([encoded.marks[part] for part in parts], 0)
    return inputs


def spread(rows: Sequence[NDArray[Any]], empty: int) -> Tensor:
    """Rows of different lengths as one matrix, (rows, longest of them), with `empty` behind their ends."""
    lengths = np.array([*map(len, rows)])
    found = np.full((len(rows), lengths.max()), empty, dtype=np.int64)
    found[np.arange(lengths.max())[None, :] < lengths[:, None]] = np.concatenate(rows)
    return torch.from_numpy(found)
