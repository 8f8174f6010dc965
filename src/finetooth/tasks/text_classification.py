"""Text classification: one text per row, one of several classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth.backbones import Backbone, first_alone, load_classifier
from finetooth.errors import DataError
from finetooth.metrics import CLASSIFICATION, Metric
from finetooth.table import Table
from finetooth.tasks.base import Encoded, padded, tokenized

MOST_CLASSES = 1000  # more different labels than this, one for every few rows, are numbers or ids, not classes


class TextClassification:
    """Texts in one column, a class name in another."""

    metrics: Mapping[str, Metric] = CLASSIFICATION
    columns = 1  # of texts

    def names(self, table: Table) -> list[str]:
        """The class names, numbers in numeric order; refused: missing labels, a single class, as many as rows."""
        self.refuse_kind(table)
        if len(table.columns.input) != self.columns:
            one, two = "one column of texts, as text-classification has", "two columns of texts, as text-pair has"
            raise DataError(
                f"{table.source}: found {len(table.columns.input)} input columns ({', '.join(table.columns.input)}), "
                f"expected {one if self.columns == 1 else two}; name them with --input, or leave task at auto."
            )
        missing = [i for i, label in enumerate(table.labels) if label is None]
        if missing:
            where = "; ".join(table.place(i) for i in missing[:3]) + ("; ..." if len(missing) > 3 else "")
            raise DataError(
                f"{table.source}: {len(missing):,} of {len(table):,} rows have no label in the column "
                f"'{table.columns.label}' ({where}). Label them or take them out of the file."
            )
        # The source's own test part has no say in what is learnt.
        own = zip(table.labels, table.parts, strict=True)
        names = sorted({label for label, part in own if label is not None and part != "test"}, key=_natural)
        strange = sorted({label for label in table.labels if label is not None} - set(names))
        if strange:
            where = next(table.place(i) for i, label in enumerate(table.labels) if label == strange[0])
            raise DataError(f"{where}: the label '{strange[0]}' occurs in the test part only, so it cannot be learnt.")
        if len(names) < 2:
            raise DataError(
                f"{table.source}: every row has the label '{names[0]}' in the column '{table.columns.label}'; there is "
                f"nothing to learn from one class. Was another column meant? Say so with --label."
            )
        if len(names) > max(MOST_CLASSES, 2) or len(names) > len(table) / 2 > 10:
            raise DataError(
                f"{table.source}: the column '{table.columns.label}' has {len(names):,} different values in "
                f"{len(table):,} rows, too many to be classes. Say which column is the label with --label; predicting "
                f"numbers (regression) is not in this version."
            )
        return names

    def refuse_kind(self, table: Table) -> None:
        """Raise DataError where the rows are images."""
        if table.folder is not None:
            raise DataError(
                f"{table.source}: found a folder of images, expected texts; the task for images is "
                f"image-classification, which task: auto takes by itself, with a model that sees."
            )

    def load(
        self, model: str, names: list[str], *, seed: int, dropout: float | None = None, scratch: bool = False
    ) -> Backbone:
        """An encoder with a new classification head."""
        return load_classifier(model, names, seed=seed, dropout=dropout, scratch=scratch)

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """Each text with the tokenizer's special tokens, cut at `max_length` tokens."""
        self.refuse_kind(table)
        number = {name: i for i, name in enumerate(names)}
        rows = [table.position[i] for i in ids]
        targets = np.array([number.get(table.labels[r] or "", -1) for r in rows], dtype=np.int64)
        return self.read(table.sources(rows), tokenizer, max_length, ids=ids, targets=targets)

    def read(
        self,
        inputs: Sequence[Sequence[str]],
        tokenizer: Any,
        max_length: int,
        *,
        ids: Sequence[str],
        targets: NDArray[np.int64],
    ) -> Encoded:
        """What `tokenized` gives."""
        return tokenized(inputs, tokenizer, max_length, ids=ids, targets=targets)

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """What `padded` gives; targets (rows,)."""
        return padded(encoded, rows, pad), torch.from_numpy(encoded.targets[rows])

    def logits(self, net: Callable[..., Any], inputs: Mapping[str, Tensor]) -> Tensor:
        """(rows, classes)."""
        with first_alone():
            logits: Tensor = net(**inputs).logits
        return logits

    def probabilities(self, logits: Tensor) -> Tensor:
        """Softmax, in fp32."""
        return torch.softmax(logits.float(), dim=-1)


def _natural(name: str) -> tuple[int, float, str]:
    try:
        return 0, float(name), name
    except ValueError:
        return 1, 0.0, name
