"""Net, task and rows -> Predictions."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from finetooth.batches import by_tokens
from finetooth.table import Predictions
from finetooth.tasks import Encoded, Task

BUDGETS = {"cpu": 2048, "cuda": 65536}  # padded tokens at once: enough to fill the cores, few enough for their caches


def predict(
    net: nn.Module, task: Task, encoded: Encoded, names: list[str], *, pad: int, precision: str, device: str
) -> Predictions:
    """Probabilities for every row, in the order of `encoded`; the net is left in the mode it was in.

    `precision` is fp32 or bf16 (matrix products only; probabilities are fp32 either way).
    """
    modes = {name: module.training for name, module in net.named_modules()}
    net.eval()
    probabilities = np.zeros((len(encoded), len(names)))
    with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        for rows in by_tokens(encoded.lengths, BUDGETS[device]):
            inputs, _ = task.collate(encoded, rows, pad)
            logits = task.logits(net, {name: tensor.to(device) for name, tensor in inputs.items()})
            probabilities[rows] = task.probabilities(logits).cpu().numpy()
    for name, module in net.named_modules():
        module.training = modes[name]
    return Predictions(list(encoded.ids), encoded.targets, probabilities, names)
