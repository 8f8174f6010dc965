"""Where the answer hangs on each row's first token alone, the upper part of the last block is computed for no other.

Most classifiers of text and of images read the first token of the last block's output. What that block does once
tokens have seen each other, it does to each for itself: two thirds of its products are for tokens that nobody reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from finetooth.backbones.cut import state_of, with_state
from finetooth.backbones.layers import Layers, architecture, evaluating, stack_of

_ALONE: ContextVar[bool] = ContextVar("the first token alone", default=False)
_PARTS: dict[tuple[type, str], str | None] = {}  # found before, in this process


@contextmanager
def first_alone() -> Iterator[None]:
    """In here a net that was shortened gives its logits, and hidden states of nothing but first tokens."""
    with _alone(True):
        yield


def replayed() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Where a block is computed now, and where it will be again for the way back: with first tokens alone as now."""
    return nullcontext(), _alone(_ALONE.get())


@contextmanager
def _alone(alone: bool) -> Iterator[None]:
    before = _ALONE.set(alone)
    try:
        yield
    finally:
        _ALONE.reset(before)


def shorten(net: Any, layers: Layers, example: Mapping[str, Tensor]) -> None:
    """Prepare a net for `first_alone`, where only first tokens are read and that saves products.

    Which part of the last block that takes is asked once of an architecture, as its configuration has it.
    """
    about = architecture(net)
    if about not in _PARTS:
        _PARTS[about] = _part(net, layers, example)
    name = _PARTS[about]
    if name is not None:
        stack_of(net)[1][-1].get_submodule(name).register_forward_hook(_first)


def _part(net: nn.Module, layers: Layers, example: Mapping[str, Tensor]) -> str | None:
    """The name of the part of the last block that need not leave other tokens than the first, and saves most so.

    Nothing is known of the architecture. Of each part is asked whether the logits hang on what leaves it for other
    tokens, by their gradient, while the block and the head have random weights: those that are there may happen to make
    no difference (a head of zeros).
    """
    block = stack_of(net)[1][-1]
    above = [parameter for name, parameter in net.named_parameters() if layers.parameters[name] <= 1]
    # Some networks cut rows into windows: one token more must not make a difference. An image has always as many.
    longer = {
        name: tensor if tensor.ndim > 2 else torch.cat([tensor, tensor[:, -1:]], dim=1)
        for name, tensor in example.items()
    }
    best: str | None = None
    with evaluating(net), _scrambled(above):
        least = _products(net, block, example)
        for name, part in block.named_children():
            try:
                if not all(_read_first(net, part, inputs) for inputs in (example, longer)):
                    continue
                handle = part.register_forward_hook(_first)
                try:
                    fewer = [_same(net, inputs) for inputs in (example, longer)]
                    with first_alone():
                        products = _products(net, block, example)
                finally:
                    handle.remove()
            except Exception:  # whatever a network does that is made otherwise
                continue
            if all(fewer) and products < least:
                best, least = name, products
    return best


@contextmanager
def _scrambled(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """With random numbers in their place; afterwards they are as they were."""
    kept = [parameter.detach().clone() for parameter in parameters]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        for parameter in parameters:
            parameter.normal_(0.0, 0.1)
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(parameters, kept, strict=True):
                parameter.copy_(before)


def _read_first(net: nn.Module, part: nn.Module, inputs: Mapping[str, Tensor]) -> bool:
    """Whether the logits hang on the first token of what leaves this part, and on no other."""
    left: list[Tensor] = []
    handle = part.register_forward_hook(lambda module, args, output: left.append(_of_tokens(state_of(output))))
    try:
        logits = net(**inputs).logits
    finally:
        handle.remove()
    weights = torch.linspace(1.0, 2.0, logits.numel()).view(logits.shape)
    (slope,) = torch.autograd.grad((logits.float() * weights).sum(), left[0])
    return bool(slope[:, 0].any()) and not bool(slope[:, 1:].any())


@torch.no_grad()
def _same(net: nn.Module, inputs: Mapping[str, Tensor]) -> bool:
    """Whether `first_alone` makes no difference to the logits."""
    whole = net(**inputs).logits
    with first_alone():
        alone = net(**inputs).logits
    return whole.shape == alone.shape and torch.allclose(whole, alone, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def _products(net: nn.Module, block: nn.Module, inputs: Mapping[str, Tensor]) -> int:
    """The multiplications with the block's weights."""
    counts: list[int] = []

    def count(module: Any, args: Any) -> None:
        counts.append(args[0].numel() * module.weight.numel() // args[0].shape[-1])

    linear = [part for part in block.modules() if getattr(getattr(part, "weight", None), "ndim", 0) == 2]
    handles = [part.register_forward_pre_hook(count) for part in linear]
    try:
        net(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)


def _first(module: nn.Module, args: Any, output: Any) -> Any:
    """A forward hook: (rows, tokens, width), in a tuple or by itself, becomes (rows, 1, width)."""
    return with_state(output, lambda state: _of_tokens(state)[:, :1]) if _ALONE.get() else None


def _of_tokens(state: Any) -> Tensor:
    if not isinstance(state, Tensor) or state.ndim != 3:
        raise ValueError("not a state of tokens")
    return state
