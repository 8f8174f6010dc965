"""A network beside itself in bf16: the copy computes, the fp32 weights learn.

Micikevicius et al. 2018 (Mixed Precision Training), section 3.1: master weights. Nothing is cast on the way, as it is
under autocast for every product of every micro-batch, and what passes between the layers takes half the memory.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import nn

FP32 = (nn.modules.batchnorm._BatchNorm,)  # what keeps statistics beside its weights, in one precision


def depthwise(module: nn.Module) -> bool:
    """Whether it is a convolution of each channel by itself, which a processor is no faster at in bf16.

    The way back through one with a stride or a wide kernel takes up to ten times as long there as in fp32.
    """
    return isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1 and module.weight.is_cpu


class Twin:
    """The `net` that computes for another one: a copy with weights in bf16, or in fp32 the very same."""

    def __init__(self, master: nn.Module, precision: str) -> None:
        self.net, self.learning = master, dict[nn.Parameter, nn.Parameter]()  # each weight, and what computes for it
        self._master = master
        if precision == "bf16":
            # The buffers (positions, statistics) stay one and the same, in the precision that they have.
            kept: dict[int, Any] = {id(buffer): buffer for buffer in master.buffers()}
            for module in master.modules():
                for own in module.parameters(recurse=False):
                    if not own.is_floating_point():
                        # Of few bits, and never changed: one and the same too, as are its scales.
                        for same in (own, getattr(module, "state", None)):
                            kept[id(same)] = same
                    elif own.dtype == torch.float32 and not (isinstance(module, FP32) or depthwise(module)):
                        kept[id(own)] = nn.Parameter(own.detach().bfloat16(), requires_grad=own.requires_grad)
            self.net = deepcopy(master, kept)
            for module in filter(depthwise, self.net.modules()):
                module.register_forward_pre_hook(lambda module, args: (args[0].float(),))
                module.register_forward_hook(lambda module, args, found: found.bfloat16())
            self.net.zero_grad()

    def learn(self) -> None:
        """Go by which of the master's weights learn, from now on."""
        pairs = zip(self._master.parameters(), self.net.parameters(), strict=True)
        self.learning = {own: copy for own, copy in pairs if own.requires_grad}
        self.follow()

    def hand_over(self) -> None:
        """The gradients to those of the weights that learn, where they are added up in fp32."""
        for own, copy in self._copied():
            if copy.grad is not None:
                own.grad = copy.grad.float() if own.grad is None else own.grad.add_(copy.grad)
                copy.grad = None

    @torch.no_grad()
    def follow(self) -> None:
        """Take over the weights as they are now."""
        if copied := self._copied():
            torch._foreach_copy_([copy for _, copy in copied], [own for own, _ in copied])

    def _copied(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        return [(own, copy) for own, copy in self.learning.items() if own is not copy]
