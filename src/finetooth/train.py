"""Table and Plan -> Run: where the parts meet."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

from finetooth import checkpoint, machine, stops
from finetooth.errors import Interrupted, RunError
from finetooth.history import Epoch, Progress, Silent, Step, passed
from finetooth.loop import State, fit
from finetooth.metrics import Metric
from finetooth.plan import Plan
from finetooth.prepare import Job, decisions, findings, prepare
from finetooth.report import trained, write_report
from finetooth.run import Run
from finetooth.table import Table


def train(
    table: Table,
    plan: Plan | None = None,
    *,
    model: str,
    out: str | Path,
    rows: int | None = None,
    resume: bool = False,
    metrics: Sequence[Metric] = (),
    progress: Progress | None = None,
) -> Run:
    """Tune `model` on the table's training rows into the run directory `out`; the test rows stay sealed.

    `rows` starts small: at most so many rows of training and of validation, the sealed ones as ever. `metrics` are
    further ones, which the plan's metric_for_best_model may name. Raises UserError for what is wrong with the input,
    NonFiniteLoss, and Interrupted after a signal, when the state has been saved.
    """
    clock, progress = perf_counter(), progress or Silent()
    going_on = resume and Path(out).exists()
    run = Run.open(out) if going_on else Run.create(out)
    if run.finished:
        progress.say(f"{run.path} is finished already")
        return run
    job = prepare(table, plan or Plan(), model, rows=rows, metrics=metrics)
    state = job.state()
    if going_on:
        _refuse_changes(run, table, job)
        _restore(run, state, job, progress)
    else:
        _write_start(run, table, job)
    for sentence in decisions(job):
        progress.say(sentence)
    seconds = {"prepare": perf_counter() - clock}

    clock, enough = perf_counter(), stops.never()
    if job.plan.early_stopping_patience is not None:
        enough = stops.patience(job.goal, job.plan.early_stopping_patience)
    with _signals() as received:
        for step in () if enough(state.history) else fit(state, job.batches, job.recipe, job.scores):
            progress.step(step)
            if step.ended:
                run.write_epochs(state.history)
            if received or _save_due(step, state, job):
                _save(run, state, job)
            if received:
                raise Interrupted(received[0], state.step, str(run.path))
            if step.ended and enough(state.history):
                progress.say(f"stopped early: {job.goal.name} was best at epoch {_best(state, job).epoch:g}")
                break
    best = _best(state, job)
    if best.step != state.step:
        checkpoint.put(state.net, checkpoint.weights_at(run.checkpoints, best.step))
    seconds["train"] = perf_counter() - clock

    clock = perf_counter()
    job.backbone.save(run.model)
    run.write_predictions("validation", job.look(state.net))
    seconds["evaluate"] = perf_counter() - clock
    run.write(
        "machine.json",
        {
            **machine.facts(),
            "precision": job.plan.precision,
            "seconds": seconds,
            "peak_memory_bytes": machine.peak_memory(),
            "command": shlex.join(["finetooth", *sys.argv[1:]]) if sys.argv[0].endswith("finetooth") else None,
        },
    )
    write_report(run, trained(run, table, job.metrics, job.goal, job.reasons))
    return run


def _best(state: State, job: Job) -> Epoch:
    return state.history[stops.best(job.goal, state.history)]


def _save_due(step: Step, state: State, job: Job) -> bool:
    """At each multiple of save_every, and whenever the evaluation that just ended is the best so far."""
    best = step.ended is not None and _best(state, job).step == step.step
    return best or passed(step.since, step.epoch, job.plan.save_every)


def _save(run: Run, state: State, job: Job) -> None:
    checkpoint.save(state, run.checkpoints, _identity(job))
    checkpoint.keep(run.checkpoints, {state.step, *([_best(state, job).step] if state.history else [])})


def _identity(job: Job) -> str:
    """What a checkpoint has to have been made for: these rows, this plan, this model."""
    kept = [job.training.ids, job.plan.values(), job.backbone.weights_digest, job.backbone.tokenizer_digest]
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _restore(run: Run, state: State, job: Job, progress: Progress) -> None:
    path, passed = checkpoint.newest(run.checkpoints, _identity(job))
    for sentence in passed:
        progress.say(sentence)
    if path is None:
        progress.say("no checkpoint yet: starting from the first step")
        return
    checkpoint.load(path, state)
    progress.say(f"going on from step {state.step}")


def _data(table: Table, job: Job) -> dict[str, Any]:
    """What data.json holds; enough to refuse changed data, or another model, on resume."""
    return {
        "source": table.source,
        "fingerprint": table.fingerprint,
        "columns": table.columns.roles(),
        "rows": len(table),
        "names": job.names,
        "counts": {str(label): count for label, count in sorted(Counter(table.labels).items(), key=str)},
        "model": job.backbone.source,
        "weights": job.backbone.weights_digest,
        "tokenizer": job.backbone.tokenizer_digest,
    }


def _write_start(run: Run, table: Table, job: Job) -> None:
    run.write("data.json", _data(table, job))
    run.write("split.json", asdict(job.split))
    run.write("findings.json", {"findings": [finding.values() for finding in findings(table, job)]})
    run.write_plan(job.plan, job.reasons)


def _refuse_changes(run: Run, table: Table, job: Job) -> None:
    """Raise RunError, naming what differs between the run and the command that is to go on with it."""
    before, now = run.json("data.json"), _data(table, job)
    # A file or a model may have moved; its content may not have changed.
    changed = [key for key in now if before.get(key) != now[key] and key not in ("source", "model")]
    if run.split != job.split:
        changed.append("split")
    plan, then = job.plan.values(), run.plan.values()
    changed += [f"{key} (was {then[key]}, now {plan[key]})" for key in plan if plan[key] != then[key]]
    if changed:
        raise RunError(
            f"{run.path}: cannot go on, since these are not what the run began with: {', '.join(changed)}. Put them "
            f"back, or begin a new run with another --out."
        )


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect the first Ctrl-C or SIGTERM, so that the step in hand can end; a second one acts at once."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return

    def handle(number: int, frame: Any) -> None:
        received.append(number)
        for each in before:
            signal.signal(each, before[each])

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        signal.signal(each, handle)
    try:
        yield received
    finally:
        for each in before:
            signal.signal(each, before[each])
