"""Go on with a run: only if it is the same run, and from its newest checkpoint that is whole."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from finetooth import checkpoint, stops
from finetooth.errors import RunError
from finetooth.loop import State
from finetooth.plan import Plan
from finetooth.prepare import Job
from finetooth.progress import Progress
from finetooth.run import Run
from finetooth.table import Kind, Table


def data_of(table: Table, job: Job, further: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What data.json holds; enough to refuse changed data, or another model, when a run goes on.

    `further` is what else was asked for, beyond a plan, and may not change either.
    """
    return {
        "source": table.source,
        "fingerprint": table.fingerprint,
        "columns": table.columns.roles(),
        "rows": len(table),
        "limit": job.limit,
        "names": job.names,
        "kind": job.task.kind,
        "pipeline": list(job.task.pipeline),
        "counts": _counts(table, job.task.kind),
        "model": job.backbone.source,
        "weights": job.backbone.weights_digest,
        "tokenizer": job.backbone.tokenizer_digest,
        **(further or {}),
    }


def _counts(table: Table, kind: Kind) -> dict[str, int]:
    """Rows per class."""
    return (
        {str(label): count for label, count in sorted(Counter(table.labels).items(), key=str)}
        if kind == "one-of"
        else {}
    )


def identity(job: Job) -> str:
    """What a checkpoint has to have been made for: these rows, this plan, this model."""
    kept = [job.training.ids, job.plan.values(), job.backbone.weights_digest, job.backbone.tokenizer_digest]
    return sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def refuse_changes(run: Run, table: Table, job: Job, further: Mapping[str, Any] | None = None) -> None:
    """Raise RunError, naming what differs between the run and the command that is to go on with it."""
    before, now = run.json("data.json"), data_of(table, job, further)
    # A file or a model may have moved; its content may not have changed. The seal is written when a run ends.
    may_differ = ("source", "model", "sealed")
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key) and key not in may_differ]
    if run.split != job.split:
        changed.append("split")
    refuse(run.path, "run", [*changed, *differing(run.plan.values(), job.plan.values())])
    refuse_unnamed(run.path, job.plan)


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Each key whose value is another now, with both."""
    return [f"{key} (was {then.get(key)}, now {now[key]})" for key in now if then.get(key) != now[key]]


def refuse(path: Path, what: str, changed: Sequence[str]) -> None:
    """Raise RunError, naming what was changed, if anything was."""
    if changed:
        raise RunError(
            f"{path}: cannot go on, since these are not what the {what} began with: {', '.join(changed)}. Put them "
            f"back, or begin a new {what} with another --out."
        )


def refuse_unnamed(path: Path, plan: Plan) -> None:
    """Raise RunError for a function in the plan that cannot be told from another."""
    values = plan.values()
    parts = [
        (key, part) for key in values for part in (values[key] if isinstance(values[key], list) else [values[key]])
    ]
    unnamed = [key for key, part in parts if isinstance(part, dict) and "<" in str(part.get("use"))]
    if unnamed:
        raise RunError(
            f"{path}: cannot go on, since {unnamed[0]} is a function without a name of its own, which may have "
            f"changed; define it with def at the top of a module."
        )


def restore(run: Run, state: State, job: Job, progress: Progress) -> None:
    """Load the newest whole checkpoint into `state`, saying what was passed over; without one, the first step is next.

    The best evaluation's checkpoint is needed at the end. If it is damaged the run starts over: what it comes to is a
    function of the plan, so only time is lost.
    """
    path, passed = checkpoint.newest(run.checkpoints, identity(job))
    for sentence in passed:
        progress.say(sentence)
    if path is None:
        progress.say("no checkpoint to go on from: starting at the first step")
        return
    history = checkpoint.history_of(path)
    if history:
        best = run.checkpoints / f"{history[stops.best(job.goal, history)].step:08d}"
        if fault := checkpoint.damage(best):
            progress.say(
                f"checkpoint {best.name}, the best so far, cannot be used: {fault}. Starting at the first step"
            )
            return
    checkpoint.load(path, state)
    progress.say(f"going on after step {state.step}")
