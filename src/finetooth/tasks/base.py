"""The contract of a task, and Encoded: rows as flat arrays of tokens or as pixels, no padding yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Unpack

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


@dataclass(frozen=True)
class Encoded:
    """Row i has the tokens from offsets[i] to offsets[i + 1]; targets are what the task makes of its label.

    `whole` is the number of tokens of each row before it was cut at the limit; `types` say of each token in which
    of two texts it stands, where the network wants to know. Where single tokens are learnt, `marks` say which. Images
    have `pixels` and no tokens: their lengths, the same for each, only measure out the work.
    """

    ids: Sequence[str]
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    targets: NDArray[Any]
    whole: NDArray[np.int64]
    types: NDArray[np.int8] | None = None
    marks: NDArray[np.bool_] | None = None
    pixels: Pixels | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Encoded:
        """Some of the rows, in this order."""
        parts = [slice(self.offsets[row], self.offsets[row + 1]) for row in rows]
        return Encoded(
            ids=[self.ids[row] for row in rows],
            tokens=np.concatenate([self.tokens[part] for part in parts]),
            offsets=np.concatenate([[0], np.cumsum(self.lengths[rows])]),
            targets=self.targets[rows],
            whole=self.whole[rows],
            types=None if self.types is None else np.concatenate([self.types[part] for part in parts]),
            marks=None if self.marks is None else np.concatenate([self.marks[part] for part in parts]),
            pixels=None if self.pixels is None else self.pixels.take(rows),
        )

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per row."""
        return np.diff(self.offsets)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Targets per row: its marked tokens, or one."""
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
) -> Encoded:
    """Each row's text, or its two, with the tokenizer's special tokens; the longer is cut first, to `max_length`."""
    # What a tokenizer would list besides takes as long as the tokens do; of one text there is nothing else to know.
    kept: dict[str, Any] = {"return_attention_mask": False}
    if inputs and len(inputs[0]) == 1:
        kept["return_token_type_ids"] = False

    def asked(rows: Sequence[Sequence[str]], **how: Any) -> Any:
        return tokenizer(*map(list, zip(*rows, strict=True)), **kept, **how)

    # verbose=False: the tokenizer would warn of long rows that are cut in the next line anyway.
    found = asked(inputs, verbose=False) if inputs else {"input_ids": []}
    tokens, types = found["input_ids"], found.get("token_type_ids")
    lengths = [len(row) for row in tokens]
    long = [i for i, length in enumerate(lengths) if length > max_length]
    if long:
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
    )


class Task(Protocol):
    """Stateless. `names` are what the network has an output for each: of classes the label names, in their order."""

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

        A row has `encoded.counts` targets, one after the other. READS among the arguments is not the network's: it
        tells `logits` at which tokens to read.
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


def padded(encoded: Encoded, rows: NDArray[np.int64], pad: int) -> dict[str, Tensor]:
    """input_ids, attention_mask and, where there are any, token_type_ids and marks; each (rows, longest of them)."""
    lengths = encoded.lengths[rows]
    mask = np.arange(lengths.max())[None, :] < lengths[:, None]

    def spread(flat: NDArray[Any], empty: int) -> Tensor:
        found = np.full(mask.shape, empty, dtype=np.int64)
        found[mask] = np.concatenate([flat[encoded.offsets[r] : encoded.offsets[r + 1]] for r in rows])
        return torch.from_numpy(found)

    inputs = {"input_ids": spread(encoded.tokens, pad), "attention_mask": torch.from_numpy(mask.astype(np.int64))}
    if encoded.types is not None:
        inputs["token_type_ids"] = spread(encoded.types, 0)
    if encoded.marks is not None:
        inputs["marks"] = spread(encoded.marks, 0)
    return inputs
