"""What a model writes to questions, before and after it was tuned, held against the right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finetooth import forgetting, machine
from finetooth.backbones import written
from finetooth.seeds import numbers, row_keys
from finetooth.table import Table
from finetooth.tasks import Writing, asked, conversation
from finetooth.twin import Twin

MOST = 200  # rows that are answered: a token takes as long as hundreds that are only read
SHOWN = 12
ROOM = 1.5  # times the longest right answer's tokens that a model may write


@dataclass(frozen=True)
class Replies:
    """What a model wrote to each row."""

    ids: list[str]
    texts: list[str]

    def cells(self) -> dict[str, Any]:
        """The answers."""
        return {"answer": self.texts}

    def summary(self) -> dict[str, Any]:
        """How many there are, and how many of them say nothing."""
        return {"answers": len(self.texts), "empty": sum(not text for text in self.texts)}


def answered(
    task: Writing,
    net: Any,
    tokenizer: Any,
    table: Table,
    ids: Sequence[str],
    max_length: int,
    tokens: int,
    precision: str,
) -> list[str]:
    """What the model writes to each row, at most so many tokens, with matrix products in this precision."""
    writer = Twin(net, precision).net.to(machine.device())
    return written(writer, tokenizer, task.prompts(table, ids, tokenizer, max_length), tokens)


def compared(
    task: Writing,
    before: tuple[Any, Any],
    after: tuple[Any, Any],
    table: Table,
    ids: Sequence[str],
    max_length: int,
    precision: str,
) -> dict[str, Any]:
    """What both models write to the same rows: how well it agrees, with intervals, and some of it side by side."""
    chosen = [ids[i] for i in np.argsort(numbers(0, "answered", 0, row_keys(ids)), kind="stable")[:MOST].tolist()]
    right = [conversation(table, table.position[i])[-1]["content"].strip() for i in chosen]
    longest = max(len(tokens) for tokens in after[1](text_target=right, add_special_tokens=False)["input_ids"])
    room = min(task.longest, int(longest * ROOM) + 1)
    how = (table, chosen, max_length, room, precision)
    said = [answered(task, net, tokenizer, *how) for net, tokenizer in (before, after)]
    scores = {}
    for agreement in task.agreements:
        first, second = (agreement.rows(each, right) for each in said)
        scores[agreement.name] = forgetting.changed(
            agreement.name, first, second, np.arange(len(chosen)), agreement.score
        )
    examples = [
        {
            "id": row_id,
            "asked": asked(table, table.position[row_id])[-1]["content"],
            "right": truth,
            "before": first,
            "after": second,
        }
        for row_id, truth, first, second in zip(chosen, right, *said, strict=True)
    ]
    return {"rows": len(chosen), "tokens": room, "measures": [*scores], **scores, "examples": examples[:SHOWN]}
