"""A search that was stopped goes on as if it had not been; another one is refused by name."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth.errors import Interrupted, RunError, UserError
from finetooth.history import Step
from finetooth.progress import Silent
from tests import tiny
from tests.search.conftest import lines

Seek = Callable[..., dict[str, Any]]
WRITES = ("create_new_study", "set_study_user_attr", "create_new_trial", "set_trial_intermediate_value")
WRITES += ("set_trial_user_attr", "set_trial_state_values")


class StopAt(Silent):
    """A signal in the middle of one step, counted over all trials."""

    def __init__(self, step: int, number: int = signal.SIGINT) -> None:
        self.left, self.number, self.said = step, number, list[str]()

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, step: Step) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


def killed(seek: Seek, out: Path, **more: Any) -> None:
    """Search in a process of its own, which does not come to its end."""
    process = multiprocessing.get_context("fork").Process(target=seek, args=(out,), kwargs=more)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def killing(seek: Seek, write: int, after: bool) -> Seek:
    """The same search, killed before or after it writes to its storage for the so-manieth time."""
    count = 0

    def counting(true: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == write and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            told = true(*args, **named)
            if count == write:
                os.kill(os.getpid(), signal.SIGKILL)
            return told

        return call

    def go(out: Path, **more: Any) -> dict[str, Any]:
        for name in WRITES:  # in the process that is to be killed alone
            setattr(optuna.storages.RDBStorage, name, counting(getattr(optuna.storages.RDBStorage, name)))
        return seek(out, **more)

    return go


@pytest.mark.parametrize("step", [12, 40])
def test_a_search_killed_in_a_step_ends_as_the_unbroken_one(seek: Seek, whole: Path, tmp_path: Path, step: int) -> None:
    killed(seek, tmp_path / "out", progress=StopAt(step, signal.SIGKILL))
    seek(tmp_path / "out", resume=True)
    assert lines(tmp_path / "out") == lines(whole)


# The study, what it is for, then for each trial its birth, two looks, seconds, reason, and its end.
@pytest.mark.parametrize(("write", "after"), [(1, True), (3, False), (3, True), (5, True), (8, False)])
def test_a_search_killed_while_it_writes_ends_as_the_unbroken_one(
    seek: Seek, whole: Path, tmp_path: Path, write: int, after: bool
) -> None:
    killed(killing(seek, write, after), tmp_path / "out", trials=2)
    seek(tmp_path / "out", trials=2, resume=True)
    assert lines(tmp_path / "out") == lines(whole)[:2]


@pytest.mark.parametrize(("tuner", "prune"), [("bayes", "median"), ("grid", "halving")])
def test_a_search_that_learns_and_gives_up_goes_on_the_same(seek: Seek, tmp_path: Path, tuner: str, prune: str) -> None:
    """Stopped twice, once killed and once by a signal, with a model of the scores and with pruning."""
    options: dict[str, Any] = {"tuner": tuner, "prune": prune, "trials": 9, "plan": {"epochs": 1, "eval_every": 0.5}}
    options |= {"space": {"learning_rate": [1e-4, 3e-4, 1e-3, 3e-3, 1e-2], "freeze": [0, 1, 2]}}
    if tuner == "bayes":
        options["space"]["learning_rate"] = "1e-4..1e-2:log"
    seek(tmp_path / "whole", **options)
    killed(seek, tmp_path / "out", progress=StopAt(20, signal.SIGKILL), **options)
    with pytest.raises(Interrupted):
        seek(tmp_path / "out", resume=True, progress=StopAt(14), **options)
    seek(tmp_path / "out", resume=True, **options)
    assert lines(tmp_path / "out") == lines(tmp_path / "whole")
    assert any(line["state"] == "pruned" for line in lines(tmp_path / "out"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_trial_in_hand_and_keeps_the_others(
    seek: Seek, whole: Path, tmp_path: Path, number: int
) -> None:
    listen = StopAt(30, number)
    with pytest.raises(Interrupted, match=r"in the middle of a trial.*--resume") as stopped:
        seek(tmp_path / "out", progress=listen)
    assert stopped.value.signal == number
    states = [line["state"] for line in lines(tmp_path / "out")]
    assert states == ["complete", "complete", "running"], "two steps more than two trials of two epochs have"
    assert (tmp_path / "out" / "best.yaml").exists() and (tmp_path / "out" / "report.html").exists()
    listen = StopAt(10_000)
    seek(tmp_path / "out", resume=True, progress=listen)
    assert any("going on after 2 of 6 trials; trial 2 begins anew" in line for line in listen.said)
    assert listen.left == 10_000 - 4 * 12, "what had ended was not trained again"
    assert lines(tmp_path / "out") == lines(whole)


def test_a_search_with_folds_goes_on_the_same(seek: Seek, tmp_path: Path) -> None:
    options: dict[str, Any] = {"folds": 2, "trials": 2, "plan": {"epochs": 1}}
    seek(tmp_path / "whole", **options)
    killed(seek, tmp_path / "out", progress=StopAt(12, signal.SIGKILL), **options)
    seek(tmp_path / "out", resume=True, **options)
    assert lines(tmp_path / "out") == lines(tmp_path / "whole")


def test_a_search_that_has_ended_can_be_lengthened(seek: Seek, whole: Path, tmp_path: Path) -> None:
    seek(tmp_path / "out", trials=2)
    seek(tmp_path / "out", trials=2, resume=True, progress=(listen := StopAt(1)))
    assert listen.left == 1, "nothing was trained"
    seek(tmp_path / "out", trials=4, resume=True)
    assert lines(tmp_path / "out") == lines(whole)[:4]


def test_a_search_is_not_begun_over_another(seek: Seek, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is a search already; choose another --out, or add --resume"):
        seek(whole)
    with pytest.raises(RunError, match=r"holds other things"):
        ft.train(ft.read(tiny.write_reviews(tmp_path / "r.csv", 60)), model="none", out=whole)


def test_two_commands_do_not_search_in_one_folder(seek: Seek, whole: Path, tmp_path: Path) -> None:
    class Meddling(Silent):
        def step(self, step: Step) -> None:
            with pytest.raises(RunError, match="another command works here just now"):
                seek(tmp_path / "out", trials=1, resume=True)

    seek(tmp_path / "out", trials=1, progress=Meddling())
    assert lines(tmp_path / "out") == lines(whole)[:1]


@pytest.fixture
def stopped(seek: Seek, tiny_bert: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A search stopped in its first trial; call it to go on, with what is to be different."""
    shutil.copytree(tiny_bert, tmp_path / "model")
    tiny.write_reviews(tmp_path / "rows.csv", 120)

    def go(**more: Any) -> dict[str, Any]:
        options = {"model": str(tmp_path / "model"), "trials": 2, "plan": {"epochs": 1}, "resume": True, **more}
        return seek(tmp_path / "out", table=ft.read(tmp_path / "rows.csv"), **options)

    with pytest.raises(Interrupted):
        go(progress=StopAt(3))
    return go


def _other_rows(folder: Path) -> dict[str, Any]:
    text = (folder / "rows.csv").read_text()
    (folder / "rows.csv").write_text(text.replace("film", "film film", 1))
    return {}


def _other_weights(folder: Path) -> dict[str, Any]:
    torch.manual_seed(1)
    tf.AutoModel.from_config(tiny.config("bert")).save_pretrained(folder / "model")
    return {}


# What somebody changed while the search lay still, and what the refusal has to name.
MUTATIONS: dict[str, tuple[Callable[[Path], dict[str, Any]], str]] = {
    "a row": (_other_rows, "fingerprint"),
    "the model's weights": (_other_weights, "weights"),
    "the number of rows": (lambda folder: {"rows": 50}, "limit"),
    "the split": (lambda folder: {"plan": {"epochs": 1, "split": {"seed": 5}}}, "split"),
    "a key of the plan": (lambda folder: {"plan": {"epochs": 2}}, r"epochs \(was 1.0, now 2.0\)"),
    "the seed": (lambda folder: {"plan": {"epochs": 1, "seed": 4}}, r"seed \(was 0, now 4\)"),
    "the space": (
        lambda folder: {"space": {"freeze": [0, 1]}},
        r"space \(was .*0.0001..0.01:log.*, now \{'freeze': \[0, 1\]\}",
    ),
    "the folds": (lambda folder: {"folds": 2}, r"folds \(was None, now 2\)"),
    "the goal": (
        lambda folder: {"plan": {"epochs": 1, "metric_for_best_model": "accuracy"}},
        r"goal \(was loss, now accuracy\)",
    ),
    "the tuner": (lambda folder: {"tuner": "bayes"}, r"tuner \(was random, now bayes\)"),
    "the pruner": (lambda folder: {"prune": "median"}, r"prune \(was none, now median\)"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_what_has_changed_is_refused_by_name(
    stopped: Callable[..., dict[str, Any]], tmp_path: Path, mutation: str
) -> None:
    change, says = MUTATIONS[mutation]
    more = change(tmp_path)
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with pytest.raises(UserError, match=f"cannot go on.*{says}"):
        stopped(**more)
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_a_folder_a_file_and_a_model_may_move(stopped: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "model").rename(tmp_path / "other")
    text = (tmp_path / "rows.csv").read_text().splitlines()
    (tmp_path / "rows.csv").write_text("\n".join([text[0], *reversed(text[1:])]) + "\n")
    told = stopped(model=str(tmp_path / "other"))
    assert told["counts"]["complete"] == 2


def test_a_damaged_study_and_a_strange_one_are_refused(stopped: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    kept = optuna.load_study(study_name="search", storage=f"sqlite:///{tmp_path / 'out' / 'study.db'}")
    kept.enqueue_trial({"freeze": "0"})
    with pytest.raises(RunError, match="trial 1 of the study was not made by this search"):
        stopped(trials=4)
    (tmp_path / "out" / "study.db").write_bytes(b"no database at all, for longer than a header is" * 9)
    with pytest.raises(RunError, match=r"cannot hold the trials: .*not a database"):
        stopped()
