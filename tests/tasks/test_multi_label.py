"""Any of several labels: probabilities of their own, thresholds of their own, the whole machinery."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import transformers as tf
from pyarrow import parquet

import finetooth as ft
from finetooth.errors import DataError, PlanError
from finetooth.labels import kind_of, sets
from finetooth.losses import binary_cross_entropy
from finetooth.prepare import prepare
from finetooth.table import AnyOf
from finetooth.tasks import fitting
from tests import tiny

PLAN: dict[str, Any] = {
    "epochs": 6,
    "batch_size": 16,
    "precision": "fp32",
    "learning_rate": 1e-3,
    "freeze": 0,
    "dropout": 0.0,
}
NAMES = ["bad", "film", "good"]
TOLD = {"bad": tiny.BAD, "good": tiny.GOOD, "film": ["film"]}


def rows(count: int = 400, seed: int = 0) -> dict[str, list[str]]:
    """Texts with the labels of the words that stand in them; many have none."""
    draw, found = random.Random(seed), dict[str, list[str]]()
    while len(found) < count:
        own = [name for name, share in (("bad", 0.4), ("film", 0.2), ("good", 0.4)) if draw.random() < share]
        words = draw.sample([word for word in tiny.PLAIN if word != "film"], draw.randint(2, 6))
        words += [word for name in own for word in draw.choices(TOLD[name], k=3)]
        draw.shuffle(words)
        found[" ".join(words)] = own
    return found


def write_jsonl(path: Path, count: int = 400) -> Path:
    lines = (json.dumps({"text": text, "labels": own}) for text, own in rows(count).items())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("labelled") / "rows.jsonl")


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wider one than others are tested with, which finds one of two labels and then stands still."""
    config = tf.BertConfig(
        vocab_size=40,
        hidden_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=192,
        max_position_embeddings=64,
    )
    return tiny.save_model(tmp_path_factory.mktemp("wide") / "bert", config)


def read(path: Path) -> ft.Table:
    return ft.read(path, label="labels")


@pytest.fixture(scope="module")
def run(labelled: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    plan = ft.Plan.of({**PLAN, "threshold": "auto"})
    return ft.train(read(labelled), plan, model=str(tiny_bert), out=tmp_path_factory.mktemp("m") / "run")


def test_lists_make_several_labels_and_the_run_says_so(run: ft.Run) -> None:
    assert run.plan.task == "multi-label" and run.plan.loss == "binary-cross-entropy"
    assert run.plan.metric_for_best_model == "mean_average_precision"
    assert run.json("data.json")["names"] == NAMES


def test_the_labels_are_found_and_the_verdict_is_that_of_any_task(run: ft.Run) -> None:
    report = ft.evaluate(run)
    assert report["test"]["mean_average_precision"]["value"] > 0.95 and report["test"]["macro_f1"]["value"] > 0.9
    assert set(report["baselines"]) == {"majority", "tfidf", "frozen_probe"}
    assert report["baselines"]["tfidf"]["test"]["mean_average_precision"] > 0.9
    assert report["baselines"]["majority"]["test"]["macro_f1"] < 0.5
    assert report["verdict"]["metric"] == "mean_average_precision" and report["verdict"]["says"]
    assert report["robustness"]["table"] and report["slices"]["table"]


def test_thresholds_stand_beside_the_model_and_decide(run: ft.Run) -> None:
    kept = run.json("model/decisions.json")
    assert kept["names"] == NAMES and all(0 < threshold < 1 for threshold in kept["thresholds"])
    p = run.predictions("validation")
    assert isinstance(p, AnyOf) and p.thresholds is not None and p.thresholds.tolist() == kept["thresholds"]
    np.testing.assert_array_equal(p.decided, p.probabilities >= np.array(kept["thresholds"]))
    decisions = run.json("report.json")["decisions"]
    assert decisions["goal"] == "macro_f1" and set(decisions["thresholds"]) == set(NAMES)


def test_the_page_and_the_card_speak_of_labels(run: ft.Run) -> None:
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "Label by label" in page and "mAP" in page and "A label is given where" in page
    for absent in ("Class by class", "Are its probabilities honest", "Scatter plot"):
        assert absent not in page
    card = (run.model / "README.md").read_text(encoding="utf-8")
    assert "top_k=None" in card and "probability of its own" in card


def test_transformers_alone_gives_the_same_probabilities(run: ft.Run, labelled: Path) -> None:
    table = read(labelled)
    p = ft.answers(run, table, run.split.validation)
    pipe = tf.pipeline("text-classification", model=str(run.model), top_k=None)
    for row_id, probabilities in zip(p.ids, p.said, strict=True):
        said = {each["label"]: each["score"] for each in pipe([table.inputs[table.position[row_id]][0]])[0]}
        assert [said[name] for name in NAMES] == pytest.approx(probabilities.tolist(), abs=1e-5)
    assert tf.AutoConfig.from_pretrained(run.model).problem_type == "multi_label_classification"


def test_cross_validation_seeds_and_comparison_work(labelled: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 2, "threshold": "auto"})
    how: dict[str, Any] = {"model": str(tiny_bert)}
    report = ft.validate(read(labelled), plan, out=tmp_path / "v", folds=3, **how)
    assert report["decisions"]["goal"] == "macro_f1" and len(report["detail"]["labels"]) == 3
    assert "Label by label" in (tmp_path / "v" / "report.html").read_text(encoding="utf-8")
    table = parquet.read_table(tmp_path / "v" / "out_of_fold.parquet")
    assert table.num_rows == 360 and isinstance(table["label"].to_pylist()[0], list)
    one = ft.train(read(labelled), plan, out=tmp_path / "one", seeds=2, **how)
    two = ft.train(read(labelled), plan.model_copy(update={"seed": 5}), out=tmp_path / "two", **how)
    assert one.json("report.json")["seeds"]["validation"]["mean"] > 0
    assert ft.compare(one, two)["metric"] == "mean_average_precision"


def test_predict_writes_the_labels_and_their_probabilities(run: ft.Run, labelled: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from finetooth.cli.app import app

    out = tmp_path / "answers.jsonl"
    done = CliRunner().invoke(app, ["predict", str(run.path), str(labelled), "--out", str(out), "--quiet"])
    assert done.exit_code == 0, done.output
    found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    bounds = dict(zip(NAMES, run.json("model/decisions.json")["thresholds"], strict=True))
    for row in found:
        given = [name for name in NAMES if row[f"probability_{name}"] >= bounds[name]]
        assert row["prediction"] == "|".join(given)
    truth = rows().values()
    right = [set(filter(None, row["prediction"].split("|"))) == set(own) for row, own in zip(found, truth, strict=True)]
    assert np.mean(right) > 0.7


@pytest.mark.parametrize("separator", ["|", ";", ", "])
def test_labels_stand_in_one_cell_with_a_separator(separator: str, tmp_path: Path) -> None:
    lines = [f'"{text}","{separator.join(own)}"' for text, own in rows(60).items()]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    table = ft.read(tmp_path / "rows.csv")
    assert kind_of(table) == "any-of" and fitting(table, "minilm")[0] == "multi-label"
    assert sets(table) == [frozenset(own) for own in rows(60).values()]


def test_labels_stand_in_lists_of_parquet(tmp_path: Path) -> None:
    found = rows(60)
    parquet.write_table(pa.table({"text": list(found), "label": list(found.values())}), tmp_path / "rows.parquet")
    assert sets(ft.read(tmp_path / "rows.parquet")) == [frozenset(own) for own in found.values()]


def test_labels_stand_in_columns_of_zero_and_one_and_soft_scores(tiny_bert: Path, tmp_path: Path) -> None:
    score = {True: ["1", "0.5", "true"], False: ["0", "0.49", "false"]}
    lines = [
        ",".join([text, *(score[name in own][i % 3] for name in NAMES)])
        for i, (text, own) in enumerate(rows(60).items())
    ]
    (tmp_path / "rows.csv").write_text("\n".join(["text,bad,film,good", *lines]) + "\n", encoding="utf-8")
    table = ft.read(tmp_path / "rows.csv", label="bad, film, good")
    assert sets(table) == [frozenset(own) for own in rows(60).values()] and fitting(table, "minilm")[0] == "multi-label"
    job = prepare(table, ft.Plan.of(PLAN), str(tiny_bert))
    assert job.names == NAMES and job.training.targets.shape == (len(job.training), 3)
    (tmp_path / "rows.csv").write_text("text,a,b\nx,1,0\ny,3,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"rows.csv, row 2, column 'a': found '3', expected 0 or 1"):
        sets(ft.read(tmp_path / "rows.csv", label="a,b"))
    with pytest.raises(DataError, match="there is no column 'c' for --label"):
        ft.read(tmp_path / "rows.csv", label="a,c")


@pytest.mark.parametrize("cells", [["a", "b", "c, d"], ["x|y", "z|w"], ["Surgery", "Obstetrics; Gynaecology"]])
def test_a_class_name_may_hold_a_separator(cells: list[str], tmp_path: Path) -> None:
    lines = [f'text {i},"{cells[i % len(cells)]}"' for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *lines]) + "\n", encoding="utf-8")
    assert kind_of(ft.read(tmp_path / "rows.csv")) == "one-of"


def test_rare_labels_are_in_every_part(labelled: Path, tiny_bert: Path) -> None:
    table = read(labelled)
    split = prepare(table, ft.Plan.of(PLAN), str(tiny_bert)).split
    own = sets(table)
    for name in NAMES:
        shares = [
            np.mean([name in own[table.position[i]] for i in getattr(split, part)])
            for part in ("train", "validation", "test")
        ]
        assert np.ptp(shares) < 0.15, name


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"oversample": True}, "oversample: found True, but several labels can be true of a row"),
        ({"label_smoothing": 0.1}, "label_smoothing: found 0.1, but several labels"),
        ({"loss": "focal"}, "loss: focal is not for this task"),
        ({"threshold": {"good": {"bad": 2}}}, "threshold: found what mistakes cost"),
        ({"threshold": "micro_f1"}, "threshold: found micro_f1, expected argmax or auto"),
        ({"class_weights": {"goood": 2.0}}, "there is no label 'goood'"),
    ],
)
def test_what_means_nothing_here_is_refused(setting: Any, message: str, labelled: Path, tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match=message):
        _ = prepare(read(labelled), ft.Plan.of({**PLAN, **setting}), str(tiny_bert)).recipe


def test_a_label_that_the_model_does_not_know_is_refused_by_row(run: ft.Run, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text(
        '{"text": "warm scene", "labels": ["good"]}\n{"text": "plot", "labels": ["odd"]}\n', encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"new.jsonl, line 2: the label 'odd' is in no row|row 2: the label 'odd'"):
        ft.evaluate_rows(run, read(tmp_path / "new.jsonl"))


def test_the_dry_run_and_the_checks_know_several_labels(labelled: Path, tiny_bert: Path, tmp_path: Path) -> None:
    table = read(labelled)
    foretold = ft.rehearse(table, ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "run")
    assert foretold["plan"]["task"] == "multi-label"
    checked = ft.check(table)
    job = prepare(table, ft.Plan.of(PLAN), str(tiny_bert))
    assert checked.sample.split == job.split and checked.sample.names == []
    assert not {finding.check for finding in checked.findings} & {"missing label", "too many classes", "single class"}


def test_one_label_alone_is_learnt_too(tiny_bert: Path, tmp_path: Path) -> None:
    lines = [json.dumps({"text": text, "labels": ["good"] if "good" in own else []}) for text, own in rows(100).items()]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    plan = ft.Plan.of({**PLAN, "epochs": 1})
    run = ft.train(read(tmp_path / "rows.jsonl"), plan, model=str(tiny_bert), out=tmp_path / "run")
    assert ft.evaluate(run)["detail"]["test"]["labels"][0]["label"] == "good"


def test_the_weight_of_a_true_label_is_its_rarity(labelled: Path, tiny_bert: Path) -> None:
    from finetooth.prepare import label_weights

    job = prepare(read(labelled), ft.Plan.of({**PLAN, "class_weights": "auto"}), str(tiny_bert))
    true = job.training.targets.sum(axis=0)
    assert label_weights(job.plan, job.names, job.training.targets) == pytest.approx((len(job.training) - true) / true)
    import torch

    logits, targets = torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])
    assert binary_cross_entropy([3.0, 1.0])(logits, targets).item() == pytest.approx(2 * np.log(2))
