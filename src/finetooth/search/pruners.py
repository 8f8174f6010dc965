"""Pruners: (the other trials, the one in hand) -> is it to be given up?

Asked after each look but the last. Scores are such that the higher is the better; look n of one trial is compared with
look n of others, so it is the number of the look that counts, wherever in an epoch it falls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isnan, log

import numpy as np

from finetooth.errors import PlanError, nearest
from finetooth.search.trial import COMPLETE, Trial
from finetooth.seeds import number

Pruner = Callable[[Sequence[Trial], Trial], bool]
STARTUP = 5  # trials that come to their end before the median means something; Optuna's own number
REDUCTION = 3  # of so many trials at a rung one goes on, to a rung so many times as far


def none(trials: Sequence[Trial], trial: Trial) -> bool:
    """Every trial goes on to its end."""
    return False


def median(trials: Sequence[Trial], trial: Trial) -> bool:
    """Given up when its best look so far lies below the median of the others' looks of the same number.

    After the median stopping rule of Golovin et al. 2017 (Google Vizier), section 3.2, as Optuna has it.
    """
    ended = [other for other in trials if other.state == COMPLETE]
    if len(ended) < STARTUP:
        return False
    own = [look for look in trial.looks if not isnan(look)]
    there = [other.looks[len(trial.looks) - 1] for other in ended if len(other.looks) >= len(trial.looks)]
    known = [look for look in there if not isnan(look)]
    return not own or (bool(known) and max(own) < float(np.median(known)))


def halving(trials: Sequence[Trial], trial: Trial, *, skip: int = 0) -> bool:
    """Given up at looks 1, 3, 9 ... when not among the best third of all that came so far; `skip` leaves out the first.

    Asynchronous successive halving, Li et al. 2020 (A System for Massively Parallel Hyperparameter Tuning), section 3.
    """
    at = len(trial.looks)
    if at not in (REDUCTION**rung for rung in range(skip, at.bit_length())):
        return False
    if isnan(trial.looks[-1]):
        return True
    there = [other.looks[at - 1] for other in trials if len(other.looks) >= at and not isnan(other.looks[at - 1])]
    first = sorted([*there, trial.looks[-1]], reverse=True)
    return trial.looks[-1] < first[max(len(first) // REDUCTION, 1) - 1]


def hyperband(trials: Sequence[Trial], trial: Trial) -> bool:
    """Successive halving that begins early for some trials and late for others, in case early looks mislead.

    Li et al. 2018 (Hyperband), algorithm 1; each trial is dealt to a bracket by its number, in the sizes given there.
    """
    longest = max((len(other.looks) for other in trials if other.state == COMPLETE), default=0)
    if not longest:
        return False
    bracket = _brackets(longest)
    return halving([t for t in trials if bracket(t) == bracket(trial)], trial, skip=bracket(trial))


def _brackets(longest: int) -> Callable[[Trial], int]:
    """The bracket of each trial, 0 the one that begins earliest, where a whole trial has this many looks."""
    most = int(log(longest, REDUCTION) + 1e-9)
    sizes = [-(-(most + 1) * REDUCTION**left // (left + 1)) for left in range(most, -1, -1)]
    edges = np.cumsum(sizes)
    return lambda trial: int(np.searchsorted(edges, number(0, "bracket", trial.number) % edges[-1], side="right"))


PRUNERS: dict[str, Pruner] = {"none": none, "median": median, "halving": halving, "hyperband": hyperband}


def pruner_of(name: str | Pruner) -> Pruner:
    """The pruner of this name, or the function that it is. Raises PlanError."""
    if not isinstance(name, str):
        return name
    if name not in PRUNERS:
        raise PlanError(f"--prune {name}: there is no such pruner; {nearest(name, PRUNERS)}")
    return PRUNERS[name]
