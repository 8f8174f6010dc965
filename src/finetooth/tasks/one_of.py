"""One of several classes: what the tasks have in common whose rows each have one, whatever a row is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth.errors import DataError
from finetooth.metrics import CLASSIFICATION, Metric
from finetooth.table import Kind, Predictions, Table

UNEVEN = 3  # times the smallest class's rows that make the largest too large for accuracy to be a fair goal


class OneOf:
    """Targets are class numbers, -1 where the label is not known."""

    kind: Kind = "one-of"
    loss = ("cross-entropy", "one of several classes")
    losses: Sequence[str] = ("cross-entropy", "focal")

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """Those of `CLASSIFICATION`."""
        return CLASSIFICATION

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """Accuracy, where the classes are not too uneven for it."""
        counts = np.unique(targets, return_counts=True)[1]
        largest, smallest = int(counts.max()), int(counts.min())
        reason = f"the largest class has {largest:,} rows, the smallest {smallest:,}"
        return "macro_f1" if largest >= UNEVEN * smallest else "accuracy", reason

    def refuse_strange(self, table: Table, names: list[str]) -> None:
        """Raise DataError for a label that is not one of the names."""
        known = set(names)
        strange = [i for i, label in enumerate(table.labels) if label not in known]
        if strange:
            raise DataError(
                f"{table.place(strange[0])}: the label {table.labels[strange[0]]!r} is not one that the model knows "
                f"({', '.join(sorted(known)[:8])}); {len(strange):,} rows are like it."
            )

    def targets(self, table: Table, ids: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """The class number of each row, (rows,)."""
        number = {name: i for i, name in enumerate(names)}
        return np.array([number.get(table.labels[table.position[i]] or "", -1) for i in ids], dtype=np.int64)

    def said(self, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """Softmax, in fp32."""
        return torch.softmax(logits.float(), dim=-1)

    def answers(
        self, ids: Sequence[str], targets: NDArray[Any], said: NDArray[np.float64], names: list[str]
    ) -> Predictions:
        """One class for each row."""
        return Predictions(list(ids), targets, said.reshape(len(ids), len(names)), names)
