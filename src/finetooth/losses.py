"""Losses: logits and targets -> one loss per row. What is averaged, and with which weights, is the loop's business."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Negative log likelihood in nats. Logits (rows, classes), targets (rows,); gives (rows,), in fp32."""
    return functional.cross_entropy(logits.float(), targets, reduction="none")
