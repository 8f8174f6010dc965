"""The contract of a task, and Encoded: rows as flat arrays of tokens, no padding yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from finetooth.backbones import Backbone
from finetooth.metrics import Metric
from finetooth.seeds import Keys, row_keys
from finetooth.table import Table


@dataclass(frozen=True)
class Encoded:
    """Row i has the tokens from offsets[i] to offsets[i + 1]; targets are class numbers, -1 where unknown.

    `whole` is the number of tokens of each row before it was cut at the limit.
    """

    ids: Sequence[str]
    tokens: NDArray[np.int32]
    offsets: NDArray[np.int64]
    targets: NDArray[np.int64]
    whole: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Encoded:
        """Some of the rows, in this order."""
        return Encoded(
            ids=[self.ids[row] for row in rows],
            tokens=np.concatenate([self.tokens[self.offsets[row] : self.offsets[row + 1]] for row in rows]),
            offsets=np.concatenate([[0], np.cumsum(self.lengths[rows])]),
            targets=self.targets[rows],
            whole=self.whole[rows],
        )

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per row."""
        return np.diff(self.offsets)

    @cached_property
    def keys(self) -> Keys:
        """The key of each row's randomness."""
        return row_keys(self.ids)


def tokenized(
    texts: Sequence[str], tokenizer: Any, max_length: int, *, ids: Sequence[str], targets: NDArray[np.int64]
) -> Encoded:
    """Each text with the tokenizer's special tokens, cut at `max_length` tokens."""
    # verbose=False: the tokenizer would warn of long rows that are cut in the next line anyway. What else it would list
    # for each row takes as long as the tokens do.
    how = {"verbose": False, "return_attention_mask": False, "return_token_type_ids": False}
    tokens: list[list[int]] = tokenizer(list(texts), **how)["input_ids"] if texts else []
    lengths = [len(t) for t in tokens]
    long = [i for i, length in enumerate(lengths) if length > max_length]
    if long:
        shortened = tokenizer([texts[i] for i in long], truncation=True, max_length=max_length, **how)["input_ids"]
        for i, cut in zip(long, shortened, strict=True):
            tokens[i] = cut
    return Encoded(
        ids=list(ids),
        tokens=np.array([t for row in tokens for t in row], dtype=np.int32),
        offsets=np.cumsum([0, *(len(t) for t in tokens)], dtype=np.int64),
        targets=targets,
        whole=np.array(lengths, dtype=np.int64),
    )


class Task(Protocol):
    """Stateless. `names` are the label names in the order of the class numbers."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The metrics that are reported for this task."""

    def names(self, table: Table) -> list[str]:
        """The label names of the table. Raises DataError when the task cannot be learnt from these labels."""

    def load(
        self, model: str, names: list[str], *, seed: int, dropout: float | None = None, scratch: bool = False
    ) -> Backbone:
        """The pre-trained model, with a new head; from `scratch` the same network, all of it new."""

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """These rows as tokens."""

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """Some rows as the network's keyword arguments, padded to the longest of them, and their targets."""

    def logits(self, net: Callable[..., Any], inputs: Mapping[str, Tensor]) -> Tensor:
        """What the network says, (rows, classes)."""

    def probabilities(self, logits: Tensor) -> Tensor:
        """(rows, classes), in fp32."""


def padded(encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and attention mask, each (rows, longest of them)."""
    lengths = encoded.lengths[rows]
    mask = np.arange(lengths.max())[None, :] < lengths[:, None]
    ids = np.full(mask.shape, pad, dtype=np.int64)
    ids[mask] = np.concatenate([encoded.tokens[encoded.offsets[r] : encoded.offsets[r + 1]] for r in rows])
    return ids, cast("NDArray[np.int64]", mask.astype(np.int64))
