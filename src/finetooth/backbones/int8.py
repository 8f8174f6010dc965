"""Matrix products in eight-bit numbers, for answers from a processor."""

from __future__ import annotations

import warnings
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from finetooth.backbones.layers import stack_of
from finetooth.errors import UserError


class Int8(nn.Module):
    """A linear layer with its weights in whole numbers of eight bits, a scale for each output.

    What comes in is brought to eight bits by the range of the batch (Jacob et al. 2018, Quantization and Training of
    Neural Networks, section 2.1), so batch-mates move an answer a little.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach().float()
        scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12).double()
        with warnings.catch_warnings():
            # It is to leave torch some day, and what is to replace it, torch._int_mm with the scales around it, is no
            # faster here than bf16.
            warnings.filterwarnings("ignore", message=".*quantized tensor creation functions.*deprecated")
            whole = torch.quantize_per_channel(weight, scale, torch.zeros_like(scale, dtype=torch.long), 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(whole, None if linear.bias is None else linear.bias.detach())
        # Some networks look up the type of a layer's weight before they ask it (T5): it takes and gives fp32.
        self.weight = torch.empty(0)
        # Without units for it, sums of two products of full range would not fit into sixteen bits.
        self.reduced = not torch.cpu.get_capabilities().get("avx512_vnni", False)

    def forward(self, input: Tensor) -> Tensor:
        """(..., features) in fp32."""
        found: Tensor = torch.ops.quantized.linear_dynamic(input, self.packed, self.reduced)
        return found


def int8(net: Any) -> Any:
    """A copy of the net with the products in its blocks in eight bits. Raises UserError where there is no processor."""
    if next(net.parameters()).device.type != "cpu":
        raise UserError("precision int8 is for processors; on this machine's GPU use bf16.")
    copy = deepcopy(net)
    _, stack = stack_of(copy)
    for module in list(stack.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Linear):
                setattr(module, name, Int8(child))
    return copy
