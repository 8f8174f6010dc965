"""Texts that are longer than the network reads: the end cut, head and tail, or windows whose logits are averaged."""

from __future__ import annotations

import csv
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth.conclude import settle
from finetooth.errors import PlanError
from finetooth.loop import fit
from finetooth.predict import predict
from finetooth.prepare import Job, decisions, findings, prepare
from finetooth.tasks import TASKS, reading
from finetooth.tasks.base import MOST_WINDOWS, edges, pieces
from tests import tiny

SHORT = 10  # tokens that are read at once, special ones among them
PLAN: dict[str, Any] = {"epochs": 2, "batch_size": 8, "precision": "fp32", "learning_rate": 1e-2, "freeze": 0}
PLAN |= {"max_length": SHORT, "long": "windows", "dropout": 0.0}


@pytest.fixture(scope="module")
def late(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 texts of 6 to 24 plain words; the class is told by three words that stand last but three."""
    path, draw = tmp_path_factory.mktemp("late") / "late.csv", random.Random(0)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for i in range(200):
            words, kind = draw.choices(tiny.PLAIN, k=draw.randint(6, 24)), (tiny.GOOD, tiny.BAD)[i % 2]
            words[-3:-3] = draw.choices(kind, k=3)
            writer.writerow([" ".join(words), ("good", "bad")[i % 2]])
    return path


@pytest.fixture(scope="module")
def run(late: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    plan, out = ft.Plan.of({**PLAN, "epochs": 6}), tmp_path_factory.mktemp("long") / "run"
    return ft.train(ft.read(late), plan, model=str(tiny_bert), out=out)


def of(data: Path, model: Path, **plan: Any) -> Job:
    return prepare(ft.read(data), ft.Plan.of({**PLAN, **plan}), str(model))


def test_head_and_tail_are_a_quarter_and_the_rest() -> None:
    row = [2, *range(100, 150), 3]
    assert pieces(row, 14, (1, 1), "head_tail") == [[2, 100, 101, 102, *range(141, 150), 3]]
    assert pieces(row, 52, (1, 1), "head_tail") == pieces(row, 52, (1, 1), "windows") == [row]
    assert edges(tiny.tokenizer()) == (1, 1)


@pytest.mark.parametrize("tokens", [11, 12, 30, 77, 128])
def test_windows_read_every_token_and_overlap_by_a_quarter(tokens: int) -> None:
    found = pieces([2, *range(100, 100 + tokens), 3], SHORT, (1, 1), "windows")
    assert {len(piece) for piece in found} == {SHORT} and {(piece[0], piece[-1]) for piece in found} == {(2, 3)}
    assert {token for piece in found for token in piece[1:-1]} == set(range(100, 100 + tokens))
    assert found[0][1] == 100 and found[-1][-2] == 99 + tokens
    assert tokens > 98 or all(len({*one} & {*after}) >= 2 + 2 for one, after in pairwise(found))


def test_of_a_very_long_row_windows_are_spread_over_all_of_it() -> None:
    found = pieces([2, *range(1000), 3], SHORT, (1, 1), "windows")
    starts = np.diff([piece[1] for piece in found])
    assert len(found) == MOST_WINDOWS and found[-1][-2] == 999 and starts.max() - starts.min() <= 1


def test_a_row_says_the_mean_of_its_windows_and_so_do_its_gradients(late: Path, tiny_bert: Path) -> None:
    job = of(late, tiny_bert)
    net, rows = job.backbone.net.eval(), np.arange(6)
    inputs, targets = job.task.collate(job.rows, rows, 0)
    torch.nn.functional.cross_entropy(job.task.logits(net, inputs), targets).backward()
    ours = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    by_hand = []
    for row in rows:
        windows = [torch.from_numpy(job.rows.tokens[part].astype(np.int64))[None] for part in job.rows.sequences([row])]
        by_hand.append(torch.stack([net(input_ids=window).logits[0] for window in windows]).mean(dim=0))
    torch.nn.functional.cross_entropy(torch.stack(by_hand), targets).backward()
    for name, p in net.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(ours[name], p.grad, rtol=1e-4, atol=1e-6)


def test_pieces_of_a_batch_make_the_gradient_of_the_whole(late: Path, tiny_bert: Path) -> None:
    found = []
    for how in ({"batch_size": 16}, {"batch_size": 4, "gradient_accumulation_steps": 4}):
        job = of(late, tiny_bert, **how)
        next(iter(fit(job.state(), job.batches, job.recipe, job.scores)))
        found.append({name: p.detach().clone() for name, p in job.backbone.net.named_parameters()})
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-4)


def test_windows_and_the_tail_learn_what_the_beginning_does_not_tell(run: ft.Run, late: Path, tiny_bert: Path) -> None:
    report = ft.evaluate(run)
    right = {"windows": report["validation"]["accuracy"]}
    for long in ("head_tail", "cut"):
        job = of(late, tiny_bert, epochs=6, long=long)
        *_, last = fit(job.state(), job.batches, job.recipe, job.scores)
        assert last.ended is not None
        right[long] = last.ended.scores["accuracy"]
    assert right["windows"] >= 0.9 and right["head_tail"] >= 0.9 and right["cut"] <= 0.8, right
    assert report["robustness"]["table"] and set(report["baselines"]) >= {"frozen_probe", "tfidf"}


def test_transformers_alone_says_the_same_of_each_window(run: ft.Run, late: Path) -> None:
    table = ft.read(late)
    ids = list(run.split.validation)
    net = tf.AutoModelForSequenceClassification.from_pretrained(run.model).eval()
    tokenizer = tf.AutoTokenizer.from_pretrained(run.model)
    for row_id, said in zip(ids, ft.answers(run, table, ids).said, strict=True):
        row = tokenizer(table.inputs[table.position[row_id]][0])["input_ids"]
        with torch.inference_mode():
            logits = [net(input_ids=torch.tensor([piece])).logits[0] for piece in pieces(row, SHORT, (1, 1), "windows")]
        np.testing.assert_allclose(torch.stack(logits).mean(dim=0).softmax(dim=-1).numpy(), said, atol=1e-5)


def test_a_row_is_found_as_likely_alone_as_among_others(run: ft.Run, late: Path) -> None:
    table, task = ft.read(late), reading(TASKS["text-classification"], "windows")
    net, tokenizer = task.tuned(run.model)
    how: dict[str, Any] = {"pad": tokenizer.pad_token_id, "precision": "fp32", "device": "cpu"}
    names = ["bad", "good"]
    together = predict(net, task, task.encode(table, table.ids[:20], names, tokenizer, SHORT), names, **how)
    for i, row_id in enumerate(table.ids[:20]):
        alone = predict(net, task, task.encode(table, [row_id], names, tokenizer, SHORT), names, **how)
        np.testing.assert_allclose(alone.said[0], together.said[i], atol=1e-5)


def test_with_and_without_the_store_the_same(
    late: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETOOTH_CACHE", str(tmp_path / "cache"))
    said = []
    for cache in ("off", "auto"):
        job = of(late, tiny_bert, freeze=1, cache=cache)
        for _ in fit(job.state(), job.batches, job.recipe, job.scores):
            pass
        said.append(job.look(job.backbone.net).said)
    assert any((tmp_path / "cache" / "prefix").iterdir())
    np.testing.assert_allclose(said[0], said[1], atol=1e-4)


@pytest.mark.parametrize("task", ["text-regression", "multi-label"])
def test_numbers_and_several_labels_are_read_in_windows_too(
    late: Path, tiny_bert: Path, tmp_path: Path, task: str
) -> None:
    """What a network says of windows stays what it says of their row when its last layer is put into a unit."""
    lines = late.read_text().splitlines()
    label = {"text-regression": lambda i: f"{i % 50}.5", "multi-label": lambda i: ("a|b", "b", "a")[i % 3]}[task]
    made = [lines[0], *(f"{line.rpartition(',')[0]},{label(i)}" for i, line in enumerate(lines[1:101]))]
    (tmp_path / "rows.csv").write_text("\n".join(made) + "\n")
    job = of(tmp_path / "rows.csv", tiny_bert, max_steps=4, epochs=None)
    assert job.plan.task == task and job.rows.windows is not None
    for _ in fit(job.state(), job.batches, job.recipe, job.scores):
        pass
    before = job.look(job.backbone.net).said
    settled = settle(job, {})[0]
    np.testing.assert_allclose(settled.look(settled.backbone.net).said, before, atol=1e-3)


def test_what_is_long_is_told(late: Path, tiny_bert: Path) -> None:
    table, cut, windows = ft.read(late), of(late, tiny_bert, long="cut"), of(late, tiny_bert)
    (found,) = [finding for finding in findings(table, cut) if finding.check == "truncation"]
    assert "no more are read" in found.says and "long: head_tail" in found.remedy
    assert not [finding for finding in findings(table, windows) if finding.check == "truncation"]
    assert any("rows have more than 10 tokens, and are read in" in sentence for sentence in decisions(windows))


def test_where_it_means_nothing_it_is_refused(late: Path, tiny_bert: Path, tmp_path: Path) -> None:
    rows = [line.split(",") for line in late.read_text().splitlines()[1:]]
    pairs = "\n".join(f"{text},{text},{label}" for text, label in rows)
    (tmp_path / "pairs.csv").write_text(f"text,text_pair,label\n{pairs}\n")
    with pytest.raises(PlanError, match="long: found windows, which is for one text a row, and these rows have two"):
        of(tmp_path / "pairs.csv", tiny_bert)
    for task in ("instruction", "seq2seq", "image-classification"):
        with pytest.raises(PlanError, match="long: found head_tail, which is for text-classification, text-regression"):
            reading(TASKS[task], "head_tail")
