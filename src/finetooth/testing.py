"""Contract checks for parts of one's own: what every member of a family has to keep to, ours included.

Each raises AssertionError, saying what was not kept.
"""

from __future__ import annotations

from math import nan
from pathlib import Path

import numpy as np

from finetooth.errors import PlanError
from finetooth.evaluate import answers, evaluate
from finetooth.history import Step
from finetooth.plan import Plan
from finetooth.prepare import prepare
from finetooth.progress import Silent
from finetooth.run import Run
from finetooth.search import Pruner, Space, Trial, Tuner
from finetooth.search.trial import COMPLETE, FAILED, PRUNED, RUNNING
from finetooth.search.tuners import random
from finetooth.table import Table
from finetooth.tags import flat
from finetooth.tasks import named
from finetooth.train import train

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


def check_task(name: str, table: Table, model: str, folder: Path) -> Run:
    """A task of `TASKS` has what every task has, shown on some hundred rows of a `table` and a `model` of two blocks.

    A row says the same alone and among others. A run that broke off goes on to the same bits, one without the store of
    what is frozen ends in the same answers, the saved model says what the run says, and the seal opens into a verdict.
    The runs go into `folder`; the whole one comes back.
    """
    how = {"task": name, "epochs": 2, "freeze": 1, "precision": "fp32", "save_every": 0.5, "batch_size": 16}

    class Breaking(Silent):
        def step(self, step: Step) -> None:
            if step.step == step.steps * 2 // 3:
                raise _BrokeOffError

    plan = Plan.of(how)
    whole = train(table, plan, model=model, out=folder / "whole")
    plain = train(table, Plan.of({**how, "cache": "off"}), model=model, out=folder / "plain")
    try:
        train(table, plan, model=model, out=folder / "torn", progress=Breaking())
    except _BrokeOffError:
        torn = train(table, plan, model=model, out=folder / "torn", resume=True)
    said = whole.predictions("validation")
    assert np.array_equal(flat(torn.predictions("validation").said), flat(said.said)), "resumed, it ended otherwise"
    _alike(plain.predictions("validation").said, said.said, "without the store it ended otherwise")

    task, names = named(name), whole.json("data.json")["names"]
    again = answers(whole, table, said.ids)
    _alike(again.said, said.said, "the saved model says something else than the run")
    for row, row_id in enumerate(said.ids[:12]):
        alone = answers(whole, table, [row_id])
        _alike(alone.said, again.take(np.array([row])).said, f"the row {row_id} says something else alone", within=1e-5)
    job = prepare(table, plan, model)
    _, targets = job.task.collate(job.training, np.arange(9), job.backbone.tokenizer.pad_token_id)
    assert len(targets) == job.training.counts[:9].sum(), "a batch has not as many targets as its rows"

    report = evaluate(whole)
    assert report["verdict"]["says"] and report["seal"]["openings"] == 1, "the seal opened into no verdict"
    assert set(report["test"]) == set(task.metrics(names)), "the metrics of the task are not those of the report"
    return whole


class _BrokeOffError(Exception):
    """What `check_task` breaks a run off with."""


def _alike(one: np.ndarray, other: np.ndarray, says: str, within: float = 1e-4) -> None:
    one, other = flat(one), flat(other)
    gap = float(np.abs(one - other).max())
    assert np.allclose(one, other, rtol=within, atol=within), f"{says}, by up to {gap:.2g}"


def _trials(space: Space, many: int) -> list[Trial]:
    """Trials of every state, with scores between 0 and 1."""
    rng, trials = np.random.default_rng(0), list[Trial]()
    for number in range(many):
        looks = tuple(rng.uniform(0, 1, 9 if number % 3 else 4).tolist())
        state = {4: PRUNED, 7: FAILED, many - 1: RUNNING}.get(number, COMPLETE)
        values, score = random(space, trials, number), max(looks) if state in (COMPLETE, PRUNED) else None
        trials.append(Trial(number, values, state=state, looks=looks, score=score))
    return trials
