"""Where the answer hangs on each row's first token alone, the last block is computed for no other, as far as it can be.

Most classifiers of text and of images read the first token of the last block's output. What that block does once
tokens have seen each other, it does to each for itself: two thirds of its products are for tokens that nobody reads.
The rest are queries, and what becomes of what they find, and keys and values, which one query a row can do without:
what it asks of keys and finds in values it can ask and find of the states that they are made of (DeepSeek-AI 2024,
DeepSeek-V2, section 2.1.2, where states are compressed ones).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from finetooth.backbones.cut import state_of, with_state
from finetooth.backbones.layers import Layers, architecture, evaluating, stack_of

_ALONE: ContextVar[bool] = ContextVar("the first token alone", default=False)
_WHOLE: ContextVar[Tensor | None] = ContextVar("what came into a product of which only a part is made", default=None)
_SPARED: ContextVar[dict[str, nn.Linear] | None] = ContextVar("products that the attention does itself", default=None)


@dataclass(frozen=True)
class Parts:
    """Parts of a block by name: the `last` from which on other tokens are left away; before it `products` for the first
    token alone, and the products that make `key` and `value`, in this order, which are not needed."""

    last: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()


_PARTS: dict[tuple[Any, ...], Parts] = {}  # found before, in this process


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


def spared() -> tuple[nn.Linear, nn.Linear] | None:
    """The layers that would have made the keys and values of the attention that asks; in their place came its states.

    To be asked once by each attention of one query a row.
    """
    layers = _SPARED.get()
    _SPARED.set(None)
    return None if layers is None else (layers["key"], layers["value"])


def shorten(net: Any, layers: Layers, example: Mapping[str, Tensor]) -> None:
    """Prepare a net for `first_alone`, where only first tokens are read and that saves products.

    Which parts of the last block that takes is asked once of an architecture, as its configuration has it, and of what
    decides whether keys and values can be left away: its attention, and where adapters stand.
    """
    block = stack_of(net)[1][-1]
    about = *architecture(net), net.config._attn_implementation, *(type(layer) for _, layer in _linear(block))
    if about not in _PARTS:
        _PARTS[about] = _parts(net, layers, example)
    _cut(block, _PARTS[about])


def _cut(block: nn.Module, parts: Parts) -> list[RemovableHandle]:
    handles = [block.get_submodule(name).register_forward_hook(_first) for name in parts.last]
    for name in parts.products:
        layer = block.get_submodule(name)
        handles += [layer.register_forward_pre_hook(_take_first), layer.register_forward_hook(_for_all)]
    pair = [block.get_submodule(name) for name in parts.spared]
    if all(type(layer) is nn.Linear and layer.weight.is_floating_point() for layer in pair):  # no adapter, no few bits
        for kind, layer in zip(("key", "value"), pair, strict=False):
            handles.append(layer.register_forward_pre_hook(partial(_spare, kind)))
            handles.append(layer.register_forward_hook(_hand_on))
    return handles


def _parts(net: nn.Module, layers: Layers, example: Mapping[str, Tensor]) -> Parts:
    """The part of the last block that need not leave other tokens than the first, and saves most so; and the products
    within it that are needed for the first token alone, as those of its query are.

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
    best = Parts()
    with evaluating(net), _scrambled(above):
        try:
            names = _read_first(net, block, example) & _read_first(net, block, longer)
        except Exception:  # whatever a network does that is made otherwise
            return best
        whole = [_asked(net, block, inputs) for inputs in (example, longer)]
        least = whole[0][1]

        def saves(parts: Parts) -> bool:
            """Whether it makes no difference and fewer products than the best so far, which it then is."""
            nonlocal best, least
            handles = _cut(block, parts)
            try:
                with first_alone():
                    alone = [_asked(net, block, inputs) for inputs in (example, longer)]
            except Exception:  # as above
                return False
            finally:
                for handle in handles:
                    handle.remove()
            same = all(_alike(one, other) for (one, _), (other, _) in zip(alone, whole, strict=True))
            products = alone[0][1]
            if same and products.total() < least.total():
                best, least = parts, products
                return True
            return False

        for name, _ in block.named_children():
            if name in names:
                saves(Parts((name,)))
        with_all, linear = least, tuple(name for name, _ in _linear(block) if name in names)
        if saves(replace(best, products=linear)):
            # What stands above the part has one token already.
            best = replace(best, products=tuple(name for name in linear if least[name] < with_all[name]))
        others = [name for name, _ in _linear(block) if name not in names]
        for pair in permutations(others) if len(others) == 2 else ():
            if saves(replace(best, spared=pair)):  # which of them makes keys is told by what the net then says
                break
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


def _read_first(net: nn.Module, block: nn.Module, inputs: Mapping[str, Tensor]) -> set[str]:
    """The parts of the block, however small, of whose outputs the logits hang on the first token's and no other's."""
    left: dict[str, list[Tensor]] = defaultdict(list)

    def keep(name: str, output: Any) -> None:
        state = state_of(output)
        if isinstance(state, Tensor) and state.ndim == 3 and state.requires_grad:
            left[name].append(state)

    handles = [
        part.register_forward_hook(lambda module, args, output, name=name: keep(name, output))
        for name, part in block.named_modules()
        if name
    ]
    try:
        logits = net(**inputs).logits
    finally:
        for handle in handles:
            handle.remove()
    once = {name: states[0] for name, states in left.items() if len(states) == 1}
    if not once:
        return set()
    weights = torch.linspace(1.0, 2.0, logits.numel()).view(logits.shape)
    slopes = torch.autograd.grad((logits.float() * weights).sum(), list(once.values()), allow_unused=True)
    return {
        name
        for name, slope in zip(once, slopes, strict=True)
        if slope is not None and bool(slope[:, 0].any()) and not bool(slope[:, 1:].any())
    }


@torch.no_grad()
def _asked(net: nn.Module, block: nn.Module, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Counter[str]]:
    """The logits, and the multiplications with each of the block's weights."""
    counts: Counter[str] = Counter()

    def count(name: str, module: Any, taken: Tensor) -> None:
        counts[name] += taken.numel() * module.weight.numel() // taken.shape[-1]

    handles = [
        part.register_forward_pre_hook(lambda module, args, name=name: count(name, module, args[0]))
        for name, part in _linear(block)
    ]
    try:
        return net(**inputs).logits, counts
    finally:
        for handle in handles:
            handle.remove()


def _alike(logits: Tensor, others: Tensor) -> bool:
    return logits.shape == others.shape and torch.allclose(logits, others, rtol=1e-4, atol=1e-5)


def _linear(block: nn.Module) -> list[tuple[str, nn.Module]]:
    """The parts with a matrix of weights; one that an adapter stands around counts with it, under the name it had."""
    found: list[tuple[str, nn.Module]] = []
    for name, part in block.named_modules():
        inside = any(name.startswith(f"{other}.") for other, _ in found)
        if getattr(getattr(part, "weight", None), "ndim", 0) == 2 and not inside:
            found.append((name, part))
    return found


def _first(module: nn.Module, args: Any, output: Any) -> Any:
    """A forward hook: (rows, tokens, width), in a tuple or by itself, becomes (rows, 1, width)."""
    if _SPARED.get() is not None:
        _SPARED.set(None)
        raise RuntimeError("keys and values were left away, and an attention came that does not know")
    return with_state(output, lambda state: _of_tokens(state)[:, :1]) if _ALONE.get() else None


def _take_first(module: nn.Module, args: Any) -> Any:
    """Before a product: its input (rows, tokens, width) becomes (rows, 1, width)."""
    if not _ALONE.get():
        return None
    _WHOLE.set(_of_tokens(args[0]))
    return (args[0][:, :1],)


def _for_all(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
    """After it: what the first token has, for all tokens, without a copy; whoever comes next counts them."""
    return output.expand(-1, _came_in().shape[1], -1) if _ALONE.get() else None


def _spare(kind: str, module: Any, args: Any) -> Any:
    """Before a product that the attention does itself: one token of all, so that next to nothing is computed."""
    if not _ALONE.get():
        return None
    _WHOLE.set(_of_tokens(args[0]))
    _SPARED.set({**(_SPARED.get() or {}), kind: module})
    return (args[0][:1, :1],)


def _hand_on(module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
    """After it: the states themselves."""
    return _came_in() if _ALONE.get() else None


def _came_in() -> Tensor:
    """What came into the product that was just made; kept no longer, for a state holds on to all that made it."""
    whole = _WHOLE.get()
    _WHOLE.set(None)
    assert whole is not None
    return whole


def _of_tokens(state: Any) -> Tensor:
    if not isinstance(state, Tensor) or state.ndim != 3:
        raise ValueError("not a state of tokens")
    return state
