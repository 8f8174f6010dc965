"""Study: the trials of one search in their storage, a SQLite file or any database that Optuna takes.

A trial is born with its values in one stroke and ends in one stroke; what is stopped in between stands as running, and
the next command trains it again under its own number. Optuna's own tools can read the storage.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from finetooth.errors import RunError
from finetooth.metrics import Metric
from finetooth.search.space import Space, Values
from finetooth.search.trial import COMPLETE, FAILED, PRUNED, RUNNING, Trial, frozen, library

MADE_FOR = "finetooth"  # the attribute that says what a study is about
OWN = {"seconds", "reason", "twin", "attempt"}  # attributes of a trial
BUSY = 60  # seconds that one process waits for another to have written


class Study:
    """The trials of one search; `take` gives the next one to train."""

    def __init__(self, url: str, name: str, space: Space, goal: Metric) -> None:
        """Open the study of this name, or begin it. Raises RunError where the storage cannot be had."""
        optuna = library()
        self.space, self._states = space, optuna.trial.TrialState
        waits = {"connect_args": {"timeout": BUSY}} if url.startswith("sqlite") else {}
        try:
            self._storage = optuna.storages.RDBStorage(url, engine_kwargs=waits)
            try:
                self._id = self._storage.get_study_id_from_name(name)
            except KeyError:
                directions = optuna.study.StudyDirection
                direction = directions.MAXIMIZE if goal.better == "higher" else directions.MINIMIZE
                self._id = self._storage.create_new_study([direction], name)
        except Exception as error:  # Optuna's, SQLAlchemy's, the database's own
            why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
            raise RunError(
                f"{_public(url)}: cannot hold the trials: {_public(why)[:200]} Expected a storage as Optuna names it, "
                f"for example sqlite:///FILE or postgresql://USER@HOST/NAME."
            ) from error

    def close(self) -> None:
        """Let go of the database."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    @property
    def made_for(self) -> Mapping[str, Any] | None:
        """What the study was begun for; None where it has only now been begun."""
        noted: Mapping[str, Any] | None = self._storage.get_study_user_attrs(self._id).get(MADE_FOR)
        return noted

    def note(self, made_for: Mapping[str, Any]) -> None:
        """Keep what the study is for."""
        self._storage.set_study_user_attr(self._id, MADE_FOR, dict(made_for))

    def trials(self) -> list[Trial]:
        """Every trial, by number."""
        words = {
            self._states.RUNNING: RUNNING,
            self._states.COMPLETE: COMPLETE,
            self._states.PRUNED: PRUNED,
            self._states.FAIL: FAILED,
        }
        found = []
        for kept in self._storage.get_all_trials(self._id, deepcopy=False):
            if not kept.user_attrs.keys() >= OWN:
                raise RunError(f"trial {kept.number} of the study was not made by this search; take the study away.")
            found.append(
                Trial(
                    number=kept.number,
                    values=self.space.values(kept.params),
                    state=words[kept.state],
                    looks=tuple(score for _, score in sorted(kept.intermediate_values.items())),
                    score=kept.value,
                    **{key: kept.user_attrs[key] for key in OWN},
                )
            )
        return found

    def take(self, attempt: str, most: int, propose: Callable[[list[Trial]], Values | None]) -> Trial | None:
        """The next trial to train, marked with this attempt; None when there are enough, or nothing is left to try.

        A trial that another attempt was stopped in comes first. No two processes may be in here at once.
        """
        trials = self.trials()
        for trial in trials:
            if trial.state == RUNNING and trial.attempt != attempt:
                self._storage.set_trial_user_attr(self._key(trial), "attempt", attempt)
                return replace(trial, attempt=attempt, looks=())
        values = propose(trials) if len(trials) < most else None
        if values is None:
            return None
        same = (trial.number for trial in trials if self.space.same(trial.values, values))
        new = Trial(len(trials), values, attempt=attempt, twin=next(same, None))
        kept = {"seconds": 0.0, "reason": "", "twin": new.twin, "attempt": attempt}
        self._storage.create_new_trial(self._id, frozen(new, self.space, user_attrs=kept))
        return new

    def look(self, trial: Trial, score: float) -> Trial:
        """The trial with one look more."""
        trial = replace(trial, looks=(*trial.looks, score))
        self._storage.set_trial_intermediate_value(self._key(trial), len(trial.looks), score)
        return trial

    def end(self, trial: Trial, state: str, score: float | None, seconds: float, reason: str = "") -> Trial:
        """The trial as it ended."""
        key = self._key(trial)
        self._storage.set_trial_user_attr(key, "seconds", seconds)
        self._storage.set_trial_user_attr(key, "reason", reason)
        ended = {COMPLETE: self._states.COMPLETE, PRUNED: self._states.PRUNED, FAILED: self._states.FAIL}[state]
        self._storage.set_trial_state_values(key, ended, None if score is None else [score])
        return replace(trial, state=state, score=score, seconds=seconds, reason=reason)

    def _key(self, trial: Trial) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number))


def _public(text: str) -> str:
    """Without the password that a database's address may hold."""
    return re.sub(r"://([^:/@\s]*):[^@\s]*@", r"://\1:***@", text)
