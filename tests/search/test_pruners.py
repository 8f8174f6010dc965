"""Every pruner keeps to the contract, says what Optuna's says where it has the same, and saves looks."""

from __future__ import annotations

from math import nan

import numpy as np
import optuna
import pytest

from finetooth.errors import PlanError
from finetooth.plan import Plan
from finetooth.search import PRUNERS, Space, Trial
from finetooth.search.pruners import _brackets, pruner_of
from finetooth.search.trial import COMPLETE, PRUNED
from finetooth.testing import check_pruner

VALUES = {"freeze": 0}
SPACE = Space.of({"freeze": "0..4"}, Plan())
optuna.logging.set_verbosity(optuna.logging.ERROR)


def curves(many: int, looks: int, seed: int = 0, noise: float = 0.03) -> list[list[float]]:
    """Learning curves that rise to different heights, with noise, and now and then a look that is not a number."""
    rng = np.random.default_rng(seed)
    heights = rng.uniform(0.5, 0.9, many)
    rise = 1 - 0.6 ** np.arange(1, looks + 1)
    found = heights[:, None] * rise + rng.normal(0, noise, (many, looks))
    found[:, 1:][rng.uniform(0, 1, (many, looks - 1)) < 0.02] = nan
    return found.tolist()


def ours(name: str, every: list[list[float]]) -> list[Trial]:
    trials: list[Trial] = []
    for n, curve in enumerate(every):
        trial = Trial(n, VALUES)
        for look in curve:
            trial = Trial(n, VALUES, looks=(*trial.looks, look))
            if len(trial.looks) < len(curve) and PRUNERS[name](trials, trial):
                break
        state = COMPLETE if len(trial.looks) == len(curve) else PRUNED
        trials.append(Trial(n, VALUES, state=state, looks=trial.looks, score=max(trial.looks)))
    return trials


def theirs(pruner: optuna.pruners.BasePruner, every: list[list[float]]) -> list[int]:
    """How many looks each trial had before Optuna's own pruner gave it up."""
    study = optuna.create_study(direction="maximize", pruner=pruner)
    had = []
    for curve in every:
        trial, n = study.ask(), 0
        for n, look in enumerate(curve, start=1):
            trial.report(look, n)
            if n < len(curve) and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, float(np.nanmax(curve)))
        had.append(n)
    return had


@pytest.mark.parametrize("name", PRUNERS)
def test_every_pruner_keeps_to_the_contract(name: str) -> None:
    check_pruner(PRUNERS[name])


def test_the_contract_finds_what_is_broken() -> None:
    with pytest.raises(AssertionError, match="better than all"):
        check_pruner(lambda trials, trial: len(trial.looks) == 3)
    with pytest.raises(AssertionError, match="expected True or False"):
        check_pruner(lambda trials, trial: 0)  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize("seed", range(4))
def test_ours_say_what_those_of_optuna_say(seed: int) -> None:
    every = curves(40, 10, seed)
    median = [len(trial.looks) for trial in ours("median", every)]
    assert median == theirs(optuna.pruners.MedianPruner(), every)
    halving = [len(trial.looks) for trial in ours("halving", every)]
    asha = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    assert halving == theirs(asha, every)


def test_looks_are_saved_and_the_best_trials_kept() -> None:
    every = curves(60, 9, noise=0.01)
    whole = sum(map(len, every))
    best = {n for n, _ in sorted(enumerate(every), key=lambda item: -np.nanmax(item[1]))[:3]}
    for name, least in (("none", 0.0), ("median", 0.3), ("halving", 0.6), ("hyperband", 0.3)):
        trials = ours(name, every)
        saved = 1 - sum(len(trial.looks) for trial in trials) / whole
        assert saved == 0.0 if name == "none" else saved > least, (name, saved)
        assert best & {trial.number for trial in trials if trial.state == COMPLETE}, name


def test_hyperband_gives_some_trials_more_time() -> None:
    bracket = _brackets(9)
    dealt = [bracket(Trial(n, VALUES)) for n in range(3000)]
    assert set(dealt) == {0, 1, 2}
    shares = np.bincount(dealt) / len(dealt)
    assert shares == pytest.approx([9 / 17, 5 / 17, 3 / 17], abs=0.03), "9, 5 and 3 trials, as the paper deals them"
    trials = ours("hyperband", curves(60, 9))
    first = {
        b: min((len(t.looks) for t in trials if t.state == PRUNED and bracket(t) == b), default=9) for b in (0, 1, 2)
    }
    assert first[0] == 1 and first[1] == 3 and first[2] == 9


def test_an_unknown_pruner_is_refused_with_the_nearest() -> None:
    with pytest.raises(PlanError, match="--prune medain: there is no such pruner; did you mean 'median'"):
        pruner_of("medain")
