"""Blocks that learn keep of a step what goes into them, and what they made of it is computed again on the way back.

Chen et al. 2016 (Training Deep Nets with Sublinear Memory Cost), section 4. It is done here, since transformers does it
for some architectures only (neither MPNet nor ALBERT), and does not know that only first tokens may be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers import Cache

from finetooth.backbones.first import replayed
from finetooth.backbones.layers import stacks_of
from finetooth.backbones.norm import by_batch


def recompute(net: nn.Module) -> None:
    """Have the blocks of a net do so from now on, where they learn: the same answers, and the gradient to a rounding.

    A block that gathers statistics of its batches would count each twice, and is left alone.
    """
    for _, stack in stacks_of(net):
        for block in stack:
            if not by_batch(block):
                block.forward = partial(_twice, block, block.forward)


def _twice(block: nn.Module, forward: Callable[..., Any], *args: Any, **named: Any) -> Any:
    if not (block.training and torch.is_grad_enabled()):
        return forward(*args, **named)
    # A decoder that writes its keys into a cache would find them there the second time; nobody reads one in training.
    args = tuple(None if isinstance(each, Cache) else each for each in args)
    named = {name: None if isinstance(each, Cache) else each for name, each in named.items()}
    if "use_cache" in named:
        named["use_cache"] = False
    return checkpoint(forward, *args, use_reentrant=False, context_fn=replayed, **named)
