"""A run that was stopped goes on as if it had not been; one whose data, plan or model changed is refused by name."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth import checkpoint, stops
from finetooth.errors import Interrupted, UserError
from finetooth.history import Epoch, Step
from finetooth.loop import State, fit
from finetooth.prepare import Job, prepare
from finetooth.progress import Silent
from tests import tiny

# Everything at once that a resumed run could get wrong.
PLAN = {
    "epochs": 8,
    "batch_size": 8,
    "gradient_accumulation_steps": 2,
    "precision": "fp32",
    "learning_rate": 3e-3,
    "dropout": 0.2,
    "unfreeze_every": 0.7,
    "schedule": "cosine",
    "eval_every": 0.5,
    "early_stopping_patience": 6,
    "class_weights": "auto",
    "save_every": 0.25,
}


def to_the_end(job: Job, state: State, at: Callable[[State], None] = lambda state: None) -> None:
    enough = stops.patience(job.goal, int(job.plan.early_stopping_patience or 0))
    for step in fit(state, job.batches, job.recipe, job.scores):
        at(state)
        if step.ended and enough(state.history):
            return


def timeless(history: list[Epoch]) -> list[Epoch]:
    return [replace(epoch, seconds=0.0, rows_per_second=0.0) for epoch in history]


def test_thirty_interruptions_all_end_in_the_same_bits(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    job = prepare(ft.read(reviews), ft.Plan.of(PLAN), str(tiny_bert))
    whole = job.state()
    to_the_end(job, whole, lambda state: checkpoint.save(state, tmp_path))
    steps = whole.step
    assert 30 < steps < job.recipe.steps, "early stopping was meant to end the run, after thirty steps"
    weights = {name: p.detach().clone() for name, p in whole.net.named_parameters()}
    moments = {
        name: {kind: t.clone() for kind, t in whole.optimizer.state[p].items()}
        for name, p in whole.net.named_parameters()
        if p in whole.optimizer.state
    }
    equal = 0
    for stop in random.Random(0).sample(range(1, steps + 1), 30):
        state = job.state()
        checkpoint.load(tmp_path / f"{stop:08d}", state)
        if stop < steps:
            to_the_end(job, state)
        assert state.step == steps
        for name, parameter in state.net.named_parameters():
            assert torch.equal(parameter, weights[name]), (stop, name)
            own = state.optimizer.state.get(parameter, {})
            assert own.keys() == moments.get(name, {}).keys()
            assert all(torch.equal(own[kind], moments[name][kind]) for kind in own), (stop, name)
        assert timeless(state.history) == timeless(whole.history)
        assert stops.best(job.goal, state.history) == stops.best(job.goal, whole.history)
        equal += 1
    assert equal == 30


class StopAt(Silent):
    """Somebody who presses Ctrl-C during one step, and reads what is said."""

    def __init__(self, step: int = -1) -> None:
        self.at, self.said = step, list[str]()

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, step: Step) -> None:
        if step.step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def stopped(reviews: Path, tiny_bert: Path, tmp_path: Path) -> Callable[..., ft.Run]:
    """A run stopped at step 19; call it to go on, with what is to be different."""
    model = tmp_path / "model"
    shutil.copytree(tiny_bert, model)

    def go(plan: dict | None = None, **more: object) -> ft.Run:
        words = {"model": str(model), "out": tmp_path / "run", "resume": True, **more}
        data = words.pop("data", reviews)
        columns = words.pop("columns", {})
        return ft.train(ft.read(data, **columns), ft.Plan.of({**PLAN, **(plan or {})}), **words)

    with pytest.raises(Interrupted):
        go(progress=StopAt(19))
    return go


def _edit(change: Callable[[list[list[str]]], None]) -> Callable[[Path, Path], dict]:
    def apply(reviews: Path, model: Path) -> dict:
        with open(reviews, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        change(rows)
        with open(reviews, "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)
        return {}

    return apply


def _one_letter(rows: list[list[str]]) -> None:
    rows[5][0] += "s"


def _relabelled(rows: list[list[str]]) -> None:
    rows[7][1] = "positive" if rows[7][1] == "negative" else "negative"


def _renamed_label(rows: list[list[str]]) -> None:
    for row in rows[1:]:
        row[1] = {"negative": "bad"}.get(row[1], row[1])


def _other_column(rows: list[list[str]]) -> None:
    rows[0][0] = "sentence"


def _other_weights(reviews: Path, model: Path) -> dict:
    torch.manual_seed(1)
    tf.AutoModel.from_config(tiny.config("bert")).save_pretrained(model)
    return {}


def _other_tokenizer(reviews: Path, model: Path) -> dict:
    words = (model / "tokenizer.json").read_text()
    (model / "tokenizer.json").write_text(words.replace('"film": 16', '"movie": 16'))
    return {}


# What somebody changed while the run lay still, and what the refusal has to name.
MUTATIONS: dict[str, tuple[Callable[[Path, Path], dict], str]] = {
    "one letter of a row": (_edit(_one_letter), "fingerprint"),
    "a label": (_edit(_relabelled), "fingerprint"),
    "a label's name": (_edit(_renamed_label), "names"),
    "a new row": (_edit(lambda rows: rows.append(["a new film", "positive"])), "rows"),
    "a row less": (_edit(lambda rows: rows.pop()), "rows"),
    "a column's name": (_edit(_other_column), "columns"),
    "the base model's weights": (_other_weights, "weights"),
    "the tokenizer": (_other_tokenizer, "tokenizer"),
    "the seed": (lambda r, m: {"plan": {"seed": 1}}, r"seed \(was 0, now 1\)"),
    "the learning rate": (lambda r, m: {"plan": {"learning_rate": 1e-3}}, r"learning_rate \(was 0.003, now 0.001\)"),
    "the epochs": (lambda r, m: {"plan": {"epochs": 9}}, "epochs"),
    "the dropout": (lambda r, m: {"plan": {"dropout": 0.1}}, "dropout"),
    "the batch size": (lambda r, m: {"plan": {"batch_size": 16}}, "batch_size"),
    "the split": (lambda r, m: {"plan": {"split": {"seed": 5}}}, "split"),
    "the number of rows": (lambda r, m: {"rows": 50}, "limit"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_has_changed_is_refused_by_name(stopped, reviews: Path, tmp_path: Path, mutation: str) -> None:
    change, words = MUTATIONS[mutation]
    more = change(reviews, tmp_path / "model")
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=f"cannot go on.*{words}"):
        stopped(**more)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


def _moved_run(reviews: Path, tmp_path: Path) -> dict:
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    return {"out": tmp_path / "elsewhere"}


def _moved_data(reviews: Path, tmp_path: Path) -> dict:
    return {"data": reviews.rename(tmp_path / "moved.csv")}


def _moved_model(reviews: Path, tmp_path: Path) -> dict:
    return {"model": str((tmp_path / "model").rename(tmp_path / "other-model"))}


def _turned_rows(reviews: Path, tmp_path: Path) -> dict:
    lines = reviews.read_text().splitlines()
    reviews.write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    return {}


def _other_format(reviews: Path, tmp_path: Path) -> dict:
    lines = [line.rsplit(",", 1) for line in reviews.read_text().splitlines()]
    (tmp_path / "same.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    return {"data": tmp_path / "same.tsv"}


@pytest.mark.parametrize("move", [_moved_run, _moved_data, _moved_model, _turned_rows, _other_format])
def test_harmless_moves_are_accepted_and_change_nothing(
    stopped, reviews: Path, tiny_bert: Path, tmp_path: Path, move: Callable[[Path, Path], dict]
) -> None:
    unbroken = ft.train(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "unbroken")
    run = stopped(**move(reviews, tmp_path))
    ours = tf.AutoModelForSequenceClassification.from_pretrained(run.model).state_dict()
    theirs = tf.AutoModelForSequenceClassification.from_pretrained(unbroken.model).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert timeless(run.epochs) == timeless(unbroken.epochs)


def test_a_damaged_best_checkpoint_makes_the_run_start_over_and_end_the_same(
    stopped, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    unbroken = ft.train(ft.read(reviews), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "unbroken")
    kept = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert len(kept) == 2, "the newest, and the best before it"
    (kept[0] / "net.safetensors").write_bytes(b"spoilt")
    listen = StopAt()
    run = stopped(progress=listen)
    assert any(kept[0].name in line and "Starting at the first step" in line for line in listen.said)
    assert timeless(run.epochs) == timeless(unbroken.epochs)


def test_another_runs_checkpoint_is_passed_over_by_name(
    stopped, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    other = ft.train(ft.read(reviews), ft.Plan.of({**PLAN, "seed": 9}), model=str(tiny_bert), out=tmp_path / "other")
    foreign = max(other.checkpoints.iterdir())
    shutil.copytree(foreign, tmp_path / "run" / "checkpoints" / "00009999")
    listen = StopAt()
    assert stopped(progress=listen).finished
    assert any("00009999 was passed over: it belongs to another run" in line for line in listen.said)


def test_a_finished_run_is_left_alone_and_not_taken_for_another(stopped) -> None:
    run = stopped()
    report = (run.path / "report.json").read_bytes()
    assert stopped().finished and (run.path / "report.json").read_bytes() == report
    with pytest.raises(UserError, match="epochs"):
        stopped(plan={"epochs": 12})


def test_a_function_without_a_name_cannot_be_told_from_another(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    def go(**more: object) -> ft.Run:
        plan = ft.Plan(epochs=4, batch_size=16, precision="fp32", rate=lambda depth, epoch: 1.0)
        return ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run", **more)

    with pytest.raises(Interrupted):
        go(progress=StopAt(5))
    with pytest.raises(UserError, match="rate is a function without a name"):
        go(resume=True)


@pytest.mark.parametrize("left", ["data.json", ".data.json.making", ".plan.yaml.making"])
def test_what_a_crash_leaves_before_the_first_step_is_no_run_yet(
    left: str, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / left).write_text("{}")
    plan = ft.Plan.of({**PLAN, "epochs": 1})
    run = ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run", resume=True)
    assert run.finished
