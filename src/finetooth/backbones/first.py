"""Where the answer hangs on each row's first token alone, the upper part of the last block is computed for no other.

Most classifiers of text and of images read the first token of the last block's output. What that block does once
tokens have seen each other, it does to each for itself: two thirds of its products are for tokens that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from finetooth.backbones.layers import evaluating, stack_of

EXACT = 1e-4  # share of how far rows differ, that may come of nothing but another order of sums
_ALONE: ContextVar[bool] = ContextVar("the first token alone", default=False)


@contextmanager
def first_alone() -> Iterator[None]:
    """In here a net that was shortened gives its logits, and hidden states of nothing but first tokens."""
    before = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(before)


def shorten(net: nn.Module, example: Mapping[str, Tensor]) -> None:
    """Prepare a net for `first_alone`, where its logits on the `example` stay as they are and take fewer products.

    Nothing is known of the architecture: each part of the last block is tried, what leaves it cut down to the first
    token, and the one that saves most is kept. Where the rows' logits are all alike nothing can be told, and nothing is
    done.
    """
    block = stack_of(net)[1][-1]
    with torch.inference_mode(), evaluating(net):
        before, least = _asked(net, block, example)
        spread = (before - before.mean(dim=0)).norm()
        best: nn.Module | None = None
        for part in block.children():
            handle = part.register_forward_hook(_first)
            try:
                with first_alone():
                    logits, operations = _asked(net, block, example)
                right = logits.shape == before.shape and bool((logits - before).norm() < EXACT * spread)
            except (RuntimeError, IndexError, ValueError):  # what comes after needs the other tokens
                right = False
            handle.remove()
            if right and operations < least:
                best, least = part, operations
    if best is not None:
        best.register_forward_hook(_first)


def _asked(net: nn.Module, block: nn.Module, example: Mapping[str, Tensor]) -> tuple[Tensor, int]:
    """The logits, and the multiplications with the block's weights that they took."""
    counts: list[int] = []

    def count(module: Any, args: Any) -> None:
        counts.append(args[0].numel() * module.weight.numel() // args[0].shape[-1])

    linear = [part for part in block.modules() if getattr(getattr(part, "weight", None), "ndim", 0) == 2]
    handles = [part.register_forward_pre_hook(count) for part in linear]
    try:
        logits = net(**example).logits
    finally:
        for handle in handles:
            handle.remove()
    return logits.float(), sum(counts)


def _first(module: nn.Module, args: Any, output: Any) -> Any:
    """A forward hook: (rows, tokens, width), in a tuple or by itself, becomes (rows, 1, width)."""
    if not _ALONE.get():
        return None
    if isinstance(output, tuple):
        return (_of_three(output[0]), *output[1:])
    return _of_three(output)


def _of_three(state: Tensor) -> Tensor:
    if state.ndim != 3:
        raise ValueError("not a state of tokens")
    return state[:, :1]
