"""Pairs of texts: both are read, in their order, with the whole machinery of one text."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth.errors import DataError
from finetooth.prepare import prepare
from finetooth.tasks import tokenized
from tests import tiny

PLAN = {"epochs": 8, "batch_size": 16, "precision": "fp32", "learning_rate": 5e-3, "freeze": 0}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 pairs; the label says whether the second text praises, whatever the first does."""
    path, draw = tmp_path_factory.mktemp("pairs") / "pairs.csv", random.Random(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "text_pair", "label"])
        for _ in range(400):
            kinds = [draw.choice([tiny.GOOD, tiny.BAD]) for _ in range(2)]
            texts = [" ".join(draw.sample(tiny.PLAIN, 4) + draw.sample(kind, 2)) for kind in kinds]
            writer.writerow([*texts, "yes" if kinds[1] is tiny.GOOD else "no"])
    return path


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT whose tokenizer says in which of two texts a token stands."""
    return tiny.save_model(tmp_path_factory.mktemp("bert"), tiny.config("bert"), types=True)


@pytest.fixture(scope="module")
def run(pairs: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    return ft.train(ft.read(pairs), ft.Plan.of(PLAN), model=str(bert), out=tmp_path_factory.mktemp("pair") / "run")


def test_two_text_columns_make_pairs_and_the_run_says_so(run: ft.Run) -> None:
    assert run.plan.task == "text-pair" and run.json("report.json")["task"] == "text-pair"
    assert run.columns.input == ("text", "text_pair")


def test_the_second_text_is_read_and_the_verdict_is_that_of_any_task(run: ft.Run, pairs: Path) -> None:
    report = ft.evaluate(run)
    assert report["test"]["accuracy"]["value"] > 0.9
    assert set(report["baselines"]) >= {"majority", "tfidf", "frozen_probe"}
    assert report["verdict"]["says"]


def test_transformers_alone_says_the_same_of_pairs(run: ft.Run, pairs: Path) -> None:
    table = ft.read(pairs)
    p = ft.answers(run, table, run.split.validation)
    pipe = tf.pipeline("text-classification", model=str(run.model), top_k=None)
    for row_id, probabilities in zip(p.ids, p.probabilities, strict=True):
        first, second = table.inputs[table.position[row_id]]
        said = {each["label"]: each["score"] for each in pipe({"text": first, "text_pair": second})}
        assert [said[name] for name in p.names] == pytest.approx(probabilities.tolist(), abs=1e-5)


def test_the_order_of_the_two_counts(run: ft.Run) -> None:
    net, tokenizer = (
        tf.AutoModelForSequenceClassification.from_pretrained(run.model),
        tf.AutoTokenizer.from_pretrained(run.model),
    )
    good, bad = (" ".join(tiny.PLAIN[:4] + kind[:2]) for kind in (tiny.GOOD, tiny.BAD))
    with torch.inference_mode():
        said = [
            net(**tokenizer(a, b, return_tensors="pt")).logits.argmax().item() for a, b in ((good, bad), (bad, good))
        ]
    assert said[0] != said[1]


def test_which_text_a_token_stands_in_reaches_the_network(pairs: Path, bert: Path) -> None:
    job = prepare(ft.read(pairs), ft.Plan.of(PLAN), str(bert))
    inputs, _ = job.task.collate(job.rows, np.arange(5), 0)
    assert inputs["token_type_ids"].shape == inputs["input_ids"].shape
    for ids, types, mask in zip(
        *(inputs[key] for key in ("input_ids", "token_type_ids", "attention_mask")), strict=True
    ):
        ends = (ids == 3).nonzero().flatten().tolist()  # [SEP] after each text
        assert len(ends) == 2 and types[: ends[0] + 1].sum() == 0
        assert types[ends[0] + 1 : ends[1] + 1].all() and not types[mask == 0].any()


def test_what_is_too_long_loses_tokens_of_the_longer_text_first(bert: Path) -> None:
    tokenizer = tf.AutoTokenizer.from_pretrained(bert)
    long, short = " ".join(tiny.PLAIN[:3] * 10), tiny.GOOD[0]
    encoded = tokenized([(long, short)], tokenizer, 12, ids=["a"], targets=np.array([0]))
    assert encoded.lengths.tolist() == [12] and encoded.whole.tolist() == [34]
    assert tokenizer.convert_tokens_to_ids(short) in encoded.tokens.tolist()
    assert encoded.types is not None and len(encoded.types) == 12


@pytest.mark.parametrize(("columns", "task"), [("text,text_pair", "text-classification"), ("text", "text-pair")])
def test_the_wrong_number_of_columns_is_refused_with_the_right_task(
    columns: str, task: str, pairs: Path, bert: Path
) -> None:
    with pytest.raises(DataError, match=r"expected (one|two) columns? of texts.*leave task at auto"):
        prepare(ft.read(pairs, input=columns), ft.Plan.of({**PLAN, "task": task}), str(bert))


@pytest.mark.parametrize("names", [("sentence1", "sentence2"), ("premise", "hypothesis"), ("question1", "question2")])
def test_pairs_are_known_by_the_usual_names(names: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f"id2,{names[1]},{names[0]},label\n1,b,a,x\n2,d,c,y\n", encoding="utf-8")
    table = ft.read(tmp_path / "rows.csv")
    assert table.columns.input == names and list(table.inputs[0]) == ["a", "b"]
