"""Preference tuning: of two answers to a prompt one is preferred, and a language model comes to prefer it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from finetooth.errors import DataError
from finetooth.losses import dpo
from finetooth.metrics import PREFERENCE, Metric
from finetooth.table import CHOSEN, REJECTED, Table
from finetooth.tasks.base import OWNERS, READS, Encoded, Ragged, padded
from finetooth.tasks.chat import Message, conversation, rival
from finetooth.tasks.instruction import Instruction, read_tokens


class Preference(Instruction):
    """A prompt with two answers, or two conversations: `chosen` and `rejected`.

    Rafailov et al. 2023 (Direct Preference Optimization). A row is two sequences of tokens; the network says by how
    many nats it finds the answers of the first likelier than those of the second, and the target is what the untuned
    one said of that (`Material.ready`), which is not known before.
    """

    loss = ("dpo", "of two answers one is preferred")
    losses: Sequence[str] = ("dpo",)
    beta = 0.1  # of the loss

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """Those of `PREFERENCE`."""
        return PREFERENCE

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """The loss: it asks how surely, too."""
        return "loss", "how surely the preferred answers gain on the others"

    def names(self, table: Table) -> list[str]:
        """None. Raises DataError, naming the row, for what has no two different answers to one prompt."""
        found = super().names(table)
        for row in range(len(table)):
            self._both(table, row)
        return found

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """Both conversations of each row as the chat template has them, each cut at `max_length` tokens.

        `types` are 1 where a token is of an answer. Raises DataError where cutting leaves nothing of one.
        """
        rows = [table.position[i] for i in ids]
        pairs = zip(*(self._both(table, row) for row in rows), strict=True)
        read = [read_tokens(table, rows, conversations, tokenizer, max_length) for conversations in pairs]
        both = [each for row in zip(*read, strict=True) for each in row]
        lengths = np.array([len(each.tokens) for each in both], dtype=np.int32).reshape(-1, 2)
        return Encoded(
            ids=list(ids),
            tokens=np.concatenate([each.tokens for each in both]),
            offsets=np.concatenate([[0], np.cumsum(lengths.sum(axis=1))]),
            targets=np.full(len(ids), np.nan, dtype=np.float32),
            whole=np.array([max(each.whole for each in row) for row in zip(*read, strict=True)], dtype=np.int64),
            types=np.concatenate([each.learnt for each in both]).astype(np.int8),
            windows=Ragged.of(lengths.tolist()),
        )

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """What `padded` gives, two sequences a row, READS at the token before each of an answer; targets (rows,)."""
        inputs = padded(encoded, rows, pad)
        learnt = inputs.pop("token_type_ids").bool()
        reads = torch.zeros_like(learnt)
        reads[:, :-1] = learnt[:, 1:]
        return {**inputs, READS: reads}, torch.from_numpy(encoded.targets[rows])

    def logits(self, net: Callable[..., Any], inputs: Mapping[str, Tensor]) -> Tensor:
        """By how many nats the first of each two sequences' answers are likelier than the second's, (rows, 1)."""
        reads, sequences = inputs[READS], len(inputs[OWNERS])
        right = inputs["input_ids"][reads.roll(1, dims=1)]
        surprise = functional.cross_entropy(super().logits(net, inputs).float(), right, reduction="none")
        of = reads.nonzero()[:, 0]
        nats = torch.zeros(sequences, device=surprise.device).index_add(0, of, surprise)
        return nats[1::2, None] - nats[::2, None]

    def said(self, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """Of each row the loss, and whether the preferred answer gained on the other (of equals a half)."""
        gain = logits[:, 0] - targets
        return torch.stack([dpo(self.beta)(logits, targets), (gain > 0).float() + 0.5 * (gain == 0).float()], dim=1)

    def _both(self, table: Table, row: int) -> tuple[list[Message], list[Message]]:
        """The conversation with the preferred answer and that with the other. Raises DataError, naming the row."""
        chosen, rejected = conversation(table, row), rival(table, row)
        if chosen[:-1] != rejected[:-1]:
            raise DataError(
                f"{table.place(row)}: what stands before the last answer differs between the columns '{CHOSEN}' and "
                f"'{REJECTED}', expected one prompt with two answers to it."
            )
        if chosen == rejected:
            raise DataError(
                f"{table.place(row)}: both answers are the same, so that neither is preferred. Take this row out."
            )
        return chosen, rejected
