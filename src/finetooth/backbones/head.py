"""The last linear layer of a network, by which its logits can be scaled and moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from finetooth.backbones.layers import evaluating


def cool(net: nn.Module, classes: int, temperature: float, example: Mapping[str, Tensor]) -> bool:
    """Divide the logits of `net` by a temperature, inside its last linear layer; whether that could be done.

    As `_rewritten` finds out.
    """

    def divide(head: nn.Linear) -> None:
        for parameter in head.parameters():
            parameter.div_(temperature)

    return _rewritten(net, classes, divide, lambda logits: logits / temperature, example, rtol=1e-4, atol=1e-5)


def unstandardize(net: nn.Module, mean: float, deviation: float, example: Mapping[str, Tensor]) -> bool:
    """Make the one logit of `net`, which speaks in standard deviations from a mean, speak in their unit.

    Inside its last linear layer, which needs a bias; whether that could be done, as `_rewritten` finds out.
    """
    return _moved(net, mean, deviation, example, keep=True)


def movable(net: nn.Module, example: Mapping[str, Tensor]) -> bool:
    """Whether `unstandardize` can be done; the network is left as it is."""
    return _moved(net, 1.0, 2.0, example, keep=False)


def _moved(net: nn.Module, mean: float, deviation: float, example: Mapping[str, Tensor], *, keep: bool) -> bool:

    def move(head: nn.Linear) -> None:
        if head.bias is not None:
            head.weight.mul_(deviation)
            head.bias.mul_(deviation).add_(mean)

    near = {"rtol": 1e-6, "atol": 1e-4 * deviation}
    return _rewritten(net, 1, move, lambda logits: logits * deviation + mean, example, **near, keep=keep)


def _rewritten(
    net: nn.Module,
    outputs: int,
    change: Callable[[nn.Linear], None],
    wanted: Callable[[Tensor], Tensor],
    example: Mapping[str, Tensor],
    *,
    rtol: float,
    atol: float,
    keep: bool = True,
) -> bool:
    """Change the last linear layer with so many outputs; whether the logits on `example` become what is wanted.

    Where they do not, the change is undone: something comes after that layer, or it is used elsewhere too. It is undone
    as well where it is not to be kept.
    """
    heads = [m for m in net.modules() if isinstance(m, nn.Linear) and m.out_features == outputs]
    if not heads:
        return False
    with torch.inference_mode(), evaluating(net):
        goal = wanted(net(**example).logits)
    kept = {name: tensor.detach().clone() for name, tensor in heads[-1].state_dict().items()}
    with torch.no_grad():
        change(heads[-1])
    with torch.inference_mode(), evaluating(net):
        fine = torch.allclose(net(**example).logits, goal, rtol=rtol, atol=atol)
    if not (fine and keep):
        heads[-1].load_state_dict(kept)
    return fine
