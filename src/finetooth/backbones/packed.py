"""On a processor in bf16: products that begin with their weights in the order that they take, and end with the GELU.

A matrix is brought into the order of the machine's blocks for each product anew, and what a GELU reads has just been
written. oneDNN does both in the product itself; torch keeps that for what it compiles, and compiling takes half a
minute. It is for a net that answers: weights that learn would have to be brought into that order at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from finetooth.backbones.cut import apart, instead, told
from finetooth.backbones.layers import architecture, stacks_of

OPS: Any = torch.ops.mkldnn
KINDS = {"none": "the error function", "tanh": "its approximation"}  # of GELU, as torch and oneDNN name them
ROUNDING = 0.1  # share of how far rows differ, that bf16 in another order may come to
_PAIRS: dict[tuple[type, str, tuple[str, ...]], dict[str, tuple[str, str]]] = {}  # found before, in this process


@contextmanager
def packed(net: Any, example: Callable[[], Mapping[str, Tensor]]) -> Iterator[None]:
    """In here the linear layers of a net's blocks answer so, where the machine has it; its weights must not change.

    What they say differs by the rounding of what stands before a GELU, which is no longer written. Whether a net has a
    GELU right behind a product is looked at once of an architecture, on what `example` makes: two short rows will do.
    Meanwhile the matrices of the blocks are there twice.
    """
    inside = tuple(f"{name}." for name, _ in stacks_of(net))
    there: dict[str, Any] = {
        name: each for name, each in net.named_modules() if name.startswith(inside) and _plain(each)
    }
    if not there or not hasattr(OPS, "_linear_pointwise") or not OPS._is_mkldnn_bf16_supported():
        yield
        return
    about = *architecture(net), tuple(there)
    if about not in _PAIRS:
        _PAIRS[about] = _pairs(net, inside, there, example())
    with instead(_quick(net, there, _PAIRS[about])):
        yield


def _plain(module: nn.Module) -> bool:
    return type(module) is nn.Linear and module.weight.is_cpu and module.weight.dtype == torch.bfloat16


@torch.inference_mode()
def _quick(
    net: nn.Module, there: Mapping[str, nn.Linear], pairs: Mapping[str, tuple[str, str]]
) -> list[tuple[nn.Module, Callable[..., Any]]]:
    """Modules, and the forward that they have meanwhile."""
    found: list[tuple[nn.Module, Callable[..., Any]]] = []
    for name, layer in there.items():
        gelu, kind = pairs.get(name, (None, ""))
        weight = OPS._reorder_linear_weight(layer.weight.detach(), None)
        bias = None if layer.bias is None else layer.bias.detach()
        found.append((layer, partial(_product, weight, bias, "none" if gelu is None else "gelu", kind)))
        if gelu is not None:
            found.append((net.get_submodule(gelu), _as_it_is))
    return found


def _product(weight: Tensor, bias: Tensor | None, then: str, kind: str, input: Tensor) -> Tensor:
    product: Tensor = OPS._linear_pointwise(input, weight, bias, then, [], kind)
    return product


def _as_it_is(input: Tensor) -> Tensor:
    return input


@torch.inference_mode()
def _pairs(
    net: Any, inside: tuple[str, ...], there: Mapping[str, nn.Linear], example: Mapping[str, Tensor]
) -> dict[str, tuple[str, str]]:
    """The linear layers whose outputs go into a GELU and nowhere else, its name and kind."""
    made: dict[str, list[Tensor]] = {}
    taken: dict[str, list[Tensor]] = {}
    kinds = {name: kind for name, each in net.named_modules() if name.startswith(inside) and (kind := _gelu(each))}
    if not kinds:
        return {}
    handles = [
        layer.register_forward_hook(lambda _, args, output, name=name: made.setdefault(name, []).append(output))
        for name, layer in there.items()
    ]
    handles += [
        net.get_submodule(name).register_forward_pre_hook(
            lambda _, args, name=name: taken.setdefault(name, []).append(args[0])
        )
        for name in kinds
    ]
    stack = stacks_of(net)[-1][0]
    try:
        before = told(net, stack, example, lambda: net(**example))
    finally:
        for handle in handles:
            handle.remove()
    found: dict[str, tuple[str, str]] = {}
    for gelu, inputs in taken.items():
        ids = set(map(id, inputs))
        above = [name for name, outputs in made.items() if ids & set(map(id, outputs))]
        if ids == {id(output) for name in above for output in made[name]}:
            found |= dict.fromkeys(above, (gelu, kinds[gelu]))
    # Whether something else, too, reads what stands before a GELU is told by what the net then says.
    with instead(_quick(net, there, found)):
        after = told(net, stack, example, lambda: net(**example))
    return found if apart(before, after, torch.bfloat16) < ROUNDING else {}


def _gelu(module: nn.Module) -> str | None:
    """The kind of GELU that a module is, told by what it does."""
    if any(True for _ in module.children()) or any(True for _ in module.parameters()):
        return None
    line = torch.linspace(-4.0, 4.0, 33)
    try:
        said = module(line)
    except Exception:  # it takes something else
        return None
    for kind in KINDS:
        if isinstance(said, Tensor) and torch.allclose(said, nn.functional.gelu(line, approximate=kind), atol=1e-6):
            return kind
    return None
