"""Dropout whose random numbers do not take longer than the matrix products around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

LEVELS = 1 << 16  # that a share of dropped numbers is rounded to


class Dropout(nn.Dropout):
    """As torch's own, where the processor draws: its generator there makes one number at a time, on one core.

    Sixteen random bits decide a number's fate, four fates a draw of SFC64 (Doty-Humphrey, PractRand), which is seeded
    from torch's own generator: what is dropped stays a function of that generator's state.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The input with a share `p` of its numbers dropped and the others scaled up, while training."""
        return dropped(input, self.p) if self.training else input


def dropped(input: Tensor, share: float) -> Tensor:
    """The input with a share of its numbers dropped and the others scaled up."""
    if share == 0.0 or input.device.type != "cpu":
        return dropout(input, share)
    cut = min(round(share * LEVELS), LEVELS - 1)
    seed = int(torch.randint(1 << 62, ()))
    bits = np.random.SFC64(seed).random_raw(-(-input.numel() // 4)).view(np.int16)
    kept = torch.from_numpy(bits)[: input.numel()].view(input.shape) >= cut - LEVELS // 2
    return _Dropped.apply(input, kept, LEVELS / (LEVELS - cut))  # type: ignore[no-any-return, no-untyped-call]


class _Dropped(torch.autograd.Function):
    """Some numbers dropped, the others scaled; the gradient likewise. A mask of bytes is all that is remembered."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return (input * kept).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.scale), None, None


def replace(net: nn.Module) -> None:
    """Put `Dropout` in the place of every nn.Dropout of the net."""
    for module in net.modules():
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p, child.inplace).train(child.training))
