"""Search: which values of the plan score best on the validation rows, by trying some. The test rows stay sealed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

from finetooth.durable import write_text
from finetooth.errors import Interrupted, PlanError, RunError
from finetooth.history import Step
from finetooth.locks import claimed
from finetooth.metrics import Metric
from finetooth.plan import Plan
from finetooth.prepare import Job, Material, decisions
from finetooth.processes import refuse_own_code, side_by_side
from finetooth.progress import Heeding, Progress, Silent
from finetooth.report import searched, words
from finetooth.resume import data_of, differing, refuse, refuse_unnamed
from finetooth.run import Run
from finetooth.search.outcome import best_trial, made_for, outcome
from finetooth.search.pruners import PRUNERS, Pruner, pruner_of
from finetooth.search.space import Space, parted
from finetooth.search.study import Study
from finetooth.search.trial import RUNNING, Trial, library
from finetooth.search.tuners import TUNERS, Tuner, tuner_of
from finetooth.search.worker import Setup, work
from finetooth.signals import caught
from finetooth.table import Table

__all__ = ["PRUNERS", "TUNERS", "Pruner", "Space", "Trial", "Tuner", "parted", "search"]

BEGUN = ("study.db", "space.yaml")  # either is written before the first trial, and makes a folder a search


def search(
    table: Table,
    plan: Plan | None = None,
    space: Space | Mapping[str, Any] | None = None,
    *,
    model: str,
    out: str | Path,
    trials: int | None = None,
    tuner: str | Tuner = "bayes",
    folds: int | None = None,
    prune: str | Pruner = "none",
    minutes: float | None = None,
    jobs: int = 1,
    storage: str | None = None,
    rows: int | None = None,
    resume: bool = False,
    metrics: Sequence[Metric] = (),
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train `trials` times with other values of the plan, and tell which score best on the validation rows.

    `space` says which keys vary and between what (`{"learning_rate": "1e-5..1e-3:log", "freeze": [0, 2]}`). A trial
    scores what its best look at the validation rows does, or, with `folds`, the mean of that over the folds of what
    is not sealed. The plan's own values are tried first where they lie inside the space. After `minutes` no trial is
    begun. `jobs` processes share the work; a script that asks for several needs `if __name__ == "__main__"`. The best
    plan, the trials and the report lie in the directory `out`, the study in it or in another `storage` of Optuna's.
    Without `trials` a grid is gone through as a whole. Raises UserError for what is wrong, and Interrupted after a
    signal, when the trials that ended are saved.
    """
    progress, plan, out = progress or Silent(), plan or Plan(), Path(out)
    library()
    tuner_of(tuner), pruner_of(prune)
    space = space if isinstance(space, Space) else Space.of(space or {}, plan)
    trials = _number_of(trials, tuner, space)
    refuse_own_code(jobs, plan, metrics, tuner, prune)
    begun = any((out / name).exists() for name in BEGUN)
    if begun and not resume:
        raise RunError(f"{out}: is a search already; choose another --out, or add --resume to go on with it.")
    if not begun:
        Run(out).refuse_occupied()
    until = inf if minutes is None else time.time() + 60 * minutes
    material = Material.of(table, plan, model, rows=rows, metrics=metrics)
    job = material.job(plan)
    if folds is not None:
        material.folds(plan, folds)  # what is wrong with them is told before anything is written
    setup = Setup(
        out=out,
        table=table,
        model=model,
        rows=rows,
        goal=job.goal,
        plan=plan,
        space=space,
        base=space.inside(job.plan),
        tuner=tuner,
        pruner=prune,
        folds=folds,
        trials=trials,
        until=until,
        attempt=uuid4().hex,
        url=storage or f"sqlite:///{out.resolve() / 'study.db'}",
        name=out.resolve().name if storage else "search",
        jobs=max(1, min(jobs, trials)),
    )
    out.mkdir(parents=True, exist_ok=True)
    with claimed(out), caught() as received:
        study = Study(setup.url, setup.name, space, setup.goal)
        try:
            _begin(study, setup, job, resume, progress)
            try:
                ended = "in the middle of a trial, which will begin anew"
                watched = _Heeding(progress, received, lambda signal: Interrupted(signal, ended, str(out)))
                side_by_side(setup.jobs, work, (setup, material), watched)
            except Interrupted:
                _conclude(study, setup, material, job, progress)
                raise
            content = _conclude(study, setup, material, job, progress)
            if content is None:
                reasons = {trial.reason: trial for trial in study.trials() if trial.reason}
                told = "; ".join(f"trial {trial.number}: {reason}" for reason, trial in [*reasons.items()][:3])
                told = told or "The time was over before the first one was begun."
                raise RunError(f"{out}: no trial came to its end, so there is no best one. {told}")
            return content
        finally:
            study.close()


def _number_of(trials: int | None, tuner: str | Tuner, space: Space) -> int:
    """How many trials there will be; a grid has no more than its points."""
    if trials is not None and trials < 1:
        raise PlanError(f"--trials {trials}: expected 1 or more.")
    if tuner == "grid":
        points = sum(1 for _ in space.points())
        return points if trials is None else min(trials, points)
    if trials is None:
        raise PlanError(f"--trials is missing: how many? Only a grid knows by itself; the tuner is {tuner}.")
    return trials


def _begin(study: Study, setup: Setup, job: Job, resume: bool, progress: Progress) -> None:
    """Keep what the search is about, or refuse to go on with another one."""
    data, split = data_of(setup.table, job), sha256(json.dumps(asdict(job.split)).encode()).hexdigest()
    now: dict[str, Any] = json.loads(json.dumps(made_for(setup, data, split, job)))
    then = study.made_for
    if then is None:
        study.note(now)
    elif not resume:
        raise RunError(f"the storage has a study '{setup.name}' already; choose another --out, or add --resume.")
    else:
        changed = [key for key in now["data"] if then["data"].get(key) != now["data"][key]]
        changed += ["split"] if then["split"] != now["split"] else []
        changed += [*differing(then["plan"], now["plan"]), *differing(then["search"], now["search"])]
        refuse(setup.out, "search", changed)
        refuse_unnamed(setup.out, setup.plan)
    write_text(setup.out / "space.yaml", yaml.safe_dump(setup.space.text(), sort_keys=False, allow_unicode=True))
    opening = "# What every trial of the search has in common; what varies stands in space.yaml.\n"
    write_text(setup.out / "base.yaml", opening + setup.plan.text({}))
    for sentence in decisions(job):
        progress.say(sentence)
    trials = study.trials()
    if trials:
        again = [trial.number for trial in trials if trial.state == RUNNING]
        says = f"; trial {', '.join(map(str, again))} begins anew" if again else ""
        progress.say(f"going on after {len(trials) - len(again)} of {setup.trials} trials{says}")
    for key in setup.space.outside(job.plan):
        own, around = words.value(getattr(job.plan, key)), setup.space.keys[key]
        progress.say(f"{key} {own}, the plan's own, lies outside {around}, so the plan as it stands is not tried")
    size = setup.space.size
    if size is not None and size < setup.trials:
        progress.say(f"the space holds {size} combinations; those that come again are not trained again")


def _conclude(study: Study, setup: Setup, material: Material, job: Job, progress: Progress) -> dict[str, Any] | None:
    """The trials, the best plan and the report, as things stand; None where no trial has come to its end."""
    trials = study.trials()
    write_text(setup.out / "trials.jsonl", "".join(json.dumps(trial.line()) + "\n" for trial in trials))
    best = best_trial(trials, setup.goal)
    if best is None:
        return None
    ended = [trial for trial in trials if trial.state != RUNNING]
    over = len(ended) < setup.trials and time.time() >= setup.until
    if over:
        progress.say(f"the time was over after {len(ended)} of {setup.trials} trials; --resume goes on with the others")
    content = outcome(setup, job, trials, best, over)
    chosen = material.job(setup.space.applied(setup.plan, best.values))
    write_text(setup.out / "best.yaml", searched.opening(content) + chosen.plan.text(chosen.reasons))
    write_text(setup.out / "report.html", searched.page(content))
    write_text(setup.out / "report.json", json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False))
    return content


class _Heeding(Heeding):
    """The looks of single trials are not told: what counts is how a trial ends."""

    def step(self, step: Step) -> None:
        """Raises Interrupted."""
        super().step(replace(step, ended=None))
