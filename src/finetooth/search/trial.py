"""Trial: one attempt, with which values, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from types import ModuleType
from typing import Any

from finetooth.errors import UserError
from finetooth.metrics import Metric, finite
from finetooth.search.space import Space, Values

RUNNING, COMPLETE, PRUNED, FAILED = "running", "complete", "pruned", "failed"


@dataclass(frozen=True)
class Trial:
    """One attempt.

    `looks` are the goal's scores so far, one for each look at the validation rows; with folds, one for each fold, the
    mean of the folds up to it. `score` is the best look, with folds the mean of all folds; of a pruned trial it is
    what it had come to. `reason` says why it failed. A trial with the values of an earlier one, its `twin`, has that
    one's looks and score. `attempt` marks the command that works on it.
    """

    number: int
    values: Values
    state: str = RUNNING
    looks: tuple[float, ...] = ()
    score: float | None = None
    seconds: float = 0.0
    reason: str = ""
    twin: int | None = None
    attempt: str = ""

    def line(self) -> dict[str, Any]:
        """As trials.jsonl has it."""
        return {
            "number": self.number,
            "state": self.state,
            "score": self.score,
            "values": dict(self.values),
            "looks": [finite(look) for look in self.looks],
            "seconds": round(self.seconds, 3),
            "reason": self.reason,
            "twin": self.twin,
        }


def raised(trials: Sequence[Trial], goal: Metric) -> list[Trial]:
    """The trials with scores of which the higher is the better, as tuners and pruners know them."""
    if goal.better == "higher":
        return list(trials)
    return [
        replace(t, looks=tuple(-look for look in t.looks), score=None if t.score is None else -t.score) for t in trials
    ]


def best_of(scores: Sequence[float], goal: Metric) -> float | None:
    """The best score that is a number, if any is."""
    known = [score for score in scores if isfinite(score)]
    return (max if goal.better == "higher" else min)(known) if known else None


def library() -> ModuleType:
    """Optuna, imported when it is first needed, saying only what is an error. Raises UserError without it."""
    try:
        import optuna
    except ImportError as error:
        raise UserError("a search needs the library 'optuna': pip install 'finetooth[search]'.") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def frozen(trial: Trial, space: Space, **more: Any) -> Any:
    """The trial as Optuna keeps it."""
    optuna = library()
    states = optuna.trial.TrialState
    state = {RUNNING: states.RUNNING, COMPLETE: states.COMPLETE, PRUNED: states.PRUNED, FAILED: states.FAIL}
    return optuna.trial.create_trial(
        state=state[trial.state],
        params=space.stored(trial.values),
        distributions=space.distributions(optuna.distributions),
        value=trial.score if trial.state in (COMPLETE, PRUNED) else None,
        intermediate_values=dict(enumerate(trial.looks, start=1)),
        **more,
    )
