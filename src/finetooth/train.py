"""Table and Plan -> Run: where the parts meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from finetooth import checkpoint, machine, stops
from finetooth.conclude import decided, judge_baselines, settle
from finetooth.durable import sync_all
from finetooth.errors import Interrupted, NonFiniteLoss, PlanError, RunError
from finetooth.history import Epoch, Step, passed
from finetooth.loop import State, fit
from finetooth.metrics import Metric
from finetooth.plan import Plan
from finetooth.predict import exact
from finetooth.prepare import Job, Material, decisions, findings
from finetooth.progress import Heeding, Progress, Silent
from finetooth.report import trained, write_report
from finetooth.resume import data_of, identity, refuse_changes, restore
from finetooth.run import Run
from finetooth.signals import caught
from finetooth.table import Table


def train(
    table: Table,
    plan: Plan | None = None,
    *,
    model: str,
    out: str | Path,
    rows: int | None = None,
    resume: bool = False,
    seeds: int = 1,
    scratch: bool = False,
    metrics: Sequence[Metric] = (),
    progress: Progress | None = None,
) -> Run:
    """Tune `model` on the table's training rows into the run directory `out`; the test rows stay sealed.

    `rows` starts small: at most so many rows of training and of validation, the sealed ones as ever. With several
    `seeds` the same is trained again with other training seeds, in RUN/seeds; with `scratch` also from scratch, in
    RUN/scratch. `metrics` are further ones, which the plan's metric_for_best_model may name. Raises UserError for what
    is wrong with the input, NonFiniteLoss, and Interrupted after a signal, when the state has been saved.
    """
    progress, plan, clock = progress or Silent(), plan or Plan(), perf_counter()
    if not (resume and Run(Path(out)).begun):
        Run(Path(out)).refuse_occupied()
    material = Material.of(table, plan, model, rows=rows, metrics=metrics)
    if scratch and material.task.kind == "texts":
        raise PlanError(
            "--scratch: a language model knows nothing of language without its weights; the untuned model is what a "
            "tuned one is compared with. Leave --scratch away."
        )

    def again(run: Run, plan: Plan) -> None:
        for seed in range(plan.seed + 1, plan.seed + seeds):
            progress.say(f"training again with seed {seed}")
            other = plan.model_copy(update={"seed": seed})
            try:
                _train(material, other, out=run.seeds / str(seed), resume=True, progress=progress)
            except NonFiniteLoss as error:  # it is told as a degenerate run
                progress.say(str(error))
        if scratch:
            progress.say("training the same network from scratch, nothing frozen")
            free: dict[str, Any] = {"rate": None, "freeze": 0, "unfreeze_every": None, "layer_decay": 1.0}
            free |= {"adapter": None, "learning_rate": "auto"} if plan.adapter is not None else {}
            free |= {"learning_rate": plan.head_learning_rate} if plan.freeze == "all" else {}
            free |= {"head_learning_rate": plan.learning_rate} if plan.rate is not None else {}
            fresh = plan.model_copy(update=free)
            _train(material, fresh, out=run.scratch, resume=True, progress=progress, scratch=True)

    if resume and (run := Run(Path(out))).begun and run.finished:
        lacking = [f"--seeds {seeds}"] if seeds - 1 > len(run.other_seeds) else []
        lacking += ["--scratch"] if scratch and not Run(run.scratch).finished else []
        if lacking:
            raise RunError(
                f"{run.path}: has ended without {' and '.join(lacking)}; begin a new run with another --out."
            )
    return _train(material, plan, out=out, resume=resume, progress=progress, again=again, clock=clock)


def _train(
    material: Material,
    plan: Plan,
    *,
    out: str | Path,
    resume: bool,
    progress: Progress,
    scratch: bool = False,
    again: Callable[[Run, Plan], None] | None = None,
    clock: float | None = None,
) -> Run:
    """One run, begun at `clock`. `again` trains what is to stand beside it; what stands beside has no baselines."""
    clock, table = clock or perf_counter(), material.table
    job = material.job(plan, scratch=scratch, progress=progress)
    state = job.state()
    if resume and Run(Path(out)).begun:
        run = Run.open(out)
        refuse_changes(run, table, job)
        if run.finished:
            progress.say(f"{run.path} is finished already")
            return run
        job = material.ready(job)
        restore(run, state, job, progress)
    else:
        run = begin(out, table, job, progress)
        job = material.ready(job)
    for sentence in decisions(job):
        progress.say(sentence)
    seconds = {"prepare": perf_counter() - clock, "train": state.seconds}

    clock, enough = perf_counter(), stops.never()
    if job.plan.early_stopping_patience is not None:
        enough = stops.patience(job.goal, job.plan.early_stopping_patience)
    with caught() as received, machine.settled():

        def stop(signal: int) -> Interrupted:
            return Interrupted(signal, f"after step {state.step}", str(run.path))

        watched, saved = Heeding(progress, received, stop), state.step
        job = replace(job, progress=watched)
        try:
            for step in () if enough(state.history) else fit(state, job.batches, job.recipe, job.scores):
                progress.step(step)
                machine.tidy(step.step)
                if step.ended:
                    run.write_epochs(state.history)
                if _save_due(step, state, job):
                    _save(state, run, job)
                    saved = state.step
                watched.heed()
                if step.ended and enough(state.history):
                    progress.say(f"stopped early: no better {job.goal.name} since epoch {_best(state, job)[0].epoch:g}")
                    break
        except Interrupted:
            if state.step != saved:
                _save(state, run, job)
            raise
    run.write_epochs(state.history)
    best = _best(state, job)[0]
    if best.step != state.step:
        checkpoint.put(state.net, checkpoint.weights_at(run.checkpoints, best.step))
    seconds["train"] += perf_counter() - clock
    state.optimizer.state.clear()  # the moments have done their work; the report needs room
    machine.release()
    _end(run, table, job, best, seconds, progress, again)
    return run


def begin(out: str | Path, table: Table, job: Job, progress: Progress, further: Mapping[str, Any] | None = None) -> Run:
    """What is known before the first step; plan.yaml last, since with it a directory counts as a run.

    `further` goes into data.json, for `refuse_changes` to hold against what is asked for when the run goes on.
    """
    run = Run.create(out)
    found = findings(table, job)
    for finding in found:
        progress.say(finding.told())
    run.write("data.json", data_of(table, job, further))
    run.write("split.json", asdict(job.split))
    run.write("findings.json", {"findings": [finding.values() for finding in found]})
    run.write_plan(job.plan, job.reasons)
    return run


def _end(
    run: Run,
    table: Table,
    job: Job,
    best: Epoch,
    seconds: dict[str, float],
    progress: Progress,
    again: Callable[[Run, Plan], None] | None,
) -> None:
    """The model, what it says of the validation rows as it was saved, the baselines, and the report."""
    clock = perf_counter()
    job, p, calibration = settle(job, best.scores)
    if job.backbone.adapted:
        job.backbone.save_adapter(run.adapter)
        how = "its tokens stand in each row, and the saved model's blocks are as they were"
        if not job.backbone.prompted:
            how = f"merged into the saved model, to {job.backbone.merge():.1g} a logit"
        progress.say(f"{run.adapter}: the adapter as PEFT reads it; {how}")
    job.backbone.save(run.model)
    if p is None or job.plan.precision != "fp32" or run.adapter.exists():
        p = job.look(job.backbone.net, precision=exact(job.task, job.plan.precision))
    p, rule = decided(job.plan, job.metrics, p)
    if p.decisions is not None:
        run.write_decisions(p.decisions)
    sync_all(run.model)
    run.write_predictions("validation", p)
    seconds["evaluate"] = perf_counter() - clock
    if again is not None:
        clock = perf_counter()
        again(run, job.plan)
        if run.other_seeds or run.scratch.is_dir():
            seconds["other runs"] = perf_counter() - clock
    clock = perf_counter()
    judge_baselines(run, table, job, seconds["train"], progress, network=again is not None)
    seconds["evaluate"] += perf_counter() - clock
    kept = {"precision": job.plan.precision, "seconds": seconds, "peak_memory_bytes": machine.peak_memory()}
    run.write("machine.json", {**machine.facts(), **kept})
    run.seal(job.split)
    write_report(run, trained(run, table, job.metrics, job.goal, job.reasons, calibration, rule))


def _best(state: State, job: Job) -> list[Epoch]:
    """The best evaluation so far, if there was any."""
    return [state.history[stops.best(job.goal, state.history)]] if state.history else []


def _save(state: State, run: Run, job: Job) -> None:
    """A checkpoint of now; what is neither that nor the best so far goes."""
    checkpoint.save(state, run.checkpoints, identity(job))
    checkpoint.keep(run.checkpoints, {state.step, *(e.step for e in _best(state, job))})


def _save_due(step: Step, state: State, job: Job) -> bool:
    """At each multiple of save_every, and whenever the evaluation that just ended is the best so far."""
    best = step.ended is not None and _best(state, job)[0].step == step.step
    return best or passed(step.since, step.epoch, job.plan.save_every)
