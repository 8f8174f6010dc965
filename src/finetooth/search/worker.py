"""What each process of a search does: take a trial, train it look by look, tell how it ended, take the next."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import fmean

import torch

from finetooth import machine
from finetooth.errors import NonFiniteLoss, PlanError
from finetooth.locks import alone, joined
from finetooth.metrics import Metric
from finetooth.plan import Plan
from finetooth.prepare import Material
from finetooth.processes import Heedful, Share
from finetooth.progress import Progress
from finetooth.report import words
from finetooth.search.pruners import Pruner, pruner_of
from finetooth.search.space import Space, Values
from finetooth.search.study import Study
from finetooth.search.trial import COMPLETE, FAILED, PRUNED, RUNNING, Trial, best_of, raised
from finetooth.search.tuners import Tuner, tuner_of
from finetooth.seeds import number
from finetooth.table import Split, Table
from finetooth.tune import looks

AWAIT = 0.2  # seconds between two glances at a twin that another process trains


@dataclass(frozen=True)
class Setup:
    """All that a process of the search has to be told, besides what trials are made from."""

    out: Path
    table: Table
    model: str
    rows: int | None
    goal: Metric
    plan: Plan
    space: Space
    base: Values | None  # the plan's own values, tried first where they lie inside the space
    tuner: str | Tuner
    pruner: str | Pruner
    folds: int | None
    trials: int
    until: float  # no trial is begun after this time
    attempt: str
    url: str
    name: str
    jobs: int = 1


def work(setup: Setup, material: Material, _: Share, progress: Heedful) -> None:
    """Train trials until there are enough, or the time is over; only one process takes one at a time.

    Raises UserError for what is wrong with more than one trial.
    """
    study = Study(setup.url, setup.name, setup.space, setup.goal)
    tuner, seed = tuner_of(setup.tuner), setup.plan.seed
    folds = [] if setup.folds is None else material.folds(setup.plan, setup.folds)

    def propose(trials: Sequence[Trial]) -> Values | None:
        if not trials and setup.base is not None:
            return setup.base
        return tuner(setup.space, raised(trials, setup.goal), number(seed, "trial", len(trials)))

    with joined(setup.out), closing(study), machine.settled():
        while time.time() < setup.until:
            progress.heed()
            # space.yaml is a file that is there, and stays as it is while anybody searches.
            with alone(setup.out / "space.yaml", progress.heed):
                trial = study.take(setup.attempt, setup.trials, propose)
            if trial is None:
                return
            if trial.twin is None:
                trial = _trained(setup, study, trial, _scores(setup, material, folds, trial, progress))
            else:
                trial = _taken_over(study, trial, trial.twin, progress)
            progress.say(_told(setup, study.trials(), trial))
            machine.release()


def _scores(
    setup: Setup, material: Material, folds: Sequence[Split], trial: Trial, progress: Progress
) -> Iterator[tuple[float, bool]]:
    """The goal at each look, with folds the mean of the folds up to this one; and whether it is the last."""
    plan, goal = setup.space.applied(setup.plan, trial.values), setup.goal
    job = material.job(plan, progress=progress)
    if not folds:
        for epoch, _ in looks(material.ready(job)):
            yield epoch.scores[goal.name], epoch.step == job.recipe.steps
    # What is at auto is decided once, so that every fold trains as `train` will.
    done: list[float] = []
    for fold in folds:
        of_fold = material.job(job.plan, split=fold, progress=progress)
        seen = [epoch.scores[goal.name] for epoch, _ in looks(material.ready(of_fold))]
        best = best_of(seen, goal)
        done.append(nan if best is None else best)
        yield fmean(done), len(done) == len(folds)


def _trained(setup: Setup, study: Study, trial: Trial, scores: Iterator[tuple[float, bool]]) -> Trial:
    """The trial as it ended: complete, given up, or failed with a reason."""
    clock, goal, pruner = time.perf_counter(), setup.goal, pruner_of(setup.pruner)
    state, reason = COMPLETE, ""
    try:
        for score, last in scores:
            trial = study.look(trial, score)
            others = [other for other in study.trials() if other.number != trial.number]
            if not last and pruner(raised(others, goal), raised([trial], goal)[0]):
                state = PRUNED
                break
    except (PlanError, NonFiniteLoss, torch.OutOfMemoryError) as error:
        state, reason = FAILED, str(error)
    found = best_of(trial.looks if setup.folds is None else trial.looks[-1:], goal)
    if found is None and state == COMPLETE:
        state, reason = FAILED, f"its {words.metric(goal.name)} was at no look a number"
    return study.end(trial, state, None if state == FAILED else found, time.perf_counter() - clock, reason)


def _taken_over(study: Study, trial: Trial, twin: int, progress: Heedful) -> Trial:
    """The trial ended as its twin did, once that has; it is not trained."""
    while (other := study.trials()[twin]).state == RUNNING:
        progress.heed()  # whoever trains the twin may have left
        time.sleep(AWAIT)
    for score in other.looks:
        trial = study.look(trial, score)
    return study.end(trial, other.state, other.score, 0.0, other.reason)


def _told(setup: Setup, trials: Sequence[Trial], trial: Trial) -> str:
    """How a trial ended, the best so far, and the time left."""
    goal, name = setup.goal, words.metric(setup.goal.name)
    ended = [other for other in trials if other.state != RUNNING]
    says = f"{len(ended)} of {setup.trials}: trial {trial.number}"
    with_ = ", ".join(f"{key} {words.value(value)}" for key, value in trial.values.items())
    how = {
        COMPLETE: f"{name} {words.score(trial.score)}",
        PRUNED: f"given up at look {len(trial.looks)}, {name} {words.score(trial.score)}",
        FAILED: f"failed: {trial.reason}",
    }[trial.state]
    taken = f", as trial {trial.twin} with the same values" if trial.twin is not None else ""
    says = f"{says} ({with_}): {how}{taken}"
    top = best_of([t.score for t in ended if t.state == COMPLETE and t.score is not None], goal)
    if top is not None:
        first = next(t.number for t in ended if t.state == COMPLETE and t.score == top)
        says += f"; best so far {words.score(top)}, trial {first}"
    spent = [t.seconds for t in ended if t.twin is None]
    left = setup.trials - len(ended)
    if left and spent:
        says += f"; about {words.duration(fmean(spent) * left / setup.jobs)} left"
    return says
