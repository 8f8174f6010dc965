"""THE LOOP. It knows no files, no screen, no command line: it yields after each optimizer step, the caller decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import floor, isfinite
from time import perf_counter

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from finetooth.backbones import Layers
from finetooth.batches import Batch, Batches
from finetooth.errors import NonFiniteLoss
from finetooth.history import Epoch, Step, Sums
from finetooth.rates import Rate
from finetooth.schedules import Schedule
from finetooth.seeds import number


@dataclass
class State:
    """All that changes while a model is tuned, and all that a checkpoint holds."""

    net: nn.Module
    layers: Layers
    optimizer: torch.optim.Optimizer
    step: int = 0
    history: list[Epoch] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)


@dataclass(frozen=True)
class Recipe:
    """How to tune, as numbers and functions of numbers. `eval_every` is in epochs, `steps` is the whole run."""

    steps: int
    learning_rate: float
    rate: Rate
    schedule: Schedule
    max_grad_norm: float
    eval_every: float
    seed: int
    precision: str
    device: str


Evaluate = Callable[[nn.Module], Mapping[str, float]]


def fit(state: State, batches: Batches, recipe: Recipe, evaluate: Evaluate) -> Iterator[Step]:
    """Tune `state` in place, yielding a Step after each update; one that ends an evaluation carries the Epoch.

    Whatever is random is a function of (seed, step), so a state saved at any step goes on as if never stopped. Raises
    NonFiniteLoss before the update that would have spoiled the weights.
    """
    net, layers, per_epoch = state.net, state.layers, batches.steps_per_epoch
    frozen: list[bool] | None = None
    clock = perf_counter()
    while state.step < recipe.steps:
        epoch, done = divmod(state.step, per_epoch)
        for micro_batches in batches(epoch, skip=done):
            # The rates of this moment. What is frozen has no gradients and runs in evaluation mode.
            rates = [recipe.rate(depth, state.step / per_epoch) for depth in range(layers.deepest + 1)]
            learning_rate = recipe.learning_rate * recipe.schedule((state.step + 1) / (recipe.steps + 1))
            for group in state.optimizer.param_groups:
                group["lr"] = learning_rate * rates[group["depth"]]
            if frozen != [rate == 0.0 for rate in rates]:
                frozen = [rate == 0.0 for rate in rates]
                layers.freeze(net, frozen.__getitem__)

            # The mean loss over the rows of the step, however many micro-batches they come in.
            rows = sum(len(batch.rows) for batch in micro_batches)
            parts = []
            for i, batch in enumerate(micro_batches):
                with _seeded(number(recipe.seed, f"dropout {i}", state.step), recipe.device):
                    inputs = {name: tensor.to(recipe.device) for name, tensor in batch.inputs.items()}
                    with torch.autocast(recipe.device, torch.bfloat16, enabled=recipe.precision == "bf16"):
                        logits = batches.task.logits(net, inputs)
                    parts.append(batches.task.losses(logits, batch.targets.to(recipe.device)))
                    torch.autograd.backward(parts[-1].sum() / rows)

            losses = torch.cat([part.detach() for part in parts])
            loss, norm = float(losses.mean()), float(clip_grad_norm_(net.parameters(), recipe.max_grad_norm))
            if not (isfinite(loss) and isfinite(norm)):
                state.optimizer.zero_grad()
                raise NonFiniteLoss(state.step, _suspects(batches, micro_batches, losses), "loss or its gradient")
            state.optimizer.step()
            state.optimizer.zero_grad()
            state.step += 1
            state.sums.add(loss * rows, rows, norm, perf_counter() - clock)

            # Look at the validation rows each time a multiple of eval_every was passed, and at the end.
            ended, position = None, state.step / per_epoch
            if state.step == recipe.steps or _passed(position - 1 / per_epoch, position, recipe.eval_every):
                ended = state.sums.epoch(state.step, position, evaluate(net), learning_rate, rates)
                state.history.append(ended)
                state.sums = Sums()
            yield Step(state.step, recipe.steps, position, loss, norm, learning_rate, rows, ended)
            clock = perf_counter()
            if state.step == recipe.steps:
                return


def _passed(before: float, now: float, every: float) -> bool:
    return floor(now / every + 1e-9) > floor(before / every + 1e-9)


def _suspects(batches: Batches, micro_batches: list[Batch], losses: torch.Tensor) -> list[str]:
    """The ids of the rows whose loss is not finite; of all rows of the step when it is the gradient."""
    ids = [batches.encoded.ids[row] for batch in micro_batches for row in batch.rows]
    spoiled = [row_id for row_id, fine in zip(ids, losses.isfinite().tolist(), strict=True) if not fine]
    return spoiled or ids


@contextmanager
def _seeded(seed: int, device: str) -> Iterator[None]:
    """Draw dropout from this seed, and leave the generators of the process as they were."""
    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if device == "cuda" else []):
        torch.manual_seed(seed)
        yield


def optimizer(net: nn.Module, layers: Layers, weight_decay: float) -> torch.optim.Optimizer:
    """Fused AdamW, a group for each depth; norms and biases (whatever has one dimension) do not decay.

    Loshchilov and Hutter 2019 (Decoupled Weight Decay Regularization), algorithm 2.
    """
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in net.named_parameters():
        groups.setdefault((layers.parameters[name], parameter.ndim > 1), []).append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "depth": depth, "weight_decay": weight_decay if decays else 0.0}
            for (depth, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
        ],
        fused=True,
    )
