"""Cut a network in two at a block: the prefix makes a hidden state of each row, the suffix goes on from it.

Nothing here knows an architecture by name: the model's own forward runs (masks, positions and rotary tables stay its
business), with the blocks below the cut standing aside and the stored state put in where the first block above takes
its input. Whether that is the same network is looked at, not believed: `difference` compares both on real rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from finetooth.backbones.layers import Layers, evaluating

Inputs = Mapping[str, Tensor]


class _Reached(Exception):
    """The forward pass came to the cut; there is nothing above it to be computed."""


@dataclass(frozen=True)
class Cut:
    """Where a network is cut: so many `blocks` of its `stack` lie below, and what comes before the stack.

    `entry` is the module whose output is the input of the first block, where there is one: what the embeddings make of
    a row need not be computed when the blocks that read it stand aside. `wrapped` says that a block gives its hidden
    state in a tuple, with so many other things. These are no tensors, or `handed` on: the first block made them for all
    (T5's position biases), and so it is computed for their sake.
    """

    stack: str
    blocks: int
    entry: str | None
    wrapped: int | None
    handed: bool = False

    def prefix(self, net: nn.Module, inputs: Inputs) -> Tensor:
        """The hidden state at the cut, (rows, ...), in the precision that the net computes in."""
        found: list[Tensor] = []

        def reach(state: Tensor) -> Tensor:
            found.append(state)
            raise _Reached

        with self._at_the_cut(net, reach), suppress(_Reached):
            net(**inputs)
        return found[0]

    def suffix(self, net: nn.Module, inputs: Inputs, state: Tensor) -> Any:
        """What the net says of rows whose hidden state at the cut is this one."""

        blocks = blocks_of(net, self.stack)[: self.blocks]
        others: list[Any] = [None] * (self.wrapped or 0)
        made = blocks[0].forward

        def stored(*_: Any, **__: Any) -> Any:
            return state if self.wrapped is None else (state, *others)

        def first(*args: Any, **named: Any) -> Any:
            others[:] = made(*args, **named)[1:]
            return stored()

        aside = [(block, first if self.handed and block is blocks[0] else stored) for block in blocks]
        if self.entry is not None:
            aside.append((net.get_submodule(self.entry), lambda *_, **__: state))
        with instead(aside), self._at_the_cut(net, lambda _: state):
            return net(**inputs)

    @contextmanager
    def _at_the_cut(self, net: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
        """With the hidden state at the cut changed: the input of the block above or, at the top, the last's output.

        The input, since something may happen to a state between two blocks (DeBERTa's convolution).
        """
        blocks = blocks_of(net, self.stack)
        if self.blocks < len(blocks):
            handle = blocks[self.blocks].register_forward_pre_hook(
                lambda module, args, named: with_first(args, named, change), with_kwargs=True
            )
        else:
            handle = blocks[-1].register_forward_hook(lambda module, args, output: with_state(output, change))
        try:
            yield
        finally:
            handle.remove()


def blocks_of(net: nn.Module, stack: str) -> list[nn.Module]:
    """The blocks, the lowest first."""
    return list(cast("nn.ModuleList", net.get_submodule(stack)))


def cut(net: nn.Module, layers: Layers, example: Inputs, frozen: Callable[[int], bool]) -> Cut | None:
    """The highest cut below which every depth is frozen; None where no block lies below it, or it cannot be made.

    It cannot where a block is called twice (ALBERT), or makes more than its hidden state for the next.
    """
    depth = layers.deepest
    while depth > 0 and frozen(depth):
        depth -= 1
    blocks = layers.deepest - 1 - depth
    if blocks < 1:
        return None
    # Of an encoder with a decoder it is the encoder that can be stored: it lies below, and reads what does not change.
    stack = layers.names[-2].rpartition(".")[0]
    blocks = min(blocks, len(blocks_of(net, stack)))
    seen = _Seen(net, stack)
    seen.watch(example)
    return Cut(stack, blocks, seen.entry, seen.wrapped, seen.handed) if seen.in_order else None


@torch.inference_mode()
def difference(net: nn.Module, cut: Cut, inputs: Inputs, state: Tensor) -> float:
    """How far the suffix on this stored state is from the whole network, as a share of how far rows differ.

    What is compared is what leaves the uppermost block, where a row has something, and the logits. Where rows hardly
    differ, it is a share of what the precision can tell apart.
    """
    whole = told(net, cut.stack, inputs, lambda: net(**inputs))
    return apart(whole, told(net, cut.stack, inputs, lambda: cut.suffix(net, inputs, state)), state.dtype)


def told(net: nn.Module, stack: str, inputs: Inputs, ask: Callable[[], Any]) -> list[Tensor]:
    """What leaves the uppermost block, where a row has something, and the logits, when a net is asked, in fp32."""
    left: list[Tensor] = []
    top = blocks_of(net, stack)[-1]
    handle = top.register_forward_hook(lambda module, args, output: left.append(state_of(output)))
    try:
        with evaluating(net):
            logits = ask().logits
    finally:
        handle.remove()
    mask = inputs.get("attention_mask")
    hidden = left[0][mask.bool()] if ragged(inputs, left[0]) and mask is not None else left[0].flatten(1)
    # A language model has logits for each token, and for the padding too.
    said = logits[mask.bool()] if ragged(inputs, logits) and mask is not None and logits.ndim > 2 else logits
    return [hidden.float(), said.float()]


def apart(ones: Sequence[Tensor], others: Sequence[Tensor], dtype: torch.dtype) -> float:
    """How far these are from each other, as a share of how far rows differ; of what `dtype` tells apart, at least."""
    step = 32 * torch.finfo(dtype).eps
    gaps = [(a - b).norm() / ((a - a.mean(dim=0)).norm() + step * a.norm()) for a, b in zip(ones, others, strict=True)]
    return float(torch.stack(gaps).max())


def ragged(inputs: Inputs, state: Tensor) -> bool:
    """Whether the state has a place for each token, of which some are padding; (rows, tokens, ...)."""
    mask = inputs.get("attention_mask")
    return mask is not None and state.shape[:2] == mask.shape


class _Seen:
    """What one small forward pass shows of the stack."""

    def __init__(self, net: nn.Module, stack: str) -> None:
        self.net, self.stack = net, stack
        self.blocks = blocks_of(net, stack)
        self.calls: list[int] = []
        self.plain = True
        self.wrapped: int | None = None
        self.made: list[Any] = []
        self.first: Tensor | None = None
        self.outputs: list[tuple[str, Any]] = []

    @property
    def in_order(self) -> bool:
        """Whether each block was called once, one after the other, and makes its hidden state alone, or the first."""
        return self.plain and self.calls == list(range(len(self.blocks)))

    @property
    def handed(self) -> bool:
        """Whether the first block made tensors that the others hand on."""
        return any(isinstance(each, Tensor) for each in self.made)

    @property
    def entry(self) -> str | None:
        """The outermost module whose output was the input of the first block."""
        return next((name for name, output in self.outputs if output is self.first), None)

    def watch(self, example: Inputs) -> None:
        """One forward pass, in evaluation mode, with somebody looking on."""
        handles = [block.register_forward_hook(self._left(i), with_kwargs=True) for i, block in enumerate(self.blocks)]
        for name, module in self.net.named_modules():
            if name and not f"{self.stack}.".startswith(f"{name}.") and not name.startswith(f"{self.stack}."):
                handles.append(module.register_forward_hook(self._noted(name)))
        try:
            with torch.inference_mode(), evaluating(self.net):
                self.net(**example)
        finally:
            for handle in handles:
                handle.remove()
        order = {name: i for i, (name, _) in enumerate(self.net.named_modules())}
        self.outputs.sort(key=lambda pair: order[pair[0]])

    def _left(self, i: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            self.calls.append(i)
            if i == 0 and self.first is None:
                with_first(args, named, self._entered)
            rest = output[1:] if isinstance(output, tuple) else ()
            self.made = self.made if i else [*rest]
            known = zip(rest, self.made, strict=False)
            self.plain &= not any(isinstance(each, Tensor) and each is not before for each, before in known)
            self.wrapped = len(rest) if isinstance(output, tuple) else None

        return hook

    def _entered(self, state: Tensor) -> Tensor:
        self.first = state
        return state

    def _noted(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self.outputs.append((name, output))

        return hook


def with_first(
    args: tuple[Any, ...], named: dict[str, Any], change: Callable[[Tensor], Tensor]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a block with its hidden state, the first of them, changed."""
    if args:
        return (change(args[0]), *args[1:]), named
    first = next(iter(named))
    return args, {**named, first: change(named[first])}


def state_of(output: Any) -> Tensor:
    """The hidden state in what a block gives."""
    state: Tensor = output[0] if isinstance(output, tuple) else output
    return state


def with_state(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """What a block gives, its hidden state changed."""
    changed = change(state_of(output))
    return (changed, *output[1:]) if isinstance(output, tuple) else changed


@contextmanager
def instead(modules: list[tuple[Any, Callable[..., Any]]]) -> Iterator[None]:
    """With other functions in the place of the modules' own forward."""
    own = [module.__dict__.get("forward") for module, _ in modules]  # `recompute` puts one there
    for module, forward in modules:
        module.forward = forward
    try:
        yield
    finally:
        for (module, _), before in zip(modules, own, strict=True):
            if before is None:
                del module.forward
            else:
                module.forward = before
