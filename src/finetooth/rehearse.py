"""The dry run: two steps, a look, a save and a reload, then what the whole run will take."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from finetooth import checkpoint, machine
from finetooth.batches import Rows
from finetooth.errors import RunError
from finetooth.loop import fit
from finetooth.metrics import Metric
from finetooth.plan import Plan
from finetooth.prepare import Job, decisions, prepare
from finetooth.progress import Progress, Silent
from finetooth.table import Table
from finetooth.tasks import Preference

LOOK_ROWS = 256  # validation rows that are enough to tell how long all take


def rehearse(
    table: Table,
    plan: Plan | None = None,
    *,
    model: str,
    out: str | Path,
    rows: int | None = None,
    metrics: Sequence[Metric] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Do everything that `train` does, once and small, and foretell seconds, memory and disk; `out` is not made.

    The first step is the heaviest of the first epoch, for the memory; the second a middling one, for the time. Raises
    UserError as `train` would, and RunError when the disk has too little room or what was saved comes back changed.
    """
    clock, say = perf_counter(), (progress or Silent()).say
    job = prepare(table, plan or Plan(), model, rows=rows, metrics=metrics)
    for sentence in decisions(job):
        say(sentence)
    seconds = {"prepare": perf_counter() - clock}
    if isinstance(job.task, Preference):
        # What the untuned model prefers is asked when a run begins; for a step that is measured anything does.
        training, validation = (
            replace(rows, targets=np.zeros(len(rows), np.float32)) for rows in (job.training, job.validation)
        )
        job = replace(job, training=training, validation=validation)

    order, whole, state = job.batches.order(0), job.recipe, job.state()
    if any(whole.rate(depth, 0.0) == 0.0 for depth in range(job.backbone.layers.deepest)) and job.plan.cache != "off":
        say("the time foretold is without a store of what is frozen; where there can be one, it will be less")
    by_weight = sorted(order, key=lambda step: _padded(job, step))
    # The rates of the end, when most layers learn.
    at_the_end = replace(
        whole,
        rate=lambda depth, epoch: whole.rate(depth, job.epochs),
        eval_every=inf,
        # Without a store, which a rehearsal should not build: the run takes less time where there is one.
        ask=lambda net, frozen, epoch: lambda inputs, keys: job.task.logits(net, inputs),
    )
    per_token = 0.0
    for chosen in (by_weight[-1], by_weight[len(order) // 2]):
        part = replace(job, training=job.training.take(chosen), shares=job.shares[chosen]).batches
        before = state.seconds
        for step in fit(state, part, replace(at_the_end, steps=state.step + part.steps(0)), lambda net, ask: {}):
            say(f"rehearsed a step of {step.rows} rows")
        per_token = (state.seconds - before) / _padded(job, chosen)
    clock = perf_counter()
    small = replace(job, validation=job.validation.take(np.arange(min(LOOK_ROWS, len(job.validation)))))
    small.scores(state.net)
    say(f"looked at {len(small.validation)} validation rows")
    a_row = (perf_counter() - clock) / len(small.validation)
    look = a_row * len(job.validation)
    if isinstance(job.task, Preference):
        seconds["prepare"] += a_row * len(job.rows)

    parent = next(folder for folder in (Path(out).absolute(), *Path(out).absolute().parents) if folder.is_dir())
    with tempfile.TemporaryDirectory(dir=parent, prefix=".rehearsal-") as scratch:
        clock = perf_counter()
        saved = checkpoint.save(state, Path(scratch))
        save = perf_counter() - clock
        size = sum(file.stat().st_size for file in saved.iterdir())
        weights = [parameter.detach().clone() for parameter in state.net.parameters()]
        checkpoint.load(saved, state)
        if not all(torch.equal(a, b) for a, b in zip(weights, state.net.parameters(), strict=True)):
            raise RunError(f"{parent}: what was saved there did not come back as it was.")
    say(f"saved and reloaded a checkpoint of {size / 1e6:.0f} MB in {perf_counter() - clock:.1f} s")

    looks = max(job.epochs / job.plan.eval_every, 1.0)
    steps = per_token * sum(_padded(job, step) for step in order) * job.epochs
    seconds["train"] = min(steps, whole.max_seconds) + looks * (look + save)
    # While a third checkpoint is written, the newest and the best are still there; the model is saved besides.
    disk, free = 3 * size + sum(weight.numel() * 4 for weight in weights), shutil.disk_usage(parent).free
    if free < disk:
        raise RunError(f"{parent}: the run needs {disk / 1e9:.1f} GB there, and {free / 1e9:.1f} GB are free.")
    return {
        "steps": whole.steps,
        "seconds": seconds,
        "peak_memory_bytes": machine.peak_memory(),
        "disk_bytes": disk,
        "disk_free_bytes": free,
        "plan": job.plan.values(),
        "reasons": dict(job.reasons),
    }


def _padded(job: Job, rows: Rows) -> int:
    """Tokens of a step, padding included."""
    return int(len(rows) * job.training.lengths[rows].max())
