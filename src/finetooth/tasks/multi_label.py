"""Multi-label: one text per row, or two, and any of several labels, or none, that are true of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth import labels
from finetooth.errors import DataError
from finetooth.metrics import MULTI_LABEL, Metric
from finetooth.table import AnyOf, Kind, Table
from finetooth.tasks.texts import Texts

MOST_LABELS = 1000  # more, one for every few rows, are no labels


class MultiLabel(Texts):
    """Texts in one column or two, labels in another or in a column each. Targets are 1.0 where a label is true, 0.0
    where not, (rows, labels); -1.0 where that is not known."""

    kind: Kind = "any-of"
    problem = "multi_label_classification"
    pipeline = ("text-classification", '"a text like those of the data set", top_k=None')
    loss = ("binary-cross-entropy", "any of several labels")
    losses: Sequence[str] = ("binary-cross-entropy",)

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """Those of `MULTI_LABEL`."""
        return MULTI_LABEL

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """A metric of the probabilities: at one threshold for all, F1 would choose epochs by how sure they are."""
        return "mean_average_precision", "each label counts alike, and no threshold has to be chosen before it"

    def names(self, table: Table) -> list[str]:
        """The labels in the order of the alphabet; refused: none at all, too many, those of test rows alone."""
        self.refuse_kind(table)
        self.refuse_many(table)
        sets = labels.sets(table)
        # The source's own test part has no say in what is learnt.
        counts = Counter(name for own, part in zip(sets, table.parts, strict=True) if part != "test" for name in own)
        names = sorted(counts)
        self.refuse_strange(table, names)
        if not names or len(names) > max(MOST_LABELS, len(table) / 2):
            raise DataError(
                f"{table.source}: found {len(names):,} labels in the column '{table.columns.label}' of {len(table):,} "
                f"rows, expected one or more, and many rows to each. Say which columns are the labels with --label."
            )
        return names

    def refuse_strange(self, table: Table, names: list[str]) -> None:
        """Raise DataError for a label that is not one of the names."""
        known = set(names)
        strange = [(i, own - known) for i, own in enumerate(labels.sets(table)) if own - known]
        if strange:
            raise DataError(
                f"{table.place(strange[0][0])}: the label '{min(strange[0][1])}' is in no row that trains "
                f"({', '.join(names[:8])} are); {len(strange):,} rows are like it."
            )

    def targets(self, table: Table, ids: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """(rows, labels)."""
        found = np.full((len(ids), len(names)), -1.0, dtype=np.float32)
        if table.columns.label is not None:
            sets = labels.sets(table)
            for row, row_id in enumerate(ids):
                own = sets[table.position[row_id]]
                found[row] = [name in own for name in names]
        return found

    def said(self, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """Each label's own, by the sigmoid, in fp32."""
        return torch.sigmoid(logits.float())

    def answers(self, ids: Sequence[str], targets: NDArray[Any], said: NDArray[np.float64], names: list[str]) -> AnyOf:
        """Any of the labels for each row."""
        return AnyOf(list(ids), targets.astype(np.int64), said.reshape(len(ids), len(names)), names)
