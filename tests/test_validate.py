"""Cross-validation: every row is answered once by a model that did not learn from it, whatever stops the work."""

from __future__ import annotations

import copy
import csv
import json
import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

import finetooth as ft
from finetooth import decide, stops
from finetooth.checks.suspects import doubtful
from finetooth.errors import FinetoothError, Interrupted, RunError, UserError
from finetooth.history import Epoch, Step
from finetooth.metrics import CLASSIFICATION, over_folds
from finetooth.progress import Silent
from finetooth.report.folds import page
from finetooth.report.validated import averaged, suspected
from finetooth.run import Run
from finetooth.table import Predictions
from tests import tiny
from tests.test_report import Page

validating = sys.modules[ft.validate.__module__]

PLAN = {
    "epochs": 6,
    "batch_size": 8,
    "precision": "fp32",
    "learning_rate": 5e-3,
    "threshold": "macro_f1",
}
STEPS = 108  # of a fold: 144 rows in batches of 8, six times
FOLDS, REPEATS = 3, 2


def timeless(content: Any) -> Any:
    """Without what two runs never have in common."""
    if isinstance(content, dict):
        moving = {"seconds", "rows_per_second", "made", "peak_memory_bytes", "name", "path", "repeat"}
        return {key: timeless(value) for key, value in content.items() if key not in moving or value in (1, 2)}
    return [timeless(value) for value in content] if isinstance(content, list) else content


def files(folder: Path) -> dict[str, Any]:
    """All that a cross-validation leaves, without its times and its page."""
    found: dict[str, Any] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".json" and name != "machine.json":
            found[name] = timeless(json.loads(path.read_text()))
        elif path.suffix == ".parquet":
            found[name] = parquet.read_table(path).to_pylist()
        else:
            found[name] = "machine.json" if name == "machine.json" else path.suffix
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv", 240)


@pytest.fixture(scope="module")
def whole(data: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-validation that nothing stopped, and beside it in memory which rows each job was handed."""
    out = tmp_path_factory.mktemp("whole") / "out"
    ft.validate(ft.read(data), ft.Plan.of(PLAN), model=str(tiny_bert), out=out, folds=FOLDS, repeats=REPEATS)
    return out


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], list[str]]]:
    """The rows that each job learns from and is judged by, in the order in which the jobs are tuned."""
    seen: list[tuple[list[str], list[str]]] = []
    looks: Callable[..., Any] = validating.looks

    def watched(job: Any) -> Any:
        seen.append((job.training.ids, job.validation.ids))
        return looks(job)

    monkeypatch.setattr(validating, "looks", watched)
    return seen


def go(data: Path, model: Path, out: Path, plan: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    columns = more.pop("columns", {})
    words = {"model": str(model), "out": out, "folds": FOLDS, "repeats": REPEATS, **more}
    return ft.validate(ft.read(data, **columns), ft.Plan.of({**PLAN, **(plan or {})}), **words)


QUICK = {"epochs": 1, "threshold": "argmax"}


def test_every_row_is_answered_once_in_a_deal_by_a_model_that_did_not_learn_from_it(
    data: Path, tiny_bert: Path, tmp_path: Path, handed, monkeypatch: pytest.MonkeyPatch
) -> None:
    from finetooth.tasks.text_classification import TextClassification

    encoded: set[str] = set()
    encode: Callable[..., Any] = TextClassification.encode

    def watched(self: Any, table: Any, ids: Any, *rest: Any) -> Any:
        encoded.update(ids)
        return encode(self, table, ids, *rest)

    monkeypatch.setattr(TextClassification, "encode", watched)
    go(data, tiny_bert, tmp_path / "out", QUICK)
    split, table = Run(tmp_path / "out").split, ft.read(data)
    free = {*split.train, *split.validation}
    assert len(split.test) == 24 and encoded == free and split.digest == table.digest(split.test)
    assert len(handed) == FOLDS * REPEATS
    for training, others in handed:
        assert not {*training} & {*others} and {*training, *others} == free
    for deal in (handed[:FOLDS], handed[FOLDS:]):
        assert sorted(i for _, others in deal for i in others) == sorted(free)
    assert [sorted(others) for _, others in handed[:FOLDS]] != [sorted(others) for _, others in handed[FOLDS:]]

    rows = parquet.read_table(tmp_path / "out" / "out_of_fold.parquet").to_pylist()
    by_fold = {(r + 1, k + 1): handed[r * FOLDS + k][1] for r in range(REPEATS) for k in range(FOLDS)}
    assert {(row["id"], row["repeat"], row["fold"]) for row in rows} == {
        (i, repeat, fold) for (repeat, fold), ids in by_fold.items() for i in ids
    }
    assert len(rows) == REPEATS * len(free)
    assert all(row["label"] == table.labels[table.position[row["id"]]] for row in rows)
    assert np.allclose([sum(row["probabilities"]) for row in rows], 1)


def test_a_fold_comes_to_what_the_chosen_evaluation_said(whole: Path) -> None:
    report = json.loads((whole / "report.json").read_text())
    assert [fold["seed"] for fold in report["each"]] == [0, 0, 0, 1, 1, 1]
    for fold in report["each"]:
        history = [Epoch.of(line) for line in fold["epochs"]]
        assert len(history) == 6 and history[-1].step == STEPS
        best = history[stops.best(CLASSIFICATION["accuracy"], history)]
        assert fold["chosen"]["step"] == best.step
        assert fold["scores"] == best.scores and fold["last"] == history[-1].scores
        p = Run(whole).predictions(f"{fold['repeat']}-{fold['fold']}")
        assert CLASSIFICATION["accuracy"].of(p) == fold["scores"]["accuracy"]
        assert CLASSIFICATION["loss"].of(p) == pytest.approx(fold["scores"]["loss"])


def test_the_numbers_over_folds_by_hand(whole: Path) -> None:
    report = json.loads((whole / "report.json").read_text())
    values = [fold["scores"]["accuracy"] for fold in report["each"]]
    over = report["scores"]["accuracy"]
    assert over["value"] == pytest.approx(np.mean(values)) and over["spread"] == pytest.approx(np.std(values, ddof=1))
    assert over["worst"] == min(values) and report["scores"]["loss"]["worst"] == max(
        fold["scores"]["loss"] for fold in report["each"]
    )
    assert over["last"] == pytest.approx(np.mean([fold["last"]["accuracy"] for fold in report["each"]]))
    assert (over["low"], over["high"]) == pytest.approx(
        (over_folds(values, 72 / 144).low, over_folds(values, 72 / 144).high)
    )
    gains = [fold["scores"]["accuracy"] - fold["baselines"]["tfidf"]["accuracy"] for fold in report["each"]]
    told, verdict = report["baselines"]["tfidf"], report["verdict"]
    assert told["difference"] == pytest.approx(np.mean(gains)) and verdict["against"] == "tfidf"
    assert told["low"] == pytest.approx(over_folds(gains, 72 / 144).low)
    assert verdict["answer"] == ("worse" if told["high"] < 0 else "not shown")
    assert report["baselines"]["majority"]["scores"]["accuracy"] == pytest.approx(0.5)


def test_what_is_said_out_of_fold_comes_from_the_file(whole: Path, data: Path) -> None:
    report, table = json.loads((whole / "report.json").read_text()), ft.read(data)
    frame = parquet.read_table(whole / "out_of_fold.parquet")
    names, rows = json.loads(frame.schema.metadata[b"names"]), frame.to_pylist()

    def said(repeat: int) -> Predictions:
        chosen = [row for row in rows if row["repeat"] == repeat]
        labels = np.array([names.index(row["label"]) for row in chosen])
        probabilities = np.array([row["probabilities"] for row in chosen])
        return Predictions([row["id"] for row in chosen], labels, probabilities, names)

    p = averaged([said(1), said(2)])
    one = {row["id"]: row["probabilities"] for row in rows if row["repeat"] == 1}
    two = {row["id"]: row["probabilities"] for row in rows if row["repeat"] == 2}
    assert p.ids == sorted(one)
    assert np.allclose(p.probabilities, [(np.array(one[i]) + two[i]) / 2 for i in p.ids])
    assert report["pooled"]["accuracy"]["value"] == pytest.approx((p.decided == p.labels).mean())
    assert report["pooled"]["accuracy"]["how"] == "Wilson" and report["rows"]["validated"] == len(p.ids) == 216
    assert np.trace(report["classes"]["confusion"]) == (p.decided == p.labels).sum()

    # One model's temperature and rule, not an average's.
    calibration, rule = report["calibration"], report["decisions"]
    assert calibration["temperature"] == pytest.approx(decide.temperature(said(1)))
    assert calibration["before"]["loss"] == pytest.approx(CLASSIFICATION["loss"].of(said(1)))
    cooled = decide.cooled(said(1), calibration["temperature"])
    assert calibration["after"]["loss"] == pytest.approx(CLASSIFICATION["loss"].of(cooled))
    fitted = decide.thresholds(said(1), CLASSIFICATION["macro_f1"])
    assert rule["validation"] == {"before": pytest.approx(fitted.before), "after": pytest.approx(fitted.after)}
    assert report["suspects"] == suspected(p, table) and report["suspects"]["count"] == doubtful(
        p.probabilities, p.labels
    )


def test_mistaken_labels_are_the_first_suspects(data: Path) -> None:
    table, names = ft.read(data), ["negative", "positive"]
    rng = np.random.default_rng(0)
    labels = np.array([names.index(str(label)) for label in table.labels])
    sure = rng.uniform(0.6, 0.95, len(labels))
    probabilities = np.where(np.eye(2)[labels] > 0, sure[:, None], 1 - sure[:, None])
    mistaken = rng.choice(len(labels), 60, replace=False)
    labels[mistaken] = 1 - labels[mistaken]
    found = suspected(Predictions(table.ids, labels, probabilities, names), table)
    wrong = {table.ids[i] for i in mistaken}
    assert found["count"] > 50 == len(found["rows"]) and {row["id"] for row in found["rows"]} <= wrong
    assert all(a["probability"] <= b["probability"] for a, b in pairwise(found["rows"]))
    for row in found["rows"]:
        i = table.position[row["id"]]
        assert row["inputs"] == {"text": table.inputs[i][0]} and row["place"] == table.place(i)
        assert {row["label"], row["looks_like"]} == {*names} and row["looks_like"] == table.labels[i]
        assert row["probability"] + row["likelier"] == pytest.approx(1)


def test_groups_never_stand_on_two_sides(data: Path, tiny_bert: Path, tmp_path: Path, handed) -> None:
    with open(data, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    grouped = tmp_path / "grouped.csv"
    with open(grouped, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[*rows[0], "who"], *([*row, f"g{i % 70}"] for i, row in enumerate(rows[1:]))])
    report = go(grouped, tiny_bert, tmp_path / "out", QUICK, columns={"group": "who"}, repeats=1)
    table, split = ft.read(grouped, group="who"), Run(tmp_path / "out").split

    def groups(ids: Any) -> set[str | None]:
        return {table.groups[table.position[i]] for i in ids}

    assert len(handed) == FOLDS
    for training, others in handed:
        assert not groups(training) & groups(others) and not groups([*training, *others]) & groups(split.test)
    assert "groups" in report["pooled"]["accuracy"]["how"]


def test_in_time_no_model_is_judged_by_rows_before_its_own(data: Path, tiny_bert: Path, tmp_path: Path, handed) -> None:
    lines = data.read_text().splitlines()
    dated = tmp_path / "dated.csv"
    dated.write_text("\n".join([f"{lines[0]},day", *(f"{line},{i}" for i, line in enumerate(lines[1:]))]) + "\n")
    report = go(dated, tiny_bert, tmp_path / "out", QUICK, columns={"time": "day"}, repeats=1)
    times = ft.read(dated, time="day")
    assert len(handed) == FOLDS - 1 and [fold["fold"] for fold in report["each"]] == [2, 3]
    for training, others in handed:
        assert max(times.times[times.position[i]] for i in training) < min(
            times.times[times.position[i]] for i in others
        )
    assert report["rows"]["validated"] == 144 < report["rows"]["dealt"] == 216
    assert "saw earlier rows alone (by day)" in Page(page(report)).words()
    with pytest.raises(UserError, match=r"repeats: found 2, expected 1: rows with a time \(the column 'day'\)"):
        go(dated, tiny_bert, tmp_path / "other", QUICK, columns={"time": "day"})


def test_a_goal_that_is_better_when_lower(data: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = {"metric_for_best_model": "loss", "threshold": "argmax"}
    report = go(data, tiny_bert, tmp_path / "out", plan, repeats=1)
    for fold in report["each"]:
        assert fold["scores"]["loss"] == min(line["eval_loss"] for line in fold["epochs"])
    gains = [fold["baselines"]["majority"]["loss"] - fold["scores"]["loss"] for fold in report["each"]]
    assert report["baselines"]["majority"]["difference"] == pytest.approx(np.mean(gains))
    assert report["scores"]["loss"]["worst"] == max(fold["scores"]["loss"] for fold in report["each"])
    assert report["decisions"] is None


class StopAfter(Silent):
    """Something that ends the work after so many steps, however many folds they are."""

    def __init__(self, steps: int) -> None:
        self.left, self.said = steps, list[str]()

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, step: Step) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class Press(StopAfter):
    """Ctrl-C, or what else ends a process, after so many steps."""

    def __init__(self, left: int, number: signal.Signals) -> None:
        super().__init__(left)
        self.number = number

    def step(self, step: Step) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


class Together(StopAfter):
    """Acts once the other of two processes learns a fold too, which is awaited in slow steps."""

    def __init__(self, act: Callable[[], object] | None = None) -> None:
        super().__init__(-1)
        self.act = act

    def step(self, step: Step) -> None:
        if "fold 2 of 6: training on 144 rows" not in self.said:
            time.sleep(0.05)
        elif self.act is not None:
            act, self.act = self.act, None
            act()


class Killed(BaseException):
    """As the machine would: nothing of ours is asked."""


def test_killed_in_every_fold_it_ends_as_if_never_stopped(
    data: Path, tiny_bert: Path, tmp_path: Path, whole: Path, handed
) -> None:
    """At a fold's first step, in its middle, at its last step; no finished fold is trained again or touched."""
    out, kept = tmp_path / "out", dict[str, int]()
    for steps in (1, 50, STEPS, STEPS + 1, STEPS + 50, STEPS, 2 * STEPS, STEPS + 5, 3, STEPS + 7):
        with pytest.raises(Killed):
            go(data, tiny_bert, out, resume=True, progress=StopAfter(steps))
        assert all((out / name).stat().st_mtime_ns == at for name, at in kept.items())
        ended = [path for path in (out / "folds").iterdir() if path.suffix == ".json"]
        kept |= {f"folds/{path.name}": path.stat().st_mtime_ns for path in ended}
    assert len(kept) == 5 and not (out / "report.json").exists()
    tried = len(handed)
    go(data, tiny_bert, out, resume=True)
    assert len(handed) == tried + 1, "one fold was left"
    assert all((out / name).stat().st_mtime_ns == at for name, at in kept.items())
    assert files(out) == files(whole)


@pytest.mark.parametrize("moment", ["before the predictions", "between the two files", "before the report"])
def test_killed_while_writing_it_ends_as_if_never_stopped(
    data: Path, tiny_bert: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    # The folds of a whole one lie there already, but for those that are to be written when it happens.
    out = tmp_path / "out"
    shutil.copytree(whole, out)
    for name in ("report.json", "report.html", "out_of_fold.parquet", "machine.json"):
        (out / name).unlink()
    if moment != "before the report":
        for name in ("folds/2-3.json", "predictions/2-3.parquet"):
            (out / name).unlink()

    def stop(*_: object, **__: object) -> None:
        raise Killed

    write = Run.write

    def stop_at_json(self: Run, name: str, content: Any) -> None:
        if name.startswith("folds/"):
            raise Killed
        write(self, name, content)

    with monkeypatch.context() as patch:
        if moment == "before the predictions":
            patch.setattr(Run, "write_predictions", stop)
        elif moment == "between the two files":
            patch.setattr(Run, "write", stop_at_json)
        else:
            patch.setattr(validating, "write_out_of_fold", stop)
        with pytest.raises(Killed):
            go(data, tiny_bert, out, resume=True)
    go(data, tiny_bert, out, resume=True)
    assert files(out) == files(whole)


def test_a_killed_process_loses_the_fold_in_hand_alone(
    data: Path, tiny_bert: Path, tmp_path: Path, whole: Path
) -> None:
    out = tmp_path / "out"
    settings = [f"--set={key}={value}" for key, value in PLAN.items()]
    words = ["validate", data, "--model", tiny_bert, "--out", out, "--folds", FOLDS, "--repeats", REPEATS, *settings]
    command = [sys.executable, "-c", "from finetooth.cli import main; main()", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while not (out / "folds" / "1-2.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    ended = sorted(path.name for path in (out / "folds").glob("*.json"))
    assert ended[:2] == ["1-1.json", "1-2.json"] and not (out / "report.json").exists()
    listen = StopAfter(-1)
    go(data, tiny_bert, out, resume=True, progress=listen)
    assert f"{len(ended)} of 6 folds are there already" in listen.said
    assert files(out) == files(whole)


def test_two_processes_come_to_what_one_does(data: Path, tiny_bert: Path, tmp_path: Path, whole: Path) -> None:
    listen = Together()
    go(data, tiny_bert, tmp_path / "out", jobs=2, progress=listen)
    assert files(tmp_path / "out") == files(whole)
    for number in range(1, 7):  # whoever learnt it
        assert sum(line.startswith(f"fold {number} of 6: accuracy") for line in listen.said) == 1
    spent = json.loads((tmp_path / "out" / "machine.json").read_text())
    assert spent["jobs"] == 2 and json.loads((whole / "machine.json").read_text())["jobs"] == 1


def test_stopped_side_by_side_they_go_on_with_the_folds_that_are_left(
    data: Path, tiny_bert: Path, tmp_path: Path, whole: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted, match="of 6 folds; saved in"):
        go(data, tiny_bert, out, jobs=2, progress=Together(lambda: os.kill(os.getpid(), signal.SIGINT)))
    assert not multiprocessing.active_children() and not (out / "report.json").exists()
    ended = {path: path.stat().st_mtime_ns for path in (out / "folds").iterdir()}
    assert len(ended) < 6
    go(data, tiny_bert, out, resume=True)
    assert all(path.stat().st_mtime_ns == at for path, at in ended.items())
    assert files(out) == files(whole)


def test_one_that_is_killed_ends_the_others_and_no_fold_is_lost(
    data: Path, tiny_bert: Path, tmp_path: Path, whole: Path
) -> None:
    with pytest.raises(FinetoothError, match=r"ended with exit status -9; is there memory for so many\? .*--resume"):
        go(
            data,
            tiny_bert,
            tmp_path / "out",
            jobs=2,
            progress=Together(lambda: multiprocessing.active_children()[0].kill()),
        )
    assert not multiprocessing.active_children()
    go(data, tiny_bert, tmp_path / "out", jobs=2, resume=True)
    assert files(tmp_path / "out") == files(whole)


def test_what_breaks_in_one_is_told_in_a_sentence(data: Path, tiny_bert: Path, tmp_path: Path, whole: Path) -> None:
    out, blocked = tmp_path / "out", tmp_path / "out" / "predictions" / "1-2.parquet"
    # In the way of what the other process will write.
    act = Together(lambda: blocked.mkdir(parents=True, exist_ok=True))
    with pytest.raises(
        FinetoothError, match=r"one of the processes broke off: IsADirectoryError: .*1-2\.parquet.*--resume"
    ):
        go(data, tiny_bert, out, jobs=2, progress=act)
    assert not multiprocessing.active_children()
    blocked.rmdir()
    go(data, tiny_bert, out, resume=True)
    assert files(out) == files(whole)


def test_while_one_command_works_another_is_refused(data: Path, tiny_bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    class Second(StopAfter):
        def step(self, step: Step) -> None:
            with pytest.raises(RunError, match="another command works here just now; wait until it has ended"):
                go(data, tiny_bert, out, QUICK, resume=True)
            raise Killed

    with pytest.raises(Killed):
        go(data, tiny_bert, out, QUICK, progress=Second(-1))
    go(data, tiny_bert, out, QUICK, resume=True)


def test_own_functions_stay_in_one_process(data: Path, tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="schedule: functions of one's own stay in one process; leave --jobs away"):
        go(data, tiny_bert, tmp_path / "out", {"schedule": lambda progress: 1.0}, jobs=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_step_and_says_how_to_go_on(
    data: Path, tiny_bert: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with pytest.raises(Interrupted, match=r"stopped after 1 of 6 folds; saved in .*out\..*--resume") as stop:
        go(data, tiny_bert, tmp_path / "out", progress=Press(STEPS + 3, number))
    assert stop.value.signal == number
    assert [path.name for path in (tmp_path / "out" / "folds").iterdir()] == ["1-1.json"]


def test_the_time_left_is_told_fold_by_fold(data: Path, tiny_bert: Path, tmp_path: Path) -> None:
    listen = StopAfter(-1)
    go(data, tiny_bert, tmp_path / "out", QUICK, progress=listen)
    told = [line for line in listen.said if re.match(r"fold \d of 6: accuracy 0\.\d{3} at epoch 1", line)]
    assert len(told) == 6 and all(re.search(r", about .+ left$", line) for line in told[:-1])
    assert "left" not in told[-1]


@pytest.fixture
def begun(data: Path, tiny_bert: Path, tmp_path: Path) -> Path:
    """A copy of the data and of the model, and a cross-validation of them that was stopped in its second fold."""
    shutil.copy(data, tmp_path / "reviews.csv")
    shutil.copytree(tiny_bert, tmp_path / "model")
    with pytest.raises(Killed):
        go(tmp_path / "reviews.csv", tmp_path / "model", tmp_path / "out", QUICK, progress=StopAfter(20))
    return tmp_path


def _relabel(folder: Path) -> None:
    lines = (folder / "reviews.csv").read_text().splitlines()
    lines[3] = lines[3].replace("negative", "x").replace("positive", "negative").replace("x", "positive")
    (folder / "reviews.csv").write_text("\n".join(lines) + "\n")


def _another_model(folder: Path) -> None:
    shutil.rmtree(folder / "model")
    tiny.save_model(folder / "model", tiny.config("bert", blocks=1))


CHANGES: dict[str, tuple[Callable[[Path], None] | None, dict[str, Any], str]] = {
    "a label": (_relabel, {}, "fingerprint"),
    "the model": (_another_model, {}, "weights"),
    "the learning rate": (None, {"plan": {"learning_rate": 1e-3}}, r"learning_rate \(was 0.005, now 0.001\)"),
    "the seed": (None, {"plan": {"seed": 4}}, r"seed \(was 0, now 4\)"),
    "the seed of the split": (None, {"plan": {"split": {"seed": 4}}}, "split"),
    "the folds": (None, {"folds": 4}, "folds"),
    "the repeats": (None, {"repeats": 1}, "repeats"),
    "the number of rows": (None, {"rows": 50}, "limit"),
    "the metrics": (None, {"metrics": [ft.Metric("mine", "higher", lambda p: 0.5)]}, "metrics"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_refused_by_name(begun: Path, change: str) -> None:
    happens, more, words = CHANGES[change]
    if happens is not None:
        happens(begun)
    plan = {**QUICK, **more.pop("plan", {})}
    before = files(begun / "out")
    with pytest.raises(UserError, match=f"cannot go on.*{words}"):
        go(begun / "reviews.csv", begun / "model", begun / "out", plan, resume=True, **dict(more))
    assert files(begun / "out") == before


def test_a_damaged_fold_is_refused_by_the_name_of_its_file(begun: Path, whole: Path) -> None:
    out = begun / "out"
    kept = (out / "predictions" / "1-1.parquet").read_bytes()
    shutil.copy(whole / "predictions" / "1-2.parquet", out / "predictions" / "1-1.parquet")
    with pytest.raises(RunError, match=r"predictions/1-1.parquet has other rows than the fold.*take folds/1-1.json"):
        go(begun / "reviews.csv", begun / "model", out, QUICK, resume=True)
    (out / "predictions" / "1-1.parquet").write_bytes(kept[:100])
    with pytest.raises(RunError, match=r"1-1.parquet: cannot be read"):
        go(begun / "reviews.csv", begun / "model", out, QUICK, resume=True)
    (out / "predictions" / "1-1.parquet").write_bytes(kept)
    (out / "folds" / "1-1.json").write_text("{")
    with pytest.raises(RunError, match=r"1-1.json: not readable as JSON"):
        go(begun / "reviews.csv", begun / "model", out, QUICK, resume=True)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"folds": 1}, "1 folds were asked for, expected 2 to "),
        ({"folds": 0}, "0 folds were asked for, expected 2 to "),
        ({"folds": 500}, "500 folds were asked for, expected 2 to 216"),
        ({"repeats": 0}, "repeats: found 0, expected 1 or more"),
    ],
)
def test_what_cannot_be_dealt_is_refused_before_anything_is_made(
    data: Path, tiny_bert: Path, tmp_path: Path, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(UserError, match=words):
        go(data, tiny_bert, tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_a_directory_that_holds_something_else_is_left_alone(data: Path, tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for resume in (False, True):
        with pytest.raises(RunError, match=r"holds other things \(thesis.tex\)"):
            go(data, tiny_bert, tmp_path / "mine", resume=resume)
    ft.train(ft.read(data), ft.Plan.of({**PLAN, **QUICK}), model=str(tiny_bert), out=tmp_path / "run")
    with pytest.raises(RunError, match="is a run already"):
        go(data, tiny_bert, tmp_path / "run", QUICK)
    with pytest.raises(RunError, match=r"cannot go on.*folds, repeats"):
        go(data, tiny_bert, tmp_path / "run", QUICK, resume=True)


def test_no_other_verb_takes_it_for_a_run(data: Path, tiny_bert: Path, whole: Path) -> None:
    before = files(whole)
    for ask in (ft.evaluate, lambda run: ft.compare(run, run), lambda run: ft.answers(run, ft.read(data), [])):
        with pytest.raises(RunError, match="is a cross-validation, which keeps no model"):
            ask(whole)
    with pytest.raises(RunError, match=r"cannot go on.*folds, repeats"):
        ft.train(ft.read(data), ft.Plan.of(PLAN), model=str(tiny_bert), out=whole, resume=True)
    assert files(whole) == before


def test_a_finished_one_is_given_back_as_it_is(data: Path, tiny_bert: Path, whole: Path, handed) -> None:
    before = (whole / "report.json").stat().st_mtime_ns
    report = go(data, tiny_bert, whole, resume=True)
    assert report == json.loads((whole / "report.json").read_text()) and not handed
    assert (whole / "report.json").stat().st_mtime_ns == before


def test_its_plan_trains_the_run_that_was_validated(data: Path, tiny_bert: Path, tmp_path: Path, whole: Path) -> None:
    plan = ft.Plan.read(whole / "plan.yaml")
    run = ft.train(ft.read(data), plan, model=str(tiny_bert), out=tmp_path / "run")
    assert run.plan == plan and run.split == Run(whole).split


def leaves(content: Any) -> list[Any]:
    if isinstance(content, dict):
        return [leaf for value in content.values() for leaf in leaves(value)]
    return [leaf for value in content for leaf in leaves(value)] if isinstance(content, list) else [content]


def test_every_number_of_the_page_stands_in_the_report(whole: Path) -> None:
    report = json.loads((whole / "report.json").read_text())
    known = {abs(leaf) for leaf in leaves(report) if isinstance(leaf, int | float) and not isinstance(leaf, bool)}
    known |= {len(report["each"])}
    written = {f"{number:{form}}" for number in known for form in (".3f", ".4g", ",")}
    text = re.sub(r"<svg.*?</svg>|<style.*?</style>", " ", (whole / "report.html").read_text(), flags=re.DOTALL)
    seen = re.findall(r"(?<![\w.-])[-+]?\d+\.\d{3}(?![\w.])", Page(text).words())
    assert len(seen) > 100
    assert {number.lstrip("+-") for number in seen} <= written
    for name, over in report["scores"].items():
        assert f"{over['value']:.3f} [{over['low']:.3f}, {over['high']:.3f}]" in Page(text).words(), name


def test_the_page_is_sound_and_hostile_text_stays_text(whole: Path) -> None:
    report = copy.deepcopy(json.loads((whole / "report.json").read_text()))
    hostile = '</svg><script>alert("$x^2$")</script>\x0b{{ 7*191 }}'
    row = report["suspects"]["rows"][0]
    row["inputs"], row["label"], row["place"] = {hostile: hostile, "other": hostile}, hostile, hostile
    report["notes"], report["left_out"], report["model"], report["name"] = [hostile], [hostile], hostile, hostile
    report["classes"]["classes"][0]["label"] = report["data"]["source"] = report["repeat"] = hostile
    source = page(report)
    found = Page(source)
    assert "script" not in found.tags and "<script" not in source and "1337" not in found.text
    ids = found.values("id")
    assert len(ids) == len(set(ids)) and found.tags.count("h1") == found.tags.count("main") == 1
    assert found.tags.count("caption") == found.tags.count("table")
    assert {link.lstrip("#") for link in found.values("href") + found.values("aria-labelledby")} <= set(ids)
    assert found.values("src") == [] and "http" not in source
    images = [label for tag, name, label in found.attributes if tag == "svg" and name == "aria-label"]
    assert len(images) == found.tags.count("svg") == 5 and all(images)
