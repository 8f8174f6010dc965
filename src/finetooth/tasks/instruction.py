"""Instruction tuning: a causal language model learns to answer; of each conversation the answers alone are learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from finetooth.backbones import Backbone, How, load_causal, load_tuned_causal, read_at
from finetooth.errors import PlanError
from finetooth.metrics import SHORT
from finetooth.table import Table
from finetooth.tasks.base import READS, Encoded, for_network, padded
from finetooth.tasks.chat import Rendered, asked, conversation, marked, question, rendered
from finetooth.tasks.writing import Writing


class Instruction(Writing):
    """Conversations in one column, or prompts and completions.

    Ouyang et al. 2022 (InstructGPT), section 3.5, supervised fine-tuning.
    """

    pipeline = ("text-generation", '[{"role": "user", "content": "a question like those"}]')
    agreements = SHORT
    longest = 128

    def load(self, model: str, names: list[str], **how: Unpack[How]) -> Backbone:
        """A causal language model as it is; with an adapter, that alone learns."""
        return load_causal(model, **how)

    def tuned(self, folder: Path) -> tuple[Any, Any]:
        """The network and tokenizer of a tuned model."""
        return load_tuned_causal(folder)

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """The text that the chat template makes of each conversation, cut at `max_length` tokens.

        Raises PlanError where that leaves nothing to learn of a row.
        """
        rows = [table.position[i] for i in ids]
        made = [rendered(tokenizer, conversation(table, row)) for row in rows]
        read = read_tokens(table, rows, made, tokenizer, max_length)
        return Encoded(
            ids=list(ids),
            tokens=np.concatenate([each.tokens for each in read]),
            offsets=np.cumsum([0, *(len(each.tokens) for each in read)], dtype=np.int64),
            targets=np.zeros(len(ids), dtype=np.int64),
            whole=np.array([each.whole for each in read], dtype=np.int64),
            marks=np.concatenate([each.learnt for each in read]),
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
        # Of rows that share a sequence transformers tells the ends only where nothing is kept for later tokens.
        how = {"use_cache": False} if "position_ids" in inputs else {}
        with read_at(inputs[READS]):
            logits: Tensor = net(**for_network(inputs), **how).logits
        return logits

    def prompts(self, table: Table, ids: Sequence[str], tokenizer: Any, max_length: int) -> list[list[int]]:
        """What the chat template makes of a question, its last `max_length` tokens."""
        texts = [question(tokenizer, asked(table, table.position[i])) for i in ids]
        return [tokenizer(text, add_special_tokens=False)["input_ids"][-max_length:] for text in texts]


@dataclass(frozen=True)
class Read:
    """The tokens of a conversation that are read, which of them are of an answer, and how many there were to read."""

    tokens: NDArray[np.int32]
    learnt: NDArray[np.bool_]
    whole: int


def read_tokens(
    table: Table, rows: Sequence[int], conversations: Sequence[Rendered], tokenizer: Any, max_length: int
) -> list[Read]:
    """The conversations of these rows, cut at `max_length` tokens.

    Raises PlanError, naming the first row, where that leaves nothing of an answer.
    """
    read = []
    for tokens, marks in marked(tokenizer, conversations):
        # Before the first token there is nothing to tell it by.
        learnt = marks[:max_length] & (np.arange(len(marks[:max_length])) > 0)
        read.append(Read(np.array(tokens[:max_length], dtype=np.int32), learnt, len(tokens)))
    lost = [row for row, each in zip(rows, read, strict=True) if not each.learnt.any()]
    if lost:
        raise PlanError(
            f"{table.place(lost[0])}: of its answer nothing is left within max_length {max_length}; so for "
            f"{len(lost):,} of {len(rows):,} rows. Raise max_length, or take these rows out."
        )
    return read
