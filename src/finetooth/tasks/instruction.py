"""Instruction tuning: a causal language model learns to answer; of each conversation the answers alone are learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from finetooth.backbones import Backbone, How, load_causal, load_tuned_causal, read_at
from finetooth.errors import DataError
from finetooth.metrics import LANGUAGE, Metric
from finetooth.table import Kind, Table, Written
from finetooth.tasks.base import READS, Encoded, padded
from finetooth.tasks.chat import conversation, marked, rendered
from finetooth.tasks.texts import Texts


class Instruction(Texts):
    """Conversations in one column, or prompts and completions. Targets are the tokens of the answers, ends included.

    Ouyang et al. 2022 (InstructGPT), section 3.5, supervised fine-tuning. Every token of an answer counts alike.
    """

    kind: Kind = "texts"
    pipeline = ("text-generation", '[{"role": "user", "content": "a question like those"}]')
    loss = ("cross-entropy", "the next token, one of the vocabulary")
    losses: Sequence[str] = ("cross-entropy",)

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """Those of `LANGUAGE`."""
        return LANGUAGE

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """The loss: it asks for every token of the answer."""
        return "loss", "how likely the right answers are, token by token"

    def names(self, table: Table) -> list[str]:
        """None: there are no classes. Raises DataError, naming the row, for what is no conversation with an answer."""
        self.refuse_kind(table)
        for row in range(len(table)):
            conversation(table, row)
        return []

    def refuse_strange(self, table: Table, names: list[str]) -> None:
        """Raise DataError, naming the row, for what is no conversation with an answer."""
        self.names(table)

    def targets(self, table: Table, ids: Sequence[str], names: Sequence[str]) -> NDArray[Any]:
        """Nothing before there are tokens, (rows,)."""
        return np.zeros(len(ids), dtype=np.int64)

    def load(self, model: str, names: list[str], **how: Unpack[How]) -> Backbone:
        """A causal language model as it is; with an adapter, that alone learns."""
        return load_causal(model, **how)

    def tuned(self, folder: Path) -> tuple[Any, Any]:
        """The network and tokenizer of a tuned model."""
        return load_tuned_causal(folder)

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """The text that the chat template makes of each conversation, cut at `max_length` tokens.

        Raises DataError where that leaves nothing to learn of a row.
        """
        rows = [table.position[i] for i in ids]
        made = list(marked(tokenizer, [rendered(tokenizer, conversation(table, row)) for row in rows]))
        tokens = [np.array(found[:max_length], dtype=np.int32) for found, _ in made]
        marks = [mark[:max_length] for _, mark in made]
        lost = [row for row, mark in zip(rows, marks, strict=True) if not mark[1:].any()]
        if lost:
            raise DataError(
                f"{table.place(lost[0])}: of its answer nothing is left within max_length {max_length}; so for "
                f"{len(lost):,} of {len(rows):,} rows. Raise max_length, or take these rows out."
            )
        flat, learnt = np.concatenate(tokens), np.concatenate(marks)
        return Encoded(
            ids=list(ids),
            tokens=flat,
            offsets=np.cumsum([0, *map(len, tokens)], dtype=np.int64),
            targets=np.zeros(len(ids), dtype=np.int64),
            whole=np.array([len(found) for found, _ in made], dtype=np.int64),
            marks=learnt,
        )

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """What `padded` gives, READS at the token before each that is learnt; targets are these tokens."""
        inputs = padded(encoded, rows, pad)
        learnt = inputs.pop("marks").bool()
        reads = torch.zeros_like(learnt)
        reads[:, :-1] = learnt[:, 1:]
        return {**inputs, READS: reads}, inputs["input_ids"][learnt]

    def logits(self, net: Callable[..., Any], inputs: Mapping[str, Tensor]) -> Tensor:
        """(targets, vocabulary)."""
        with read_at(inputs[READS]):
            logits: Tensor = net(**{name: each for name, each in inputs.items() if name != READS}).logits
        return logits

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
