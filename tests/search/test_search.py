"""What a search comes to: the trials, the best plan, the report, and what it never looks at."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml

import finetooth as ft
from finetooth.errors import DataError, NonFiniteLoss, PlanError, RunError, UserError
from finetooth.history import Step
from finetooth.prepare import Job, Material
from finetooth.progress import Silent
from finetooth.report.searched import page
from finetooth.search import Space, worker
from finetooth.splits import kfold
from finetooth.tune import looks
from tests.search.conftest import PLAN, SPACE, lines

Seek = Callable[..., dict[str, Any]]


class Listening(Silent):
    """Counts the steps, and keeps what is said."""

    def __init__(self) -> None:
        self.steps, self.said = 0, list[str]()

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, step: Step) -> None:
        self.steps += 1


def test_a_search_directory_holds_what_the_docs_say(whole: Path) -> None:
    files = {"base.yaml", "best.yaml", "report.html", "report.json", "space.yaml", "study.db", "trials.jsonl"}
    assert {path.name for path in whole.iterdir()} == files
    assert yaml.safe_load((whole / "space.yaml").read_text()) == {**SPACE, "learning_rate": "0.0001..0.01:log"}
    assert ft.Plan.read(whole / "base.yaml") == ft.Plan.of(PLAN)
    told = json.loads((whole / "report.json").read_text())
    assert told["trials"] == [json.loads(line) for line in (whole / "trials.jsonl").read_text().splitlines()]
    assert told["best"]["score"] == min(line["score"] for line in lines(whole))
    assert [line["number"] for line in lines(whole)] == list(range(6))


def test_the_plan_as_it_stands_comes_first(whole: Path) -> None:
    told = json.loads((whole / "report.json").read_text())
    assert told["base"]["number"] == 0 and told["base"]["values"] == {"learning_rate": 3e-3, "freeze": 0}


def test_a_plan_outside_the_space_is_not_tried_and_that_is_told(seek: Seek, tmp_path: Path) -> None:
    listen = Listening()
    told = seek(tmp_path / "out", space={"learning_rate": "1e-5..1e-4"}, trials=1, progress=listen)
    assert told["base"] is None and told["outside"] == {"learning_rate": 3e-3}
    assert any("learning_rate 0.003, the plan's own, lies outside 1e-05..0.0001" in line for line in listen.said)
    assert (
        "was not tried, since its learning_rate 0.003 lies outside the space"
        in (tmp_path / "out/report.html").read_text()
    )


def test_a_trial_scores_what_its_best_look_does(whole: Path, few: ft.Table, tiny_bert: Path) -> None:
    material = Material.of(few, ft.Plan.of(PLAN), str(tiny_bert))
    for line in lines(whole)[:2]:
        job = material.job(ft.Plan.of({**PLAN, **line["values"]}))
        seen = [epoch.scores["loss"] for epoch, _ in looks(job)]
        assert line["looks"] == seen and line["score"] == min(seen)


def test_the_best_plan_trains_to_the_score_of_its_trial(
    whole: Path, few: ft.Table, tiny_bert: Path, tmp_path: Path
) -> None:
    text = (whole / "best.yaml").read_text()
    told = json.loads((whole / "report.json").read_text())
    assert text.startswith("# ") and "the best of 6 trials" in text and "optimistic" in text
    assert f"finetooth train {few.source} --model {tiny_bert} --plan {whole / 'best.yaml'} --out RUN" in text
    run = ft.train(few, ft.Plan.read(whole / "best.yaml"), model=str(tiny_bert), out=tmp_path / "run")
    assert [epoch.scores["loss"] for epoch in run.epochs] == told["best"]["looks"]
    assert run.json("report.json")["best"]["value"] == told["best"]["score"]


def test_with_folds_a_trial_scores_their_mean(seek: Seek, few: ft.Table, tiny_bert: Path, tmp_path: Path) -> None:
    told = seek(tmp_path / "out", trials=2, folds=3, plan={"epochs": 1})
    plan = ft.Plan.of({**PLAN, "epochs": 1})
    material, means = Material.of(few, plan, str(tiny_bert)), list[float]()
    for fold in kfold(few, material.split, 3, near=material.clusters[1]):
        means.append(min(epoch.scores["loss"] for epoch, _ in looks(material.job(plan, split=fold))))
    first = told["trials"][0]
    assert first["looks"] == pytest.approx([means[0], sum(means[:2]) / 2, sum(means) / 3])
    assert first["score"] == first["looks"][-1]
    assert "average over 3 folds of the 108 rows that are not sealed" in page(told)
    with pytest.raises(DataError, match="1 folds were asked for"):
        seek(tmp_path / "none", folds=1)
    assert not (tmp_path / "none").exists()


def test_no_test_row_is_handed_on(seek: Seek, few: ft.Table, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every job that is trained, with folds and without, knows the sealed rows by id alone."""
    seen: list[Job] = []
    true = worker.looks
    monkeypatch.setattr(worker, "looks", lambda job: (seen.append(job), true(job))[1])
    seek(tmp_path / "plain", trials=2, plan={"epochs": 1})
    seek(tmp_path / "folds", trials=1, folds=2, plan={"epochs": 1})
    sealed = set(seen[0].split.test)
    assert len(seen) == 4 and len(sealed) == 12
    for job in seen:
        assert set(job.split.test) == sealed
        assert not sealed & {*job.training.ids, *job.validation.ids}
    for file in ("trials.jsonl", "report.json", "report.html", "best.yaml"):
        text = (tmp_path / "plain" / file).read_text()
        assert not any(row_id in text for row_id in sealed)


def test_the_same_values_are_not_trained_twice(seek: Seek, tmp_path: Path) -> None:
    listen = Listening()
    space = {"freeze": [0, "embeddings"]}
    told = seek(tmp_path / "out", space=space, trials=7, progress=listen, plan={"epochs": 1, "freeze": 0})
    trained = [trial for trial in told["trials"] if trial["twin"] is None]
    assert len(told["trials"]) == 7 and len(trained) == 2 and told["taken_over"] == 5
    assert listen.steps == 2 * 6, "96 rows in batches of 16, twice"
    first = {trial["number"]: trial for trial in trained}
    for trial in told["trials"]:
        if trial["twin"] is not None:
            twin = first[trial["twin"]]
            assert [trial[key] for key in ("values", "score", "looks")] == [
                twin[k] for k in ("values", "score", "looks")
            ]
    assert any("as trial 0 with the same values" in line for line in listen.said)
    assert any("the space holds 2 combinations" in line for line in listen.said)
    assert "were not trained again" in page(told)


def test_a_grid_is_gone_through_once(seek: Seek, tmp_path: Path) -> None:
    space = {"freeze": [0, 2], "batch_size": [16, 32]}
    told = seek(tmp_path / "out", space=space, tuner="grid", trials=None, plan={"epochs": 1})
    tried = [tuple(trial["values"].values()) for trial in told["trials"]]
    assert sorted(tried) == [(0, 16), (0, 32), (2, 16), (2, 32)]
    assert tried[0] == (0, 16), "the plan as it stands"


def test_pruning_saves_looks_and_keeps_the_best(seek: Seek, tmp_path: Path) -> None:
    """Trials that learn nothing are given up for one that does; the crosses stand on the page."""
    plan = {"epochs": 4, "learning_rate": 1e-2}
    space = {"learning_rate": [1e-2, 1e-6, 2e-6, 3e-6, 4e-6]}
    listen = Listening()
    told = seek(tmp_path / "out", plan=plan, space=space, tuner="grid", trials=None, prune="halving", progress=listen)
    had = [len(trial["looks"]) for trial in told["trials"]]
    assert had == [4, 1, 1, 1, 1] and told["best"]["number"] == 0 and told["counts"]["pruned"] == 4
    assert listen.steps == (4 + 4) * 6, "what was given up was not trained further"
    assert "4 were given up (halving)" in page(told)


def test_a_trial_that_fails_says_why_and_the_search_goes_on(
    seek: Seek, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One value that this model refuses, one whose loss diverges."""
    true = worker.looks

    def diverging(job: Job) -> Any:
        if job.plan.learning_rate == 1e-4:
            raise NonFiniteLoss(3, ["a row"])
        return true(job)

    monkeypatch.setattr(worker, "looks", diverging)
    listen, space = Listening(), {"freeze": [0, 9], "learning_rate": [3e-3, 1e-4]}
    told = seek(tmp_path / "out", space=space, tuner="grid", trials=None, plan={"epochs": 1}, progress=listen)
    reasons = {tuple(trial["values"].values()): trial["reason"] for trial in told["trials"]}
    assert reasons[0, 3e-3] == "" and told["counts"] == {"complete": 1, "pruned": 0, "failed": 3}
    assert "found 9, but the model has 2 blocks" in reasons[9, 3e-3]
    assert "step 3: the loss or its gradient is not a finite number" in reasons[0, 1e-4]
    assert any("failed: step 3" in line for line in listen.said)
    assert "failed: step 3" in page(told) and "3 failed" in page(told)


def test_a_search_without_any_end_says_why(seek: Seek, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no trial came to its end.*trial \d: freeze: found [89], but the model has 2"):
        seek(tmp_path / "out", space={"freeze": [8, 9]}, trials=2, plan={"epochs": 1})
    assert [line["state"] for line in lines(tmp_path / "out")] == ["failed", "failed"]


def test_the_time_ends_a_search_after_the_trial_in_hand(
    seek: Seek, whole: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An hour passes while the first step is made."""
    now, listen = time.time, Listening()
    monkeypatch.setattr(time, "time", lambda: now() + 3600 * (listen.steps > 0))
    told = seek(tmp_path / "out", minutes=30, progress=listen)
    assert [trial["number"] for trial in told["trials"]] == [0] and told["over"]
    assert listen.said[-1] == "the time was over after 1 of 6 trials; --resume goes on with the others"
    assert "5 of 6 are left, --resume goes on with them" in page(told)
    monkeypatch.undo()
    seek(tmp_path / "out", resume=True)
    assert lines(tmp_path / "out") == lines(whole)


def test_two_processes_make_exactly_as_many_trials(seek: Seek, whole: Path, tmp_path: Path) -> None:
    listen = Listening()
    told = seek(tmp_path / "out", jobs=2, trials=6, progress=listen)
    assert [trial["number"] for trial in told["trials"]] == list(range(6))
    assert told["counts"]["complete"] == 6
    # What random proposes does not depend on the scores, so two processes try what one does.
    assert [line["values"] for line in lines(tmp_path / "out")] == [line["values"] for line in lines(whole)]
    assert sum(line.startswith("6 of 6: trial") for line in listen.said) == 1


def test_own_functions_stay_in_one_process(seek: Seek, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="schedule: functions of one's own stay in one process; leave --jobs away"):
        seek(tmp_path / "out", plan={"schedule": lambda progress: 1.0}, jobs=2)


def test_a_tuner_and_a_pruner_of_ones_own(seek: Seek, tmp_path: Path) -> None:
    def upwards(space: Space, trials: Any, seed: int) -> dict[str, Any]:
        return {"learning_rate": 1e-3 * (len(trials) + 1)}

    def impatient(trials: Any, trial: Any) -> bool:
        return trial.number == 1

    told = seek(tmp_path / "out", space={"learning_rate": "1e-3..1e-2"}, tuner=upwards, prune=impatient, trials=3)
    assert [trial["values"]["learning_rate"] for trial in told["trials"]] == [3e-3, 2e-3, 3e-3]
    assert [trial["state"] for trial in told["trials"]] == ["complete", "pruned", "complete"]
    assert told["trials"][2]["twin"] == 0 and told["tuner"].endswith("upwards")


def test_another_storage_of_optunas_holds_the_study(seek: Seek, whole: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    seek(tmp_path / "one", storage=url, trials=2)
    assert not (tmp_path / "one" / "study.db").exists()
    kept = optuna.load_study(study_name="one", storage=url)
    assert [trial.values for trial in kept.trials] == [[line["score"]] for line in lines(whole)[:2]]
    assert kept.direction == optuna.study.StudyDirection.MINIMIZE
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(RunError, match="the storage has a study 'one' already"):
        seek(tmp_path / "elsewhere" / "one", storage=url, trials=2)
    with pytest.raises(RunError, match=r"postgresql://me:\*\*\*@nowhere/db: cannot hold the trials"):
        seek(tmp_path / "two", storage="postgresql://me:secret@nowhere/db")


def test_what_is_asked_wrongly_is_refused_before_anything_is_written(seek: Seek, tmp_path: Path) -> None:
    for more, says in (
        ({"trials": 0}, "--trials 0: expected 1 or more"),
        ({"trials": None}, "--trials is missing: how many"),
        ({"tuner": "grid"}, "learning_rate: found the range"),
        ({"tuner": "bayse"}, "did you mean 'bayes'"),
        ({"prune": "halvin"}, "did you mean 'halving'"),
        ({"space": {"lr": "1..2"}}, "unknown key 'lr'"),
    ):
        with pytest.raises(UserError, match=says):
            seek(tmp_path / "out", **more)
        assert not (tmp_path / "out").exists(), more
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    with pytest.raises(RunError, match=r"holds other things \(thesis.tex\)"):
        seek(tmp_path / "out")


def test_without_optuna_the_extra_is_named(seek: Seek, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UserError, match=r"pip install 'finetooth\[search\]'"):
        seek(tmp_path / "out")


def test_the_page_needs_no_network_and_tells_what_counts(whole: Path) -> None:
    html = (whole / "report.html").read_text()
    told = json.loads((whole / "report.json").read_text())
    assert page(told) == html, "the page is made from report.json and nothing else"
    assert "http" not in html and "<script" not in html and 'class="skip"' in html
    assert html.count('role="img"') == 5, "over time, importance, all keys at once, and one for each of two keys"
    first = html.index("<h1>")
    assert first < html.index("optimistic") < html.index("<svg"), "the two sentences come before any picture"
    assert "below about 20 the shares change from search to search" in html


def test_text_of_the_users_is_escaped(whole: Path) -> None:
    told = json.loads((whole / "report.json").read_text())
    told["data"]["source"] = told["model"] = "<script>alert(1)</script>"
    told["trials"][1] |= {"state": "failed", "reason": "<img src=x onerror=alert(2)>", "score": None}
    assert "<script" not in page(told) and "<img" not in page(told)
