"""Batch normalisation by the statistics of the pre-training.

A fine-tuning is too short, and its batches too small, to gather better ones: normalised by the batch in training and by
half-settled averages afterwards, it is two different networks. With fixed statistics a row's loss hangs on the row
alone, whatever its batch-mates, and a batch can be computed in pieces.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import batch_norm

KINDS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


class _Settled(nn.modules.batchnorm._BatchNorm):
    """As in evaluation, always; scale and shift are learnt all the same."""

    def forward(self, input: Tensor) -> Tensor:
        """The input, normalised."""
        return batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps)


def settle(net: nn.Module) -> None:
    """Have every batch normalisation of a pre-trained net keep its statistics."""
    for module in net.modules():
        if type(module) in KINDS and module.running_mean is not None:
            module.__class__ = _Settled


def by_batch(net: nn.Module) -> bool:
    """Whether what the net says of a row in training hangs on the other rows of its batch."""
    return any(isinstance(module, KINDS) for module in net.modules())
