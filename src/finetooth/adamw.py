"""AdamW where copies compute for the weights: some weights at a time, as many as the caches of a processor hold.

A step reads and writes more than caches hold, and nothing else takes its time: gradients are brought to fp32, clipped,
moments and weights move, copies follow. One after the other for all weights that is a pass over the memory each; here
it is one pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from finetooth.backbones import Layers

ROOM = 1 << 19  # numbers of weights at a time: with gradient and moments 8 MB
Learning = Mapping[nn.Parameter, nn.Parameter]  # each weight that learns, and what computes for it: a copy, or itself


def optimizer(net: nn.Module, layers: Layers, weight_decay: float) -> torch.optim.AdamW:
    """Fused AdamW, a group for each depth; norms and biases (whatever has one dimension) do not decay.

    Loshchilov and Hutter 2019 (Decoupled Weight Decay Regularization), algorithm 2.
    """
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        if not parameter.is_floating_point():
            continue  # a matrix of few bits, which does not learn
        groups.setdefault((layers.parameters[name], parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "depth": depth, "weight_decay": weight_decay if decays else 0.0}
            for (depth, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
        ],
        fused=True,
    )


def norm(learning: Learning) -> float:
    """The 2-norm of the gradients of all weights together, in fp32."""
    gradients = [gradient for own in learning if (gradient := _gradient(own, learning)) is not None]
    norms = torch._foreach_norm(gradients, 2, dtype=torch.float32) if gradients else ()
    return float(torch.stack(norms).norm()) if norms else 0.0


@torch.no_grad()
def update(optimizer: torch.optim.AdamW, learning: Learning, share: float) -> None:
    """What `optimizer.step()` would do with this share of each gradient; copies follow, gradients are gone.

    A weight without a gradient stays as it is.
    """
    for group in optimizer.param_groups:
        mine = [own for own in group["params"] if own in learning and _gradient(own, learning) is not None]
        beta1, beta2 = group["betas"]
        for some in _together(mine):
            gradients = [gradient.float() for own in some if (gradient := _gradient(own, learning)) is not None]
            if share < 1.0:
                torch._foreach_mul_(gradients, share)
            states = [optimizer.state[own] for own in some]
            for own, state in zip(some, states, strict=True):
                if not state:
                    state["step"] = torch.zeros((), dtype=torch.float32, device=own.device)
                    state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(own), torch.zeros_like(own)
            adamw(
                [*some],
                gradients,
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=True,
                amsgrad=False,
                beta1=beta1,
                beta2=beta2,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )
            if copies := [(learning[own], own) for own in some if learning[own] is not own]:
                torch._foreach_copy_([copy for copy, _ in copies], [own for _, own in copies])
    forget(learning)


def forget(learning: Learning) -> None:
    """Away with the gradients."""
    for own, copy in learning.items():
        own.grad = copy.grad = None


def _gradient(own: nn.Parameter, learning: Learning) -> Tensor | None:
    """Where several batches were added up, in fp32, it lies with the weight; of one batch, with what computed."""
    return learning[own].grad if own.grad is None else own.grad


def _together(weights: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """In this order; a GPU takes all at once."""
    some: list[nn.Parameter] = []
    for own in weights:
        if some and not own.is_cuda and sum(each.numel() for each in some) + own.numel() > ROOM:
            yield some
            some = []
        some.append(own)
    if some:
        yield some
