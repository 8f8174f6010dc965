"""A language model comes to prefer what people prefer: by the margin over itself before, with the whole machinery."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth import prepare as prepared
from finetooth.errors import DataError, Interrupted, PlanError, RunError
from finetooth.loop import fit
from finetooth.prepare import Job, Material
from finetooth.repair import repairs
from finetooth.tasks import TASKS, asked, conversation, fitting
from tests import tiny
from tests.test_train import StopAt

PLAN: dict[str, Any] = {"epochs": 4, "batch_size": 16, "precision": "fp32", "learning_rate": 3e-3, "freeze": 0}
Row = dict[str, Any]


def _pairs(rows: int) -> list[Row]:
    """Questions with two answers: to words of praise a bright one is preferred, to words of blame a cold one."""
    draw, found = random.Random(0), []
    for _ in range(rows):
        good = draw.random() < 0.5
        asked = " ".join(draw.sample(tiny.PLAIN, draw.randint(2, 6)) + draw.sample(tiny.GOOD if good else tiny.BAD, 2))
        answers = ["bright warm", "cold dull tedious"]
        found.append({"prompt": asked, "chosen": answers[not good], "rejected": answers[good]})
    return found


def _written(path: Path, rows: list[Row]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _written(tmp_path_factory.mktemp("pairs") / "pairs.jsonl", _pairs(300))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_causal(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def run(pairs: Path, llama: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    return ft.train(ft.read(pairs), ft.Plan.of(PLAN), model=str(llama), out=tmp_path_factory.mktemp("prefer") / "run")


def of(data: Path, llama: Path, **plan: Any) -> Job:
    material = Material.of(ft.read(data), ft.Plan.of({**PLAN, **plan}), str(llama))
    return material.ready(material.job(ft.Plan.of({**PLAN, **plan})))


def _likelihood(net: Any, tokenizer: Any, asked: str, answer: str) -> float:
    """The log of how likely the answer with its end is, by transformers alone, token by token."""
    turn = [{"role": "user", "content": asked}]
    before = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_dict=True)["input_ids"]
    after = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    with torch.inference_mode():
        logs = torch.log_softmax(net(torch.tensor([[*before, *after]])).logits[0].float(), dim=-1)
    return sum(float(logs[len(before) + i - 1, token]) for i, token in enumerate(after))


def test_what_the_network_prefers_is_what_transformers_says_of_both_answers(pairs: Path, llama: Path) -> None:
    job, table = of(pairs, llama), ft.read(pairs)
    rows = np.arange(9)
    inputs, targets = job.task.collate(job.rows, rows, job.backbone.tokenizer.pad_token_id)
    said = job.task.logits(job.backbone.net.eval(), inputs)[:, 0].tolist()
    net = tf.AutoModelForCausalLM.from_pretrained(llama).eval()
    for row in rows.tolist():
        cells = table.data.slice(table.position[job.rows.ids[row]], 1).to_pylist()[0]
        chosen, rejected = (
            _likelihood(net, job.backbone.tokenizer, cells["prompt"], cells[c]) for c in ("chosen", "rejected")
        )
        assert said[row] == pytest.approx(chosen - rejected, abs=1e-4)
        assert float(targets[row]) == pytest.approx(chosen - rejected, abs=1e-4)


def test_the_loss_begins_at_a_coin_toss_and_is_the_papers(pairs: Path, llama: Path) -> None:
    job = of(pairs, llama)
    assert job.scores(job.backbone.net.eval()) == {
        "loss": pytest.approx(math.log(2), abs=1e-6),
        "reward_accuracy": 0.5,
    }
    gains = torch.tensor([3.0, -1.0, 0.0])
    loss = of(pairs, llama, loss={"name": "dpo", "beta": 0.5}).recipe.loss
    right = [-math.log(1 / (1 + math.exp(-0.5 * gain))) for gain in gains.tolist()]
    assert loss(gains[:, None] + 7.0, torch.full((3,), 7.0)).tolist() == pytest.approx(right)


def test_losses_of_different_beta_are_reported_alike(pairs: Path, llama: Path) -> None:
    """Else a search would take the largest, and a comparison of two runs would be one of two units."""
    one, other = (of(pairs, llama, loss={"name": "dpo", "beta": beta}) for beta in (0.1, 1.0))
    said = [job.task.said(torch.tensor([[3.0]]), torch.tensor([1.0]), torch.ones(1)) for job in (one, other)]
    assert said[0][0, 0] == said[1][0, 0] and one.recipe.loss is not other.recipe.loss
    for beta in (-1, 0, "x", True, math.inf):
        with pytest.raises(PlanError, match=r"dpo: beta: found .*, expected a number above 0"):
            of(pairs, llama, loss={"name": "dpo", "beta": beta})


def test_pieces_of_a_batch_make_the_gradient_of_the_whole(pairs: Path, llama: Path) -> None:
    found = []
    for how in ({"batch_size": 16}, {"batch_size": 4, "gradient_accumulation_steps": 4}):
        job = of(pairs, llama, **how)
        next(iter(fit(job.state(), job.batches, job.recipe, job.scores)))
        found.append({name: p.detach().clone() for name, p in job.backbone.net.named_parameters()})
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-5)


def test_it_learns_and_is_judged_against_the_model_as_it_was(run: ft.Run, llama: Path) -> None:
    assert run.plan.task == "preference" and run.plan.metric_for_best_model == "loss"
    report = ft.evaluate(run)
    assert report["test"]["reward_accuracy"]["value"] > 0.9
    assert report["baselines"]["untuned"]["test"]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert report["baselines"]["untuned"]["test"]["reward_accuracy"] == 0.5
    said = report["written"]
    assert said["token_f1"]["after"]["value"] > said["token_f1"]["before"]["value"]
    assert report["forgetting"]["probe"].startswith("the next token of an unseen prompt")
    page = (run.path / "report.html").read_text()
    assert "reward accuracy" in page and "What it writes, before and after" in page
    assert "preferred: <b>" in page and "right: <b>" not in page  # neither answer is wrong, one is liked better
    # The saved model alone, beside the one that was tuned: the preferred answer has gained.
    table, (net, tokenizer) = ft.read(run.json("data.json")["source"]), TASKS["preference"].tuned(run.model)
    before = tf.AutoModelForCausalLM.from_pretrained(llama).eval()
    p = run.predictions("validation")
    for row, row_id in enumerate(p.ids[:5]):
        cells = table.data.slice(table.position[row_id], 1).to_pylist()[0]
        margin = [
            _likelihood(each, tokenizer, cells["prompt"], cells["chosen"])
            - _likelihood(each, tokenizer, cells["prompt"], cells["rejected"])
            for each in (net, before)
        ]
        gain = margin[0] - margin[1]
        assert float(p.said[row, 0]) == pytest.approx(math.log1p(math.exp(-0.1 * gain)), abs=1e-4)
        assert float(p.said[row, 1]) == float(gain > 0)


def test_an_adapter_above_frozen_blocks_learns_and_the_frozen_ones_are_computed_once(
    pairs: Path, llama: Path, tmp_path: Path
) -> None:
    how = {**PLAN, "epochs": 2, "freeze": 1, "adapter": {"type": "lora", "r": 4}}
    table, said = ft.read(pairs), []
    for cache in ("auto", "off"):
        done = ft.train(table, ft.Plan.of({**how, "cache": cache}), model=str(llama), out=tmp_path / cache)
        said.append(done.predictions("validation").said)
        assert (done.adapter / "adapter_config.json").exists()
    np.testing.assert_allclose(said[0], said[1], atol=1e-4)
    assert said[0][:, 1].mean() > 0.7


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers for it
@pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning")  # which it counts by itself
def test_tokens_before_a_text_are_held_against_the_model_without_them(pairs: Path, llama: Path, tmp_path: Path) -> None:
    table, adapter = ft.read(pairs), {"type": "prompt", "num_virtual_tokens": 4}
    plain = of(pairs, llama)
    soft = of(pairs, llama, freeze="auto", adapter=adapter)
    np.testing.assert_allclose(soft.rows.targets, plain.rows.targets, atol=1e-5)
    plan = ft.Plan.of({**PLAN, "freeze": "auto", "learning_rate": 3e-2, "adapter": adapter})
    done = ft.train(table, plan, model=str(llama), out=tmp_path / "run")
    assert done.epochs[-1].scores["loss"] < done.epochs[0].scores["loss"]
    assert ft.evaluate(done)["baselines"]["untuned"]["test"]["loss"] == pytest.approx(math.log(2), abs=1e-6)


def test_a_stopped_run_ends_in_the_same_bits_in_bf16(pairs: Path, llama: Path, tmp_path: Path) -> None:
    table, plan = ft.read(pairs), ft.Plan.of({**PLAN, "precision": "bf16", "epochs": 2})
    whole = ft.train(table, plan, model=str(llama), out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        ft.train(table, plan, model=str(llama), out=tmp_path / "run", progress=StopAt(20))
    again = ft.train(table, plan, model=str(llama), out=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(again.predictions("validation").said, whole.predictions("validation").said)


def test_folds_and_trials_ask_the_untuned_model_once(
    pairs: Path, llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, preferred = [], prepared.preferred

    def noted(*args: Any, **how: Any) -> Any:
        asked.append(1)
        return preferred(*args, **how)

    monkeypatch.setattr(prepared, "preferred", noted)
    table, plan = ft.read(pairs), ft.Plan.of({**PLAN, "epochs": 1})
    report = ft.validate(table, plan, model=str(llama), out=tmp_path / "folds", folds=3, rows=120)
    assert set(report["baselines"]) == {"untuned"} and len(asked) == 1
    assert report["baselines"]["untuned"]["scores"]["reward_accuracy"] == 0.5
    found = ft.search(
        table,
        ft.Plan.of({**PLAN, "epochs": 1, "learning_rate": "auto"}),
        model=str(llama),
        out=tmp_path / "search",
        space={"learning_rate": [1e-6, 3e-3]},
        trials=2,
        tuner="grid",
        rows=100,
    )
    assert found["best"]["values"]["learning_rate"] == 3e-3 and len(asked) == 2


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


SHAPES: dict[str, Any] = {
    "a question": lambda row: {"question": row["prompt"], "chosen": row["chosen"], "rejected": row["rejected"]},
    "whole conversations": lambda row: {
        side: [_turn("user", row["prompt"]), _turn("assistant", row[side])] for side in ("chosen", "rejected")
    },
    "whole conversations beside a prompt": lambda row: {
        "prompt": row["prompt"],
        "messages": [_turn("user", row["prompt"]), _turn("assistant", row["chosen"])],
        **{side: [_turn("user", row["prompt"]), _turn("assistant", row[side])] for side in ("chosen", "rejected")},
    },
    "messages": lambda row: {
        "prompt": [_turn("user", row["prompt"])],
        **{side: [_turn("assistant", row[side])] for side in ("chosen", "rejected")},
    },
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_in_which_preferences_are_published_is_the_same(
    shape: str, pairs: Path, llama: Path, tmp_path: Path
) -> None:
    rows = _pairs(40)
    plain = ft.read(_written(tmp_path / "plain.jsonl", rows))
    other = ft.read(_written(tmp_path / "other.jsonl", [SHAPES[shape](row) for row in rows]))
    tokenizer = tf.AutoTokenizer.from_pretrained(llama)
    task = TASKS["preference"]
    task.names(other)
    first, second = (task.encode(table, table.ids, [], tokenizer, 48) for table in (plain, other))
    np.testing.assert_array_equal(first.tokens, second.tokens)
    np.testing.assert_array_equal(first.types, second.types)
    assert first.windows is not None and second.windows is not None
    np.testing.assert_array_equal(first.windows.flat, second.windows.flat)
    assert fitting(other, str(llama))[0] == "preference"


def test_the_preferred_answers_alone_can_be_learnt_too(llama: Path, tmp_path: Path) -> None:
    rows = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in _pairs(40)]
    preferred = ft.read(_written(tmp_path / "pairs.jsonl", _pairs(40)))
    assert TASKS["instruction"].names(preferred) == []
    plain = ft.read(_written(tmp_path / "rows.jsonl", rows))
    tokenizer = tf.AutoTokenizer.from_pretrained(llama)
    one, other = (TASKS["instruction"].encode(table, table.ids, [], tokenizer, 48) for table in (preferred, plain))
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_array_equal(one.marks, other.marks)


def test_of_several_turns_the_last_alone_counts_and_is_asked_for(llama: Path, tmp_path: Path) -> None:
    rows = []
    for row in _pairs(40):
        before = [_turn("user", "film scene"), _turn("assistant", "bright"), _turn("user", row["prompt"])]
        rows.append({side: [*before, _turn("assistant", row[side])] for side in ("chosen", "rejected")})
    table = ft.read(_written(tmp_path / "rows.jsonl", rows))
    job = of(tmp_path / "rows.jsonl", llama)
    inputs, _ = job.task.collate(job.rows, np.arange(1), 0)
    tokenizer = job.backbone.tokenizer
    row = table.position[job.rows.ids[0]]
    reads = inputs["reads"]
    learnt = [tokenizer.decode(ids[1:][mask[:-1]]) for ids, mask in zip(inputs["input_ids"], reads, strict=True)]
    assert learnt == [f"{rows[row][side][-1]['content']} [SEP]" for side in ("chosen", "rejected")]
    assert asked(table, row) == rows[row]["chosen"][:-1] and conversation(table, row) == rows[row]["chosen"]
    prompts = job.task.prompts(table, [job.rows.ids[0]], tokenizer, 48)  # type: ignore[attr-defined]
    said = tokenizer.decode(prompts[0])
    assert said.startswith("[CLS] film scene story bright [SEP]") and rows[row]["chosen"][2]["content"] in said


def test_answers_that_are_cut_to_the_same_are_refused(llama: Path, tmp_path: Path) -> None:
    rows = [{"prompt": row["prompt"], "chosen": "bright warm", "rejected": "bright cold"} for row in _pairs(40)]
    table = ft.read(_written(tmp_path / "rows.jsonl", rows))
    tokenizer, task = tf.AutoTokenizer.from_pretrained(llama), TASKS["preference"]
    whole = int(task.encode(table, table.ids[:1], [], tokenizer, 48).whole[0])
    with pytest.raises(PlanError, match=f"both answers are the same within max_length {whole - 2}"):
        task.encode(table, table.ids[:1], [], tokenizer, whole - 2)


def test_the_seal_and_the_ids_know_both_answers(pairs: Path, llama: Path, run: ft.Run, tmp_path: Path) -> None:
    rows = _pairs(300)
    first = [{**rows[0], "rejected": answer} for answer in ("cold", "dull cold", "tedious")]
    tables = [ft.read(_written(tmp_path / f"{n}.jsonl", each)) for n, each in enumerate((first, first[::-1]))]
    by_id = [dict(zip(table.ids, table.rejected or [], strict=True)) for table in tables]
    assert by_id[0] == by_id[1] and len(by_id[0]) == 3
    assert not [change for change in repairs(ft.check(tables[0])) if change.action in ("drop", "change")]
    table = ft.read(pairs)
    sealed = table.position[run.split.test[0]]
    rows[sealed]["rejected"] = "dull"
    other = ft.read(_written(tmp_path / "other.jsonl", rows))
    with pytest.raises(RunError, match="what else stands in the row, was changed"):
        ft.evaluate(run, other)


def test_names_of_labelled_tables_are_left_alone(tmp_path: Path) -> None:
    rows = [{"text": f"film {i}", "label": "ab"[i % 2], "chosen": str(i), "rejected": str(2 * i)} for i in range(40)]
    table = ft.read(_written(tmp_path / "rows.jsonl", rows))
    assert table.columns.input == ("text",) and table.columns.label == "label" and table.columns.rejected is None
    rows = [{"question": f"film {i}", "chosen": "ab"[i % 2]} for i in range(40)]
    table = ft.read(_written(tmp_path / "choice.jsonl", rows), input="question", label="chosen")
    assert fitting(table, "minilm")[0] == "text-classification"
    rows = [{"instruction": "say", "input": f"film {i}", "chosen": "warm", "rejected": "cold"} for i in range(40)]
    assert ft.read(_written(tmp_path / "alpaca.jsonl", rows)).columns.input == ("instruction", "input")


def test_what_is_no_preference_is_refused_by_row(llama: Path, tmp_path: Path) -> None:
    rows = _pairs(40)

    def refused(rows: list[Row], **plan: Any) -> str:
        with pytest.raises((DataError, PlanError)) as told:
            of(_written(tmp_path / "rows.jsonl", rows), llama, **plan)
        return str(told.value)

    same = [*rows[:3], {**rows[3], "rejected": rows[3]["chosen"]}, *rows[4:]]
    assert "rows.jsonl, row 4: both answers are the same, so that neither is preferred; so for 1 of 40" in refused(same)
    empty = [*rows[:5], {**rows[5], "rejected": " "}, *rows[6:]]
    assert "rows.jsonl, row 6, column 'rejected': is empty" in refused(empty)
    alone = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in rows]
    assert "and a column 'rejected' with the others" in refused(alone, task="preference")
    other = [SHAPES["whole conversations"](row) for row in rows]
    other[2]["rejected"][0]["content"] = "film scene"
    assert "row 3: what stands before the last answer of the preferred conversation" in refused(other)
    without = [{"chosen": row["chosen"], "rejected": row["rejected"]} for row in rows]
    assert "expected a list of messages" in refused(without) and "column 'prompt' beside it" in refused(without)
    picture = [SHAPES["messages"](row) for row in rows]
    picture[1]["chosen"][0]["content"] = [{"type": "text"}]
    assert "row 2, column 'chosen': found" in refused(picture)
    ends = [SHAPES["whole conversations"](row) for row in rows]
    ends[4]["rejected"].append(_turn("user", "film"))
    assert "row 5, column 'rejected': the last message is no answer" in refused(ends)
    assert "packing: " in refused(rows, packing=True)
    assert "loss: cross-entropy is not for this task" in refused(rows, loss="cross-entropy")
    assert "nothing is left within max_length 5" in refused(rows, max_length=5)


def test_predict_writes_answers(run: ft.Run, pairs: Path) -> None:
    table = ft.read(pairs)
    ids = list(run.split.validation[:4])
    assert all(ft.replies(run, table, ids).texts)
    p = ft.answers(run, table, ids)
    np.testing.assert_allclose(p.said, run.predictions("validation").said[:4], atol=1e-4)


def test_an_answer_that_is_a_list_of_something_else_is_a_text(llama: Path, tmp_path: Path) -> None:
    rows = [{"prompt": row["prompt"], "completion": json.dumps([{"word": row["chosen"]}])} for row in _pairs(40)]
    job = of(_written(tmp_path / "rows.jsonl", rows), llama)
    assert job.plan.task == "instruction" and len(job.training) == 32


def test_a_rehearsal_foretells_it_without_asking_the_untuned_model(pairs: Path, llama: Path, tmp_path: Path) -> None:
    told = ft.rehearse(ft.read(pairs), ft.Plan.of(PLAN), model=str(llama), out=tmp_path / "run")
    assert told["seconds"]["prepare"] > 0 and told["steps"] == 60 and not (tmp_path / "run").exists()
