"""Every tuner keeps to the contract; the grid goes through all, the models find what is good."""

from __future__ import annotations

from dataclasses import replace
from math import log10
from statistics import fmean

import pytest

from finetooth.errors import PlanError
from finetooth.metrics import CLASSIFICATION
from finetooth.plan import Plan
from finetooth.search import TUNERS, Space, Trial
from finetooth.search.trial import COMPLETE, raised
from finetooth.search.tuners import tuner_of
from finetooth.seeds import number
from finetooth.testing import check_tuner

TWO = Space.of({"learning_rate": "1e-6..1e-2:log", "freeze": "0..6"}, Plan())


def told(values: dict, trials: list[Trial]) -> Trial:
    """A trial whose score is best, 1, at a learning rate of 1e-4 with nothing frozen."""
    score = 1.0 - 0.3 * abs(log10(values["learning_rate"]) + 4) - 0.05 * values["freeze"]
    return Trial(len(trials), values, state=COMPLETE, looks=(score - 0.1, score), score=score)


def tried(name: str, many: int, seed: int) -> list[Trial]:
    trials: list[Trial] = []
    for n in range(many):
        values = TUNERS[name](TWO, trials, number(seed, "trial", n))
        trials.append(told(dict(values or {}), trials))
    return trials


@pytest.mark.parametrize("name", TUNERS)
def test_every_tuner_keeps_to_the_contract(name: str) -> None:
    check_tuner(TUNERS[name])


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda space, trials, seed: {"freeze": 2}, "proposed"),
        (lambda space, trials, seed: {**TUNERS["random"](space, trials, seed), "freeze": 9}, "freeze: 9 lies outside"),
        (lambda space, trials, seed: None, "nothing was proposed"),
        (lambda space, trials, seed, calls=[]: TUNERS["random"](space, trials, calls.append(0) or len(calls)), "same"),
    ],
)
def test_the_contract_finds_what_is_broken(broken, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_tuner(broken)


def test_the_grid_is_gone_through_once_and_by_no_order_of_its_own() -> None:
    space = Space.of({"freeze": "0..3", "batch_size": [8, 16], "oversample": [True, False, 0.5]}, Plan())
    trials: list[Trial] = []
    while (values := TUNERS["grid"](space, trials, number(0, "trial", len(trials)))) is not None:
        trials.append(Trial(len(trials), values, state=COMPLETE, score=0.0))
    every = [repr(sorted(trial.values.items())) for trial in trials]
    assert len(every) == len(set(every)) == space.size == 24
    assert set(every) == {repr(sorted(point.items())) for point in space.points()}
    assert every != sorted(every)


def test_a_grid_needs_values_that_have_an_end() -> None:
    with pytest.raises(PlanError, match=r"learning_rate: found the range 1e-06\.\.0\.01:log, in which there is no end"):
        TUNERS["grid"](TWO, [], 0)


def test_an_unknown_tuner_is_refused_with_the_nearest() -> None:
    with pytest.raises(PlanError, match="--tuner bayse: there is no such tuner; did you mean 'bayes'"):
        tuner_of("bayse")


@pytest.mark.parametrize(("name", "seeds"), [("bayes", 4), ("gp", 1)])
def test_a_model_of_the_scores_does_better_than_chance(name: str, seeds: int) -> None:
    """The last five of fifteen trials lie nearer to the best than five at random, on average over searches."""
    model = [trial.score or 0.0 for seed in range(seeds) for trial in tried(name, 15, seed)[10:]]
    chance = [trial.score or 0.0 for seed in range(seeds) for trial in tried("random", 15, seed)[10:]]
    assert fmean(model) > fmean(chance) + 0.1


def test_one_proposal_is_a_function_of_seed_number_and_history() -> None:
    """Asked again in the middle, with nothing kept from before, a tuner says what it said."""
    trials = tried("bayes", 14, seed=1)
    for n in (0, 5, 12, 13):
        assert TUNERS["bayes"](TWO, trials[:n], number(1, "trial", n)) == trials[n].values
    assert tried("bayes", 12, seed=2) != trials[:12]


def test_a_loss_is_searched_downwards() -> None:
    losses = [replace(trial, score=-(trial.score or 0.0), looks=(-trial.looks[0],)) for trial in tried("random", 3, 0)]
    turned = raised(losses, CLASSIFICATION["loss"])
    assert [t.score for t in turned] == [t.score for t in tried("random", 3, 0)]
    assert raised(losses, CLASSIFICATION["accuracy"]) == losses
