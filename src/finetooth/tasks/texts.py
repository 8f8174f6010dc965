"""Texts under an encoder: what the tasks have in common that read a row as one sequence of tokens and answer once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth.backbones import Backbone, How, first_alone, load_classifier, load_tuned
from finetooth.errors import DataError
from finetooth.table import Table
from finetooth.tasks.base import OWNERS, Encoded, Long, averaged, for_network, padded, tokenized


class Texts(ABC):
    """One text in a row, or two that are read as one with a separator between them."""

    problem: str  # what transformers calls the kind of answers
    long: Long = "cut"

    @abstractmethod
    def targets(self, table: Table, ids: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """The labels as the loss takes them: what stands in `Task`."""

    def load(self, model: str, names: list[str], **how: Unpack[How]) -> Backbone:
        """An encoder with a new head."""
        return load_classifier(model, names, problem=self.problem, **how)

    def tuned(self, folder: Path) -> tuple[Any, Any]:
        """The network and tokenizer of a tuned model's directory."""
        return load_tuned(folder)

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """Each text with the tokenizer's special tokens, cut at `max_length` tokens."""
        self.refuse_kind(table)
        inputs = table.sources([table.position[i] for i in ids])
        return self.read(inputs, tokenizer, max_length, ids=ids, targets=self.targets(table, ids, names))

    def refuse_kind(self, table: Table) -> None:
        """Raise DataError where the rows are images."""
        if table.folder is not None:
            raise DataError(
                f"{table.source}: found a folder of images, expected texts; the task for images is "
                f"image-classification, which task: auto takes by itself, with a model that sees."
            )

    def refuse_many(self, table: Table) -> None:
        """Raise DataError where a row has more than two texts."""
        if len(table.columns.input) > 2:
            raise DataError(
                f"{table.source}: found {len(table.columns.input)} input columns ({', '.join(table.columns.input)}), "
                f"expected one or two columns of texts; name them with --input."
            )

    def read(
        self,
        inputs: Sequence[Sequence[str]],
        tokenizer: Any,
        max_length: int,
        *,
        ids: Sequence[str],
        targets: NDArray[Any],
    ) -> Encoded:
        """What `tokenized` gives."""
        return tokenized(inputs, tokenizer, max_length, ids=ids, targets=targets, how=self.long)

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """What `padded` gives; targets (rows, ...)."""
        return padded(encoded, rows, pad), torch.from_numpy(encoded.targets[rows])

    def logits(self, net: Callable[..., Any], inputs: Mapping[str, Tensor]) -> Tensor:
        """(rows, outputs); of a row that is read in windows the mean of theirs."""
        with first_alone():
            logits: Tensor = net(**for_network(inputs)).logits
        return averaged(logits, inputs.get(OWNERS))


def refuse_missing(table: Table) -> None:
    """Raise DataError, naming the first rows, where some have no label."""
    missing = [i for i, label in enumerate(table.labels) if label is None]
    if missing:
        where = "; ".join(table.place(i) for i in missing[:3]) + ("; ..." if len(missing) > 3 else "")
        raise DataError(
            f"{table.source}: {len(missing):,} of {len(table):,} rows have no label in the column "
            f"'{table.columns.label}' ({where}). Label them or take them out of the file."
        )
