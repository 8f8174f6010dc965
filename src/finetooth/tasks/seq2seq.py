"""Sequence to sequence: an encoder reads a text, its decoder learns to write another: a translation, a summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from finetooth.backbones import NOTHING, WRITES, Backbone, How, load_seq2seq, load_tuned_seq2seq, read_at
from finetooth.errors import DataError
from finetooth.metrics import LONG
from finetooth.table import TALKS, Table
from finetooth.tasks.base import Encoded, Ragged, padded, spread, tokenized
from finetooth.tasks.chat import asked, conversation
from finetooth.tasks.writing import Writing


class Seq2Seq(Writing):
    """A source in one column, what is to be written in another.

    Sutskever et al. 2014 (Sequence to Sequence Learning), section 2. The decoder reads what it is to write one token
    late, behind the token with which its network begins.
    """

    pipeline = ("text2text-generation", '"a text like those of the data set"')
    agreements = LONG
    longest = 256

    def names(self, table: Table) -> list[str]:
        """None. Raises DataError, naming the row, for what has nothing to be written, and for conversations."""
        if table.columns.label is None and table.columns.input[0].lower() in TALKS:
            raise DataError(
                f"{table.source}: found conversations in the column '{table.columns.input[0]}', expected a text in one "
                f"column and what is to be written in another; conversations are for task: instruction."
            )
        return super().names(table)

    def load(self, model: str, names: list[str], **how: Unpack[How]) -> Backbone:
        """An encoder with its decoder as they are; with an adapter, that alone learns."""
        return load_seq2seq(model, **how)

    def tuned(self, folder: Path) -> tuple[Any, Any]:
        """The network and tokenizer of a tuned model."""
        return load_tuned_seq2seq(folder)

    def encode(self, table: Table, ids: Sequence[str], names: list[str], tokenizer: Any, max_length: int) -> Encoded:
        """Both texts as the tokenizer has them, each cut at `max_length` tokens."""
        rows = [table.position[i] for i in ids]
        found = self.read(_sources(table, rows), tokenizer, max_length, ids=ids, targets=self.targets(table, ids, []))
        right = [conversation(table, row)[-1]["content"] for row in rows]
        writes = [_ended(tokens, tokenizer) for tokens in tokenizer(text_target=right, verbose=False)["input_ids"]]
        cut = [_ended(tokens[: max_length - 1], tokenizer) if len(tokens) > max_length else tokens for tokens in writes]
        whole = np.maximum(found.whole, np.array([*map(len, writes)], dtype=np.int64))
        return replace(found, whole=whole, writes=Ragged.of(cut))

    def collate(self, encoded: Encoded, rows: NDArray[np.int64], pad: int) -> tuple[dict[str, Tensor], Tensor]:
        """What `padded` gives of the sources, WRITES of what is to be written; its tokens are the targets."""
        assert encoded.writes is not None, "both texts were encoded"
        writes = spread([encoded.writes.row(row) for row in rows], NOTHING)
        return {**padded(encoded, rows, pad), WRITES: writes}, writes[writes != NOTHING]

    def logits(self, net: Callable[..., Any], inputs: Mapping[str, Tensor]) -> Tensor:
        """(targets, vocabulary)."""
        with read_at(inputs[WRITES] != NOTHING):
            logits: Tensor = net(**inputs).logits
        return logits

    def prompts(self, table: Table, ids: Sequence[str], tokenizer: Any, max_length: int) -> list[list[int]]:
        """The sources."""
        sources = _sources(table, [table.position[i] for i in ids])
        found = tokenized(sources, tokenizer, max_length, ids=ids, targets=self.targets(table, ids, []))
        return [tokens.tolist() for tokens in np.split(found.tokens, found.offsets[1:-1])]


def _sources(table: Table, rows: Sequence[int]) -> list[tuple[str]]:
    return [(asked(table, row)[-1]["content"],) for row in rows]


def _ended(tokens: list[int], tokenizer: Any) -> list[int]:
    """With the token that ends a text behind them, where the tokenizer has one and did not put it there."""
    end = tokenizer.eos_token_id
    return tokens if end is None or tokens[-1:] == [end] else [*tokens, end]
