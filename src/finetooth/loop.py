"""THE LOOP. It knows no files, no screen, no command line: it yields after each optimizer step, the caller decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite
from time import perf_counter

import torch
from torch import nn

from finetooth import adamw
from finetooth.backbones import Layers
from finetooth.batches import Batch, Batches
from finetooth.errors import NonFiniteLoss
from finetooth.history import Epoch, Step, Sums, passed
from finetooth.losses import Loss
from finetooth.prefix import Ask
from finetooth.rates import Rate
from finetooth.schedules import Schedule
from finetooth.seeds import number
from finetooth.twin import Twin


@dataclass
class State:
    """All that changes while a model is tuned, and all that a checkpoint holds."""

    net: nn.Module
    layers: Layers
    optimizer: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    sums: Sums = field(default_factory=Sums)


@dataclass(frozen=True)
class Recipe:
    """How to tune, as numbers and functions. `eval_every` is in epochs; the run ends after `steps` or `max_seconds`."""

    steps: int
    max_seconds: float
    loss: Loss
    learning_rate: float
    rate: Rate
    schedule: Schedule
    max_grad_norm: float
    eval_every: float
    seed: int
    precision: str
    device: str
    ask: Callable[[nn.Module, Callable[[int], bool], float], Ask]


Evaluate = Callable[[nn.Module, Ask], Mapping[str, float]]


def fit(state: State, batches: Batches, recipe: Recipe, evaluate: Evaluate) -> Iterator[Step]:
    """Tune `state` in place, yielding a Step after each update; one that ends an evaluation carries the Epoch.

    Whatever is random is a function of (seed, step), so a state saved at any step goes on as if never stopped. Raises
    NonFiniteLoss before the update that would have spoiled the weights.
    """
    net, layers, ended = state.net, state.layers, _over(state, recipe)
    twin = Twin(net, recipe.precision)
    frozen: list[bool] | None = None
    clock = perf_counter()
    while not ended:
        epoch, done = batches.locate(state.step)
        per_epoch = batches.steps(epoch)
        for micro_batches in batches(epoch, skip=done):
            # The rates of this moment. What is frozen has no gradients and runs in evaluation mode.
            before, done = epoch + done / per_epoch, done + 1
            rates = [recipe.rate(depth, before) for depth in range(layers.deepest + 1)]
            progress = max((state.step + 1) / (recipe.steps + 1), min(state.seconds / recipe.max_seconds, 1.0))
            learning_rate = recipe.learning_rate * recipe.schedule(progress)
            for group in state.optimizer.param_groups:
                group["lr"] = learning_rate * rates[group["depth"]]
            if frozen != [rate == 0.0 for rate in rates]:
                frozen = [rate == 0.0 for rate in rates]
                for each in {net, twin.net}:
                    layers.freeze(each, frozen.__getitem__)
                twin.learn()
                ask = recipe.ask(twin.net, frozen.__getitem__, before)

            # The weighted mean loss over the rows of the step, however many micro-batches they come in.
            weight = sum(float(batch.weights.sum()) for batch in micro_batches) or 1.0
            parts = []
            for i, batch in enumerate(micro_batches):
                with _seeded(number(recipe.seed, f"dropout {i}", state.step), recipe.device):
                    inputs = {name: tensor.to(recipe.device) for name, tensor in batch.inputs.items()}
                    logits = ask(inputs, batches.encoded.keys[batch.rows])
                    losses = recipe.loss(logits, batch.targets.to(recipe.device)) * batch.weights.to(recipe.device)
                    torch.autograd.backward(losses.sum() / weight)
                    if len(micro_batches) > 1:
                        twin.hand_over()
                    parts.append(losses.detach())

            total, norm = float(torch.cat(parts).sum()), adamw.norm(twin.learning)
            if not (isfinite(total) and isfinite(norm)):
                adamw.forget(twin.learning)
                raise NonFiniteLoss(state.step + 1, _suspects(batches, micro_batches, torch.cat(parts)))
            # The gradients are clipped to max_grad_norm; then a step of AdamW, which the copy in bf16 follows.
            adamw.update(state.optimizer, twin.learning, share=recipe.max_grad_norm / (norm + 1e-6))
            state.step += 1
            rows, seconds = sum(len(batch.rows) for batch in micro_batches), perf_counter() - clock
            state.seconds += seconds
            state.sums.add(total, weight, rows, norm, seconds)

            # Look at the validation rows each time a multiple of eval_every was passed, and at the end.
            look, now = None, epoch + done / per_epoch
            ended = _over(state, recipe)
            if ended or passed(before, now, recipe.eval_every):
                look = state.sums.epoch(state.step, now, evaluate(twin.net, ask), learning_rate, rates)
                state.history.append(look)
                state.sums = Sums()
            yield Step(state.step, recipe.steps, before, now, total / weight, norm, learning_rate, rows, look)
            clock = perf_counter()
            if ended:
                return


def _over(state: State, recipe: Recipe) -> bool:
    return state.step >= recipe.steps or state.seconds >= recipe.max_seconds


def _suspects(batches: Batches, micro_batches: list[Batch], losses: torch.Tensor) -> list[str]:
    """The ids of the rows whose loss is not finite; of all rows of the step when it is the gradient."""
    ids = [batches.encoded.ids[row] for batch in micro_batches for row in batch.owners]
    spoiled = [row_id for row_id, fine in zip(ids, losses.isfinite().tolist(), strict=True) if not fine]
    return [*dict.fromkeys(spoiled or ids)]


@contextmanager
def _seeded(seed: int, device: str) -> Iterator[None]:
    """Draw dropout from this seed, and leave the generators of the process as they were."""
    # manual_seed speaks to every GPU, so every GPU's generator is put back. Without one it would write down the whole
    # stack for each kind of GPU that might come yet, which takes longer than a small step.
    with torch.random.fork_rng(devices=range(torch.cuda.device_count()) if device == "cuda" else []):
        if device == "cpu":
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)
        yield
