"""Numbers: learnt in standard deviations, told in the user's unit, by the whole machinery."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from pyarrow import parquet

import finetooth as ft
from finetooth import linear
from finetooth.backbones import movable, unstandardize
from finetooth.baselines import FITS
from finetooth.decide import half_width
from finetooth.errors import DataError, PlanError, UserError
from finetooth.labels import kind_of
from finetooth.prepare import prepare
from finetooth.table import Numbers
from finetooth.tasks import TASKS, fitting
from tests import tiny

PLAN = {"epochs": 8, "batch_size": 16, "precision": "fp32", "learning_rate": 5e-3, "freeze": 0}
MEAN = 1000.0  # far from 0, as years and prices are


def write(path: Path, rows: int = 400, columns: tuple[str, ...] = ("text",)) -> Path:
    """Texts whose rating is told by how many words praise and how many blame; the last column of texts counts."""
    draw, texts = random.Random(0), dict[tuple[str, ...], float]()
    while len(texts) < rows:
        good, bad = draw.randint(0, 4), draw.randint(0, 4)
        words = draw.sample(tiny.PLAIN, 4) + draw.sample(tiny.GOOD, good) + draw.sample(tiny.BAD, bad)
        draw.shuffle(words)
        before = [" ".join(draw.sample(tiny.PLAIN + tiny.GOOD + tiny.BAD, 3)) for _ in columns[1:]]
        texts[(*before, " ".join(words))] = round(MEAN + 10 * (good - bad) + draw.gauss(0, 1), 2)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, "rating"])
        writer.writerows([*cells, rating] for cells, rating in texts.items())
    return path


def read(path: Path, **columns: str) -> ft.Table:
    return ft.read(path, label="rating", **columns)


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ratings") / "ratings.csv")


@pytest.fixture(scope="module")
def run(ratings: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    return ft.train(read(ratings), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path_factory.mktemp("r") / "run")


def test_many_different_numbers_make_regression_and_the_run_says_so(run: ft.Run) -> None:
    assert run.plan.task == "text-regression" and run.plan.loss == "mse" and run.plan.metric_for_best_model == "rmse"
    assert "different numbers" in (run.path / "plan.yaml").read_text(encoding="utf-8")
    assert run.json("report.json")["labels"] == ["rating"]


def test_the_values_are_in_the_users_unit_and_better_than_the_mean(run: ft.Run) -> None:
    report = ft.evaluate(run)
    assert report["test"]["spearman"]["value"] > 0.8
    assert set(report["baselines"]) == {"mean", "tfidf", "frozen_probe"}
    assert report["test"]["rmse"]["value"] < report["baselines"]["mean"]["test"]["rmse"]
    assert report["baselines"]["tfidf"]["test"]["r2"] > 0.8 and report["baselines"]["mean"]["test"]["pearson"] is None
    assert any("before tuning" in sentence for sentence in report["left_out"])
    assert report["verdict"]["metric"] == "rmse" and report["verdict"]["says"]
    p = run.predictions("test")
    assert isinstance(p, Numbers) and abs(p.values.mean() - MEAN) < 20


def test_the_page_the_card_and_the_summary_speak_of_numbers(run: ft.Run) -> None:
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Values and truth" in page and "Scatter plot" in page and "Farthest off" in page
    for absent in ("Class by class", "Are its probabilities honest", "Surest wrong answers", "ROC"):
        assert absent not in page
    card = (run.model / "README.md").read_text(encoding="utf-8")
    assert 'function_to_apply="none"' in card and "foretell" in card
    detail = run.json("report.json")["detail"]["validation"]
    assert sum(third["rows"] for third in detail["thirds"]) == 40
    off = [abs(row["off"]) for row in detail["worst"]]
    assert off == sorted(off, reverse=True) and len(detail["points"]) == 40


def test_transformers_alone_gives_the_same_values(run: ft.Run, ratings: Path) -> None:
    table = read(ratings)
    p = ft.answers(run, table, run.split.validation)
    assert isinstance(p, Numbers)
    pipe = tf.pipeline("text-classification", model=str(run.model), function_to_apply="none")
    texts = [table.inputs[table.position[row_id]][0] for row_id in p.ids]
    assert [each["score"] for each in pipe(texts)] == pytest.approx(p.values.tolist(), abs=2e-3)
    config = tf.AutoConfig.from_pretrained(run.model)
    assert config.problem_type == "regression" and config.num_labels == 1


def test_the_epochs_tell_the_loss_in_standard_deviations(run: ft.Run) -> None:
    deviation = np.std([float(label) for label in read(run.json("data.json")["source"]).labels])  # type: ignore[arg-type]
    for epoch in run.epochs:
        assert epoch.scores["loss"] == pytest.approx((epoch.scores["rmse"] / deviation) ** 2, rel=0.15)
        assert epoch.loss < 3


def test_predict_writes_the_value_and_its_interval(run: ft.Run, ratings: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from finetooth.cli.app import app

    out = tmp_path / "answers.parquet"
    done = CliRunner().invoke(app, ["predict", str(run.path), str(ratings), "--out", str(out), "--quiet"])
    assert done.exit_code == 0, done.output
    found = parquet.read_table(out).to_pydict()
    half = run.json("model/decisions.json")["half"]
    np.testing.assert_allclose(np.array(found["high"]) - found["prediction"], half)
    np.testing.assert_allclose(np.array(found["prediction"]) - found["low"], half)
    done = CliRunner().invoke(
        app, ["predict", str(run.path), str(ratings), "--out", str(out), "--quiet", "--precision", "int8"]
    )
    assert isinstance(done.exception, UserError) or done.exit_code == 2


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        labels = draw.normal(size=1100)
        p = Numbers([""] * 1100, labels, np.zeros(1100), "x")
        half = half_width(p.take(np.arange(100)), 0.9)
        assert half is not None
        covered.append((np.abs(labels[100:]) <= half).mean())
    assert np.mean(covered) == pytest.approx(0.9, abs=0.01)
    assert half_width(p.take(np.arange(18)), 0.95) is None and half_width(p.take(np.arange(19)), 0.95) is not None


def test_two_columns_of_texts_are_read_together(tiny_bert: Path, tmp_path: Path) -> None:
    table = read(write(tmp_path / "pairs.csv", columns=("text", "text_pair")))
    assert fitting(table, "minilm")[0] == "text-regression"
    job = prepare(table, ft.Plan.of(PLAN), str(tiny_bert))
    assert job.task.kind == "numbers" and len(job.training) == 320


def test_cross_validation_tells_out_of_fold_values(ratings: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 2})
    report = ft.validate(read(ratings), plan, model=str(tiny_bert), out=tmp_path / "v", folds=3, repeats=2)
    assert report["verdict"]["metric"] == "rmse" and report["calibration"] is None and report["suspects"] is None
    table = parquet.read_table(tmp_path / "v" / "out_of_fold.parquet")
    assert table.column_names == ["id", "label", "value", "fold", "repeat"] and table.num_rows == 2 * 360
    page = (tmp_path / "v" / "report.html").read_text(encoding="utf-8")
    assert "Values and truth" in page and "Labels to look at" not in page


def test_other_seeds_robustness_slices_and_comparison_work(ratings: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 1, "split": {"train": 0.3, "validation": 0.1, "test": 0.6}})
    how: dict[str, Any] = {"model": str(tiny_bert)}
    run = ft.train(read(ratings), plan, out=tmp_path / "one", seeds=2, **how)
    report = ft.evaluate(run)
    assert report["seeds"]["test"]["mean"] > 0 and report["robustness"]["metric"] == "rmse"
    assert report["slices"]["table"] and report["test"]["spearman"]["low"] < report["test"]["spearman"]["value"]
    assert report["test"]["rmse"]["how"] == "BCa" and report["verdict"]["low"] is not None
    other = ft.train(read(ratings), plan.model_copy(update={"loss": "huber"}), out=tmp_path / "two", **how)
    assert other.plan.metric_for_best_model == "mae"
    assert ft.compare(run, other, test=True)["metric"] == "rmse"


def test_a_search_tries_values_by_the_error(ratings: Path, tiny_bert: Path, tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    plan, space = ft.Plan.of({**PLAN, "epochs": 1}), {"learning_rate": [1e-5, 5e-3]}
    found = ft.search(read(ratings), plan, space, model=str(tiny_bert), out=tmp_path / "s", trials=2, tuner="grid")
    assert found["best"]["values"]["learning_rate"] == 5e-3


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (["1.5", "2.25", "3.75", "4.0", "0.5", "6.5", "7.5", "8.5", "9.5", "10.5", "11.5"], "numbers"),
        ([str(i) for i in range(1000)], "numbers"),
        ([str(i % 5) for i in range(1000)], "one-of"),
        ([str(i % 77) for i in range(10_000)], "one-of"),
        (["0.0", "1.0"] * 50, "one-of"),
        (["1e400", *(f"{i}.5" for i in range(50))], "one-of"),
        ([f"class {i}" for i in range(50)], "one-of"),
        ([], "one-of"),
    ],
)
def test_numbers_are_told_from_classes(labels: list[str], kind: str, tmp_path: Path) -> None:
    lines = [f"text {i},{label}" for i, label in enumerate(labels)] or ["text,"]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *lines]), encoding="utf-8")
    assert kind_of(ft.read(tmp_path / "rows.csv")) == kind


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("good", r"rows.csv, row 3, column 'label': found 'good', expected a finite number.*text-classification"),
        ("nan", r"rows.csv, row 3, column 'label': found 'nan', expected a finite number"),
        ("", r"1 of 20 rows have no label in the column 'label' \(rows.csv, row 3\)"),
    ],
)
def test_labels_that_are_no_numbers_are_refused_by_row(
    cell: str, message: str, tiny_bert: Path, tmp_path: Path
) -> None:
    cells = [f"{i}.5" if i != 2 else cell for i in range(20)]
    lines = "\n".join(f"text {i},{c}" for i, c in enumerate(cells))
    (tmp_path / "rows.csv").write_text(f"text,label\n{lines}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        prepare(ft.read(tmp_path / "rows.csv"), ft.Plan.of({"task": "text-regression"}), str(tiny_bert))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"class_weights": "auto"}, "class_weights: found auto, but the labels are numbers"),
        ({"oversample": True}, "oversample: found True, but the labels are numbers"),
        ({"threshold": "auto"}, "threshold: found auto, but the labels are numbers"),
        ({"loss": "focal"}, "loss: focal is not for this task"),
        ({"metric_for_best_model": "accuracy"}, "there is no metric 'accuracy'"),
    ],
)
def test_what_is_for_classes_is_refused(setting: dict[str, Any], message: str, ratings: Path, tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match=message):
        prepare(read(ratings), ft.Plan.of({**PLAN, **setting}), str(tiny_bert))


def test_classification_of_numbers_is_refused_with_the_right_task(ratings: Path, tiny_bert: Path) -> None:
    with pytest.raises(DataError, match=r"too many to be classes.*set task to text-regression"):
        prepare(read(ratings), ft.Plan.of({**PLAN, "task": "text-classification"}), str(tiny_bert))


def test_the_dry_run_and_the_checks_know_numbers(ratings: Path, tiny_bert: Path, tmp_path: Path) -> None:
    table = read(ratings)
    foretold = ft.rehearse(table, ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "run")
    assert foretold["plan"]["task"] == "text-regression"
    checked = ft.check(table)
    assert checked.sample.split == prepare(table, ft.Plan.of(PLAN), str(tiny_bert)).split
    assert checked.sample.names == [] and "too many classes" not in {f.check for f in checked.findings}


def test_the_parts_have_the_same_spread_of_numbers(ratings: Path, tiny_bert: Path) -> None:
    table = read(ratings)
    split = prepare(table, ft.Plan.of(PLAN), str(tiny_bert)).split
    values = {
        part: [float(table.labels[table.position[i]] or 0) for i in getattr(split, part)]
        for part in ("train", "validation", "test")
    }
    for share in (0.1, 0.5, 0.9):
        quantiles = [np.quantile(part, share) for part in values.values()]
        assert np.ptp(quantiles) < 8, share


def test_the_unit_goes_into_the_last_layer_or_nothing_changes(tiny_bert: Path) -> None:
    backbone = TASKS["text-regression"].load(str(tiny_bert), ["x"], seed=0)
    example, net = backbone.example(), backbone.net.eval()
    with torch.inference_mode():
        before = net(**example).logits
    assert movable(net, example)
    with torch.inference_mode():
        assert torch.equal(net(**example).logits, before)
        assert unstandardize(net, 1e5, 20.0, example)
        torch.testing.assert_close((net(**example).logits - 1e5) / 20.0, before, rtol=0, atol=1e-3)
    net.classifier.bias = None
    assert not movable(net, example)


def test_an_adapter_learns_numbers_and_is_merged_into_their_unit(
    ratings: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 2, "adapter": {"type": "lora", "r": 1}})
    run = ft.train(read(ratings), plan, model=str(tiny_bert), out=tmp_path / "run")
    p = run.predictions("validation")
    assert isinstance(p, Numbers) and abs(p.values.mean() - MEAN) < 20
    pipe = tf.pipeline("text-classification", model=str(run.model), function_to_apply="none")
    table = read(ratings)
    texts = [table.inputs[table.position[row_id]][0] for row_id in p.ids]
    assert [each["score"] for each in pipe(texts)] == pytest.approx(p.values.tolist(), abs=2e-3)


def test_the_probe_of_numbers_is_kept_as_it_was_fitted() -> None:
    draw = np.random.default_rng(0)
    states, weights = draw.normal(3, 5, (300, 8)), draw.normal(size=8)
    targets = states @ weights + 50 + draw.normal(0, 0.1, 300)
    affine = FITS["numbers"].probe(states, targets, np.arange(300) % 5 == 4, 1)
    assert isinstance(affine, linear.Affine)
    assert np.corrcoef(affine.predict(states)[:, 0], targets)[0, 1] > 0.99
    assert affine.predict(states).mean() == pytest.approx(targets.mean(), rel=1e-3)
