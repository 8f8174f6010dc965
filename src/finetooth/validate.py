"""Cross-validation: the same plan on every fold of the rows that are not sealed, and what all of it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from finetooth import baselines, machine, stops
from finetooth.baselines import Rows
from finetooth.conclude import as_before, decided
from finetooth.durable import in_one_stroke
from finetooth.errors import Interrupted, PlanError, RunError
from finetooth.locks import claimed, joined
from finetooth.metrics import Metric, finite
from finetooth.plan import Plan
from finetooth.prepare import Job, Material, decisions
from finetooth.processes import Heedful, Share, refuse_own_code, side_by_side
from finetooth.progress import Heeding, Progress, Silent
from finetooth.report import validated, words, write_validated
from finetooth.resume import refuse_changes
from finetooth.run import Run
from finetooth.signals import caught
from finetooth.table import Answers, Split, Table, together
from finetooth.tasks import Preference
from finetooth.tfidf import Counts
from finetooth.train import begin
from finetooth.tune import looks


@dataclass(frozen=True)
class Setup:
    """What a process has to be told to learn folds, besides what they are made from."""

    run: Run
    goal: Metric
    plan: Plan  # resolved
    dealt: list[Fold]
    left: list[Fold]  # which are still to be learnt


@dataclass(frozen=True)
class Fold:
    """The `number`-th fold of the `repeat`-th deal of the rows, both from 1."""

    repeat: int
    number: int
    split: Split

    @property
    def name(self) -> str:
        """By which its files are called."""
        return f"{self.repeat}-{self.number}"


def validate(
    table: Table,
    plan: Plan | None = None,
    *,
    model: str,
    out: str | Path,
    folds: int,
    repeats: int = 1,
    rows: int | None = None,
    resume: bool = False,
    jobs: int = 1,
    metrics: Sequence[Metric] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Tune `model` on each of `folds` folds of the rows to train and to validate; the test rows stay sealed.

    The plan is resolved once, as `train` would for these rows, and is the same for every fold. Each of the `repeats`
    deals the rows anew and counts the training seed up by one from the plan's, so that the spread has the luck of
    both. `rows` starts small: at most so many rows of training and of validation are dealt. `jobs` processes share
    the folds; a script that asks for several needs `if __name__ == "__main__"`. What a fold comes to is kept in the
    directory `out` when it ends. Returns the content of report.json. Raises UserError for what is wrong with the
    input, NonFiniteLoss, and Interrupted after a signal.
    """
    progress, plan, clock, run = progress or Silent(), plan or Plan(), perf_counter(), Run(Path(out))
    refuse_own_code(jobs, plan, metrics)
    going_on = resume and run.begun
    if not going_on:
        run.refuse_occupied()
    material = Material.of(table, plan, model, rows=rows, metrics=metrics)
    dealt = deal(material, plan, folds, repeats)
    job = material.job(plan)
    further = {"folds": folds, "repeats": repeats, "metrics": sorted(material.metrics)}
    if going_on:
        refuse_changes(run, table, job, further)
        if run.finished:
            progress.say(f"{run.path} is finished already")
            return run.json("report.json")
    else:
        begin(out, table, job, progress, further)
    for sentence in decisions(job):
        progress.say(sentence)
    times = f", {repeats} times" if repeats > 1 else ""
    progress.say(f"the rows to train and to validate are dealt into {folds} folds{times}")
    plan, reasons, goal = job.plan, job.reasons, job.goal
    del job  # each fold loads a model of its own
    prepared = perf_counter() - clock

    run.folds.mkdir(exist_ok=True)
    with claimed(run.path), caught() as received:
        left = [fold for fold in dealt if not _ended(run, fold)]
        if len(left) < len(dealt):
            progress.say(f"{len(dealt) - len(left)} of {len(dealt)} folds are there already")

        def stop(signal: int) -> Interrupted:
            ended = sum(_there(run, fold) for fold in dealt)
            return Interrupted(signal, f"after {ended} of {len(dealt)} folds", str(run.path))

        jobs = max(1, min(jobs, len(left)))
        told = (Setup(run, goal, plan, dealt, left), material)
        side_by_side(jobs, work, told, Heeding(progress, received, stop))

    said = [(fold, run.predictions(fold.name)) for fold in dealt]
    write_out_of_fold(run, said)
    deals = [together([p for fold, p in said if fold.repeat == r + 1]) for r in range(repeats)]
    ended = [run.json(f"folds/{fold.name}.json") for fold in dealt]
    seconds = {step: sum(kept["seconds"][step] for kept in ended) for step in ("train", "baselines")}
    # Further processes do what this one does.
    spent = {
        "seconds": {"prepare": prepared, **seconds},
        "jobs": jobs,
        "peak_memory_bytes": jobs * machine.peak_memory(),
    }
    run.write("machine.json", {**machine.facts(), "precision": plan.precision, **spent})
    rule = decided(plan, material.metrics, deals[0])[1]
    report = validated(run, table, material.metrics, goal, reasons, ended, deals, rule)
    write_validated(run, report)
    return report


def deal(material: Material, plan: Plan, folds: int, repeats: int) -> list[Fold]:
    """Every fold of every deal of the rows that are not sealed. Raises UserError when there cannot be so many.

    With a time column the first fold only trains, so the numbers begin with 2.
    """
    time = material.table.columns.time
    if repeats < 1:
        raise PlanError(f"repeats: found {repeats}, expected 1 or more.")
    if repeats > 1 and time is not None:
        raise PlanError(
            f"repeats: found {repeats}, expected 1: rows with a time (the column '{time}') have one order, in which "
            f"they cannot be dealt anew. Leave repeats away, or the time."
        )
    return [
        Fold(repeat + 1, number, split)
        for repeat in range(repeats)
        for number, split in enumerate(material.folds(plan, folds, repeat), start=1 if time is None else 2)
    ]


def work(setup: Setup, material: Material, share: Share, progress: Heedful) -> None:
    """Learn every fold of this share, and keep what each came to as it ends."""
    run, goal, every, clock = setup.run, setup.goal, _every_row(material), perf_counter()
    with joined(run.path), machine.settled():
        for fold in setup.left[share.number :: share.jobs]:
            progress.heed()
            number = f"fold {setup.dealt.index(fold) + 1} of {len(setup.dealt)}"
            progress.say(f"{number}: training on {len(fold.split.train):,} rows")
            kept, p = learn(material, setup.plan, fold, every, progress)
            run.write_predictions(fold.name, p)
            run.write(f"folds/{fold.name}.json", kept)  # last: with it a fold has ended
            found = f"{words.metric(goal.name)} {words.score(kept['scores'][goal.name])}"
            done = [fold for fold in setup.left if _there(run, fold)]
            left = _time_left(perf_counter() - clock, done, [fold for fold in setup.left if fold not in done])
            progress.say(f"{number}: {found} at epoch {kept['chosen']['epoch']:g}{left}")


def _every_row(material: Material) -> Rows:
    """The rows that folds are made of; the words of texts are counted once for all folds."""
    ids = [*material.split.train, *material.split.validation]
    rows = Rows.of(material.table, ids, material.names, material.task)
    return rows if rows.images or material.task.kind == "texts" else replace(rows, counted=Counts(rows.texts))


def learn(
    material: Material, plan: Plan, fold: Fold, every: Rows, progress: Progress
) -> tuple[dict[str, Any], Answers]:
    """Tune on the fold's training rows; what that came to, and what the best evaluation said of the other rows."""
    clock = perf_counter()
    job = material.job(
        plan.model_copy(update={"seed": plan.seed + fold.repeat - 1}), split=fold.split, progress=progress
    )
    job = material.ready(job)
    seen = list(looks(job))
    history = [epoch for epoch, _ in seen]
    best = stops.best(job.goal, history)
    seconds = {"train": perf_counter() - clock}
    clock = perf_counter()
    guessed, left_out = _guessed(job, fold, every)
    seconds["baselines"] = perf_counter() - clock
    kept = {
        "repeat": fold.repeat,
        "fold": fold.number,
        "seed": job.plan.seed,
        "rows": {"train": len(fold.split.train), "validation": len(fold.split.validation)},
        "notes": list(fold.split.notes),
        "epochs": [epoch.line() for epoch in history],
        "chosen": {"step": history[best].step, "epoch": history[best].epoch},
        "scores": _finite(history[best].scores),
        "last": _finite(history[-1].scores),
        "baselines": {name: _finite(scores) for name, scores in guessed.items()},
        "left_out": left_out,
        "seconds": seconds,
    }
    return kept, seen[best][1]


def _guessed(job: Job, fold: Fold, every: Rows) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """How baselines score on the fold's other rows, and why one is missing; of answers in words the model as it was."""
    if isinstance(job.task, Preference):
        return {"untuned": job.scored(job.task.untuned(job.validation.ids))}, {}
    if job.task.kind == "texts":
        untouched = as_before(job)
        return {"untuned": job.scored(job.look(untouched.net.to(machine.device())))}, {}
    place = {row_id: row for row, row_id in enumerate(every.ids)}
    training, others = (
        every.take(np.array([place[row_id] for row_id in ids])) for ids in (fold.split.train, fold.split.validation)
    )
    fitted, left_out = baselines.without_network(training)
    return {name: job.scored(baseline.predict(others)) for name, baseline in fitted.items()}, left_out


def write_out_of_fold(run: Run, said: Sequence[tuple[Fold, Answers]]) -> None:
    """out_of_fold.parquet: id, label and what is said as in the files of predictions, then fold and repeat."""
    folds = [fold for fold, p in said for _ in p.ids]
    table = together([p for _, p in said]).arrow()
    table = table.append_column("fold", pa.array([fold.number for fold in folds]))
    table = table.append_column("repeat", pa.array([fold.repeat for fold in folds]))
    with in_one_stroke(run.path / "out_of_fold.parquet") as making:
        parquet.write_table(table, making)


def _there(run: Run, fold: Fold) -> bool:
    return (run.folds / f"{fold.name}.json").exists()


def _ended(run: Run, fold: Fold) -> bool:
    """Whether the fold has come to its end. Raises RunError when what it left is damaged, or another fold's."""
    if not _there(run, fold):
        return False
    run.json(f"folds/{fold.name}.json")
    if run.predictions(fold.name).ids != list(fold.split.validation):
        raise RunError(
            f"{run.path}: predictions/{fold.name}.parquet has other rows than the fold; put the file back as it was, "
            f"or take folds/{fold.name}.json away to have the fold trained again."
        )
    return True


def _time_left(seconds: float, done: Sequence[Fold], to_come: Sequence[Fold]) -> str:
    """The time goes with the rows: folds by time train on more and more of them."""
    if not to_come:
        return ""
    known, unknown = (sum(len(fold.split.train) for fold in part) for part in (done, to_come))
    return f", about {words.duration(seconds / known * unknown)} left"


def _finite(scores: Mapping[str, float]) -> dict[str, float | None]:
    return {name: finite(value) for name, value in scores.items()}
