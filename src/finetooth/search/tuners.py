"""Tuners: (space, the trials so far, a seed) -> the values to try next, or None when nothing is left to try.

Scores of the trials are such that the higher is the better. The same three always give the same values: whatever is
random comes from the seed, and nothing is remembered from one call to the next, so a search that was stopped goes on
as if it had not been.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from finetooth.errors import PlanError, nearest
from finetooth.search.space import Space, Values
from finetooth.search.trial import Trial, frozen, library

Tuner = Callable[[Space, Sequence[Trial], int], Values | None]
STARTUP = 7  # trials at random before a model of the scores is asked (bench/tuners.py)


def bayes(space: Space, trials: Sequence[Trial], seed: int) -> Values:
    """Where good scores were denser than bad ones: the tree-structured Parzen estimator (Bergstra et al. 2011)."""
    samplers = library().samplers
    return _proposed(samplers.TPESampler(n_startup_trials=STARTUP, seed=seed % 2**32), space, trials)


def gp(space: Space, trials: Sequence[Trial], seed: int) -> Values:
    """Where a Gaussian process expects the most improvement (Jones et al. 1998; its logarithm, Ament et al. 2023)."""
    samplers = library().samplers
    return _proposed(samplers.GPSampler(n_startup_trials=STARTUP, seed=seed % 2**32), space, trials)


def random(space: Space, trials: Sequence[Trial], seed: int) -> Values:
    """Anywhere (Bergstra and Bengio 2012)."""
    return _proposed(library().samplers.RandomSampler(seed=seed % 2**32), space, trials)


def grid(space: Space, trials: Sequence[Trial], seed: int) -> Values | None:
    """Every combination once, in an order of no meaning, so that a search that ends early has been everywhere."""
    left = [point for point in space.points() if not any(space.same(point, trial.values) for trial in trials)]
    return left[seed % len(left)] if left else None


TUNERS: dict[str, Tuner] = {"bayes": bayes, "gp": gp, "random": random, "grid": grid}


def tuner_of(name: str | Tuner) -> Tuner:
    """The tuner of this name, or the function that it is. Raises PlanError."""
    if not isinstance(name, str):
        return name
    if name not in TUNERS:
        raise PlanError(f"--tuner {name}: there is no such tuner; {nearest(name, TUNERS)}")
    return TUNERS[name]


def _proposed(sampler: Any, space: Space, trials: Sequence[Trial]) -> Values:
    """What a sampler of Optuna proposes, knowing these trials and no others."""
    optuna = library()
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.add_trials([frozen(trial, space) for trial in trials])
    return space.rounded(space.values(study.ask(space.distributions(optuna.distributions)).params))
