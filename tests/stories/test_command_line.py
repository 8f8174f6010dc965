"""The command line end to end: what a person types, what comes back, and which exit status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet
import pytest

from finetooth.cli import main
from tests.pictured import scene

FAST = ["--set", "epochs=2", "--set", "batch_size=16", "--set", "precision=fp32", "--set", "learning_rate=1e-3"]


class Said(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def finetooth(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run the command line in this process."""

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["finetooth", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        printed = capsys.readouterr()
        return Said(int(stop.value.code or 0), printed.out, printed.err)

    return run


def test_from_a_file_to_predictions(finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "first"
    trained = finetooth("train", reviews, "--model", tiny_bert, "--out", run, *FAST)
    assert trained.status == 0 and trained.out == ""
    assert "192 rows to train, 24 to validate, 24 sealed" in trained.err
    assert "head_learning_rate 0.001: the head is new" in trained.err
    assert "report.html" in trained.err and "finetooth evaluate" in trained.err

    evaluated = finetooth("evaluate", run, "--json")
    report = json.loads(evaluated.out)
    assert evaluated.status == 0 and report["seal"]["openings"] == 1
    assert 0 <= report["test"]["accuracy"]["value"] <= 1 and report["verdict"]["answer"] == "too few"

    for ending in ("csv", "jsonl", "parquet"):
        out = tmp_path / f"answers.{ending}"
        predicted = finetooth("predict", run, reviews, "--out", out, "--json")
        assert json.loads(predicted.out)["rows"] == 240 and predicted.status == 0
    answers = pyarrow.parquet.read_table(tmp_path / "answers.parquet")
    assert answers.column_names == [
        "row",
        "id",
        "prediction",
        "probability",
        "probability_negative",
        "probability_positive",
        "text",
    ]

    listed = finetooth("runs", tmp_path / "runs", "--json")
    assert [line["run"] for line in json.loads(listed.out)["runs"]] == ["first"]


def test_predictions_need_no_label(finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    finetooth("train", reviews, "--model", tiny_bert, "--out", tmp_path / "run", *FAST)
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"text": "bright film"}\n{"text": "dull plot"}\n')
    assert finetooth("predict", tmp_path / "run", bare, "--out", tmp_path / "o.jsonl").status == 0
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert len(rows) == 2 and {row["prediction"] for row in rows} <= {"negative", "positive"}
    for row in rows:
        assert row["probability_negative"] + row["probability_positive"] == pytest.approx(1)


def _without_label(file: Path, **_: Any) -> list[object]:
    lines = file.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ","
    file.write_text("\n".join(lines) + "\n")
    return ["train", file]


def _one_class(file: Path, **_: Any) -> list[object]:
    file.write_text(file.read_text().replace("negative", "positive"))
    return ["train", file]


def _emptied(file: Path, **_: Any) -> list[object]:
    file.write_text("")
    return ["train", file]


def _header_only(file: Path, **_: Any) -> list[object]:
    file.write_text("text,label\n")
    return ["train", file]


MISTAKES: dict[str, tuple[Callable[..., list[object]], str]] = {
    "missing file": (lambda file, **_: ["train", file.parent / "revews.csv"], "did you mean 'reviews.csv'"),
    "wrong label column": (lambda file, **_: ["train", file, "--label", "lable"], "did you mean 'label'"),
    "wrong input column": (lambda file, **_: ["train", file, "--input", "tekst"], "did you mean 'text'"),
    "one class only": (_one_class, "every row has the label 'positive'"),
    "empty file": (_emptied, "empty"),
    "header only": (_header_only, "no rows"),
    "label missing": (_without_label, "1 of 240 rows have no label in the column 'label' (reviews.csv, row 3)"),
    "misspelt key": (lambda file, **_: ["train", file, "--set", "learning_rat=1"], "did you mean 'learning_rate'"),
    "value of the wrong kind": (lambda file, **_: ["train", file, "--set", "epochs=many"], "epochs: found 'many'"),
    "a key for later": (lambda file, **_: ["train", file, "--set", "retain=l2sp"], "not in this version"),
    "misspelt option": (lambda file, **_: ["train", file, "--modle", "x"], "--model"),
    "misspelt verb": (lambda file, **_: ["trian", file], "did you mean 'train'"),
    "a verb for later": (lambda file, **_: ["serve", file], "not in this version"),
    "no such run": (lambda file, **_: ["evaluate", file.parent / "nothing"], "no such run directory"),
    "not a run": (lambda file, **_: ["evaluate", file.parent], "not a run directory"),
    "no runs": (lambda file, **_: ["runs", file.parent], "no run directory in it"),
    "own code not allowed": (
        lambda file, **_: ["train", file, "--set", "metric_for_best_model=mine:f2"],
        "--allow-code mine",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_gets_one_clear_message_and_status_2(
    finetooth, mistake: str, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    make, words = MISTAKES[mistake]
    command = make(reviews)
    more = ["--model", tiny_bert, "--out", tmp_path / "run"] if command[0] == "train" else []
    said = finetooth(*command, *more)
    complaints = [line for line in said.err.splitlines() if line.startswith("finetooth: ")]
    assert said.status == 2 and len(complaints) == 1 and words in complaints[0]
    assert "Traceback" not in said.err and said.out == ""
    as_json = finetooth(*command, *more, "--json")
    assert json.loads(as_json.out)["status"] == 2 and words in json.loads(as_json.out)["error"]
    assert not (tmp_path / "run").exists() or not any((tmp_path / "run").iterdir())


def test_a_model_without_a_tokenizer_is_refused(finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((tiny_bert / name).read_bytes())
    said = finetooth("train", reviews, "--model", bare, "--out", tmp_path / "run")
    assert said.status == 2 and "no tokenizer beside the model" in said.err


def test_a_metric_of_ones_own_runs_when_its_module_is_allowed(
    finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from finetooth import Metric\n"
        "f2 = Metric('f2', 'higher', lambda p: float((p.decided == p.labels).mean()))\n"
        "plain = len\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    words = ["train", reviews, "--model", tiny_bert, "--out", tmp_path / "run", "--allow-code", "mine"]
    said = finetooth(*words, *FAST, "--set", "metric_for_best_model=mine:f2", "--json")
    assert said.status == 0 and json.loads(said.out)["best"]["metric"] == "mine:f2"
    assert "mine:f2" not in json.loads(finetooth("evaluate", tmp_path / "run", "--json").out)["test"]
    both = finetooth("evaluate", tmp_path / "run", "--json", "--allow-code", "mine")
    assert "mine:f2" in json.loads(both.out)["test"]
    words[words.index(tmp_path / "run")] = tmp_path / "other"
    refused = finetooth(*words, "--set", "metric_for_best_model=mine:plain")
    assert refused.status == 2 and "expected a finetooth.Metric" in refused.err


def test_help_is_quick_and_imports_no_torch() -> None:
    watched = "import sys; sys.argv = ['finetooth', '--help']\nfrom finetooth.cli import main\ntry: main()\n"
    watched += "except SystemExit: pass\nassert not {'torch', 'transformers', 'pyarrow'} & set(sys.modules)"
    seconds = []
    for _ in range(8):  # the quickest counts: other tests run beside this one
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", watched], check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 0.4


def test_ctrl_c_saves_and_says_how_to_go_on(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["train", reviews, "--model", tiny_bert, "--out", run, *FAST, "--set", "epochs=500"]
    command = [sys.executable, "-c", "from finetooth.cli import main; main()", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    deadline = time.monotonic() + 60
    while not (run / "epochs.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "--resume" in said and "Traceback" not in said
    assert any((run / "checkpoints").glob("[0-9]*/manifest.json"))


def test_a_plan_is_validated_then_trained(finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    crossed = tmp_path / "runs" / "crossed"
    words = ["validate", reviews, "--model", tiny_bert, "--out", crossed, *FAST]
    refused = finetooth(*words, "--folds", 1)
    assert refused.status == 2 and "1 folds were asked for, expected 2 to 216" in refused.err
    assert finetooth("validate", reviews, "--model", tiny_bert, "--out", crossed).status == 2, "how many folds?"
    told = finetooth(*words, "--folds", 3)
    assert told.status == 0 and told.out == ""
    assert "Over 3 folds its accuracy is" in told.err and "24 test rows set aside" in told.err
    assert "fold 1 of 3" in told.err and "report.html" in told.err

    again = finetooth(*words, "--folds", 3, "--resume", "--json")
    report = json.loads(again.out)
    assert again.status == 0 and "finished already" in again.err and len(report["each"]) == 3
    changed = finetooth(*words, "--folds", 4, "--resume")
    assert changed.status == 2 and "cannot go on" in changed.err and "folds" in changed.err

    trained = finetooth(
        "train", reviews, "--model", tiny_bert, "--out", tmp_path / "runs" / "run", "--plan", crossed / "plan.yaml"
    )
    assert trained.status == 0
    listed = {line["run"]: line for line in json.loads(finetooth("runs", tmp_path / "runs", "--json").out)["runs"]}
    assert listed["crossed"]["state"] == "validated" and listed["run"]["state"] == "ended"
    assert listed["crossed"]["value"] == report["scores"]["accuracy"]["value"]
    opened = finetooth("evaluate", crossed)
    assert opened.status == 2 and "is a cross-validation, which keeps no model" in opened.err


def test_ctrl_c_keeps_the_finished_folds_and_says_how_to_go_on(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["validate", reviews, "--model", tiny_bert, "--out", out, "--folds", 3, *FAST, "--set", "epochs=40"]
    command = [sys.executable, "-c", "from finetooth.cli import main; main()", *map(str, words)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    deadline = time.monotonic() + 60
    while not (out / "folds" / "1-1.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "of 3 folds" in said.splitlines()[-1] and "--resume" in said.splitlines()[-1] and "Traceback" not in said


def test_a_search_gives_a_plan_that_train_takes(finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("freeze: [0, embeddings]\n")
    words = ["search", reviews, "--model", tiny_bert, "--out", tmp_path / "found", *FAST, "--set", "epochs=1"]
    words += ["--space", tmp_path / "space.yaml", "--set", "batch_size=[16, 32]", "--tuner", "grid", "--rows", 60]
    found = finetooth(*words, "--trials", 3)
    assert found.status == 0 and found.out == ""
    assert "3 of 3: trial" in found.err and "the best of 3 trials" in found.err and "optimistic" in found.err
    assert f"--plan {tmp_path / 'found' / 'best.yaml'} --rows 60 --out RUN" in found.err
    told = json.loads(finetooth(*words, "--resume", "--json").out)
    assert told["counts"] == {"complete": 4, "pruned": 0, "failed": 0}, "a grid goes on to its end"

    best = ["--plan", tmp_path / "found" / "best.yaml", "--rows", 60, "--json"]
    trained = finetooth("train", reviews, "--model", tiny_bert, "--out", tmp_path / "run", *best)
    assert json.loads(trained.out)["best"]["value"] == told["best"]["score"]
    assert [line["run"] for line in json.loads(finetooth("runs", tmp_path, "--json").out)["runs"]] == ["run"]

    for more, says in (
        ([], "is a search already; choose another --out, or add --resume"),
        (["--resume", "--set", "batch_size=[8, 32]"], "cannot go on, since these are not what the search began with"),
        (["--out", tmp_path / "new", "--set", "lerning_rate=1e-5..1e-3"], "did you mean 'learning_rate'?"),
        (["--out", tmp_path / "new", "--set", "split.seed=0..3"], "split.seed: cannot vary in a search"),
    ):
        refused = finetooth(*words, *more)
        assert refused.status == 2 and says in refused.err.splitlines()[-1], more
    assert not (tmp_path / "new").exists()


def test_a_search_that_is_stopped_says_how_to_go_on(finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    words = ["search", reviews, "--model", tiny_bert, "--out", tmp_path / "found", *FAST, "--set", "epochs=3"]
    words += ["--set", "freeze=0..2", "--set", "dropout=0..0.3", "--tuner", "random", "--trials"]
    command = [sys.executable, "-c", "from finetooth.cli import main; main()", *map(str, words), "500"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ})
    assert process.stderr is not None
    for line in process.stderr:
        if "2 of 500: trial 1" in line:
            break
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "in the middle of a trial, which will begin anew" in said and "--resume" in said and "Traceback" not in said
    kept = [json.loads(line) for line in (tmp_path / "found" / "trials.jsonl").read_text().splitlines()]
    ended = [trial for trial in kept if trial["state"] == "complete"]
    assert len(ended) >= 2 and (tmp_path / "found" / "best.yaml").exists()
    told = json.loads(finetooth(*words, len(kept), "--resume", "--json").out)
    assert told["trials"][: len(ended)] == ended and len(told["trials"]) == len(kept)


def test_check_tells_shows_and_mends(finetooth, reviews: Path, tmp_path: Path) -> None:
    with open(reviews, "a", encoding="utf-8") as file:
        file.write("no label at all,\n<script>alert(1)</script> &amp; so on,positive\n")
    page, clean = tmp_path / "check.html", tmp_path / "clean.csv"
    said = finetooth("check", reviews, "--html", page, "--fix", clean)
    assert said.status == 0 and said.out == ""
    assert "missing label" in said.err and "markup" in said.err and "clean.csv.log.jsonl" in said.err
    assert "&lt;script&gt;" in page.read_text() and "<script>" not in page.read_text()
    assert "Rows to review" in page.read_text()

    told = json.loads(finetooth("check", reviews, "--json").out)
    assert told["counts"]["error"] == 1 and told["findings"][0]["check"] == "missing label"
    assert told["review"][0]["reasons"]
    assert finetooth("check", reviews, "--strict").status == 1
    assert finetooth("check", clean, "--strict").status == 0


def test_check_counts_tokens_for_a_model_and_compares_with_a_target(
    finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    with open(reviews, "a", encoding="utf-8") as file:
        file.write(f"{'film ' * 200},positive\n")
    target = tmp_path / "target.csv"
    target.write_text("text\n" + "".join(f"invoice {i} was overdue at customs\n" for i in range(60)))
    told = json.loads(finetooth("check", reviews, "--model", tiny_bert, "--against", target, "--json").out)
    found = {finding["check"]: finding for finding in told["findings"]}
    assert found["truncation"]["count"] == 1 and "invoice" in found["coverage"]["says"]


def test_check_needs_no_label_and_no_torch(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "".join(f"row number {i} of many words\n" for i in range(30)))
    code = "import sys; sys.argv = ['finetooth', 'check', sys.argv[1], '--quiet', '--html', sys.argv[2]]\n"
    code += "import finetooth.cli as c\ntry:\n    c.main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
    code += "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.csv"), str(tmp_path / "a.html")], check=True)


def test_scores_are_told_with_and_without_leaked_rows(
    finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    folder, run = tmp_path / "parts", tmp_path / "run"
    folder.mkdir()
    lines = reviews.read_text().splitlines()
    (folder / "train.csv").write_text("\n".join(lines[:161]) + "\n")
    (folder / "validation.csv").write_text("\n".join([lines[0], *lines[161:201]]) + "\n")
    (folder / "test.csv").write_text("\n".join([lines[0], *lines[201:], *lines[5:15]]) + "\n")
    assert finetooth("train", folder, "--model", tiny_bert, "--out", run, *FAST).status == 0
    report = json.loads(finetooth("evaluate", run, "--json").out)
    assert report["without_leaks"]["left_out"] >= 10
    assert report["without_leaks"]["rows"] + report["without_leaks"]["left_out"] == 50
    assert "it never saw its" in (run / "report.html").read_text()


def test_images_are_refused_in_a_sentence(finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """By a network that reads texts, and by a run that was tuned on texts."""
    for name in ("cat", "dog"):
        (tmp_path / "animals" / name).mkdir(parents=True)
        for i in range(12):
            scene(i + len(name)).save(tmp_path / "animals" / name / f"{i}.png")
    images, run, new = tmp_path / "animals", tmp_path / "run", tmp_path / "new"
    finetooth("train", reviews, "--model", tiny_bert, "--out", run, *FAST, "--set", "epochs=1")
    for words, says in (
        (("train", images, "--model", tiny_bert, "--out", new), "needs a model that sees"),
        (("train", images, "--model", tiny_bert, "--out", new, "--dry-run"), "needs a model that sees"),
        (("predict", run, images, "--out", tmp_path / "o.csv"), "this folder holds images"),
        (("evaluate", run, images), "this folder holds images"),
        (("predict", run, images, "--input", "image", "--out", tmp_path / "o.csv"), "found a folder of images"),
    ):
        refused = finetooth(*words)
        assert refused.status == 2 and says in refused.err.splitlines()[-1]
        assert refused.err.count("finetooth: ") == 1
    assert not new.exists() and not (tmp_path / "o.csv").exists()


def test_a_task_that_is_not_there_is_told_before_a_row_is_read(finetooth, tmp_path: Path) -> None:
    refused = finetooth(
        "train", tmp_path / "absent.csv", "--model", "x", "--out", tmp_path / "run", "--set", "task=text-classifcation"
    )
    assert refused.status == 2 and "did you mean 'text-classification'" in refused.err


def test_what_reading_mended_is_told_by_every_verb(finetooth, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    latin = reviews.read_text().replace("film", "f\u00efl\u00eam", 5).encode("latin-1")
    reviews.write_bytes(latin)
    run = tmp_path / "run"
    trained = finetooth("train", reviews, "--model", tiny_bert, "--out", run, *FAST)
    assert "Windows-1252" in trained.err
    assert "encoding" in {f["check"] for f in json.loads((run / "findings.json").read_text())["findings"]}
    for words in (["predict", run, reviews, "--out", tmp_path / "out.csv"], ["evaluate", run, reviews]):
        said = finetooth(*words)
        assert said.status == 0 and "Windows-1252" in said.err, words
