"""Answers in words: what the tasks have in common whose network writes them.

How likely the right answer is, is asked token by token, the right ones before it given (teacher forcing; Williams and
Zipser 1989, section 5); what the network writes by itself is held against it by the task's `agreements`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from finetooth.metrics import LANGUAGE, Agreement, Metric
from finetooth.table import Kind, Table, Written
from finetooth.tasks.chat import conversation
from finetooth.tasks.texts import Texts


class Writing(Texts):
    """Targets are the tokens of the right answers, their ends included; every one counts alike."""

    kind: Kind = "texts"
    loss = ("cross-entropy", "the next token, one of the vocabulary")
    losses: Sequence[str] = ("cross-entropy",)
    agreements: Sequence[Agreement]
    longest: int  # tokens of an answer where nobody says how many

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """Those of `LANGUAGE`."""
        return LANGUAGE

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """The loss: it asks for every token of the answer."""
        return "loss", "how likely the right answers are, token by token"

    def names(self, table: Table) -> list[str]:
        """None: there are no classes. Raises DataError, naming the row, for what has no answer."""
        self.refuse_kind(table)
        for row in range(len(table)):
            conversation(table, row)
        return []

    def refuse_strange(self, table: Table, names: list[str]) -> None:
        """Raise DataError, naming the row, for what has no answer."""
        self.names(table)

    def targets(self, table: Table, ids: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Nothing before there are tokens, (rows,)."""
        return np.zeros(len(ids), dtype=np.int64)

    def said(self, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """Of each row the negative log likelihood of its answer in nats, and how many tokens would have been right."""
        surprise = functional.cross_entropy(logits.float(), targets, reduction="none")
        right = (logits.argmax(dim=-1) == targets).float()
        rows = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        found = torch.zeros((len(counts), 2), device=logits.device)
        return found.index_add_(0, rows, torch.stack([surprise, right], dim=1))

    def answers(
        self, ids: Sequence[str], targets: NDArray[Any], said: NDArray[np.float64], names: list[str]
    ) -> Written:
        """How likely each answer was; `targets` are how many tokens it has."""
        return Written(list(ids), targets, said.reshape(len(ids), 2))

    @abstractmethod
    def prompts(self, table: Table, ids: Sequence[str], tokenizer: Any, max_length: int) -> list[list[int]]:
        """The tokens that the network is given of each row, to write the answer to."""
