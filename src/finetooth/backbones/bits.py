"""Under an adapter the matrices that do not learn are kept in 4 or 8 bits: QLoRA.

Dettmers et al. 2023 (QLoRA), section 3: normal floats of 4 bits, their scales in 8; Dettmers et al. 2022 (LLM.int8()),
section 3: 8 bits, columns with outliers apart. bitsandbytes computes with them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import torch
from torch import nn

from finetooth.errors import UserError

LEAST_WIDTH = 64  # numbers that share a scale


def quantize(net: nn.Module, bits: int) -> None:
    """Put matrices of so many bits in the place of those beside which an adapter stands, on the device where they are.

    They cannot be moved afterwards. Matrices narrower than the numbers that share a scale stay as they are. Raises
    UserError without bitsandbytes.
    """
    try:
        _kinds()
    except ImportError as error:
        raise UserError("adapter.bits needs the library 'bitsandbytes': pip install 'finetooth[bits]'.") from error
    for layer in _adapted(net):
        base = layer.base_layer
        if type(base) is nn.Linear and base.in_features >= LEAST_WIDTH:
            layer.base_layer = _four(base) if bits == 4 else _eight(base)


def restore(net: nn.Module) -> None:
    """Put plain matrices in their place again: of the numbers that the bits stand for."""
    from peft.utils.integrations import dequantize_module_weight

    for layer in _adapted(net):
        base = layer.base_layer
        if type(base) is not nn.Linear and isinstance(base, nn.Linear):
            layer.base_layer = _plain(base, dequantize_module_weight(base).detach())


def _kinds() -> Any:
    """The library's layers."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of kernels that it does without
    return import_module("bitsandbytes.nn")


def _adapted(net: nn.Module) -> Iterator[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    yield from [module for module in net.modules() if isinstance(module, BaseTunerLayer)]


def _four(base: nn.Linear) -> nn.Module:
    kinds = _kinds()
    made = kinds.Linear4bit(base.in_features, base.out_features, bias=base.bias is not None, quant_type="nf4")
    weight = kinds.Params4bit(base.weight.detach(), requires_grad=False, quant_type="nf4", module=made)
    made.weight = weight.to(base.weight.device)  # rounded on the way
    # Its layout for answers on a processor is a rounding coarser, and changes the weights that a copy shares.
    made.support_avx512bf16_for_cpu = False
    # Asked in fp32 it is to compute in fp32, and its copy in bf16 in that.
    made.register_forward_pre_hook(_in_its_own_precision)
    return _with_bias(made, base)


def _eight(base: nn.Linear) -> nn.Module:
    warnings.filterwarnings("ignore", "MatMul8bitLt: inputs will be cast")  # at every product, what it is there for
    kinds, how = _kinds(), {"bias": base.bias is not None, "has_fp16_weights": False}
    made = kinds.Linear8bitLt(base.in_features, base.out_features, **how, threshold=6.0)
    weight = kinds.Int8Params(base.weight.detach().cpu(), requires_grad=False, has_fp16_weights=False)
    made.weight = weight.to(base.weight.device)
    made.init_8bit_state()  # else the first copy that is asked would take the scales from the others
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
