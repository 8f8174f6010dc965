"""What a search came to, as one dictionary: the page, the table in the terminal and report.json tell nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from finetooth.metrics import Metric
from finetooth.prepare import Job
from finetooth.search.space import Choices, Range, Space
from finetooth.search.trial import COMPLETE, FAILED, PRUNED, RUNNING, Trial, frozen, library
from finetooth.search.worker import Setup


def best_trial(trials: Sequence[Trial], goal: Metric) -> Trial | None:
    """The best of those that came to their end; of equals, the first."""
    sign = 1.0 if goal.better == "higher" else -1.0
    ended = [trial for trial in trials if trial.state == COMPLETE and trial.score is not None]
    return max(ended, key=lambda trial: (sign * (trial.score or 0.0), -trial.number), default=None)


def outcome(setup: Setup, job: Job, trials: Sequence[Trial], best: Trial, over: bool) -> dict[str, Any]:
    """Everything that is told; `job` is the plan's own, `over` says that the time was over before all was tried."""
    first = trials[0] if setup.base is not None else None
    return {
        "path": str(setup.out),
        "model": setup.model,
        "data": {"source": setup.table.source, "fingerprint": setup.table.fingerprint},
        "rows": job.split.counts(),
        "limit": setup.rows,
        "folds": setup.folds,
        "goal": {"metric": setup.goal.name, "better": setup.goal.better},
        "tuner": _name(setup.tuner),
        "prune": _name(setup.pruner),
        "space": {key: _dimension(dimension) for key, dimension in setup.space.keys.items()},
        "combinations": setup.space.size,
        "wanted": setup.trials,
        "over": over,
        "counts": {state: sum(trial.state == state for trial in trials) for state in (COMPLETE, PRUNED, FAILED)},
        "taken_over": sum(trial.twin is not None for trial in trials),
        "best": best.line(),
        "base": None if first is None else first.line(),
        "outside": {key: getattr(job.plan, key) for key in setup.space.outside(job.plan)},
        "importance": importance(trials, setup.space, setup.goal),
        "trials": [trial.line() for trial in trials if trial.state != RUNNING],
        "seconds": sum(trial.seconds for trial in trials),
        "plan": setup.plan.values(),
    }


def importance(trials: Sequence[Trial], space: Space, goal: Metric) -> dict[str, float] | None:
    """How much of the scores' variance each key explains by itself, in a forest fitted to them; the shares add up to 1.

    None where the trials do not differ. Functional ANOVA, Hutter et al. 2014 (An Efficient Approach for Assessing
    Hyperparameter Importance).
    """
    told = [trial for trial in trials if trial.state == COMPLETE and trial.twin is None]
    if len({trial.score for trial in told}) < 2:
        return None
    optuna = library()
    study = optuna.create_study(direction="maximize" if goal.better == "higher" else "minimize")
    study.add_trials([frozen(trial, space) for trial in told])
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a key that had one value alone in the trials so far
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {key: float(share) for key, share in found.items()}


def _dimension(dimension: Range | Choices) -> dict[str, Any]:
    if isinstance(dimension, Choices):
        return {"choices": list(dimension.values)}
    return {"low": dimension.value(dimension.low), "high": dimension.value(dimension.high), "log": dimension.log}


def _name(part: Any) -> str:
    return part if isinstance(part, str) else f"{part.__module__}:{part.__qualname__}"


def made_for(setup: Setup, data: Mapping[str, Any], split: str, job: Job) -> dict[str, Any]:
    """What a search is about, by name; a command that goes on with it has to be about the same."""
    return {
        "data": {key: value for key, value in data.items() if key not in ("source", "model")},
        "split": split,
        "plan": job.plan.values(),
        "search": {
            "space": setup.space.text(),
            "folds": setup.folds,
            "goal": setup.goal.name,
            "tuner": _name(setup.tuner),
            "prune": _name(setup.pruner),
        },
    }
