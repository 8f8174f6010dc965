"""What comes after the last step: temperature, decisions, baselines, other seeds, two runs compared."""

from __future__ import annotations

import html
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth import forgetting
from finetooth.backbones import cool, load_classifier
from finetooth.baselines import budget
from finetooth.conclude import calibrate, kept_probe
from finetooth.decide import COOLING, cooled
from finetooth.errors import DataError, NonFiniteLoss, PlanError, RunError
from finetooth.loop import fit
from finetooth.prefix import Ask
from finetooth.prepare import Job, prepare
from finetooth.progress import Silent
from finetooth.table import Answers
from tests import tiny

train_module = import_module("finetooth.train")
PLAN = {"epochs": 4, "batch_size": 16, "precision": "fp32", "learning_rate": 2e-3, "split": {"preset": "70-15-15"}}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1,400 reviews, so that 210 stand in each of validation and test."""
    return tiny.write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv", 1400, seed=4)


@pytest.fixture(scope="module")
def judged(many: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    """A run with another seed, from scratch, and its seal opened."""
    out = tmp_path_factory.mktemp("runs") / "run"
    run = ft.train(ft.read(many), ft.Plan.of(PLAN), model=str(tiny_bert), out=out, seeds=2, scratch=True)
    ft.evaluate(run)
    return run


def test_every_baseline_answers_validation_and_test_rows(judged: ft.Run) -> None:
    report = judged.json("report.json")
    assert set(report["baselines"]) == {"majority", "tfidf", "frozen_probe", "scratch"}
    assert any("no head for these classes" in sentence for sentence in report["left_out"])
    for name in report["baselines"]:
        for part in ("validation", "test"):
            p = judged.predictions(f"{part}-{name}")
            assert p.ids == judged.predictions(part).ids and (p.labels == judged.predictions(part).labels).all()
            assert np.allclose(p.probabilities.sum(axis=1), 1)
    assert report["baselines"]["tfidf"]["test"]["accuracy"] > report["baselines"]["majority"]["test"]["accuracy"] + 0.2
    best = max(report["baselines"], key=lambda name: report["baselines"][name]["validation"]["accuracy"])
    assert report["verdict"]["against"] == report["strongest"] == best


def test_the_report_holds_every_part_of_the_verdict(judged: ft.Run) -> None:
    report = judged.json("report.json")
    verdict = report["verdict"]
    assert html.escape(verdict["says"]) in (judged.path / "report.html").read_text()
    assert verdict["low"] <= verdict["difference"] <= verdict["high"] and set(verdict["others"]) | {
        verdict["against"]
    } == set(report["baselines"])
    assert report["forgetting"]["rows"] >= 200 and report["forgetting"]["difference"]["low"] is not None
    assert report["mismatch"]["says"] and 0 <= report["mismatch"]["centroid"] <= 1
    assert {row["perturbation"] for row in report["robustness"]["table"]} >= {"typos", "case", "truncation"}
    assert {row["column"] for row in report["slices"]["table"]} >= {"length"}
    assert report["calibration"]["test"]["after"]["floor"] > 0
    assert "Better than the strongest baseline" in (judged.path / "report.html").read_text() or verdict["low"] <= 0


def test_other_seeds_and_scratch_are_runs_of_their_own(judged: ft.Run) -> None:
    assert set(judged.other_seeds) == {1}
    other, scratch = judged.other_seeds[1], ft.Run(judged.scratch)
    assert other.split == judged.split == scratch.split
    assert other.plan.values() == {**judged.plan.values(), "seed": 1}
    assert other.json("data.json")["weights"] != scratch.json("data.json")["weights"]
    seeds = judged.json("report.json")["seeds"]
    for part in ("validation", "test"):
        assert set(seeds[part]["values"]) == {"0", "1"}
        assert seeds[part]["worst"] == min(seeds[part]["values"].values())
    assert seeds["validation"]["values"]["0"] == judged.json("report.json")["validation"]["accuracy"]


def head_alone(depth: int, epoch: float) -> float:
    return float(depth == 0)


def test_from_scratch_nothing_is_frozen_whatever_the_rate(many: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 0.1, "rate": head_alone})
    run = ft.train(ft.read(many), plan, model=str(tiny_bert), out=tmp_path / "run", scratch=True)
    scratch = ft.Run(run.scratch)
    assert all(scratch.epochs[-1].rates) and not any(run.epochs[-1].rates[1:])


def test_a_run_that_answers_one_class_alone_is_named(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "learning_rate": 1e-9, "head_learning_rate": 1e-9, "epochs": 1})
    run = ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run", seeds=2)
    named = run.json("report.json")["seeds"]["degenerate"]
    one_class = {
        str(seed)
        for seed, each in {0: run, **run.other_seeds}.items()
        if len(set(each.predictions("validation").decided.tolist())) == 1
    }
    assert set(named) == one_class and all("to every row" in why for why in named.values())


def test_a_seed_that_diverges_is_named_and_the_others_count(
    reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_module.fit

    def diverging(state, batches, recipe, evaluate):  # type: ignore[no-untyped-def]
        if recipe.seed == 1:
            raise NonFiniteLoss(1, ["a row"])
        return whole(state, batches, recipe, evaluate)

    monkeypatch.setattr(train_module, "fit", diverging)
    plan = ft.Plan.of({**PLAN, "epochs": 0.5})
    run = ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run", seeds=3)
    seeds = run.json("report.json")["seeds"]
    assert seeds["degenerate"]["1"] == "the loss was no finite number any more"
    assert set(seeds["validation"]["values"]) == {"0", "2"}
    assert set(ft.evaluate(run)["seeds"]["test"]["values"]) == {"0", "2"}


def test_what_cannot_be_looked_at_is_refused_before_anything_is_trained_or_opened(
    reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    table = ft.read(reviews)
    with pytest.raises(DataError, match="no column 'txt'; did you mean 'text'"):
        ft.train(table, ft.Plan(slices=["txt"]), model=str(tiny_bert), out=tmp_path / "run")
    with pytest.raises(DataError, match=r"keep\.csv"):
        ft.train(table, ft.Plan(keep="keep.csv"), model=str(tiny_bert), out=tmp_path / "run")
    run = ft.train(table, ft.Plan.of({**PLAN, "epochs": 0.1}), model=str(tiny_bert), out=tmp_path / "run")
    with pytest.raises(DataError, match="no column 'txt'; did you mean 'text'"):
        ft.evaluate(run, slices=["txt"])
    assert not run.ledger.exists()


def test_transformers_alone_gives_the_calibrated_probabilities(judged: ft.Run, many: Path) -> None:
    calibration = judged.json("report.json")["calibration"]
    assert calibration["temperature"] != 1.0 and calibration["applied"] == "in the last layer"
    net = tf.AutoModelForSequenceClassification.from_pretrained(judged.model).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(judged.model)
    table, p = ft.read(many), judged.predictions("validation")
    texts = [table.inputs[table.position[i]][0] for i in p.ids]
    with torch.inference_mode():
        said = net(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(dim=-1).numpy()
    assert np.abs(said - p.probabilities).max() < 1e-5
    before, after = calibration["validation"]["before"], calibration["validation"]["after"]
    assert after["loss"] < before["loss"]
    assert np.allclose(cooled(p, 1 / calibration["temperature"]).decided, p.decided)


@pytest.mark.parametrize(("precision", "asked"), [("fp32", None), ("bf16", "fp32")])
def test_the_evaluation_of_the_best_model_gives_the_temperature(
    precision: str,
    asked: str | None,
    many: Path,
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks, look = list[str | None](), Job.look

    def watched(job: Job, net: torch.nn.Module, precision: str | None = None, ask: Ask | None = None) -> Answers:
        looks.append(precision)
        return look(job, net, precision, ask)

    monkeypatch.setattr(Job, "look", watched)
    plan = ft.Plan.of({**PLAN, "precision": precision})
    run = ft.train(ft.read(many), plan, model=str(tiny_bert), out=tmp_path / "run")
    # An evaluation for each epoch, and the exact answers of what is saved; there is no other.
    assert looks == [*[None] * len(run.epochs), asked]
    report = run.json("report.json")
    assert report["calibration"]["temperature"] != 1.0
    if precision == "bf16":
        (best,) = (epoch for epoch in run.epochs if epoch.step == report["best"]["step"])
        assert report["calibration"]["temperature"] == best.scores[COOLING]


def test_a_run_from_before_looks_once_more_for_its_temperature(many: Path, tiny_bert: Path) -> None:
    job = prepare(ft.read(many), ft.Plan.of({**PLAN, "precision": "bf16"}), str(tiny_bert))
    for _ in fit(job.state(), job.batches, job.recipe, job.scores):
        pass
    p, told = calibrate(job, None)
    assert p is not None and told["applied"] == "in the last layer" and told["temperature"] != 1.0
    left = replace(job, plan=job.plan.model_copy(update={"calibrate": False}))
    assert calibrate(left, None)[0] is None and COOLING not in left.scores(job.backbone.net)


def test_the_plan_can_leave_probabilities_as_they_are(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    run = ft.train(ft.read(reviews), ft.Plan.of({**PLAN, "calibrate": False}), model=str(tiny_bert), out=tmp_path / "r")
    told = run.json("report.json")["calibration"]
    assert told["temperature"] == 1.0 and "calibrate: false" in told["applied"]


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra", "deberta-v2", "modernbert", "albert"])
def test_logits_are_divided_inside_the_last_layer(kind: str, tmp_path: Path) -> None:
    backbone = load_classifier(str(tiny.save_model(tmp_path / kind, tiny.config(kind))), ["a", "b", "c"])
    inputs = dict(backbone.tokenizer(["bright film", "dull plot scene"], padding=True, return_tensors="pt"))
    net = backbone.net.eval()
    with torch.inference_mode():
        before = net(**inputs).logits
        assert cool(net, 3, 2.5, inputs)
        assert torch.allclose(net(**inputs).logits, before / 2.5, atol=1e-6)
    assert not cool(net, 7, 2.5, inputs)


def test_thresholds_are_kept_beside_the_model_and_move_labels_alone(
    many: Path, tiny_bert: Path, judged: ft.Run, tmp_path: Path
) -> None:
    costs = {"positive": {"negative": 20.0}, "negative": {"positive": 1.0}}
    plan = ft.Plan.of({**PLAN, "threshold": costs})
    run = ft.train(ft.read(many), plan, model=str(tiny_bert), out=tmp_path / "run")
    plain, p = judged.predictions("validation"), run.predictions("validation")
    assert np.allclose(p.probabilities, plain.probabilities)
    assert (p.decided == 1).sum() > (plain.decided == 1).sum()
    answered = ft.answers(run, ft.read(many), run.split.validation)
    assert (answered.decided == p.decided).all()
    report = ft.evaluate(run)
    assert report["decisions"]["goal"] == "cost"
    for part in ("validation", "test"):  # the baselines decide by what mistakes cost too
        assert (run.predictions(f"{part}-majority").decided == 1).all(), part
        assert all((run.predictions(f"{part}-{name}").rule == p.rule).all() for name in report["baselines"])
    assert report["decisions"]["test"]["after"] <= report["decisions"]["test"]["before"]
    with pytest.raises(PlanError, match="there is no class 'positiv'; did you mean 'positive'"):
        ft.train(
            ft.read(many), ft.Plan(threshold={"positiv": {"negative": 1}}), model=str(tiny_bert), out=tmp_path / "x"
        )
    with pytest.raises(PlanError, match="there is no metric 'macro_f2'; did you mean 'macro_f1'"):
        ft.train(ft.read(many), ft.Plan(threshold="macro_f2"), model=str(tiny_bert), out=tmp_path / "x")


def test_a_model_that_has_a_head_for_the_classes_answers_before_tuning(
    judged: ft.Run, many: Path, tmp_path: Path
) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 0.1})
    run = ft.train(ft.read(many), plan, model=str(judged.model), out=tmp_path / "more")
    report = run.json("report.json")
    assert report["baselines"]["untuned"]["validation"]["accuracy"] > 0.8
    assert not any("before it is tuned" in sentence for sentence in report["left_out"])


def test_a_probe_is_asked_again_as_it_was(judged: ft.Run) -> None:
    probe = kept_probe(judged)
    assert probe.weights.shape == (16, 2) and np.isfinite(probe.bias).all()


def test_baselines_may_take_a_tenth_of_the_run_or_20_seconds() -> None:
    assert budget(30) == 20 and budget(1000) == 100


def test_a_probe_that_would_take_too_long_is_fitted_on_fewer_rows(
    many: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    class Listen(Silent):
        def say(self, text: str) -> None:
            said.append(text)

    monkeypatch.setattr("finetooth.baselines.LEAST_SECONDS", 0.0)
    run = ft.train(
        ft.read(many), ft.Plan.of({**PLAN, "epochs": 1}), model=str(tiny_bert), out=tmp_path / "r", progress=Listen()
    )
    fitted = run.json("baselines.json")["fitted"]["frozen_probe"]["rows"]
    assert 128 <= fitted <= 980
    assert (fitted < 980) == any("of 980 training rows" in line for line in said)


def test_what_should_be_kept_is_told(many: Path, tiny_bert: Path, tmp_path: Path) -> None:
    keep = tiny.write_reviews(tmp_path / "keep.csv", 300, seed=8)
    plan = ft.Plan.of({**PLAN, "epochs": 1, "keep": str(keep)})
    told = ft.train(ft.read(many), plan, model=str(tiny_bert), out=tmp_path / "run").json("report.json")["forgetting"]
    assert "keep.csv" in told["probe"] and told["rows"] == 300 and told["before"]["low"] is not None


def test_a_model_with_its_pre_training_head_is_asked_for_masked_words(many: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net, tokenizer = tf.BertForMaskedLM(tiny.config("bert")), tiny.tokenizer()
    tokenizer.add_special_tokens({"mask_token": "[UNK]"})
    net.save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    plan = ft.Plan.of({**PLAN, "epochs": 0.2})
    run = ft.train(ft.read(many), plan, model=str(tmp_path / "base"), out=tmp_path / "run")
    told = run.json("report.json")["forgetting"]
    assert "masked word" in told["probe"] and told["rows"] >= 200
    # What is guessed does not depend on what stands beside it.
    texts = ["bright film scene plot", "dull cold story", "warm and clever music of the crowd"]
    whole = forgetting.masked_found(net, tokenizer, texts, 64, "cpu")
    alone = [forgetting.masked_found(net, tokenizer, [text], 64, "cpu")[0] for text in texts]
    assert whole.tolist() == alone


def test_two_runs_are_compared_on_the_same_rows(judged: ft.Run, many: Path, tiny_bert: Path, tmp_path: Path) -> None:
    lazy = ft.train(ft.read(many), ft.Plan.of({**PLAN, "epochs": 0.05}), model=str(tiny_bert), out=tmp_path / "lazy")
    found = ft.compare(judged, lazy)
    assert found["part"] == "validation" and found["rows"] == 210
    assert found["primary"]["answer"] == "first" and found["primary"]["low"] > 0
    assert "run is better than lazy by accuracy" in found["says"]
    turned = ft.compare(lazy, judged)
    assert turned["primary"]["answer"] == "second"
    assert turned["primary"]["difference"] == pytest.approx(-found["primary"]["difference"])
    same = ft.compare(judged, judged)
    assert same["primary"]["answer"] == "not shown" and same["primary"]["difference"] == 0
    assert lazy.json("report.json")["test"] is None
    assert ft.compare(judged, lazy, test=True)["part"] == "test"
    assert lazy.json("report.json")["seal"]["openings"] == 1 and lazy.json("report.json")["test"] is not None


def test_a_baseline_that_is_not_what_it_was_is_not_asked_again(many: Path, tiny_bert: Path, tmp_path: Path) -> None:
    """Training labels changed on the way, and the base model too: neither may make the tuned one look better."""
    base, data = tmp_path / "base", tmp_path / "reviews.csv"
    shutil.copytree(tiny_bert, base)
    shutil.copy(many, data)
    run = ft.train(ft.read(data), ft.Plan.of({**PLAN, "epochs": 0.1}), model=str(base), out=tmp_path / "run")
    table = ft.read(data)
    train = {table.inputs[table.position[i]][0] for i in run.split.train}
    turned = {"negative": "positive", "positive": "negative"}
    lines = [line.rsplit(",", 1) for line in data.read_text().splitlines()]
    data.write_text("".join(f"{t},{turned.get(y, y) if t in train else y}\n" for t, y in lines))
    shutil.rmtree(base)
    tiny.save_model(base, tiny.config("bert", blocks=3))
    report = ft.evaluate(run, ft.read(data))
    told = " ".join(report["left_out"])
    assert "the training rows are not there, or not as they were" in told and "is not the model any more" in told
    assert report["verdict"]["against"] == report["strongest"] == "majority"
    assert report["baselines"]["tfidf"]["test"]["accuracy"] is None


def test_a_rule_that_was_put_beside_the_model_is_refused(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    run = ft.train(ft.read(reviews), ft.Plan.of({**PLAN, "epochs": 0.1}), model=str(tiny_bert), out=tmp_path / "run")
    run.write_decisions({"names": ["negative", "positive"], "rule": [[1.0, 0.0], [0.0, 100.0]]})
    with pytest.raises(RunError, match="was not there when training ended"):
        ft.evaluate(run)
    assert not run.ledger.exists()


def test_what_no_decision_moves_gets_no_threshold(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    for plan in ({"threshold": "loss"}, {"threshold": "auto", "metric_for_best_model": "auroc"}):
        with pytest.raises(PlanError, match="which no threshold moves"):
            ft.train(ft.read(reviews), ft.Plan.of({**PLAN, **plan}), model=str(tiny_bert), out=tmp_path / "run")


def test_rows_to_keep_need_labels_before_anything_is_trained(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    keep = tmp_path / "keep.csv"
    keep.write_text("text,label\n" + "".join(f"film {i},same\n" for i in range(30)))
    with pytest.raises(DataError, match="at least two labels have to occur"):
        ft.train(ft.read(reviews), ft.Plan(keep=str(keep)), model=str(tiny_bert), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_rows_of_one_class_are_refused(reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    lines = sorted(reviews.read_text().splitlines()[1:], key=lambda line: line.rpartition(",")[2])
    folder = tmp_path / "parts"
    folder.mkdir()
    for name, part in {"train": lines[:80], "validation": lines[80:160], "test": lines[160:]}.items():
        (folder / f"{name}.csv").write_text("text,label\n" + "\n".join(part) + "\n")
    with pytest.raises(DataError, match="training rows are of one class"):
        ft.train(ft.read(folder), ft.Plan.of(PLAN), model=str(tiny_bert), out=tmp_path / "run")


def test_a_class_with_one_row_does_not_stop_the_probe(many: Path, tiny_bert: Path, tmp_path: Path) -> None:
    lines = many.read_text().splitlines()
    rows = [line for line in lines[1:] if line.endswith("positive")][:200]
    rows += [line for line in lines[1:] if line.endswith("negative")][:3]
    path = tmp_path / "rare.csv"
    path.write_text("\n".join([lines[0], *rows]) + "\n")
    run = ft.train(ft.read(path), ft.Plan.of({**PLAN, "epochs": 0.2}), model=str(tiny_bert), out=tmp_path / "run")
    assert "frozen_probe" in run.json("report.json")["baselines"]


def test_seeds_asked_for_too_late_are_refused(judged: ft.Run, many: Path, tiny_bert: Path) -> None:
    with pytest.raises(RunError, match="has ended without --seeds 4"):
        ft.train(ft.read(many), ft.Plan.of(PLAN), model=str(tiny_bert), out=judged.path, resume=True, seeds=4)


def test_runs_of_other_rows_are_not_compared(judged: ft.Run, many: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 0.05, "split": {"preset": "70-15-15", "seed": 3}})
    other = ft.train(ft.read(many), plan, model=str(tiny_bert), out=tmp_path / "other")
    with pytest.raises(RunError, match="validation rows are the same, expected all: train both"):
        ft.compare(judged, other)
