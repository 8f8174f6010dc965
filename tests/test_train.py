"""Training into a run directory: what lies in it, that it can be stopped anywhere, that it refuses what has changed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth.errors import DataError, Interrupted, ModelError, PlanError, RunError
from finetooth.history import Step
from finetooth.progress import Silent
from tests import tiny

PLAN = {"epochs": 3, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3}


class StopAt(Silent):
    """Somebody who presses Ctrl-C during one step."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.at, self.number = step, number

    def step(self, step: Step) -> None:
        if step.step == self.at:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def tuned(reviews: Path, tiny_bert: Path, tmp_path: Path) -> ft.Run:
    return ft.train(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "run")


def test_a_run_directory_holds_what_the_contract_says(tuned: ft.Run) -> None:
    files = {str(p.relative_to(tuned.path)) for p in tuned.path.rglob("*") if p.is_file()}
    assert {
        "plan.yaml",
        "data.json",
        "split.json",
        "findings.json",
        "epochs.jsonl",
        "machine.json",
        "report.json",
        "report.html",
        "predictions/validation.parquet",
        "model/config.json",
        "model/model.safetensors",
        "model/tokenizer.json",
        "model/README.md",
    } <= files
    assert "predictions/test.parquet" not in files and "ledger.jsonl" not in files, "the seal was opened"
    assert not [f for f in files if ".making" in f or f.endswith((".bin", ".pt", ".pkl"))]
    report = tuned.json("report.json")
    assert report["test"] is None and report["seal"]["openings"] == 0
    assert report["rows"] == {"train": 192, "validation": 24, "test": 24}
    assert "auto" not in [v for k, v in tuned.plan.values().items()]
    chosen = {"cache", "task", "head_learning_rate", "max_length", "freeze", "loss", "metric_for_best_model"}
    assert report["reasons"].keys() == chosen


def test_the_best_epoch_is_what_is_kept(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """A learning rate that ruins the model in the end: the saved model is the one from before."""
    plan = {**PLAN, "epochs": 4, "schedule": "constant", "warmup_steps": 0, "learning_rate": 3e-3, "dropout": 0.0}
    run = ft.train(ft.read(reviews), ft.Plan.of(plan), model=str(tiny_bert), out=tmp_path / "run")
    scores = [e.scores["accuracy"] for e in run.epochs]
    report = run.json("report.json")
    assert report["best"]["value"] == max(scores)
    assert report["best"]["epoch"] == run.epochs[scores.index(max(scores))].epoch
    p = run.predictions("validation")
    assert (p.decided == p.labels).mean() == pytest.approx(max(scores))
    kept = {path.name for path in run.checkpoints.iterdir()}
    assert kept == {f"{run.epochs[-1].step:08d}", f"{report['best']['step']:08d}"}


def test_transformers_alone_gives_the_same_probabilities(tuned: ft.Run, reviews: Path) -> None:
    table = ft.read(reviews)
    p = ft.answers(tuned, table, table.ids)
    net = tf.AutoModelForSequenceClassification.from_pretrained(tuned.model)
    tokenizer = tf.AutoTokenizer.from_pretrained(tuned.model)
    pipe = tf.pipeline("text-classification", model=net, tokenizer=tokenizer, top_k=None)
    for i, answer in enumerate(pipe([row[0] for row in table.inputs])):
        theirs = {a["label"]: a["score"] for a in answer}
        assert [theirs[name] for name in p.names] == pytest.approx(p.probabilities[i], abs=1e-5)


def test_a_row_alone_gets_the_answer_it_gets_in_company(tuned: ft.Run, reviews: Path) -> None:
    table = ft.read(reviews)
    together = ft.answers(tuned, table, table.ids).probabilities
    alone = np.concatenate([ft.answers(tuned, table, [i]).probabilities for i in table.ids[:20]])
    assert np.abs(together[:20] - alone).max() < 1e-6


def test_predictions_do_not_change_with_the_order_of_the_file(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    lines = reviews.read_text().splitlines()
    (tmp_path / "turned.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    one = ft.train(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "one")
    other = ft.train(ft.read(tmp_path / "turned.csv"), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "two")
    assert one.split == other.split
    a, b = one.predictions("validation"), other.predictions("validation")
    assert a.ids == b.ids and np.array_equal(a.probabilities, b.probabilities)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_the_run_goes_on_as_if_never_stopped(
    reviews: Path, tiny_bert: Path, tmp_path: Path, tuned: ft.Run, number: int
) -> None:
    def go(**more: object) -> ft.Run:
        return ft.train(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "cut", **more)

    with pytest.raises(Interrupted, match="--resume") as stopped:
        go(progress=StopAt(17, number))
    assert stopped.value.signal == number
    with pytest.raises(RunError, match="--resume"):
        go()
    run = go(resume=True)
    ours = tf.AutoModelForSequenceClassification.from_pretrained(run.model).state_dict()
    theirs = tf.AutoModelForSequenceClassification.from_pretrained(tuned.model).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert np.array_equal(run.predictions("validation").probabilities, tuned.predictions("validation").probabilities)


def test_resume_refuses_what_has_changed_by_name(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    def go(plan: dict, **more: object) -> ft.Run:
        return ft.train(ft.read(reviews), ft.Plan.of(plan), model=str(tiny_bert), out=tmp_path / "cut", **more)

    with pytest.raises(Interrupted):
        go(PLAN, progress=StopAt(5))
    with pytest.raises(RunError, match=r"learning_rate \(was 0.001, now 0.002\)"):
        go({**PLAN, "learning_rate": 2e-3}, resume=True)
    text = reviews.read_text()
    reviews.write_text(text.replace("film", "Film", 1))
    with pytest.raises(RunError, match="fingerprint"):
        go(PLAN, resume=True)
    reviews.write_text(text)
    assert go(PLAN, resume=True).finished
    assert go(PLAN, resume=True).finished, "a finished run is left as it is"


def test_early_stopping_ends_the_run_and_keeps_the_best(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = {**PLAN, "epochs": 30, "learning_rate": 3e-3, "early_stopping_patience": 2}
    run = ft.train(ft.read(reviews), ft.Plan.of(plan), model=str(tiny_bert), out=tmp_path / "run")
    scores = [e.scores["accuracy"] for e in run.epochs]
    assert len(scores) < 30
    assert scores.index(max(scores)) == len(scores) - 3


def test_starting_small_leaves_the_seal_as_it_is(tuned: ft.Run, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    small = ft.train(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "small", rows=40)
    assert (len(small.split.train), len(small.split.validation)) == (40, 24)
    assert small.split.digest == tuned.split.digest
    assert set(small.split.train) <= set(tuned.split.train)


def test_a_metric_of_ones_own_chooses_the_best_epoch(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    recall = ft.Metric("negative_recall", "higher", lambda p: float((p.decided == 0)[p.labels == 0].mean()))
    plan = ft.Plan.of({**PLAN, "metric_for_best_model": "negative_recall"})
    run = ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run", metrics=[recall])
    report = run.json("report.json")
    assert report["best"]["metric"] == "negative_recall"
    assert report["best"]["value"] == max(e.scores["negative_recall"] for e in run.epochs)
    with pytest.raises(PlanError, match="did you mean 'negative_recall'"):
        ft.train(
            ft.read(reviews),
            ft.Plan.of({**PLAN, "metric_for_best_model": "negative_recal"}),
            model=str(tiny_bert),
            out=tmp_path / "b",
            metrics=[recall],
        )


def test_a_model_that_answers_one_class_only_is_named(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 1, "freeze": "all", "learning_rate": "auto", "head_learning_rate": 1e-9})
    run = ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run")
    p = run.predictions("validation")
    assert len(set(p.decided.tolist())) == 1, "the head was meant to learn nothing"
    assert "one class only" in [d["name"] for d in run.json("report.json")["diagnosis"]]
    assert p.names[p.decided[0]] in (run.path / "report.html").read_text()


def test_damaged_checkpoints_are_passed_over_by_name(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    said: list[str] = []

    class Listen(StopAt):
        def say(self, text: str) -> None:
            said.append(text)

    def go(**more: object) -> ft.Run:
        plan = ft.Plan.of({**PLAN, "save_every": 0.25})
        return ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run", **more)

    with pytest.raises(Interrupted):
        go(progress=StopAt(16))
    newest = max((tmp_path / "run" / "checkpoints").iterdir())
    weights = newest / "net.safetensors"
    content = bytearray(weights.read_bytes())
    content[-7] ^= 1
    weights.write_bytes(content)
    assert go(resume=True, progress=Listen(-1)).finished
    assert any("net.safetensors is not as it was written" in line and newest.name in line for line in said)


def test_an_evaluation_of_the_seal_is_counted_and_leaves_training_untouched(tuned: ft.Run, reviews: Path) -> None:
    first = ft.evaluate(tuned)
    assert first["seal"]["openings"] == 1
    assert 0 <= first["test"]["accuracy"]["value"] <= 1
    assert "too few rows (24;" in first["test"]["accuracy"]["how"] and first["verdict"]["answer"] == "too few"
    assert set(tuned.predictions("test").ids) == set(tuned.split.test)
    second = ft.evaluate(tuned, ft.read(reviews))
    assert second["seal"]["openings"] == 2 and second["test"] == first["test"]
    lines = (tuned.path / "ledger.jsonl").read_text().splitlines()
    assert [json.loads(line)["opening"] for line in lines] == [1, 2]
    assert "opening 2 of these" in (tuned.path / "report.html").read_text()


def test_openings_are_counted_over_all_runs_on_the_same_test_rows(
    tuned: ft.Run, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    ft.evaluate(tuned)
    other = ft.train(ft.read(reviews), ft.Plan.of({**PLAN, "seed": 5}), model=str(tiny_bert), out=tmp_path / "other")
    assert ft.evaluate(other)["seal"]["openings"] == 2


def test_changed_test_rows_are_refused(tuned: ft.Run, reviews: Path) -> None:
    table = ft.read(reviews)
    sealed = table.inputs[table.position[tuned.split.test[0]]][0]
    lines = reviews.read_text().splitlines()
    turned = {"negative": "positive", "positive": "negative"}
    changed = [
        f"{sealed},{turned[line.rpartition(',')[2]]}" if line.startswith(sealed + ",") else line for line in lines
    ]
    reviews.write_text("\n".join(changed) + "\n")
    with pytest.raises(RunError, match="not the 24 test rows that were sealed"):
        ft.evaluate(tuned)
    assert not (tuned.path / "ledger.jsonl").exists()


def test_other_rows_are_scored_without_touching_the_report(tuned: ft.Run, tmp_path: Path) -> None:
    other = ft.read(tiny.write_reviews(tmp_path / "other.csv", 60, seed=9))
    before = (tuned.path / "report.json").read_text()
    scored = ft.evaluate_rows(tuned, other)
    assert scored["rows"] == 60 and set(scored["rows_of_the_run"].values()) == {0}
    assert scored["scores"]["accuracy"]["low"] is None  # 60 rows are too few for an interval
    assert (tuned.path / "report.json").read_text() == before and not (tuned.path / "ledger.jsonl").exists()
    strange = tmp_path / "strange.csv"
    strange.write_text("text,label\nfilm plot,neutral\n")
    with pytest.raises(DataError, match="'neutral' is not one that the model knows"):
        ft.evaluate_rows(tuned, ft.read(strange))


def test_sealed_rows_among_others_count_as_an_opening(tuned: ft.Run, reviews: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.csv"
    part.write_text("\n".join(reviews.read_text().splitlines()[:200]) + "\n")
    scored = ft.evaluate_rows(tuned, ft.read(part))
    assert scored["rows_of_the_run"]["test"] > 0 and scored["rows_of_the_run"]["train"] > 0
    assert (tuned.path / "ledger.jsonl").exists()


def test_training_is_never_handed_a_test_row(
    reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetooth.tasks.text_classification import TextClassification

    handed: set[str] = set()
    encode: Callable = TextClassification.encode

    def watched(self, table, ids, *rest):
        handed.update(ids)
        return encode(self, table, ids, *rest)

    monkeypatch.setattr(TextClassification, "encode", watched)
    run = ft.train(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "run")
    assert handed == {*run.split.train, *run.split.validation}
    assert not handed & set(run.split.test)


def test_money_is_told_when_the_hour_has_a_price(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "cost_per_hour": 36.0})
    run = ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run")
    report = run.json("report.json")
    assert report["cost"] == pytest.approx(sum(report["seconds"].values()) / 100)


def test_a_look_through_another_door_is_an_opening_too(tuned: ft.Run, reviews: Path, tmp_path: Path) -> None:
    table = ft.read(reviews)
    ft.answers(tuned, table, tuned.split.train)
    assert not (tuned.path / "ledger.jsonl").exists(), "no sealed row was among them"
    ft.answers(tuned, table, tuned.split.test[:3])
    assert tuned.json("report.json")["seal"]["openings"] == 1
    bare = tmp_path / "bare.csv"
    bare.write_text("text\n" + "".join(f"{row[0]}\n" for row in table.inputs))
    unlabelled = ft.read(bare, labelled=False)
    ft.answers(tuned, unlabelled, unlabelled.ids)
    assert tuned.json("report.json")["seal"]["openings"] == 1, "without labels nothing can be compared"
    assert ft.evaluate(tuned)["seal"]["openings"] == 2


def test_sealed_rows_are_known_again_under_other_ids(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    lines = reviews.read_text().splitlines()

    def numbered(name: str, first: int) -> Path:
        rows = [f"{first + i},{line}" for i, line in enumerate(lines[1:])]
        (tmp_path / name).write_text("\n".join(["key,text,label", *rows]) + "\n")
        return tmp_path / name

    table = ft.read(numbered("one.csv", 0), id="key")
    run = ft.train(table, ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "run")
    scored = ft.evaluate_rows(run, ft.read(numbered("two.csv", 1000), id="key"))
    assert scored["rows_of_the_run"] == {"train": 192, "validation": 24, "test": 24} and scored["openings"] == 1


def test_the_seal_opens_on_the_test_rows_alone(tuned: ft.Run, reviews: Path, tmp_path: Path) -> None:
    table = ft.read(reviews)
    rows = [table.position[i] for i in tuned.split.test]
    only = tmp_path / "only.csv"
    only.write_text("text,label\n" + "".join(f"{table.inputs[r][0]},{table.labels[r]}\n" for r in rows))
    report = ft.evaluate(tuned, ft.read(only))
    assert report["test"]["accuracy"]["value"] is not None and report["seal"]["openings"] == 1


def test_openings_that_were_taken_away_are_noticed(tuned: ft.Run) -> None:
    ft.evaluate(tuned)
    ft.evaluate(tuned)
    ledger = tuned.path / "ledger.jsonl"
    ledger.write_text(ledger.read_text().splitlines()[0] + "\n")
    with pytest.raises(RunError, match="openings were taken away"):
        ft.evaluate(tuned)


def test_an_evaluation_that_was_stopped_counts_and_can_be_done_again(
    tuned: ft.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    ft.evaluate(tuned)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["finetooth.evaluate"], "predict", stop)
        with pytest.raises(KeyboardInterrupt):
            ft.evaluate(tuned)
    assert tuned.json("report.json")["seal"]["openings"] == 1
    assert ft.evaluate(tuned)["seal"]["openings"] == 3


def test_a_model_that_does_not_load_has_opened_nothing(tuned: ft.Run) -> None:
    (tuned.model / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="cannot be loaded"):
        ft.evaluate(tuned)
    assert not tuned.ledger.exists()


def test_what_stands_in_the_test_part_moves_no_weight(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    lines = reviews.read_text().splitlines()
    weights = []
    for name, test in (("one", lines[201:]), ("two", lines[5:9] + lines[211:])):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train.csv").write_text("\n".join(lines[:201]) + "\n")
        (folder / "test.csv").write_text("\n".join([lines[0], *test]) + "\n")
        run = ft.train(ft.read(folder), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / f"run {name}")
        weights.append(tf.AutoModelForSequenceClassification.from_pretrained(run.model).state_dict())
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    leaks = [f for f in run.json("findings.json")["findings"] if f["check"] == "leak"]
    assert sum(f["count"] for f in leaks) == 4


def test_a_class_of_the_test_part_alone_is_refused(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    reviews.rename(folder / "train.csv")
    (folder / "test.csv").write_text("text,label\nfilm plot,negative\nscene,neutral\n")
    with pytest.raises(DataError, match=r"test.csv, row 2: the label 'neutral' occurs in the test part only"):
        ft.train(ft.read(folder), model=str(tiny_bert), out=tmp_path / "run")


def test_small_blemishes_are_said_and_kept(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    with open(reviews, "a", encoding="utf-8") as file:
        file.writelines(f"{'story ' * i}fresh,Positive\n" for i in range(1, 5))
    run = ft.train(ft.read(reviews), ft.Plan.of({**PLAN, "epochs": 1}), model=str(tiny_bert), out=tmp_path / "run")
    said = {f["check"]: f["says"] for f in run.json("findings.json")["findings"]}
    assert "'Positive'" in said["few rows"] and "'positive'" in said["label spelling"]


def test_every_number_of_a_report_is_json(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """A validation part of one class has no AUROC; JSON has no NaN."""
    folder = tmp_path / "parts"
    folder.mkdir()
    lines = reviews.read_text().splitlines()
    (folder / "validation.csv").write_text("text,label\n" + "\n".join(f"film {w},positive" for w in tiny.GOOD) + "\n")
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    run = ft.train(ft.read(folder), ft.Plan.of({**PLAN, "epochs": 1}), model=str(tiny_bert), out=tmp_path / "run")

    def refuse(name: str) -> None:
        raise AssertionError(name)

    for name in ("report.json", "epochs.jsonl"):
        for text in (
            (run.path / name).read_text().splitlines() if name.endswith("l") else [(run.path / name).read_text()]
        ):
            json.loads(text, parse_constant=refuse)
    assert run.json("report.json")["validation"]["auroc"] is None


def test_a_run_of_so_many_seconds_ends_in_time_and_goes_on_nowhere(
    reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    plan = {"max_seconds": 1.0, "batch_size": 16, "precision": "fp32"}
    run = ft.train(ft.read(reviews), ft.Plan.of(plan), model=str(tiny_bert), out=tmp_path / "run")
    trained = sum(epoch.seconds for epoch in run.epochs)
    assert 1.0 <= trained < 1.5
    assert run.epochs[-1].learning_rate < 0.1 * 1e-4, "the schedule ends with the time"


@pytest.mark.parametrize(
    "plan",
    [
        {"max_steps": 7},
        {"batch_size": "auto", "batch_tokens": 300},
        {"loss": {"name": "focal", "gamma": 1.0}},
        {"class_weights": {"negative": 3.0}},
        {"oversample": 0.5, "label_smoothing": 0.1},
        {"schedule": {"name": "polynomial", "power": 3}, "unfreeze_every": 0.5, "layer_decay": 0.8},
        {"epochs": 1.1, "eval_every": 0.3, "schedule": "one_cycle"},
    ],
)
def test_every_key_of_the_recipe_reaches_the_run(reviews: Path, tiny_bert: Path, tmp_path: Path, plan: dict) -> None:
    base = {"epochs": 1, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3}
    base = {key: value for key, value in base.items() if not ("max_steps" in plan and key == "epochs")}
    run = ft.train(ft.read(reviews), ft.Plan.of({**base, **plan}), model=str(tiny_bert), out=tmp_path / "run")
    assert run.plan == ft.Plan.of(run.plan.values())
    steps = {"max_steps": 7, "epochs": 14}.get(next(iter(plan)))
    if steps is not None:
        assert run.epochs[-1].step == steps


def test_a_dry_run_foretells_and_leaves_nothing(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    foretold = ft.rehearse(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "runs" / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    run = ft.train(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "runs" / "run")
    assert foretold["steps"] == run.epochs[-1].step
    size = sum(f.stat().st_size for f in run.path.rglob("*") if f.suffix == ".safetensors")
    assert size <= foretold["disk_bytes"] <= 2.2 * size
    assert foretold["plan"] == run.plan.values()
    with pytest.raises(PlanError, match="freeze: found 9"):
        ft.rehearse(ft.read(reviews), ft.Plan.of({**PLAN, "freeze": 9}), model=str(tiny_bert), out=tmp_path / "x")
