"""Losses: logits and targets -> one loss per row, in fp32. What is averaged, and how, is the loop's business.

`LOSSES` gives them their names in a plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """Negative log likelihood in nats; `label_smoothing` of the target's probability goes to all classes alike.

    Logits (rows, classes), targets (rows,) or, where classes have shares, (rows, classes): then each counts by its
    share. Gives (rows,). Szegedy et al. 2016 (Rethinking Inception), section 7.
    """
    return lambda logits, targets: functional.cross_entropy(
        logits.float(), targets, reduction="none", label_smoothing=label_smoothing
    )


def focal(gamma: float = 2.0) -> Loss:
    """Cross-entropy times (1 - probability of the target) to the power `gamma`: what is learnt well counts less.

    Logits (rows, classes), targets (rows,); gives (rows,). Lin et al. 2017 (Focal Loss), section 3.2.
    """

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        logs = torch.log_softmax(logits.float(), dim=-1).gather(1, targets[:, None]).squeeze(1)
        return -((1.0 - logs.exp()) ** gamma) * logs

    return loss


def by_class(loss: Loss, weights: Sequence[float]) -> Loss:
    """Another loss of classes, each times the weight of its target. Targets (targets,); gives (targets,)."""
    each = torch.tensor(weights, dtype=torch.float32)
    return lambda logits, targets: loss(logits, targets) * each.to(targets.device)[targets]


def squared() -> Loss:
    """The squared error. Logits (rows, 1), targets (rows,), both in standard deviations; gives (rows,)."""
    return lambda logits, targets: (logits.float().squeeze(-1) - targets) ** 2


def huber(delta: float = 1.0) -> Loss:
    """Half the squared error up to `delta` standard deviations, beyond it a line: outliers pull less.

    Logits (rows, 1), targets (rows,); gives (rows,). Huber 1964 (Robust Estimation of a Location Parameter).
    """
    return lambda logits, targets: functional.huber_loss(
        logits.float().squeeze(-1), targets, reduction="none", delta=delta
    )


def binary_cross_entropy(pos_weight: Sequence[float] | None = None) -> Loss:
    """The mean over labels of each one's negative log likelihood, in nats, where it is true times its `pos_weight`.

    Logits (rows, labels), targets (rows, labels) of 0.0 and 1.0; gives (rows,).
    """
    weights = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float32)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        own = None if weights is None else weights.to(logits.device)
        each = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none", pos_weight=own)
        return each.mean(dim=1)

    return loss


def dpo(beta: float = 0.1) -> Loss:
    """Minus the log of how likely the preferred answer wins, where `beta` times the gain is the log of its odds.

    Logits (rows, 1) are by how many nats the network finds the preferred answer likelier than the other, targets
    (rows,) by how many it did before it was tuned; the gain is the difference. Gives (rows,). Rafailov et al. 2023
    (Direct Preference Optimization), equation 7. Raises ValueError for a beta that is not above 0.
    """
    if isinstance(beta, bool) or not (isinstance(beta, int | float) and 0 < beta < inf):
        raise ValueError(f"beta: found {beta!r}, expected a number above 0, such as 0.1")
    return lambda logits, targets: functional.softplus(-beta * (logits.float().squeeze(-1) - targets))


def in_chunks(
    head: Callable[[Tensor], Tensor], states: Tensor, targets: Tensor, loss: Loss, size: int = 1024
) -> Tensor:
    """The losses of many states, so many at a time: the logits of all of them never stand in memory together.

    States (tokens, width), `head` makes (tokens, classes) of them, targets (tokens,); gives (tokens,). With a
    vocabulary for classes, the logits and their gradients are what takes the memory; on the way back each chunk's are
    computed again. After Hsu et al. 2024 (Liger Kernel), section 3.2.
    """

    def of(some: Tensor, right: Tensor) -> Tensor:
        return loss(head(some), right)

    chunks = zip(torch.split(states, size), torch.split(targets, size), strict=True)
    return torch.cat([checkpoint(of, some, right, use_reentrant=False) for some, right in chunks])


LOSSES: dict[str, Callable[..., Loss]] = {
    "cross-entropy": cross_entropy,
    "focal": focal,
    "mse": squared,
    "huber": huber,
    "binary-cross-entropy": binary_cross_entropy,
    "dpo": dpo,
}
