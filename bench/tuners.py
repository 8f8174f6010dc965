"""How near to the best each tuner comes in so many trials, and how many trials at random it should begin with.

Run: python bench/tuners.py

Nothing is trained: a trial's score is a made-up surface of four keys, whose best learning rate moves with the batch
size, with noise as validation rows have it. What is told is the true value of the plan that a search would have picked.
"""

from __future__ import annotations

from math import log10
from typing import Any

import numpy as np

import common
from finetooth.plan import Plan
from finetooth.search import TUNERS, Space, Trial, tuners
from finetooth.search.trial import COMPLETE
from finetooth.seeds import number

SPACE = Space.of(
    {"learning_rate": "1e-6..1e-2:log", "freeze": "0..6", "dropout": "0..0.5", "batch_size": [8, 16, 32, 64]}, Plan()
)
NOISE = 0.006
SEARCHES = {"random": 30, "bayes": 30, "gp": 8}
STARTUPS = (4, 7, 10)
TRIALS = (12, 20)


def surface(values: Any) -> float:
    """The true value: at its best, .85, a learning rate of 1e-4 for batches of 16, with dropout and nothing frozen."""
    away = log10(values["learning_rate"]) + 4 - 0.5 * log10(values["batch_size"] / 16)
    return 0.85 - 0.06 * away**2 - 0.004 * values["freeze"] ** 1.5 - 0.15 * (values["dropout"] - 0.15) ** 2


def picked(tuner: str, trials: int, seed: int) -> float:
    """What the plan that one search picks is truly worth."""
    rng, done = np.random.default_rng(seed), list[Trial]()
    for n in range(trials):
        values = TUNERS[tuner](SPACE, done, number(seed, "trial", n)) or {}
        score = surface(values) + float(rng.normal(0, NOISE))
        done.append(Trial(n, values, state=COMPLETE, looks=(score,), score=score))
    return surface(max(done, key=lambda trial: trial.score or 0.0).values)


def main() -> None:
    found: dict[str, Any] = {}
    for tuner, searches in SEARCHES.items():
        for startup in STARTUPS if tuner != "random" else (0,):
            tuners.STARTUP = startup
            for trials in TRIALS:
                told = common.spread([picked(tuner, trials, seed) for seed in range(searches)])
                name = f"{tuner}, {startup} at random" if startup else tuner
                found.setdefault(name, {"searches": searches})[f"{trials} trials"] = told
                print(name, trials, {key: round(value, 4) for key, value in told.items()}, flush=True)
    print(common.write("tuners", {"best": 0.85, "tuners": found}))


if __name__ == "__main__":
    main()
