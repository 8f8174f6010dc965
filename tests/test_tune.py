"""A job tuned in memory comes to what a run comes to."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import finetooth as ft
from finetooth.prepare import Material, prepare
from finetooth.splits import kfold
from finetooth.tune import looks

PLAN = {"epochs": 3, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3, "eval_every": 0.5}


def test_the_looks_are_those_of_a_run(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    table, plan = ft.read(reviews), ft.Plan.of({**PLAN, "calibrate": False})
    run = ft.train(table, plan, model=str(tiny_bert), out=tmp_path / "run")
    seen = list(looks(prepare(table, plan, str(tiny_bert))))
    assert [(e.step, e.scores) for e, _ in seen] == [(e.step, e.scores) for e in run.epochs]
    best = max(seen, key=lambda look: look[0].scores["accuracy"])[1]
    assert best.ids == run.predictions("validation").ids
    assert np.allclose(best.probabilities, run.predictions("validation").probabilities, atol=1e-6)


def test_a_look_that_is_left_ends_the_tuning(reviews: Path, tiny_bert: Path) -> None:
    plan = ft.Plan.of({**PLAN, "early_stopping_patience": 1, "learning_rate": 1e-12, "head_learning_rate": 1e-12})
    assert len(list(looks(prepare(ft.read(reviews), plan, str(tiny_bert))))) == 2


def test_a_fold_is_a_job_with_its_own_rows_and_the_same_tokens(reviews: Path, tiny_bert: Path) -> None:
    table, plan = ft.read(reviews), ft.Plan.of(PLAN)
    material = Material.of(table, plan, str(tiny_bert))
    for fold in kfold(table, material.split, 3):
        job = material.job(plan, split=fold)
        assert job.training.ids == list(fold.train) and job.validation.ids == list(fold.validation)
        alone = job.task.encode(table, fold.train, job.names, job.backbone.tokenizer, int(job.plan.max_length))
        assert (alone.tokens == job.training.tokens).all() and (alone.targets == job.training.targets).all()
        assert not set(material.split.test) & {*job.training.ids, *job.validation.ids}
