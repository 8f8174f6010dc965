"""Rows -> conversations -> tokens, of which those of the answers are marked: they alone are learnt.

A row is a list of messages (`messages`, or ShareGPT's `conversations`), or a prompt with its completion, whose columns
may have Alpaca's names. The text is what the model's own chat template makes of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from finetooth.errors import DataError, ModelError, listed
from finetooth.table import TALKS, Table

ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}  # of ShareGPT and its kin
KNOWN = ("system", "user", "assistant", "tool")
Message = dict[str, str]  # role, content
SUCH = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'  # what a list of them looks like


@dataclass(frozen=True)
class Rendered:
    """The text of a conversation, and from which to which character each answer goes, its end token included."""

    text: str
    answers: tuple[tuple[int, int], ...]


def conversation(table: Table, row: int) -> list[Message]:
    """The messages of a row. Raises DataError, naming the row, for what is none or has no answer."""
    place = table.place(row)
    if table.columns.rejected is not None:
        cell = table.inputs[row][0] if table.columns.label is None else table.labels[row]
        return _answered(table, row, cell or "", table.columns.label or table.columns.input[0])
    if not _whole(table):
        answer = table.labels[row]
        if answer is None:
            column = table.columns.label or "completion"
            raise DataError(f"{place}: the column '{column}' is empty or missing, expected the answer to learn.")
        return [*asked(table, row), {"role": "assistant", "content": answer}]
    messages = _messages(table, row)
    if not any(m["role"] == "assistant" and m["content"].strip() for m in messages[1:]):
        column = table.columns.input[0]
        raise DataError(f"{place}, column '{column}': no message of the assistant follows another, so none is learnt.")
    return messages


def rival(table: Table, row: int) -> list[Message]:
    """The messages of a row with the answer to which that of `conversation` is preferred.

    Raises DataError, naming the row.
    """
    if table.rejected is None or table.columns.rejected is None:
        raise DataError(
            f"{table.source}: expected a column 'chosen' with the preferred answers, as the label, and a column "
            f"'rejected' with the others; the columns are {listed(table.data.column_names)}."
        )
    return _answered(table, row, table.rejected[row] or "", table.columns.rejected)


def _answered(table: Table, row: int, answer: str, column: str) -> list[Message]:
    """The prompt of a row with one of its answers: a text, or a list of messages, which may begin with the prompt."""
    where, whole = f"{table.place(row)}, column '{column}'", table.columns.label is None
    last = _parsed(answer, where)
    if not answer.strip():
        raise DataError(f"{where}: is empty, expected an answer.")
    if whole and not last:
        raise DataError(
            f"{where}: found {answer[:60]!r}, expected a list of messages such as {SUCH}, or a column 'prompt' "
            f"beside it."
        )
    messages = last or [{"role": "assistant", "content": answer}]
    if not whole and messages[0]["role"] == "assistant":
        prompt = _joined(table, row)
        messages = [*(_parsed(prompt, table.place(row)) or [{"role": "user", "content": prompt}]), *messages]
    if len(messages) < 2 or messages[-1]["role"] != "assistant" or not messages[-1]["content"].strip():
        raise DataError(f"{where}: the last message is no answer of the assistant's to another, expected one.")
    return messages


def _parsed(cell: str, where: str) -> list[Message]:
    """The messages of a cell that is a list of them, told by their roles; none of any other.

    Raises DataError for a message whose content is no text.
    """
    try:
        found = json.loads(cell) if cell.lstrip().startswith("[") else []
    except (ValueError, RecursionError):
        return []
    roles = [each.get("from", each.get("role")) if isinstance(each, dict) else None for each in found]
    if not found or any(not isinstance(role, str) or ROLES.get(role, role) not in KNOWN for role in roles):
        return []
    try:
        return [_message(each) for each in found]
    except (TypeError, KeyError):
        raise DataError(f"{where}: found {cell[:60]!r}, expected messages whose content is a text.") from None


def _joined(table: Table, row: int) -> str:
    return "\n\n".join(cell for cell in table.inputs[row] if cell.strip())


def asked(table: Table, row: int) -> list[Message]:
    """The messages of a row that wait for an answer: without the last, where that is the assistant's."""
    if table.columns.rejected is not None:
        return conversation(table, row)[:-1]
    if not _whole(table):
        return [{"role": "user", "content": _joined(table, row)}]
    messages = _messages(table, row)
    return messages[:-1] if messages[-1]["role"] == "assistant" else messages


def _whole(table: Table) -> bool:
    """Whether a cell holds a whole conversation."""
    return table.columns.label is None and table.columns.input[0].lower() in TALKS


def _messages(table: Table, row: int) -> list[Message]:
    cell, where = table.inputs[row][0], f"{table.place(row)}, column '{table.columns.input[0]}'"
    try:
        messages = [_message(each) for each in json.loads(cell)]
    except (ValueError, TypeError, KeyError, RecursionError):
        messages = []
    if not messages:
        raise DataError(f"{where}: found {cell[:60]!r}, expected a list of messages such as {SUCH}.")
    strange = [m["role"] for m in messages if m["role"] not in KNOWN]
    if strange:
        raise DataError(f"{where}: found the role '{strange[0]}', expected {', '.join(KNOWN)}.")
    return messages


def _message(given: Any) -> Message:
    role, content = (given["from"], given["value"]) if "from" in given else (given["role"], given["content"])
    if not isinstance(content, str):
        raise TypeError("only texts are read")
    return {"role": ROLES.get(role, role), "content": content}


def rendered(tokenizer: Any, messages: Sequence[Message]) -> Rendered:
    """The text that the tokenizer's chat template makes of a conversation, up to the end of its last answer.

    Without a template a prompt and its completion are put together as they are, and the end token behind them. Raises
    ModelError where there is no template for a longer conversation, or one that changes earlier turns, so that it
    cannot be told which characters are an answer.
    """
    if tokenizer.chat_template is None:
        return _plain(tokenizer, messages)
    text, answers = "", []
    for i, message in enumerate(messages):
        if i == 0 or message["role"] != "assistant":
            continue
        asked = _render(tokenizer, messages[:i], asking=True)
        whole = _render(tokenizer, messages[: i + 1], asking=False)
        content = message["content"].strip()
        at = whole.find(content, len(asked))
        if not (whole.startswith(asked) and whole.startswith(text) and at >= 0):
            raise ModelError(
                "the tokenizer's chat template writes earlier turns anew when a later one comes, so it cannot be told "
                "which of its text are answers; give each row one question and its answer."
            )
        end = at + len(content)
        behind = len(whole) - len(whole[end:].lstrip(" "))  # some templates put a space before the end token
        mark = max((len(t) for t in _ends(tokenizer) if whole.startswith(t, behind)), default=0)
        end = behind + mark if mark else end
        if content:
            answers.append((at, end))
        text = whole[:end]
    return Rendered(text, tuple(answers))


def _plain(tokenizer: Any, messages: Sequence[Message]) -> Rendered:
    if len(messages) != 2:
        raise ModelError(
            "the tokenizer has no chat template, so only rows of one prompt and its completion can be learnt; take a "
            "model that was made for conversations."
        )
    asked, answer = (message["content"] for message in messages)
    text = f"{tokenizer.bos_token or ''}{asked}{answer}{tokenizer.eos_token or ''}"
    return Rendered(text, ((len(text) - len(answer) - len(tokenizer.eos_token or ""), len(text)),))


def _render(tokenizer: Any, messages: Sequence[Message], *, asking: bool) -> str:
    try:
        text: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=asking)
    except Exception as error:  # a template raises what it likes
        raise ModelError(f"the tokenizer's chat template refuses a conversation: {error}") from None
    return text


def _ends(tokenizer: Any) -> list[str]:
    """The special tokens of the tokenizer, as texts."""
    return [str(token) for token in tokenizer.get_added_vocab() if token.strip()]


def question(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The text behind which the model is to write the answer to these messages."""
    if tokenizer.chat_template is None:
        return f"{tokenizer.bos_token or ''}{messages[0]['content']}"
    return _render(tokenizer, messages, asking=True)


def marked(tokenizer: Any, conversations: Sequence[Rendered]) -> Iterator[tuple[list[int], NDArray[np.bool_]]]:
    """The tokens of each, and which of them are of an answer.

    A token that begins in the space before an answer is of the answer: a model that answers writes it.
    """
    if not conversations:
        return
    texts = [each.text for each in conversations]
    found = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    for each, ids, offsets in zip(conversations, found["input_ids"], found["offset_mapping"], strict=True):
        begins, ends = np.array(offsets, dtype=np.int64).reshape(-1, 2).T
        marks = np.zeros(len(ids), dtype=bool)
        for start, end in each.answers:
            space = start - (len(each.text[:start]) - len(each.text[:start].rstrip(" ")))
            marks |= (ends > start) & (begins >= space) & (ends <= end)
        yield ids, marks
