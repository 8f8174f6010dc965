"""Preference tuning: of two answers to a prompt one is preferred, and a language model comes to prefer it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import log
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from finetooth.errors import DataError, PlanError
from finetooth.losses import dpo
from finetooth.metrics import PREFERENCE, Metric
from finetooth.table import Table, Written
from finetooth.tasks.base import READS, Encoded, Ragged, padded
from finetooth.tasks.chat import Rendered, conversation, rendered, rival
from finetooth.tasks.instruction import Instruction, read_tokens


class Preference(Instruction):
    """A prompt with two answers, or two conversations that differ in the last one: `chosen` and `rejected`.

    Rafailov et al. 2023 (Direct Preference Optimization). A row is two sequences of tokens; the network says by how
    many nats it finds the last answer of the first likelier than that of the second, and the target is what the untuned
    one said of that, which is not known before it is asked (`Material.ready`).
    """

    loss = ("dpo", "of two answers one is preferred")
    losses: Sequence[str] = ("dpo",)

    def metrics(self, names: list[str]) -> Mapping[str, Metric]:
        """Those of `PREFERENCE`."""
        return PREFERENCE

    def goal(self, targets: NDArray[Any], names: list[str], loss: object) -> tuple[str, str]:
        """The loss: it asks how surely, too."""
        return "loss", "how surely the preferred answers gain on the others"

    def names(self, table: Table) -> list[str]:
        """None. Raises DataError, naming the first row, for what has no two different answers to one prompt."""
        self.refuse_kind(table)
        same = []
        for row in range(len(table)):
            chosen, rejected = conversation(table, row), rival(table, row)
            if chosen[:-1] != rejected[:-1]:
                raise DataError(
                    f"{table.place(row)}: what stands before the last answer of the preferred conversation is not what "
                    f"stands before that of the other, expected one prompt with two answers."
                )
            same += [row] if chosen[-1]["content"].strip() == rejected[-1]["content"].strip() else []
        if same:
            raise DataError(_alike(table, same, len(table), "both answers are the same", "Take these rows out."))
        return []

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """Both conversations of each row as the chat template has them, each cut at `max_length` tokens.

        `types` are 1 where a token is of the last answer. Raises PlanError where cutting leaves no two answers.
        """
        rows = [table.position[i] for i in ids]

        def last(row: int, messages: Any) -> Rendered:
            made = rendered(tokenizer, messages(table, row))
            return replace(made, answers=made.answers[-1:])  # what both have in common cancels

        read = [
            read_tokens(table, rows, [last(row, messages) for row in rows], tokenizer, max_length)
            for messages in (conversation, rival)
        ]
        pairs = list(zip(*read, strict=True))
        alike = [row for row, (a, b) in zip(rows, pairs, strict=True) if a.tokens.tolist() == b.tokens.tolist()]
        if alike:
            why = f"both answers are the same within max_length {max_length}"
            raise PlanError(_alike(table, alike, len(rows), why, "Raise max_length, or take these rows out."))
        both = [each for pair in pairs for each in pair]
        lengths = np.array([len(each.tokens) for each in both], dtype=np.int64).reshape(-1, 2)
        return Encoded(
            ids=list(ids),
            tokens=np.concatenate([each.tokens for each in both]),
            offsets=np.cumsum([0, *lengths.sum(axis=1)], dtype=np.int64),
            targets=np.full(len(ids), np.nan, dtype=np.float32),
            whole=np.array([max(each.whole for each in pair) for pair in pairs], dtype=np.int64),
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
        reads = inputs[READS]
        right = inputs["input_ids"][reads.roll(1, dims=1)]
        surprise = functional.cross_entropy(super().logits(net, inputs).float(), right, reduction="none")
        nats = torch.zeros(reads.shape, device=surprise.device).masked_scatter(reads, surprise).sum(dim=1)
        return nats[1::2, None] - nats[::2, None]

    def said(self, logits: Tensor, targets: Tensor, counts: Tensor) -> Tensor:
        """Of each row the loss, by the usual beta whatever the plan's, and whether the preferred answer has gained.

        Where neither has on the other, that is a half.
        """
        gain = logits[:, 0] - targets
        return torch.stack([dpo()(logits, targets), (gain > 0).float() + 0.5 * (gain == 0).float()], dim=1)

    def untuned(self, ids: Sequence[str]) -> Written:
        """What the model before tuning is by definition: a coin toss, since nothing has gained on anything yet."""
        return Written(list(ids), np.ones(len(ids), dtype=np.int64), np.tile([log(2), 0.5], (len(ids), 1)))


def _alike(table: Table, rows: Sequence[int], of: int, why: str, mend: str) -> str:
    where = "; ".join(table.place(row) for row in rows[:3]) + ("; ..." if len(rows) > 3 else "")
    return f"{where}: {why}, so that neither is preferred; so for {len(rows):,} of {of:,} rows. {mend}"
