"""Net, task and rows -> Answers, or the hidden states on which a linear probe stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from finetooth import machine
from finetooth.backbones import body, evaluating, int8, load_classifier, packed
from finetooth.batches import BUDGETS, Rows, by_tokens
from finetooth.labels import kind_of
from finetooth.prefix import Ask
from finetooth.table import Answers, Table
from finetooth.tags import ragged
from finetooth.tasks import OWNERS, READS, TASKS, Encoded, Preference, Task, for_network, summed
from finetooth.twin import Twin

Inputs = dict[str, Tensor]
READ = 128  # tokens: what tells a row's label mostly stands there, and more takes more time


def predict(
    net: nn.Module,
    task: Task,
    encoded: Encoded,
    names: list[str],
    *,
    pad: int,
    precision: str,
    device: str,
    ask: Ask | None = None,
) -> Answers:
    """What the net says of every row, in the order of `encoded`; the net is left in the mode it was in.

    The net is asked by `ask`, where that is given. `precision` is fp32, bf16 (weights and all between the layers)
    or int8 (the products in the blocks); probabilities are fp32 in any case. Numbers take fp32, whatever is asked: in
    bf16 three digits would be left of them.
    """
    precision = "fp32" if task.kind == "numbers" else precision

    def said(net: nn.Module, inputs: Inputs, rows: Rows, targets: Tensor) -> Tensor:
        logits = task.logits(net, inputs) if ask is None else ask(inputs, encoded.keys[rows])
        return task.said(logits, targets, torch.from_numpy(encoded.counts[rows]).to(logits.device))

    found = _each(said, net, task, encoded, pad, precision, device, None)
    targets = encoded.counts if task.kind == "texts" else encoded.targets
    return task.answers(encoded.ids, targets, found, names)


def preferred(
    net: nn.Module,
    task: Preference,
    encoded: Encoded,
    *,
    pad: int,
    precision: str,
    device: str,
    ask: Ask | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """By how many nats the net prefers the first answer of each row to the second, (rows,); by `ask`, where given.

    `progress` is told how many tokens are done, and how many there are.
    """

    def said(net: nn.Module, inputs: Inputs, rows: Rows, targets: Tensor) -> Tensor:
        return task.logits(net, inputs) if ask is None else ask(inputs, encoded.keys[rows])

    found = _each(said, net, task, encoded, pad, precision, device, progress)
    return found[:, 0].astype(np.float32)


def exact(task: Task, precision: str) -> str:
    """The precision of the scores that are kept: fp32, in which transformers loads what was saved.

    Answers in words are scored in the run's own: whole prompts are read for them, which takes four times as long in
    fp32, and language models are run in bf16 anyway.
    """
    return precision if task.kind == "texts" else "fp32"


def states(
    net: Any,
    task: Task,
    encoded: Encoded,
    *,
    pad: int,
    precision: str,
    device: str,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[Any]:
    """What the net's body makes of each row: its last hidden states, averaged over tokens or space; (rows, width).

    Where words are tagged it is what it makes of the first token of each, an array for each row, (words, width).
    `progress` is told how many tokens are done, and how many there are.
    """

    def ask(net: Any, inputs: Inputs, rows: Rows, targets: Tensor) -> Tensor:
        owners, reads = inputs.pop(OWNERS, None), inputs.pop(READS, None)
        hidden = body(net, inputs).float()
        if task.kind == "tags":
            return hidden[reads]
        if "attention_mask" not in inputs:  # an image, of tokens or (rows, width, height, width of the map)
            return hidden.mean(dim=1) if hidden.ndim == 3 else hidden.flatten(2).mean(dim=2)
        mask = inputs["attention_mask"][..., None].float()
        found, tokens = (hidden * mask).sum(dim=1), mask.sum(dim=1)
        if owners is not None:
            found, tokens = summed(found, owners), summed(tokens, owners)
        return found / tokens.clamp(min=1)

    return _each(ask, net, task, encoded, pad, precision, device, progress)


def asked(
    table: Table, model: str, *, max_length: int | None = None, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """What `check` takes of a pre-trained model: each row's `lengths` in tokens, the `limit` of them, the `states`.

    For the states at most READ tokens of a row are read. Raises ModelError, and DataError for images.
    """
    backbone, task, device = load_classifier(model, ["one", "other"]), TASKS["text-classification"], machine.device()
    limit = min(max_length or backbone.limit, backbone.limit)
    if kind_of(table) == "tags":  # lists of words are read as texts
        texts = [(" ".join(words or ()),) for words in table.words]
        how: dict[str, Any] = {"ids": table.ids, "targets": np.zeros(len(table), dtype=np.int64)}
        encoded = task.read(texts, backbone.tokenizer, min(limit, READ), **how)
    else:
        encoded = task.encode(table, table.ids, [], backbone.tokenizer, min(limit, READ))
    found = states(
        backbone.net.to(device),
        task,
        encoded,
        pad=backbone.tokenizer.pad_token_id,
        precision="bf16" if machine.fast_bf16() else "fp32",
        device=device,
        progress=progress,
    )
    return {"lengths": encoded.whole, "limit": limit, "states": found}


def _each(
    ask: Callable[[nn.Module, Inputs, Rows, Tensor], Tensor],
    net: nn.Module,
    task: Task,
    encoded: Encoded,
    pad: int,
    precision: str,
    device: str,
    progress: Callable[[int, int], None] | None,
) -> NDArray[Any]:
    """What `ask` says of each row's inputs, (rows, columns), while the net is in evaluation mode and learns nothing.

    Of tags of words it is what `ask` says of each target, an array for each row, in fp32: there are many of them.
    """
    counts = encoded.counts if task.kind == "tags" else np.ones(len(encoded), dtype=np.int64)
    starts = np.cumsum(counts) - counts
    if precision == "int8":
        net = int8(net)
    elif next(net.parameters()).dtype == torch.float32:
        net = Twin(net, precision).net
    found: NDArray[Any] = np.zeros((0, 0))
    done = 0

    def example() -> Inputs:
        return for_network(task.collate(encoded, np.argsort(encoded.lengths, kind="stable")[:2], pad)[0])

    with torch.inference_mode(), evaluating(net), packed(net, example):
        for rows in by_tokens(encoded.lengths, BUDGETS[device]):
            inputs, targets = task.collate(encoded, rows, pad)
            there = {name: tensor.to(device) for name, tensor in inputs.items()}
            answers = ask(net, there, rows, targets.to(device)).cpu().numpy()
            if not len(found):
                found = np.zeros((counts.sum(), answers.shape[1]), np.float32 if task.kind == "tags" else np.float64)
            found[np.concatenate([np.arange(starts[row], starts[row] + counts[row]) for row in rows])] = answers
            done += int(encoded.lengths[rows].sum())
            if progress is not None:
                progress(done, int(encoded.lengths.sum()))
    return ragged(found, counts) if task.kind == "tags" else found
