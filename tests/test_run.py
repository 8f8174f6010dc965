"""The run directory: what goes in comes out, and what is missing or foreign is refused in words."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from finetooth import Plan, Predictions, Run, Split
from finetooth.errors import FinetoothError, RunError
from finetooth.history import Epoch
from finetooth.table import Columns

NAMES = ["", "a,b", 'é "q"\n', "007", "null"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with a plan."""
    made = Run.create(tmp_path / "runs" / "one")
    made.write_plan(Plan(), {})
    return made


def files(run: Run) -> list[str]:
    return sorted(path.name for path in run.path.rglob("*") if path.is_file())


def test_a_new_run_is_an_empty_directory(tmp_path: Path) -> None:
    made = Run.create(tmp_path / "a" / "b")
    assert files(made) == []
    assert Run.create(tmp_path / "a" / "b") == made
    assert not made.finished


@pytest.mark.parametrize("name", ["full", "file", "file/below"])
def test_a_place_that_is_taken_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / ".hidden").write_text("mine")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=name):
        Run.create(tmp_path / name)
    assert (tmp_path / "full" / ".hidden").read_text() == (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "says"), [("none", "no such run"), ("file", "no such run"), ("other", "not a run directory")]
)
def test_what_is_no_run_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.json").write_text("{}")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=rf"{name}: .*{says}"):
        Run.open(tmp_path / name)


def test_a_run_is_finished_when_its_report_is_there(run: Run) -> None:
    assert not Run.open(run.path).finished
    run.write("report.json", {})
    assert Run.open(run.path).finished


# Round trips


@pytest.mark.parametrize("rows", [40, 1])
def test_predictions_come_back_exactly(run: Run, rows: int) -> None:
    generator = np.random.default_rng(0)
    p = Predictions(
        [f"row {i}" for i in range(rows)],
        generator.integers(-1, len(NAMES), rows),
        generator.dirichlet(np.ones(len(NAMES)), rows),
        NAMES,
    )
    run.write_predictions("validation", p)
    back = run.predictions("validation")
    assert (back.ids, back.names) == (p.ids, p.names)
    assert (back.labels == p.labels).all()
    assert back.probabilities.shape == p.probabilities.shape
    assert (back.probabilities == p.probabilities).all()


def test_split_columns_and_epochs_come_back_as_they_were(run: Run) -> None:
    split = Split(
        ("a", "b"),
        ("c",),
        (),
        how="at random, seed 0",
        digest="0" * 64,
        contents={"train": ("x", "y"), "validation": (), "test": ()},
        notes=("a note",),
    )
    columns = Columns(("text", "title"), "label", None, "key")
    epochs = [
        Epoch(3 * i, i / 2, 0.1 * i, {"loss": 1 / 3, "macro_f1": float(i)}, 1e-5, 2.5, (1.0, 0.5, 0.0), 0.1, 99.0)
        for i in range(1, 5)
    ]
    run.write("split.json", asdict(split))
    run.write("data.json", {"columns": columns.roles()})
    run.write_epochs(epochs)
    opened = Run.open(run.path)
    assert (opened.split, opened.columns, opened.epochs) == (split, columns, epochs)


def test_json_comes_back_and_can_be_read_by_people(run: Run) -> None:
    run.write("data.json", {"names": ["é", "☃"], "rows": 3, "share": 0.1})
    assert run.json("data.json") == {"names": ["é", "☃"], "rows": 3, "share": 0.1}
    assert "☃" in (run.path / "data.json").read_text(encoding="utf-8")


# Writing in one stroke


def test_writing_leaves_one_file_and_the_newest_content(run: Run) -> None:
    for content in ("first\n", "second, longer\n", "3\n"):
        run.write("notes.txt", content)
        assert (run.path / "notes.txt").read_text(encoding="utf-8") == content
    assert files(run) == ["notes.txt", "plan.yaml"]


@pytest.mark.parametrize("content", [{"x": object()}, {"x": "\ud800"}], ids=["no json", "no utf-8"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(run: Run, content: dict[str, object]) -> None:
    run.write("data.json", {"old": 1})
    with pytest.raises((TypeError, ValueError)):
        run.write("data.json", content)
    assert run.json("data.json") == {"old": 1}
    assert files(run) == ["data.json", "plan.yaml"]


# What is missing or damaged

PARTS: dict[str, Callable[[Run], object]] = {
    "plan.yaml": lambda run: run.plan,
    "split.json": lambda run: run.split,
    "data.json": lambda run: run.columns,
    "report.json": lambda run: run.json("report.json"),
    "epochs.jsonl": lambda run: run.epochs,
    "predictions/test.parquet": lambda run: run.predictions("test"),
}


DAMAGE = {"missing": None, "empty": b"", "cut": b"{", "no text": b"\xff\xfe"}
# An empty plan asks for nothing, and an empty epochs.jsonl says that nothing was evaluated yet: both are sound.
DAMAGED = [(n, d) for n in PARTS for d in DAMAGE if d != "empty" or n not in ("plan.yaml", "epochs.jsonl")]


@pytest.mark.parametrize(("name", "damage"), DAMAGED)
def test_a_missing_or_damaged_file_is_refused_with_its_name(run: Run, name: str, damage: str) -> None:
    path, content = run.path / name, DAMAGE[damage]
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FinetoothError, match=path.stem):
        PARTS[name](run)


def test_a_split_of_another_form_is_refused_with_its_name(run: Run) -> None:
    run.write("split.json", {"train": ["a"], "folds": 5})
    with pytest.raises(RunError, match=r"split\.json"):
        _ = run.split
