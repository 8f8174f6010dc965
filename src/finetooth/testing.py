"""Contract checks for parts of one's own: what every member of a family has to keep to, ours included.

Each raises AssertionError, saying what was not kept.
"""

from __future__ import annotations

from math import nan

import numpy as np

from finetooth.errors import PlanError
from finetooth.plan import Plan
from finetooth.search import Pruner, Space, Trial, Tuner
from finetooth.search.trial import COMPLETE, FAILED, PRUNED, RUNNING
from finetooth.search.tuners import random

FINITE = {"freeze": "0..4", "batch_size": [8, 16], "schedule": ["linear", {"name": "polynomial", "power": 3}]}
ENDLESS = {"learning_rate": "1e-5..1e-3:log", "dropout": "0..0.3", **FINITE}


def check_tuner(tuner: Tuner) -> None:
    """A tuner proposes values inside the space or, when all were tried, None; the same three give the same answer.

    It may refuse a space whose values have no end, with PlanError.
    """
    for given in (FINITE, ENDLESS):
        space = Space.of(given, Plan())
        whole = _trials(space, 14)
        for many in (0, 3, 14):
            trials = whole[:many]
            try:
                first, other = tuner(space, trials, 7), tuner(space, trials, 8)
            except PlanError:
                assert space.size is None, "a tuner refused a space with an end"
                continue
            for values in (first, other):
                assert values is not None, f"nothing was proposed after {many} trials of {space.size}"
                assert values.keys() == space.keys.keys(), f"proposed {sorted(values)}, expected {sorted(space.keys)}"
                strange = [key for key, dimension in space.keys.items() if values[key] not in dimension]
                assert not strange, f"{strange[0]}: {values[strange[0]]!r} lies outside {space.keys[strange[0]]}"
            assert tuner(space, trials, 7) == first, "the same space, trials and seed gave other values"
            assert trials == whole[:many], "the trials were changed"


def check_pruner(pruner: Pruner) -> None:
    """A pruner gives up no trial that is better than every other, and says the same when it is asked again."""
    space = Space.of(FINITE, Plan())
    whole = _trials(space, 14)
    for many in (0, 3, 14):
        for looks in ((0.5,), (0.1, 0.2, 0.3), (nan, 0.4), (0.9,) * 9):
            trial = Trial(many, whole[0].values, looks=looks)
            answer = pruner(whole[:many], trial)
            assert isinstance(answer, bool), f"answered {answer!r}, expected True or False"
            assert answer == pruner(whole[:many], trial), "the same trials gave another answer"
        best = Trial(many, whole[0].values, looks=(2.0, 2.1, 2.2))
        assert not pruner(whole[:many], best), f"a trial better than all {many} others was given up"


def _trials(space: Space, many: int) -> list[Trial]:
    """Trials of every state, with scores between 0 and 1."""
    rng, trials = np.random.default_rng(0), list[Trial]()
    for number in range(many):
        looks = tuple(rng.uniform(0, 1, 9 if number % 3 else 4).tolist())
        state = {4: PRUNED, 7: FAILED, many - 1: RUNNING}.get(number, COMPLETE)
        values, score = random(space, trials, number), max(looks) if state in (COMPLETE, PRUNED) else None
        trials.append(Trial(number, values, state=state, looks=looks, score=score))
    return trials
