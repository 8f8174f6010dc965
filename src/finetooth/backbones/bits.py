"""Under an adapter the matrices that do not learn are kept in 4 or 8 bits: QLoRA.

Dettmers et al. 2023 (QLoRA), section 3: normal floats of 4 bits, their scales in 8; Dettmers et al. 2022 (LLM.int8()),
section 3: 8 bits, columns with outliers apart. bitsandbytes computes with them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from finetooth.backbones.layers import evaluating
from finetooth.errors import ModelError, UserError

LEAST_WIDTH = 64  # numbers that share a scale
MOST = 0.5  # of what a net says, that bits may change


def quantize(net: Any, bits: int, device: str, example: Mapping[str, Tensor]) -> None:
    """Put matrices of so many bits, on this device, in the place of those beside which an adapter stands.

    Matrices narrower than the numbers that share a scale stay as they are, and so do those that a net wants in fp32
    (T5 looks up the type of one of its own). Raises UserError without bitsandbytes, and ModelError where the net, which
    takes the `example`, then says something else.
    """
    try:
        _kinds()
    except ImportError as error:
        raise UserError("adapter.bits needs the library 'bitsandbytes': pip install 'finetooth[bits]'.") from error
    whole = set(getattr(net, "_keep_in_fp32_modules", None) or ())
    changed = [
        layer
        for name, layer in _adapted(net)
        if type(layer.base_layer) is nn.Linear
        and layer.base_layer.in_features >= LEAST_WIDTH
        and not whole & set(name.split("."))
    ]
    if not changed:
        return
    with torch.inference_mode(), evaluating(net):
        before = net(**example).logits
    for layer in changed:
        layer.base_layer = _four(layer.base_layer, device) if bits == 4 else _eight(layer.base_layer, device)
    net.to(device)
    with torch.inference_mode(), evaluating(net):
        after = net(**{name: each.to(device) for name, each in example.items()}).logits.to(before.device)
    gap = float((after - before).norm() / before.norm())
    if not gap <= MOST:
        raise ModelError(
            f"adapter.bits: with its matrices in {bits} bits a {net.config.model_type} says something else (by "
            f"{gap:.2g} of what it says); take {'bits: 8, or none' if bits == 4 else 'none'}."
        )


def restore(net: nn.Module) -> bool:
    """Put plain matrices in their place again, of the numbers that the bits stand for; whether there were any."""
    from peft.utils.integrations import dequantize_module_weight

    changed = [layer for _, layer in _adapted(net) if in_bits(layer.base_layer)]
    for layer in changed:
        base = layer.base_layer
        layer.base_layer = _plain(base, dequantize_module_weight(base).detach())
    return bool(changed)


def in_bits(module: nn.Module) -> bool:
    """Whether it is a matrix of few bits."""
    return isinstance(module, nn.Linear) and not module.weight.is_floating_point()


def hush() -> None:
    """PEFT asks for bitsandbytes where it is installed, which tells of kernels that it does without."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _kinds() -> Any:
    """The library's layers."""
    return import_module("bitsandbytes.nn")


def _adapted(net: nn.Module) -> list[tuple[str, Any]]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [(name, module) for name, module in net.named_modules() if isinstance(module, BaseTunerLayer)]


def _four(base: nn.Linear, device: str) -> nn.Module:
    kinds = _kinds()
    made = kinds.Linear4bit(base.in_features, base.out_features, bias=base.bias is not None, quant_type="nf4")
    weight = kinds.Params4bit(base.weight.detach(), requires_grad=False, quant_type="nf4", module=made)
    made.weight = weight.to(device)  # rounded on the way
    # Its layout for answers on a processor is a rounding coarser, and changes the weights that a copy shares.
    made.support_avx512bf16_for_cpu = False
    # Asked in fp32 it is to compute in fp32, and its copy in bf16 in that.
    made.register_forward_pre_hook(_in_its_own_precision)
    return _with_bias(made, base)


def _eight(base: nn.Linear, device: str) -> nn.Module:
    kinds, how = _kinds(), {"bias": base.bias is not None, "has_fp16_weights": False}
    made = kinds.Linear8bitLt(base.in_features, base.out_features, **how, threshold=6.0)
    weight = kinds.Int8Params(base.weight.detach().cpu(), requires_grad=False, has_fp16_weights=False)
    made.weight = weight.to(device)
    made.init_8bit_state()  # else the first copy that is asked would take the scales from the other
    return _with_bias(made, base)


def _in_its_own_precision(module: Any, args: Any) -> None:
    module.compute_type_is_set = False


def _plain(base: nn.Linear, weight: torch.Tensor) -> nn.Module:
    made = nn.Linear(base.in_features, base.out_features, bias=base.bias is not None, device=weight.device)
    made.weight = nn.Parameter(weight.float(), requires_grad=False)
    return _with_bias(made, base)


def _with_bias(made: Any, base: nn.Linear) -> nn.Module:
    made.bias = base.bias
    found: nn.Module = made.train(base.training)
    return found
