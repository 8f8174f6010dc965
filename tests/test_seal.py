"""The seal: what trains is never handed a test row, and whoever touches split, ledger, model or data is found out."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as tf

import finetooth as ft
from finetooth import ledger, loop, losses, prepare, splits
from finetooth.batches import Batches
from finetooth.errors import Interrupted, RunError
from finetooth.history import Step
from finetooth.progress import Silent
from finetooth.table import Predictions, Split, Table
from finetooth.tasks import TASKS, Encoded
from tests import tiny

PLAN = {"epochs": 2, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3}
NAMES = ["negative", "positive"]
TASK = TASKS["text-classification"]
encode = TASK.encode  # as it is before anybody watches it


# Nothing between encoding and `evaluate` is handed a test row


class Watched(list):
    """A column of a table that tells when the cell of one row is asked for, and by which module."""

    def __init__(self, cells: Iterable[Any], told: Callable[[int, str], None]) -> None:
        super().__init__(cells)
        self.told = told

    def __getitem__(self, place: Any) -> Any:
        self.told(place, sys._getframe(1).f_globals["__name__"])
        return super().__getitem__(place)


class Audit:
    """Stands at every door through which rows go while a model is trained, and notes who comes through.

    `passed` counts rows per door, so that a door that nobody used is no proof; `caught` are the sealed ones.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, table: Table, split: Split) -> None:
        self.passed, self.caught = Counter[str](), defaultdict[str, set[str]](set)
        self.table, self.split, self.patch = table, split, monkeypatch
        at = [table.position[i] for i in split.test]
        self.texts = {"\n".join(table.inputs[i]): table.ids[i] for i in at}
        self.tokens = {
            tuple(t): i for t, i in zip(tiny.tokenizer()([*self.texts])["input_ids"], split.test, strict=True)
        }
        self.targets = Counter(table.labels[table.position[i]] for i in split.train)
        assert len(self.tokens) == len(self.texts) == len(split.test), "each row can be told by its text and tokens"
        self.stand()

    def ids(self, door: str, ids: Iterable[str]) -> None:
        for row_id in ids:
            self.passed[door] += 1
            if row_id in self.split.test:
                self.caught[door].add(row_id)

    def before(self, place: Any, name: str, look: Callable[..., None]) -> None:
        """Have `look` see the arguments of a function, which does its work as ever."""
        inner = getattr(place, name)

        @wraps(inner)
        def watched(*args: Any, **named: Any) -> Any:
            look(*args, **named)
            return inner(*args, **named)

        self.patch.setattr(place, name, watched)

    def stand(self) -> None:
        kind = type(TASK)
        self.before(kind, "encode", lambda task, table, ids, *_: self.ids("encode", ids))
        self.before(kind, "collate", lambda task, e, rows, pad: self.ids("collate", (e.ids[r] for r in rows)))
        self.before(kind, "logits", lambda task, net, inputs: self.sequences(**inputs))
        self.before(tf.PreTrainedTokenizerBase, "__call__", lambda _, texts, **__: self.words(texts))
        self.before(Batches, "__init__", lambda _, e, *__, **___: self.ids("batches", e.ids))
        self.before(Batches, "batch", lambda b, rows, *_: self.ids("batch", (b.encoded.ids[r] for r in rows)))
        self.before(prepare, "predict", lambda net, task, e, *_, **__: self.ids("predict", e.ids))
        self.before(prepare, "class_weights", lambda plan, names, targets: self.weighed(names, targets))
        metrics = {name: replace(m, of=self.judging(m.of)) for name, m in TASK.metrics([]).items()}
        self.patch.setattr(kind, "metrics", lambda task, names: metrics)
        for name, make in losses.LOSSES.items():
            self.patch.setitem(losses.LOSSES, name, self.losing(make))
        for column in ("labels", "inputs", "weights"):
            self.table.__dict__[column] = Watched(getattr(self.table, column), self.cells(column))

    def cells(self, column: str) -> Callable[[int, str], None]:
        sealed = {self.table.position[i]: i for i in self.split.test}

        def told(place: int, module: str) -> None:
            self.passed[column] += 1
            # The deal of the rows, and their digest, come before there is a seal.
            if place in sealed and module not in ("finetooth.splits", "finetooth.table"):
                self.caught[column].add(sealed[place])

        return told

    def words(self, texts: Any) -> None:
        for text in [texts] if isinstance(texts, str) else texts:
            self.passed["tokenizer"] += 1
            if text in self.texts:
                self.caught["tokenizer"].add(self.texts[text])

    def sequences(self, input_ids: Any, attention_mask: Any) -> None:
        for row, mask in zip(input_ids.tolist(), attention_mask.bool().tolist(), strict=True):
            self.passed["net"] += 1
            tokens = tuple(token for token, there in zip(row, mask, strict=True) if there)
            if tokens in self.tokens:
                self.caught["net"].add(self.tokens[tokens])

    def judging(self, of: Callable[[Predictions], float]) -> Callable[[Predictions], float]:
        def judged(p: Predictions) -> float:
            self.ids("metrics", p.ids)
            return of(p)

        return judged

    def losing(self, make: Callable[..., losses.Loss]) -> Callable[..., losses.Loss]:
        @wraps(make)
        def made(*args: Any, **named: Any) -> losses.Loss:
            loss = make(*args, **named)

            def lost(logits: Any, targets: Any) -> Any:
                self.passed["losses"] += len(targets)
                return loss(logits, targets)

            return lost

        return made

    def weighed(self, names: list[str], targets: Any) -> None:
        self.passed["class_weights"] += len(targets)
        if Counter(names[t] for t in targets.tolist()) != self.targets:
            self.caught["class_weights"].add("targets that are not those of the training rows")

    def verdict(self) -> dict[str, set[str]]:
        """What was caught, by door. Rows have no id any more where losses are made of them: they are counted."""
        if self.passed["losses"] != self.passed["batch"]:
            self.caught["losses"].add("rows that came from no batch")
        return dict(self.caught)


def parted(reviews: Path) -> tuple[Table, Split]:
    table = ft.read(reviews)
    return table, splits.holdout(table)


class StopAt(Silent):
    """Somebody who presses Ctrl-C during one step."""

    def __init__(self, step: int) -> None:
        self.at = step

    def step(self, step: Step) -> None:
        if step.step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


HABITS: dict[str, dict[str, Any]] = {
    "plain": {"epochs": 1},
    "early stopping and class weights": {
        "early_stopping_patience": 1,
        "epochs": 4,
        "learning_rate": 3e-3,
        "class_weights": "auto",
        "loss": "focal",
    },
    "oversampling": {"epochs": 1, "oversample": True, "label_smoothing": 0.1},
    "token batches and thawing": {"epochs": 1, "batch_size": None, "batch_tokens": 512, "unfreeze_every": 0.5},
}
RESUMED = ("early stopping and class weights", "oversampling")


@pytest.mark.parametrize("habit", HABITS)
def test_no_test_row_passes_any_door_while_a_model_is_trained(
    habit: str, reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, split = parted(reviews)
    audit = Audit(monkeypatch, table, split)
    plan, out = ft.Plan.of({**PLAN, **HABITS[habit]}), tmp_path / "run"
    if habit in RESUMED:
        with pytest.raises(Interrupted):
            ft.train(table, plan, model=str(tiny_bert), out=out, progress=StopAt(5))
    run = ft.train(table, plan, model=str(tiny_bert), out=out, resume=habit in RESUMED)
    assert run.split == split and len(split.test) == 24
    assert audit.verdict() == {}
    doors = {"encode", "collate", "net", "tokenizer", "batches", "batch", "predict", "metrics", "losses"}
    assert {*doors, "class_weights", "labels", "inputs", "weights"} == set(audit.passed), "a door was not used"
    if habit == "plain":  # and when the seal is opened, the same doors see every test row
        ft.evaluate(run, table)
        for door in ("encode", "collate", "net", "tokenizer"):
            assert audit.caught[door] == set(split.test), door


def leaking_encode(audit: Audit) -> None:
    inner = type(TASK).encode

    def leaking(task: Any, table: Table, ids: tuple[str, ...], *rest: Any) -> Encoded:
        return inner(task, table, [*ids, audit.split.test[0]], *rest)

    audit.patch.setattr(type(TASK), "encode", leaking)


def sealed_rows(audit: Audit) -> Encoded:
    """The test rows, encoded behind the audit's back."""
    return encode(audit.table, audit.split.test, NAMES, tiny.tokenizer(), 48)


def leaking_predict(audit: Audit) -> None:
    """Early stopping that looks at the test rows."""
    inner, rows = prepare.predict, sealed_rows(audit)
    audit.patch.setattr(prepare, "predict", lambda net, task, _, *rest, **named: inner(net, task, rows, *rest, **named))


def leaking_batches(audit: Audit) -> None:
    """Training on the test rows."""
    inner, rows = Batches.__init__, sealed_rows(audit)
    audit.patch.setattr(Batches, "__init__", lambda batches, _, *rest, **named: inner(batches, rows, *rest, **named))


def leaking_metrics(audit: Audit) -> None:
    """A metric that chooses the epoch and is given what was said of a test row."""
    inner = prepare.predict

    def leaking(*args: Any, **named: Any) -> Predictions:
        p = inner(*args, **named)
        return replace(p, ids=[audit.split.test[3], *p.ids[1:]])

    audit.patch.setattr(prepare, "predict", leaking)


def leaking_tokenizer(audit: Audit) -> None:
    """A length that is chosen by looking at every text."""
    inner = prepare.resolve

    def leaking(*args: Any) -> Any:
        tiny.tokenizer()([*audit.texts])
        return inner(*args)

    audit.patch.setattr(prepare, "resolve", leaking)


def leaking_collate(audit: Audit) -> None:
    """Test rows in the place of others, at the last moment before the net."""
    inner, rows = type(TASK).collate, sealed_rows(audit)
    audit.patch.setattr(
        type(TASK),
        "collate",
        lambda task, e, wanted, pad: inner(
            task, replace(e, tokens=rows.tokens, offsets=rows.offsets), wanted % 24, pad
        ),
    )


def leaking_loss(audit: Audit) -> None:
    """A loss over more rows than came in batches."""
    make = losses.LOSSES["cross-entropy"]

    def leaking(**named: Any) -> losses.Loss:
        loss = make(**named)

        def both(logits: Any, targets: Any) -> Any:
            return loss(logits, targets) + 0 * loss(logits[:1].detach(), targets[:1]).sum()

        return both

    audit.patch.setitem(losses.LOSSES, "cross-entropy", leaking)


def leaking_weights(audit: Audit) -> None:
    """Class weights from all rows, the sealed ones too."""
    inner, every = prepare.class_weights, np.array([NAMES.index(str(label)) for label in audit.table.labels])

    def leaking(plan: Any, names: Any, _: Any) -> Any:
        return inner(plan, names, every)

    audit.patch.setattr(prepare, "class_weights", leaking)


def leaking_labels(audit: Audit) -> None:
    """A threshold that is set by a label of the table itself."""
    inner, table, row_id = prepare.resolve, audit.table, audit.split.test[0]

    def leaking(*args: Any) -> Any:
        _ = table.labels[table.position[row_id]]
        return inner(*args)

    audit.patch.setattr(prepare, "resolve", leaking)


LEAKS: dict[str, Callable[[Audit], None]] = {
    "encode": leaking_encode,
    "predict": leaking_predict,
    "batches": leaking_batches,
    "metrics": leaking_metrics,
    "tokenizer": leaking_tokenizer,
    "net": leaking_collate,
    "losses": leaking_loss,
    "class_weights": leaking_weights,
    "labels": leaking_labels,
}


@pytest.mark.parametrize("door", LEAKS)
def test_the_audit_catches_a_leak_at_each_door(
    door: str, reviews: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, split = parted(reviews)
    audit = Audit(monkeypatch, table, split)
    LEAKS[door](audit)
    job = prepare.prepare(table, ft.Plan.of({**PLAN, "max_steps": 2, "epochs": None}), str(tiny_bert))
    assert [step.step for step in loop.fit(job.state(), job.batches, job.recipe, job.scores)] == [1, 2]
    assert door in audit.verdict()


@pytest.mark.parametrize("habit", RESUMED)
def test_a_run_is_the_same_to_the_byte_whatever_the_test_rows_say(
    habit: str, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    lines, made = reviews.read_text().splitlines(), []
    turned = {"negative": "positive", "positive": "negative"}
    others = [line.rpartition(",") for line in lines[201:]]
    for name, test in (
        ("one", lines[201:]),
        ("two", [f"{' '.join(reversed(text.split()))} film,{turned[label]}" for text, _, label in others]),
    ):
        folder = parts(tmp_path / name, lines, test)
        plan = ft.Plan.of({**PLAN, **HABITS[habit]})
        run = ft.train(ft.read(folder), plan, model=str(tiny_bert), out=tmp_path / f"run {name}")
        files = [run.path / "plan.yaml", *sorted(run.model.glob("*.json")), run.model / "model.safetensors"]
        said = run.predictions("validation").probabilities.tolist()
        made.append((set(run.split.test), [f.read_bytes() for f in files], [e.scores for e in run.epochs], said))
    assert len(made[0][0] | made[1][0]) == 80, "no test row is the same"
    assert made[0][1:] == made[1][1:]


def parts(folder: Path, lines: list[str], test: list[str]) -> Path:
    """A folder whose files say which rows serve for what."""
    folder.mkdir()
    for part, rows in (("train", lines[1:161]), ("validation", lines[161:201]), ("test", test)):
        (folder / f"{part}.csv").write_text("\n".join([lines[0], *rows]) + "\n")
    return folder


# Tampering


@dataclass(frozen=True)
class Case:
    """A run, the data it was made from, and the user's ledger of its test rows."""

    run: ft.Run
    data: Path

    @property
    def users(self) -> Path:
        return Path(os.environ["FINETOOTH_CACHE"]) / "ledger" / f"{self.run.split.digest}.jsonl"

    def evaluate(self) -> dict[str, Any]:
        return ft.evaluate(self.run, ft.read(self.data))

    def state(self) -> list[bytes | None]:
        """What a refusal has to leave as it was."""
        kept = [self.run.ledger, self.run.path / "report.json", self.run.path / "predictions" / "test.parquet"]
        folder = Path(os.environ["FINETOOTH_CACHE"]) / "ledger"
        return [f.read_bytes() if f.exists() else None for f in [*kept, *sorted(folder.glob("*"))]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_bert: Path) -> Path:
    """A run as training leaves it (`new`), the same after three openings (`run`), their data and the user's cache."""
    home = tmp_path_factory.mktemp("home")
    data = tiny.write_reviews(home / "reviews.csv", 240)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FINETOOTH_CACHE", str(home / "cache"))
        run = ft.train(ft.read(data), ft.Plan.of(PLAN), model=str(tiny_bert), out=home / "run")
        shutil.rmtree(run.checkpoints)
        shutil.copytree(run.path, home / "new")
        for _ in range(3):
            ft.evaluate(run, ft.read(data))
    return home


def copied(home: Path, to: Path, monkeypatch: pytest.MonkeyPatch, which: str) -> Case:
    shutil.copytree(home, to)
    if which == "new":
        shutil.rmtree(to / "cache")
    monkeypatch.setenv("FINETOOTH_CACHE", str(to / "cache"))
    return Case(ft.Run.open(to / which), to / "reviews.csv")


@pytest.fixture
def opened(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The run whose test rows were opened three times."""
    return copied(home, tmp_path / "home", monkeypatch, "run")


@pytest.fixture
def unopened(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """The same run before that, on the machine of a user who never opened anything."""
    return copied(home, tmp_path / "home", monkeypatch, "new")


@pytest.fixture
def strangers(tmp_path: Path) -> Table:
    """Labelled rows that have nothing to do with the run."""
    return ft.read(tiny.write_reviews(tmp_path / "strangers.csv", 12, seed=9))


def rows_of(case: Case) -> list[list[str]]:
    with open(case.data, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def put(case: Case, rows: Iterable[list[str]]) -> None:
    with open(case.data, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def sealed_texts(case: Case) -> list[str]:
    table = ft.read(case.data)
    return [table.inputs[table.position[i]][0] for i in case.run.split.test]


def other_label(case: Case) -> None:
    text = sealed_texts(case)[0]
    turned = {"negative": "positive", "positive": "negative"}
    put(case, [[row[0], turned[row[1]]] if row[0] == text else row for row in rows_of(case)])


def other_text(case: Case) -> None:
    text = sealed_texts(case)[5]
    put(case, [[row[0] + " film", row[1]] if row[0] == text else row for row in rows_of(case)])


def without_row(case: Case) -> None:
    text = sealed_texts(case)[23]
    put(case, [row for row in rows_of(case) if row[0] != text])


def contradicted(case: Case) -> None:
    """A copy of a test row with the other label: which of both was sealed can no longer be told."""
    texts = sealed_texts(case)
    praised = next(row for row in rows_of(case) if row[0] in texts and row[1] == "positive")
    put(case, [*rows_of(case), [praised[0], "negative"]])


def swapped_labels(case: Case) -> None:
    """Every count stays as it is."""
    texts = sealed_texts(case)
    rows = rows_of(case)
    at = [next(i for i, row in enumerate(rows) if row[0] in texts and row[1] == label) for label in NAMES]
    rows[at[0]][1], rows[at[1]][1] = NAMES[1], NAMES[0]
    put(case, rows)


def other_data(case: Case) -> None:
    tiny.write_reviews(case.data, 240, seed=4)


DATA: dict[str, tuple[Callable[[Case], None], str]] = {
    "a test label changed": (other_label, "of some the label, or what else stands in the row, was changed"),
    "two test labels swapped": (swapped_labels, "of some the label, or what else stands in the row, was changed"),
    "a test text changed": (other_text, "1 of them are not there, or not with this text"),
    "a test row removed": (without_row, "1 of them are not there, or not with this text"),
    "a copy of a test row with another label": (contradicted, "of some the label"),
    "other data": (other_data, "24 of them are not there"),
}


@pytest.mark.parametrize(("tamper", "says"), DATA.values(), ids=DATA)
def test_changed_test_rows_are_refused_and_nothing_is_opened(
    tamper: Callable[[Case], None], says: str, opened: Case
) -> None:
    tamper(opened)
    before = opened.state()
    with pytest.raises(RunError, match=rf"reviews\.csv: these are not the 24 test rows.*{says}.*Put the data back"):
        opened.evaluate()
    assert opened.state() == before


def test_rows_that_were_added_to_the_test_part_are_refused(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    lines = reviews.read_text().splitlines()
    folder = parts(tmp_path / "parts", lines, lines[201:])
    plan = ft.Plan.of({**PLAN, "epochs": 0.25})
    run = ft.train(ft.read(folder), plan, model=str(tiny_bert), out=tmp_path / "run")
    for added in (lines[205], "film plot bright,positive"):  # a copy of a test row, and a new one
        (folder / "test.csv").write_text("\n".join([lines[0], *lines[201:], added]) + "\n")
        with pytest.raises(
            RunError, match=r"not the 40 test rows.*1 were added to the test part \(test\.csv, row \d+\)"
        ):
            ft.evaluate(run)
    assert not run.ledger.exists()


def test_what_is_added_beside_the_sealed_rows_changes_no_score(unopened: Case) -> None:
    """A file that has grown since: where it has no test part of its own, the sealed rows are what is scored."""
    first = unopened.evaluate()
    rows = rows_of(unopened)
    put(unopened, [*rows, ["film bright plot", "positive"], next(r for r in rows if r[0] == sealed_texts(unopened)[0])])
    second = unopened.evaluate()
    assert second["test"] == first["test"] and second["seal"]["openings"] == 2
    assert unopened.run.predictions("test").ids == list(unopened.run.split.test)


def edited(name: str, change: Callable[[Any], None]) -> Callable[[Case], None]:
    """Somebody who opens a JSON file of the run in an editor."""

    def tamper(case: Case) -> None:
        kept = json.loads((case.run.path / name).read_text())
        change(kept)
        (case.run.path / name).write_text(json.dumps(kept))

    return tamper


def lines_of(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(line + "\n" for line in change(path.read_text().splitlines())))


def in_ledger(change: Callable[[list[str]], list[str]]) -> Callable[[Case], None]:
    return lambda case: lines_of(case.run.ledger, change)


def in_users(change: Callable[[list[str]], list[str]]) -> Callable[[Case], None]:
    return lambda case: lines_of(case.users, change)


def changed(line: str, **changes: Any) -> str:
    return json.dumps({**json.loads(line), **changes})


def refitted(line: str, **changes: Any) -> str:
    """The line edited, and its digest made to fit again."""
    entry = {**json.loads(line), **changes}
    del entry["digest"]
    return changed(json.dumps(entry), digest=sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest())


def moved(start: str, end: str) -> Callable[[Any], None]:
    def change(split: Any) -> None:
        split[end] = sorted([*split[end], split[start].pop(0)])

    return change


def fewer_sealed(case: Case) -> None:
    """Hard rows taken out of the test, and everything in split.json made to fit."""
    table, kept = ft.read(case.data), json.loads((case.run.path / "split.json").read_text())
    kept["train"].append(kept["test"].pop())
    kept["digest"] = table.digest(kept["test"])
    (case.run.path / "split.json").write_text(json.dumps(kept))


def other_weights(case: Case) -> None:
    """A model of the same shape, whose head was trained elsewhere."""
    net = tf.AutoModelForSequenceClassification.from_pretrained(case.run.model)
    net.classifier.bias.data += 1.0
    net.save_pretrained(case.run.model)


def other_tokenizer(case: Case) -> None:
    file = case.run.model / "tokenizer.json"
    file.write_text(file.read_text().replace('"bright"', '"brigth"'))


def other_limit(case: Case) -> None:
    file = case.run.path / "plan.yaml"
    file.write_text(re.sub(r"max_length: \d+", "max_length: 5", file.read_text()))


def gone(name: str) -> Callable[[Case], None]:
    return lambda case: (case.run.path / name).unlink()


def cut(name: str) -> Callable[[Case], None]:
    return lambda case: (case.run.path / name).write_bytes((case.run.path / name).read_bytes()[:-40])


def of_others(**changes: str) -> Callable[[Case], None]:
    """The ledger of a run on other test rows, or of another model: its chain holds, it is not this run's."""

    def tamper(case: Case) -> None:
        for entry in ledger.read(case.run.ledger) or [{}]:
            kept = {key: value for key, value in entry.items() if key not in ("before", "digest")}
            ledger.append(case.run.path / "theirs", {**kept, **changes})
        (case.run.path / "theirs").replace(case.run.ledger)
        head = ledger.read(case.run.ledger)[-1]["digest"]
        edited("report.json", lambda report: report["seal"].update(head=head))(case)

    return tamper


def users_of_others(case: Case) -> None:
    case.users.unlink()
    ledger.append(case.users, {"purpose": "evaluate other", "test": "f" * 64})


SPLIT, LEDGER, REPORT = r"split\.json: not as training left it", r"ledger\.jsonl", r"report\.json: "
LINE = r"ledger\.jsonl, line {}: the ledger of test openings was changed"
USERS = r"cache/ledger/[0-9a-f]{{64}}\.jsonl, line {}: the ledger of test openings was changed"
TAKEN = LEDGER + ": the opening that the report names .* is not in it; openings were taken away"

RUN: dict[str, tuple[Callable[[Case], None], str]] = {
    "split: a test row moved to train": (edited("split.json", moved("test", "train")), SPLIT),
    "split: a training row moved to test": (edited("split.json", moved("train", "test")), SPLIT),
    "split: a test row forgotten": (edited("split.json", lambda s: s["test"].pop()), SPLIT),
    "split: a test row twice": (edited("split.json", lambda s: s["test"].append(s["test"][0])), SPLIT),
    "split: fewer test rows, and a digest that fits": (fewer_sealed, SPLIT),
    "split: digest": (edited("split.json", lambda s: s.update(digest="0" * 64)), SPLIT),
    "split: contents of the test forgotten": (edited("split.json", lambda s: s["contents"]["test"].clear()), SPLIT),
    "split: contents of train": (edited("split.json", lambda s: s["contents"]["train"].append("0" * 16)), SPLIT),
    "split: how it was made": (edited("split.json", lambda s: s.update(how="at random, seed 1")), SPLIT),
    "split: gone": (gone("split.json"), r"split\.json is missing"),
    "split: cut short": (cut("split.json"), r"split\.json: not readable"),
    "split: of another form": (edited("split.json", lambda s: s.pop("test")), r"split\.json: not a split"),
    "data.json: names in another order": (edited("data.json", lambda d: d["names"].reverse()), r"data\.json: not as"),
    "data.json: no digests": (edited("data.json", lambda d: d.pop("sealed")), r"data\.json: found no digests"),
    "data.json: no digest of the split": (
        edited("data.json", lambda d: d["sealed"].pop("split.json")),
        r"split\.json: not as training left it",
    ),
    "plan.yaml: texts cut shorter": (other_limit, r"plan\.yaml: not as training left it"),
    "predictions: a baseline's on validation rows": (
        cut("predictions/validation-tfidf.parquet"),
        r"predictions/validation-tfidf\.parquet: not as training left it",
    ),
    "baselines.json: shares": (
        edited("baselines.json", lambda b: b["shares"].reverse()),
        r"baselines\.json: not as training left it",
    ),
    "the probe's numbers: gone": (gone("probe.npz"), r"probe\.npz: not as training left it"),
    "model: other weights": (other_weights, r"model/model\.safetensors: not as training left it"),
    "model: another tokenizer": (other_tokenizer, r"model/tokenizer\.json: not as training left it"),
    "ledger: first line removed": (in_ledger(lambda ls: ls[1:]), LINE.format(1)),
    "ledger: middle line removed": (in_ledger(lambda ls: [ls[0], ls[2]]), LINE.format(2)),
    "ledger: last line removed": (in_ledger(lambda ls: ls[:2]), TAKEN),
    "ledger: all lines removed": (in_ledger(lambda ls: []), TAKEN),
    "ledger: lines in another order": (in_ledger(lambda ls: [ls[1], ls[0], ls[2]]), LINE.format(1)),
    "ledger: purpose": (in_ledger(lambda ls: [changed(ls[0], purpose="a look"), *ls[1:]]), LINE.format(1)),
    "ledger: time": (in_ledger(lambda ls: [ls[0], changed(ls[1], time="2020-01-01"), ls[2]]), LINE.format(2)),
    "ledger: model": (in_ledger(lambda ls: [*ls[:2], changed(ls[2], model="0" * 64)]), LINE.format(3)),
    "ledger: opening": (in_ledger(lambda ls: [*ls[:2], changed(ls[2], opening=1)]), LINE.format(3)),
    "ledger: last line edited, its digest fits": (in_ledger(lambda ls: [*ls[:2], refitted(ls[2], time="x")]), TAKEN),
    "ledger: middle line edited, its digest fits": (
        in_ledger(lambda ls: [ls[0], refitted(ls[1], purpose="x"), ls[2]]),
        LINE.format(3),
    ),
    "ledger: a number that goes back, its digest fits": (
        in_ledger(lambda ls: [*ls[:2], refitted(ls[2], opening=2)]),
        LINE.format(3),
    ),
    "ledger: a line cut short": (in_ledger(lambda ls: [*ls[:2], ls[2][:-30]]), LINE.format(3)),
    "ledger: gone": (gone("ledger.jsonl"), TAKEN),
    "ledger: of a run on other test rows": (
        of_others(test="f" * 64),
        LEDGER + ", line 1: .* test rows f{16}, expected",
    ),
    "ledger: of another model": (of_others(model="f" * 64), LEDGER + ", line 1: .* the model f{16}, expected"),
    "report: head": (edited("report.json", lambda r: r["seal"].update(head="0" * 64)), TAKEN),
    "report: head and count forgotten": (
        edited("report.json", lambda r: r["seal"].update(head=None, openings=0)),
        REPORT + "found 0 openings of the test rows and scores of them, expected none",
    ),
    "report: count": (
        edited("report.json", lambda r: r["seal"].update(openings=1)),
        REPORT + "found 1 openings .* expected 3",
    ),
    "report: count without a head": (edited("report.json", lambda r: r["seal"].update(head=None)), REPORT + "found 3"),
    "report: digest": (edited("report.json", lambda r: r["seal"].update(digest="0" * 64)), REPORT + "names 24 sealed"),
    "report: rows": (edited("report.json", lambda r: r["seal"].update(rows=2400)), REPORT + "names 2400 sealed rows"),
    "report: no seal": (edited("report.json", lambda r: r.pop("seal")), REPORT + "not a report"),
}

ENTERED: dict[str, tuple[Callable[[Case], None], str]] = {
    "user's: purpose": (in_users(lambda ls: [changed(ls[0], purpose="a look"), *ls[1:]]), USERS.format(1)),
    "user's: opening": (in_users(lambda ls: [*ls[:2], changed(ls[2], opening=1)]), USERS.format(3)),
    "user's: first line removed": (in_users(lambda ls: ls[1:]), USERS.format(1)),
    "user's: middle line removed": (in_users(lambda ls: [ls[0], ls[2]]), USERS.format(2)),
    "user's: a line cut short": (in_users(lambda ls: [*ls[:2], ls[2][:-30]]), USERS.format(3)),
    "user's: of other test rows": (users_of_others, r"cache/ledger/.*\.jsonl, line 1: .* rows f{16}, expected"),
}


@pytest.mark.parametrize("way", RUN)
def test_a_run_that_was_tampered_with_is_refused_by_name_at_every_door(
    way: str, opened: Case, strangers: Table
) -> None:
    tamper, says = RUN[way]
    tamper(opened)
    before = opened.state()
    for look in (
        opened.evaluate,
        lambda: ft.evaluate_rows(opened.run, strangers),
        lambda: ft.answers(opened.run, strangers, strangers.ids),
    ):
        with pytest.raises(RunError, match=says) as refused:
            look()
        assert re.search("[Pp]ut .* back", str(refused.value)), "it says what to do"
        assert opened.state() == before


@pytest.mark.parametrize("way", ENTERED)
def test_an_edited_ledger_of_the_user_is_refused_before_anything_is_opened(way: str, opened: Case) -> None:
    tamper, says = ENTERED[way]
    tamper(opened)
    before = opened.state()
    table = ft.read(opened.data)
    for look in (opened.evaluate, lambda: ft.answers(opened.run, table, opened.run.split.test[:1])):
        with pytest.raises(RunError, match=says):
            look()
    assert opened.state() == before


# What cannot be told from an honest run is not refused, and lowers no count


def forgotten(case: Case) -> None:
    """The run as it was before its first opening, put in its place."""
    shutil.rmtree(case.run.path)
    shutil.copytree(case.run.path.parent / "new", case.run.path)


HONEST: dict[str, Callable[[Case], None]] = {
    "the user's ledger gone": lambda case: case.users.unlink(),
    "the user's ledger without its last line": in_users(lambda ls: ls[:2]),
    "the run put back to before its openings": forgotten,
    "the report put back to before its openings": lambda case: shutil.copy(
        case.run.path.parent / "new" / "report.json", case.run.path / "report.json"
    ),
}


@pytest.mark.parametrize("way", HONEST)
def test_a_count_goes_on_from_the_greatest_that_is_known(way: str, opened: Case) -> None:
    HONEST[way](opened)
    assert opened.evaluate()["seal"]["openings"] == 4
    assert ledger.read(opened.users)[-1]["opening"] == ledger.read(opened.run.ledger)[-1]["opening"] == 4


def test_sealed_rows_are_counted_under_changed_labels_too(unopened: Case) -> None:
    """`evaluate RUN DATA` with a file in which a label was changed: other rows, but the sealed ones are among them."""
    other_label(unopened)
    scored = ft.evaluate_rows(unopened.run, ft.read(unopened.data))
    assert scored["rows_of_the_run"]["test"] == 24 and scored["openings"] == 1
    assert "24 of the sealed rows in reviews.csv" in unopened.run.ledger.read_text()


def test_each_opening_is_told_with_time_purpose_and_model(opened: Case) -> None:
    weights = sha256((opened.run.model / "model.safetensors").read_bytes()).hexdigest()
    entries = ledger.read(opened.run.ledger)
    assert [e["opening"] for e in entries] == [1, 2, 3] == [e["opening"] for e in ledger.read(opened.users)]
    for entry in entries:
        assert entry["model"] == weights and entry["test"] == opened.run.split.digest
        assert entry["purpose"] == "evaluate run" and re.fullmatch(r"[-\d]{10}T[:\d]{8}\+00:00", entry["time"])


def test_fifty_runs_on_the_same_test_rows_are_fifty_openings(unopened: Case, tmp_path: Path) -> None:
    table, counts = ft.read(unopened.data), []
    entry = {"purpose": "evaluate", "test": unopened.run.split.digest}
    for number in range(50):
        if number % 17:  # what an evaluation enters, without the time that it takes
            kept = ledger.append(tmp_path / f"run {number}" / "ledger.jsonl", entry, unopened.users)
            counts.append(kept["opening"])
        else:
            other = ft.Run.open(shutil.copytree(unopened.run.path, tmp_path / f"run {number}"))
            ft.answers(other, table, other.split.test[:1])
            counts.append(other.json("report.json")["seal"]["openings"])
    assert counts == list(range(1, 51))
    assert unopened.evaluate()["seal"]["openings"] == 51
    page = (unopened.run.path / "report.html").read_text()
    assert "opening 51 of these 24 rows" in " ".join(page.split())


@pytest.mark.parametrize("runs", [["one"] * 3, ["one", "two", "three"]], ids=["of one run", "of three runs"])
def test_processes_that_open_at_once_get_different_numbers(runs: list[str], tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from finetooth import ledger\n"
    code += "for i in range(20): ledger.append(Path(sys.argv[1]), {'test': 'a', 'by': sys.argv[3]}, Path(sys.argv[2]))"
    paths = [str(tmp_path / f"{run}.jsonl") for run in runs]
    command = [sys.executable, "-c", code]
    writers = [
        subprocess.Popen([*command, path, str(tmp_path / "users.jsonl"), str(number)])
        for number, path in enumerate(paths)
    ]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    entered = [(entry["opening"], entry["by"]) for entry in ledger.read(tmp_path / "users.jsonl", "a")]
    assert [opening for opening, _ in entered] == list(range(1, 61))
    own = [(entry["opening"], entry["by"]) for path in {*paths} for entry in ledger.read(Path(path), "a")]
    assert sorted(own) == entered, "an opening has one number, in the run's ledger and in the user's"
