"""A language model learns to answer: on the answers alone, with the whole machinery."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from pyarrow import parquet

import finetooth as ft
from finetooth.backbones import attention, causal
from finetooth.errors import Interrupted, ModelError, PlanError, RunError
from finetooth.loop import fit
from finetooth.prepare import Job, prepare
from finetooth.tasks import TASKS
from tests import tiny
from tests.test_train import StopAt

PLAN: dict[str, Any] = {"epochs": 8, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-2, "freeze": 0}


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_talks(tmp_path_factory.mktemp("talks") / "talks.jsonl", 300)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_causal(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def run(talks: Path, llama: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    return ft.train(ft.read(talks), ft.Plan.of(PLAN), model=str(llama), out=tmp_path_factory.mktemp("talk") / "run")


def of(talks: Path, llama: Path, **plan: Any) -> Job:
    return prepare(ft.read(talks), ft.Plan.of({**PLAN, **plan}), str(llama))


def test_only_the_tokens_of_the_answers_are_targets(talks: Path, llama: Path) -> None:
    job = of(talks, llama)
    rows = np.arange(7)
    inputs, targets = job.task.collate(job.rows, rows, job.backbone.tokenizer.pad_token_id)
    table, tokenizer = ft.read(talks), job.backbone.tokenizer
    right = [f"{table.labels[table.position[job.rows.ids[i]]]} [SEP]" for i in rows]
    assert tokenizer.decode(targets.tolist()) == " ".join(right)
    assert int(inputs["reads"].sum()) == len(targets) == int(job.rows.counts[rows].sum())


def test_the_loss_is_that_of_transformers_with_the_prompt_masked(talks: Path, llama: Path) -> None:
    job = of(talks, llama)
    rows = np.arange(9)
    inputs, targets = job.task.collate(job.rows, rows, job.backbone.tokenizer.pad_token_id)
    net = job.backbone.net.eval()
    ours = torch.nn.functional.cross_entropy(job.task.logits(net, inputs), targets)
    labels = torch.full_like(inputs["input_ids"], -100)
    labels[:, 1:][inputs["reads"][:, :-1]] = inputs["input_ids"][:, 1:][inputs["reads"][:, :-1]]
    theirs = net(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)


def test_pieces_of_a_batch_make_the_gradient_of_the_whole(talks: Path, llama: Path) -> None:
    """Every token of an answer counts alike, however the step is cut."""
    found = []
    for how in ({"batch_size": 16}, {"batch_size": 4, "gradient_accumulation_steps": 4}):
        job = of(talks, llama, **how)
        next(iter(fit(job.state(), job.batches, job.recipe, job.scores)))
        found.append({name: p.detach().clone() for name, p in job.backbone.net.named_parameters()})
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-5)


SMALL: dict[str, Any] = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
LLAMAS: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
DECODERS: dict[str, Any] = {
    "llama": lambda: tf.LlamaConfig(**SMALL, **LLAMAS, num_key_value_heads=1),
    "qwen2": lambda: tf.Qwen2Config(**SMALL, **LLAMAS, num_key_value_heads=1),
    "gemma": lambda: tf.GemmaConfig(**SMALL, **LLAMAS, num_key_value_heads=1, head_dim=8),
    "gpt2": lambda: tf.GPT2Config(**SMALL, n_embd=16, n_layer=2, n_head=2, n_positions=64),
    "gpt-neox": lambda: tf.GPTNeoXConfig(**SMALL, **LLAMAS, max_position_embeddings=64),
    "bloom": lambda: tf.BloomConfig(**SMALL, hidden_size=16, n_layer=2, n_head=2),
}


@pytest.mark.parametrize("kind", DECODERS)
def test_rows_that_share_a_sequence_give_the_loss_and_the_gradients_of_rows_alone(
    kind: str, talks: Path, llama: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    tf.AutoModelForCausalLM.from_config(DECODERS[kind]()).save_pretrained(tmp_path)
    tf.AutoTokenizer.from_pretrained(llama).save_pretrained(tmp_path)
    if kind == "bloom":  # its positions are counted from the mask
        with pytest.raises(PlanError, match="rows that share a sequence are not what they are alone"):
            of(talks, tmp_path, packing=True)
        return
    job = of(talks, tmp_path, packing=True, dropout=0.0)
    net, apart = job.backbone.net, replace(job.batches, pack=False)
    rows, found = job.batches.order(0)[0], []
    sequences = job.batches.batch(rows).inputs["input_ids"].shape[0]
    assert sequences < len(rows) == apart.batch(rows).inputs["input_ids"].shape[0]
    for batches in (job.batches, apart):
        batch = batches.batch(rows)
        losses = job.recipe.loss(job.task.logits(net, batch.inputs), batch.targets)
        net.zero_grad()
        losses.sum().backward()
        sums = {row: losses.detach()[torch.from_numpy(batch.owners == row)] for row in rows.tolist()}
        found.append((sums, {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}))
    for ours, theirs in zip(*found, strict=True):
        for key in theirs:
            torch.testing.assert_close(ours[key], theirs[key], rtol=1e-5, atol=1e-5)


def test_a_packed_run_goes_through_every_row_and_learns(talks: Path, llama: Path, tmp_path: Path) -> None:
    job = of(talks, llama, packing=True)
    pieces = [batch for step in replace(job.batches, at_once=600)(0) for batch in step]
    assert sorted(np.concatenate([batch.rows for batch in pieces]).tolist()) == list(range(len(job.training)))
    assert max(batch.inputs["input_ids"].numel() for batch in pieces) <= 600
    run = ft.train(ft.read(talks), ft.Plan.of({**PLAN, "packing": True}), model=str(llama), out=tmp_path / "run")
    assert run.epochs[-1].scores["loss"] < run.epochs[0].scores["loss"] / 2
    with pytest.raises(PlanError, match="packing and adapter contradict each other"):
        of(talks, llama, packing=True, adapter={"type": "prompt"})


def test_it_learns_to_answer_and_is_judged_against_the_model_as_it_was(run: ft.Run) -> None:
    report = ft.evaluate(run)
    assert report["task"] == "instruction" and set(report["baselines"]) == {"untuned"}
    assert report["test"]["loss"]["value"] < report["baselines"]["untuned"]["test"]["loss"] / 2
    said = report["written"]
    assert said["exact_match"]["after"]["value"] > 0.8 > said["exact_match"]["before"]["value"]
    assert report["forgetting"]["probe"] and report["verdict"]["says"]
    page = (run.path / "report.html").read_text()
    assert "What it writes, before and after" in page and "bright warm" in page


def test_transformers_alone_writes_the_same(run: ft.Run, talks: Path) -> None:
    table = ft.read(talks)
    ids = run.split.validation[:8]
    ours = ft.replies(run, table, ids).texts
    net = tf.AutoModelForCausalLM.from_pretrained(run.model)
    tokenizer = tf.AutoTokenizer.from_pretrained(run.model)
    for row_id, text in zip(ids, ours, strict=True):
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": table.inputs[table.position[row_id]][0]}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        out = net.generate(**asked, max_new_tokens=8, do_sample=False, pad_token_id=0, eos_token_id=3)
        assert tokenizer.decode(out[0, asked["input_ids"].shape[1] :], skip_special_tokens=True).strip() == text


def test_how_many_are_answered_at_once_changes_nothing(
    run: ft.Run, talks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, seen = ft.read(talks), list[tuple[int, ...]]()
    together = ft.replies(run, table, run.split.validation).texts
    generate = tf.LlamaForCausalLM.generate

    def noted(self: Any, input_ids: torch.Tensor, **how: Any) -> Any:
        seen.append(tuple(input_ids.shape))
        assert self.config._attn_implementation == attention.NAME
        return generate(self, input_ids=input_ids, **how)

    monkeypatch.setattr(causal, "AT_ONCE", 40)
    monkeypatch.setattr(tf.LlamaForCausalLM, "generate", noted)
    assert ft.replies(run, table, run.split.validation).texts == together
    assert len(seen) > 1 and all(rows * tokens <= 40 for rows, tokens in seen)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers for it
def test_an_adapter_alone_learns_and_loads_in_peft_alone(talks: Path, llama: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    plan = ft.Plan.of({**PLAN, "adapter": {"type": "lora", "r": 4}})
    run = ft.train(ft.read(talks), plan, model=str(llama), out=tmp_path / "run")
    assert run.predictions("validation").arrow().num_rows == 30
    base = tf.AutoModelForCausalLM.from_pretrained(llama)
    net = PeftModel.from_pretrained(base, run.adapter).eval()
    merged = tf.AutoModelForCausalLM.from_pretrained(run.model).eval()
    ids = torch.tensor([[2, 5, 17, 9]])
    with torch.inference_mode():
        torch.testing.assert_close(net(ids).logits, merged(ids).logits, rtol=1e-4, atol=1e-4)
        assert not torch.allclose(merged(ids).logits, tf.AutoModelForCausalLM.from_pretrained(llama)(ids).logits)
    assert torch.equal(merged.model.norm.weight, base.model.norm.weight)


SOFT: dict[str, dict[str, Any]] = {
    "prompt": {"num_virtual_tokens": 4},
    "prefix": {"num_virtual_tokens": 3, "prefix_projection": True},
    "p-tuning": {"num_virtual_tokens": 4},
}


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers for it
@pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning")  # which it counts by itself
@pytest.mark.parametrize("kind", SOFT)
def test_tokens_before_each_text_alone_learn_and_load_in_peft_alone(
    kind: str, talks: Path, llama: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    table, plan = ft.read(talks), ft.Plan.of({**PLAN, "freeze": "auto", "adapter": {"type": kind, **SOFT[kind]}})
    run = ft.train(table, plan, model=str(llama), out=tmp_path / "run")
    history = [epoch.scores["loss"] for epoch in run.epochs]
    assert history[-1] < history[0] and run.plan.freeze == 0
    base = tf.AutoModelForCausalLM.from_pretrained(llama)
    kept = tf.AutoModelForCausalLM.from_pretrained(run.model)
    for own, before in zip(kept.parameters(), base.parameters(), strict=True):
        assert torch.equal(own, before)
    theirs = PeftModel.from_pretrained(base, run.adapter).eval()
    ours, tokenizer = TASKS["instruction"].tuned(run.model)
    task, ids = TASKS["instruction"], list(run.split.validation)
    inputs, targets = task.collate(task.encode(table, ids, [], tokenizer, 48), np.arange(len(ids)), 0)
    reads = inputs.pop("reads")
    with torch.inference_mode():
        logits = theirs(**inputs).logits[:, -reads.shape[1] :][reads]
        torch.testing.assert_close(task.logits(ours, {**inputs, "reads": reads}), logits, rtol=1e-5, atol=1e-5)
    p = run.predictions("validation")
    told = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
    assert float(told) == pytest.approx(p.said[:, 0].sum(), abs=1e-3)
    # A prompt is answered in one way, whatever stands beside it.
    alone = [ft.replies(run, table, [row_id]).texts[0] for row_id in ids[:4]]
    assert ft.replies(run, table, ids).texts[:4] == alone
    asked = [table.inputs[table.position[row_id]][0] for row_id in ids[:4]]
    for text, answer in zip(asked, alone, strict=True):
        turn = [{"role": "user", "content": text}]
        told = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        how: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": 3}
        out = theirs.generate(input_ids=told["input_ids"], attention_mask=told["attention_mask"], **how)
        said = tokenizer.decode(out[0, told["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        assert said.startswith(answer) and (answer or not said)


def test_tokens_before_each_text_are_resumed_and_judged(talks: Path, llama: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 3, "freeze": "auto", "adapter": {"type": "prompt", "num_virtual_tokens": 4}})
    whole = ft.train(ft.read(talks), plan, model=str(llama), out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        ft.train(ft.read(talks), plan, model=str(llama), out=tmp_path / "run", progress=StopAt(20))
    again = ft.train(ft.read(talks), plan, model=str(llama), out=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(again.predictions("validation").said, whole.predictions("validation").said)
    report = ft.evaluate(again)
    assert report["test"]["loss"]["value"] < report["baselines"]["untuned"]["test"]["loss"]
    assert "PeftModel" in (again.model / "README.md").read_text()
    (again.adapter / "adapter_config.json").write_text("{}")
    with pytest.raises(RunError, match=r"adapter_config\.json: not as training left it"):
        ft.evaluate(again)


def test_where_tokens_before_each_text_do_not_go(talks: Path, llama: Path) -> None:
    with pytest.raises(PlanError, match="freeze: 1 and adapter contradict each other"):
        of(talks, llama, freeze=1, adapter={"type": "prompt"})
    with pytest.raises(PlanError, match=r"adapter\.type: 'promt' is not known; did you mean 'prompt'"):
        ft.Plan.of({"adapter": {"type": "promt"}})
    with pytest.raises(PlanError, match=r"unknown key .adapter\.r.: .*num_virtual_tokens"):
        ft.Plan.of({"adapter": {"type": "prompt", "r": 8}})


def test_conversations_in_one_column_and_predict_for_questions_alone(
    talks: Path, llama: Path, run: ft.Run, tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in talks.read_text().splitlines()[:60]]
    told = [
        {"messages": [{"role": "user", "content": r["prompt"]}, {"role": "assistant", "content": r["completion"]}]}
        for r in rows
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, told)), encoding="utf-8")
    other = ft.train(
        ft.read(tmp_path / "m.jsonl"), ft.Plan.of({**PLAN, "epochs": 1}), model=str(llama), out=tmp_path / "run"
    )
    assert other.plan.task == "instruction"
    (tmp_path / "q.csv").write_text("prompt\nfilm scene bright warm\n", encoding="utf-8")
    table = ft.read(tmp_path / "q.csv", input="prompt", labelled=False)
    assert ft.replies(run, table, table.ids).texts == ["bright warm"]


def test_an_encoder_is_refused_with_what_is_needed(talks: Path, tiny_bert: Path) -> None:
    with pytest.raises(ModelError, match="causal language model"):
        prepare(ft.read(talks), ft.Plan.of(PLAN), str(tiny_bert))


def test_rows_whose_answer_is_cut_away_are_refused(talks: Path, llama: Path) -> None:
    with pytest.raises(PlanError, match="nothing is left within max_length 5"):
        of(talks, llama, max_length=5)


def test_what_is_not_there_for_it_is_refused_in_words(talks: Path, llama: Path, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="--scratch: a language model knows nothing"):
        ft.train(ft.read(talks), ft.Plan.of(PLAN), model=str(llama), out=tmp_path / "run", scratch=True)
    with pytest.raises(PlanError, match="class_weights: found auto, but there are no classes"):
        of(talks, llama, class_weights="auto")


def test_cross_validation_is_against_the_model_as_it_was(talks: Path, llama: Path, tmp_path: Path) -> None:
    table, plan = ft.read(talks), ft.Plan.of({**PLAN, "epochs": 3})
    report = ft.validate(table, plan, model=str(llama), out=tmp_path / "folds", folds=3, rows=120)
    assert set(report["baselines"]) == {"untuned"} and report["verdict"]["answer"] == "better"
    assert report["scores"]["perplexity"]["value"] < report["baselines"]["untuned"]["scores"]["perplexity"]
    kept = parquet.read_table(tmp_path / "folds" / "out_of_fold.parquet")
    assert sorted(kept["id"].to_pylist()) == sorted({*kept["id"].to_pylist()}) and kept.num_rows > 120
    pooled = sum(kept["surprise"].to_pylist()) / sum(kept["label"].to_pylist())
    assert report["pooled"]["loss"]["value"] == pytest.approx(pooled, rel=1e-6)
    assert "the model before tuning" in (tmp_path / "folds" / "report.html").read_text()


def test_a_search_finds_a_rate_for_answers_in_words(talks: Path, llama: Path, tmp_path: Path) -> None:
    space: dict[str, Any] = {"learning_rate": [1e-6, 1e-2]}
    plan = ft.Plan.of({**PLAN, "epochs": 2, "learning_rate": "auto"})
    found = ft.search(
        ft.read(talks), plan, model=str(llama), out=tmp_path / "search", space=space, trials=2, tuner="grid", rows=100
    )
    assert found["best"]["values"]["learning_rate"] == 1e-2


def test_a_trial_whose_length_leaves_nothing_of_an_answer_fails_alone(talks: Path, llama: Path, tmp_path: Path) -> None:
    found = ft.search(
        ft.read(talks),
        ft.Plan.of({**PLAN, "epochs": 1}),
        model=str(llama),
        out=tmp_path / "search",
        space={"max_length": [5, 32]},
        trials=2,
        tuner="grid",
        rows=100,
    )
    assert found["best"]["values"] == {"max_length": 32} and found["counts"]["failed"] == 1
    reasons = [trial["reason"] for trial in found["trials"] if trial["state"] == "failed"]
    assert "nothing is left within max_length 5" in reasons[0]


def test_answers_in_words_are_not_taken_for_classes(talks: Path) -> None:
    found = {finding.check for finding in ft.check(ft.read(talks)).findings}
    assert not found & {"rare classes", "imbalance", "suspected labels", "contradictions", "test size"}


def test_a_whole_conversation_that_is_sealed_counts_as_an_opening(talks: Path, llama: Path, tmp_path: Path) -> None:
    """It has no label beside it, and yet its answers can be compared with."""
    rows = [json.loads(line) for line in talks.read_text().splitlines()[:60]]
    told = [[("user", row["prompt"]), ("assistant", row["completion"])] for row in rows]
    lines = [{"messages": [{"role": role, "content": text} for role, text in turns]} for turns in told]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    table = ft.read(tmp_path / "m.jsonl")
    run = ft.train(table, ft.Plan.of({**PLAN, "epochs": 1}), model=str(llama), out=tmp_path / "run")
    ft.answers(run, table, run.split.train)
    assert run.json("report.json")["seal"]["openings"] == 0
    ft.answers(run, table, run.split.test)
    assert run.json("report.json")["seal"]["openings"] == 1


def test_without_the_model_as_it_was_the_seal_stays_closed(talks: Path, tmp_path: Path) -> None:
    model = tiny.save_causal(tmp_path / "llama")
    run = ft.train(ft.read(talks), ft.Plan.of({**PLAN, "epochs": 1}), model=str(model), out=tmp_path / "run")
    shutil.move(model, tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="no such model directory"):
        ft.evaluate(run)
    assert not run.ledger.exists() and not (run.path / "predictions" / "test.parquet").exists()
