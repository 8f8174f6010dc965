"""How far a run is from the time that its matrix products alone would take. Run: python bench/limit.py

Movie reviews, MiniLM, recipes/quick.yaml from the file to the last look, and transformers' Trainer in bf16 (train.py's
recipe). The floating-point operations of the matrix products are counted by torch's own counter, of the Trainer over a
few steps and scaled up. The machine's rate is measured on the products of a block at the tokens of one step, forwards
and backwards, without anything between them; the largest rate it reaches on large matrices stands beside it.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

import common
import data
import finetooth as ft
import train as beside
from finetooth import machine
from finetooth.prefix import stores
from finetooth.prepare import Job, Material
from finetooth.tune import looks

TOKENS, WIDTH, INNER = 960, 384, 1536  # of a step of 32 rows; of MiniLM
STEPS = 20  # of the Trainer that are counted


def rate(shapes: list[tuple[int, int, int]], seconds: float = 2.0) -> float:
    """Floating-point operations a second of (a, b) @ (b, c) in bf16, all the shapes in turn; the median of five."""
    device = machine.device()
    pairs = [
        (torch.randn(a, b, device=device).bfloat16(), torch.randn(b, c, device=device).bfloat16()) for a, b, c in shapes
    ]
    work, found = 2 * sum(a * b * c for a, b, c in shapes), []
    for _ in range(5):
        began, rounds = perf_counter(), 0
        while perf_counter() - began < seconds / 5:
            for one, other in pairs:
                torch.mm(one, other)
            if device == "cuda":
                torch.cuda.synchronize()
            rounds += 1
        found.append(rounds * work / (perf_counter() - began))
    return statistics.median(found)


def of_a_block(tokens: int, width: int, inner: int) -> list[tuple[int, int, int]]:
    """The products of one block with its weights: forwards, for the inputs' gradients, for the weights'."""
    layers = [(width, width)] * 4 + [(width, inner), (inner, width)]
    return [shape for a, b in layers for shape in ((tokens, a, b), (tokens, b, a), (a, tokens, b))]


def counted(work: Callable[[], Any]) -> float:
    """The operations of its matrix products."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops())


def job() -> Job:
    """The quick recipe on the movie reviews, without a store beforehand."""
    shutil.rmtree(stores(), ignore_errors=True)
    plan = ft.Plan.read(beside.QUICK)
    return Material.of(ft.read(data.path("movies")), plan, "minilm").job(plan)


def ours() -> tuple[float, float]:
    """Operations, and seconds."""
    operations = counted(lambda: list(looks(job())))
    began = perf_counter()
    list(looks(job()))
    return operations, perf_counter() - began


def peer() -> tuple[float, float]:
    """Operations and seconds of three epochs of the Trainer, without its looks, by a few steps of each."""

    def steps() -> tuple[int, list[float]]:
        with tempfile.TemporaryDirectory() as folder:
            options: dict[str, Any] = {"max_steps": STEPS, "eval_strategy": "no", "save_strategy": "no"}
            made, rows, _ = beside.teacher("minilm", 0, 0, Path(folder), True, load_best_model_at_end=False, **options)
            at = beside.clocked(made)
            made.train()
        return rows, at

    operations = counted(steps)
    rows, at = steps()
    pace = (at[-1] - at[4]) / (STEPS - 5)
    whole = 3 * -(-rows // 16)
    return operations * whole / STEPS, pace * whole


def main() -> None:
    reached, largest = rate(of_a_block(TOKENS, WIDTH, INNER)), rate([(4096, 4096, 4096)])
    found: dict[str, Any] = {"rate": {"of these products": reached, "of large matrices": largest}}
    for name, (operations, seconds) in {"ours": ours(), "trainer bf16, extrapolated": peer()}.items():
        limit = operations / reached
        found[name] = {"operations": operations, "limit, seconds": limit, "seconds": seconds, "share": limit / seconds}
        print(name, found[name], flush=True)
    print(common.write("limit", found))


if __name__ == "__main__":
    main()
