"""The layers of a network by depth: 0 is the head, 1 the uppermost block, the deepest the embedding.

Nothing here knows an architecture by name. The stack of blocks is the largest ModuleList; of an encoder with a decoder
there are two, and the decoder's stands on the encoder's. Where anything else belongs is read off the autograd graph of
one small forward pass: a parameter that reaches the input of a block, by whatever way (MPNet's relative_attention_bias,
DeBERTa's rel_embeddings and convolution), stands below that block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from finetooth.errors import ModelError


@dataclass(frozen=True)
class Layers:
    """`names` of the depths, head first; the depth of each parameter and of each module, by name.

    Every parameter stands here exactly once; one that is used at several depths belongs to the deepest. Those of
    `still` never learn, whatever their depth: an adapter learns in their place.
    """

    names: tuple[str, ...]
    parameters: Mapping[str, int]
    modules: Mapping[str, int]
    still: frozenset[str] = frozenset()

    @property
    def deepest(self) -> int:
        """The depth of the embedding."""
        return len(self.names) - 1

    def freeze(self, net: nn.Module, frozen: Callable[[int], bool]) -> None:
        """Put each layer in training, or, where frozen, in evaluation mode and without gradients."""
        for name, module in net.named_modules():
            module.training = not frozen(self.modules[name])
        for name, parameter in net.named_parameters():
            parameter.requires_grad_(not frozen(self.parameters[name]) and name not in self.still)
            if not parameter.requires_grad:
                parameter.grad = None


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """With the net in evaluation mode, and afterwards each part of it in the mode that it was in."""
    was = {name: module.training for name, module in net.named_modules()}
    net.eval()
    try:
        yield
    finally:
        for name, module in net.named_modules():
            module.training = was[name]


def layers(net: nn.Module, example: Mapping[str, Tensor]) -> Layers:
    """List the layers of `net`, which takes `example` as keyword arguments. Raises ModelError without a stack."""
    stacks = stacks_of(net)
    blocks = [block for _, stack in stacks for block in stack]
    places = [f"{name}.{i}" for name, stack in stacks for i in range(len(stack))]
    count = len(blocks)
    depth: dict[int, int] = {}  # by id, so that a shared parameter is one
    for i, block in enumerate(blocks):
        for parameter in block.parameters():
            depth.setdefault(id(parameter), count - i)
    others = {id(p): p for p in net.parameters() if id(p) not in depth}
    depth |= _depths_outside(net, blocks, example, others)

    parameters = {name: depth[id(p)] for name, p in net.named_parameters()}
    inside = {place: count - i for i, place in enumerate(places)}
    modules = {name: _module_depth(name, inside, parameters) for name, _ in net.named_modules()}
    # What stands around a stack does by itself what comes before the first block: BART's dropout of its embeddings.
    modules |= {name.rpartition(".")[0]: inside[f"{name}.0"] + 1 for name, _ in stacks if "." in name}
    return Layers(("head", *reversed(places), "embeddings"), parameters, modules)


def architecture(net: Any) -> tuple[type, str]:
    """What tells one network from another, their weights aside: how large it is, what its head is for; no dropout."""
    config = {key: value for key, value in net.config.to_dict().items() if "drop" not in key}
    return type(net), json.dumps(config, sort_keys=True, default=str)


def stacks_of(net: Any) -> list[tuple[str, nn.ModuleList]]:
    """The stacks of blocks with their names, the lowest first. Raises ModelError where there is none."""
    if not getattr(getattr(net, "config", None), "is_encoder_decoder", False):
        return [stack_of(net)]
    stacks = [stack_of(part)[1] for part in (net.get_encoder(), net.get_decoder())]
    return [(name, stack) for stack in stacks for name, module in net.named_modules() if module is stack]


def stack_of(net: nn.Module) -> tuple[str, nn.ModuleList]:
    """The stack of blocks and its name. Raises ModelError."""
    lists = [(name, m) for name, m in net.named_modules() if isinstance(m, nn.ModuleList) and len(m)]
    if not lists:
        raise ModelError(
            f"{type(net).__name__}: it has no stack of blocks (no ModuleList), so its layers cannot be told apart."
        )
    return max(lists, key=lambda pair: sum(p.numel() for p in pair[1].parameters()))


def _depths_outside(
    net: nn.Module, blocks: list[nn.Module], example: Mapping[str, Tensor], others: Mapping[int, nn.Parameter]
) -> dict[int, int]:
    """The depth of each parameter outside the stack: below the first block whose input it reaches, else the head's."""
    entered: dict[int, list[Tensor]] = {}

    def watch(i: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            entered.setdefault(i, [t for t in _tensors([args, kwargs]) if t.requires_grad])

        return hook

    handles = [block.register_forward_pre_hook(watch(i), with_kwargs=True) for i, block in enumerate(blocks)]
    learning = {id(p): p.requires_grad for p in net.parameters()}
    net.requires_grad_(True)
    try:
        with torch.enable_grad(), evaluating(net):
            output = net(**example).logits
            left, depth = dict(others), {}
            for i in sorted(entered):
                for key in _reaching(entered[i], left):
                    depth[key] = len(blocks) + 1 - i
                    del left[key]
            used = _reaching([output], left)
    finally:
        for handle in handles:
            handle.remove()
        for p in net.parameters():
            p.requires_grad_(learning[id(p)])
    # What reaches nothing never learns; counted with the deepest, it is never taken for a trained part either.
    return depth | {key: 0 if key in used else len(blocks) + 1 for key in left}


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)


def _reaching(ends: list[Tensor], parameters: Mapping[int, nn.Parameter]) -> set[int]:
    """Which parameters stand in the graph of `ends`."""
    if not ends or not parameters:
        return set()
    total = torch.stack([end.float().sum() for end in ends]).sum()
    grads = torch.autograd.grad(total, list(parameters.values()), retain_graph=True, allow_unused=True)
    return {key for key, grad in zip(parameters, grads, strict=True) if grad is not None}


def _module_depth(name: str, inside: Mapping[str, int], parameters: Mapping[str, int]) -> int:
    """Its block's depth; else the least deep of its parameters', or, having none, of what stands around it."""
    for block, depth in inside.items():
        if name == block or name.startswith(block + "."):
            return depth
    while name:
        own = [depth for parameter, depth in parameters.items() if parameter.startswith(name + ".")]
        if own:
            return min(own)
        name = name.rpartition(".")[0]
    return 0
