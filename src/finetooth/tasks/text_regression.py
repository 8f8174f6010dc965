"""Text regression: one text per row, or two, and a number that is told by them: a rating, a price, a likeness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from finetooth import labels
from finetooth.backbones import Backbone, How, movable
from finetooth.errors import DataError, ModelError
from finetooth.metrics import REGRESSION, Metric
from finetooth.table import Kind, Numbers, Table
from finetooth.tasks.texts import Texts, refuse_missing


class TextRegression(Texts):
    """Texts in one column or two, a number in another. Targets are these numbers, NaN where they are not known.

    Cer et al. 2017 (SemEval-2017 Task 1, STS) is the usual task of two columns. The network learns targets that are
    standardised (`loop` and `prepare`), and speaks in their unit once it is saved.
    """

    kind: Kind = "numbers"
    problem = "regression"
    pipeline = ("text-classification", '"a text like those", function_to_apply="none"')
    loss = ("mse", "numbers")
    losses: Sequence[str] = ("mse", "huber")

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """Those of `REGRESSION`."""
        return REGRESSION

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """What the loss asks for: correlations would be blind to values that are all too high or too close together."""
        name = loss.get("name") if isinstance(loss, dict) else loss
        return ("mae", "the loss goes easy on outliers") if name == "huber" else ("rmse", "what the loss trains for")

    def names(self, table: Table) -> list[str]:
        """The label column's name alone; refused: missing labels, labels that are no numbers, one number alone."""
        self.refuse_kind(table)
        self.refuse_many(table)
        refuse_missing(table)
        labels.refuse_other(table)
        if len(set(labels.numbers(table).tolist())) == 1:
            raise DataError(
                f"{table.source}: every row has the number {table.labels[0]} in the column '{table.columns.label}'; "
                f"there is nothing to learn from one number. Was another column meant? Say so with --label."
            )
        return [str(table.columns.label)]

    def refuse_strange(self, table: Table, names: list[str]) -> None:
        """Raise DataError for a label that is missing or no number."""
        refuse_missing(table)
        labels.refuse_other(table)

    def load(self, model: str, names: list[str], **how: Unpack[How]) -> Backbone:
        """An encoder with a new head of one output. Raises ModelError where that could not be put into a unit."""
        backbone = super().load(model, names, **how)
        if not movable(backbone.net, backbone.example()):
            raise ModelError(
                f"{model}: the last layer of this network is no linear layer with a bias, expected one: it takes the "
                f"mean of the labels. Choose another model, such as minilm."
            )
        return backbone

    def targets(self, table: Table, ids: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """The number of each row, (rows,)."""
        return labels.numbers(table)[[table.position[i] for i in ids]]

    def said(self, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """The values, in fp32."""
        return logits.float()

    def answers(
        self, ids: Sequence[str], targets: NDArray[Any], said: NDArray[np.float64], names: list[str]
    ) -> Numbers:
        """A number for each row."""
        return Numbers(list(ids), targets, said.reshape(len(ids)), names[0])
