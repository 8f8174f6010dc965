"""The last linear layer of a classifier, by which its logits can be scaled."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from finetooth.backbones.layers import evaluating


def cool(net: nn.Module, classes: int, temperature: float, example: Mapping[str, Tensor]) -> bool:
    """Divide the logits of `net` by a temperature, inside its last linear layer; whether that could be done.

    The layer is the last with so many outputs. What it does to the logits is looked at on `example`, and undone where
    they are not as they should be: something comes after that layer, or it is used elsewhere too.
    """
    heads = [m for m in net.modules() if isinstance(m, nn.Linear) and m.out_features == classes]
    if not heads:
        return False
    with torch.inference_mode(), evaluating(net):
        before = net(**example).logits
    kept = {name: tensor.detach().clone() for name, tensor in heads[-1].state_dict().items()}
    with torch.no_grad():
        for parameter in heads[-1].parameters():
            parameter.div_(temperature)
    with torch.inference_mode(), evaluating(net):
        fine = torch.allclose(net(**example).logits, before / temperature, rtol=1e-4, atol=1e-5)
    if not fine:
        heads[-1].load_state_dict(kept)
    return fine
