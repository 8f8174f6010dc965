"""An encoder reads a text, its decoder learns to write another: on what is to be written alone, with the whole
machinery."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from typer.testing import CliRunner

import finetooth as ft
from finetooth.backbones import cut, difference, evaluating
from finetooth.cli.app import app
from finetooth.errors import DataError, ModelError, RunError, UserError
from finetooth.loop import fit
from finetooth.prepare import Job, prepare
from finetooth.tasks import TASKS, fitting
from tests import tiny

PLAN: dict[str, Any] = {"epochs": 8, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-2, "freeze": 0}
HALF = {"train": 0.4, "validation": 0.1, "test": 0.5}
KINDS = ("t5", "bart", "marian")
OPPOSITE = dict(zip(tiny.GOOD, tiny.BAD, strict=True))


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """500 texts with a word of praise among plain ones; to be written is its opposite, and a word more."""
    path, draw = tmp_path_factory.mktemp("turned") / "turned.jsonl", random.Random(0)
    rows = {}
    while len(rows) < 500:
        word, plain = draw.choice(tiny.GOOD), draw.sample(tiny.PLAIN, draw.randint(2, 5))
        plain.insert(draw.randint(0, len(plain)), word)
        rows[" ".join(plain)] = f"{OPPOSITE[word]} story"
    path.write_text("\n".join(json.dumps({"source": s, "target": t}) for s, t in rows.items()), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: tiny.save_seq2seq(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


@pytest.fixture(scope="module")
def run(turned: Path, models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    plan = ft.Plan.of({**PLAN, "split": HALF})
    return ft.train(ft.read(turned), plan, model=str(models["t5"]), out=tmp_path_factory.mktemp("seq2seq") / "run")


def of(turned: Path, model: Path, **plan: Any) -> Job:
    return prepare(ft.read(turned), ft.Plan.of({**PLAN, **plan}), str(model))


@pytest.mark.parametrize("kind", KINDS)
def test_targets_are_the_tokens_to_be_written_with_their_end(turned: Path, models: dict[str, Path], kind: str) -> None:
    job, table = of(turned, models[kind]), ft.read(turned)
    rows, tokenizer = np.arange(7), job.backbone.tokenizer
    inputs, targets = job.task.collate(job.rows, rows, tokenizer.pad_token_id)
    right = [f"[CLS] {table.labels[table.position[job.rows.ids[i]]]} [SEP]" for i in rows]
    assert tokenizer.decode(targets.tolist()) == " ".join(right)
    assert len(targets) == int(job.rows.counts[rows].sum()) == int((inputs["writes"] >= 0).sum())
    sources = [table.inputs[table.position[job.rows.ids[i]]][0] for i in rows]
    assert tokenizer.batch_decode(inputs["input_ids"], skip_special_tokens=True) == sources


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_transformers_with_labels(turned: Path, models: dict[str, Path], kind: str) -> None:
    job = of(turned, models[kind])
    inputs, targets = job.task.collate(job.rows, np.arange(9), job.backbone.tokenizer.pad_token_id)
    net = job.backbone.net.eval()
    ours = torch.nn.functional.cross_entropy(job.task.logits(net, inputs), targets)
    alone = tf.AutoModelForSeq2SeqLM.from_pretrained(models[kind])
    how = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
    assert ours.item() == pytest.approx(alone(**how, labels=inputs["writes"]).loss.item(), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_stands_on_the_encoder(models: dict[str, Path], kind: str) -> None:
    """Depths from the head down: the decoder's blocks, the encoder's, the embeddings of both."""
    found = TASKS["seq2seq"].load(str(models[kind]), []).layers
    assert found.deepest == 5
    assert ["decoder" in name for name in found.names] == [False, True, True, False, False, False]
    for depth, block in list(enumerate(found.names))[1:-1]:
        assert {own for name, own in found.parameters.items() if name.startswith(f"{block}.")} == {depth}
    shared = next(name for name in found.parameters if name.endswith("shared.weight"))
    assert found.parameters[shared] == 5


def test_an_encoder_learns_under_a_decoder_that_classifies_too(models: dict[str, Path]) -> None:
    """`freeze: auto` keeps the embeddings alone as they are."""
    for kind in ("t5", "bart"):
        found = TASKS["text-classification"].load(str(models[kind]), ["a", "b"]).layers
        blocks = {
            depth for name, depth in found.parameters.items() if "encoder.block" in name or "encoder.layers" in name
        }
        assert found.deepest == 5 and blocks == {3, 4}


def test_pieces_of_a_batch_make_the_gradient_of_the_whole(turned: Path, models: dict[str, Path]) -> None:
    found = []
    for how in ({"batch_size": 16}, {"batch_size": 4, "gradient_accumulation_steps": 4}):
        job = of(turned, models["bart"], dropout=0.0, **how)
        next(iter(fit(job.state(), job.batches, job.recipe, job.scores)))
        found.append({name: p.detach().clone() for name, p in job.backbone.net.named_parameters()})
    for name in found[0]:
        torch.testing.assert_close(found[0][name], found[1][name], rtol=1e-4, atol=1e-5)


def test_it_learns_to_write_and_is_judged_against_the_model_as_it_was(run: ft.Run) -> None:
    assert run.plan.task == "seq2seq" and "an encoder and a decoder" in run.json("report.json")["reasons"]["task"]
    report = ft.evaluate(run)
    assert report["rows"]["test"] >= 200 and set(report["baselines"]) == {"untuned"}
    assert report["verdict"]["better_than"] == "untuned" and report["verdict"]["low"] > 0
    said = report["written"]
    assert said["measures"] == ["exact_match", "bleu", "chrf", "rouge_1", "rouge_2", "rouge_l"]
    assert said["exact_match"]["after"]["low"] > 0.8 > said["exact_match"]["before"]["value"]
    assert said["chrf"]["difference"]["low"] > 50 and report["forgetting"] is None
    page = (run.path / "report.html").read_text()
    assert "What it writes, before and after" in page and "ROUGE-L" in page
    assert "AutoModelForSeq2SeqLM" in (run.model / "README.md").read_text()


def test_transformers_alone_writes_the_same(run: ft.Run, turned: Path) -> None:
    table = ft.read(turned)
    ids = run.split.validation[:12]
    ours = ft.replies(run, table, ids).texts
    net = tf.AutoModelForSeq2SeqLM.from_pretrained(run.model)
    tokenizer = tf.AutoTokenizer.from_pretrained(run.model)
    for row_id, text in zip(ids, ours, strict=True):
        source = tokenizer(table.inputs[table.position[row_id]][0], return_tensors="pt")
        out = net.generate(input_ids=source["input_ids"], max_new_tokens=8, do_sample=False)
        assert tokenizer.decode(out[0], skip_special_tokens=True) == text
    assert ft.replies(run, table, ids).texts == ours


@pytest.mark.parametrize("kind", KINDS)
def test_the_encoders_lower_blocks_are_stored_and_nothing_changes(
    turned: Path, models: dict[str, Path], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With dropout as the model has it: what is frozen drops nothing, stored or not."""
    monkeypatch.setenv("FINETOOTH_CACHE", str(tmp_path / "cache"))
    said = []
    for cache in ("off", "auto"):
        job = of(turned, models[kind], epochs=2, freeze=2, cache=cache, learning_rate=1e-3)
        for _ in fit(job.state(), job.batches, job.recipe, job.scores):
            pass
        said.append(job.look(job.backbone.net).said)
    assert any((tmp_path / "cache" / "prefix").iterdir())
    np.testing.assert_allclose(said[0], said[1], atol=1e-3)


def test_what_the_first_block_makes_for_all_is_made_for_the_stored_ones_too(models: dict[str, Path]) -> None:
    """T5's position biases: without them the blocks above the cut would say something else."""
    backbone = TASKS["seq2seq"].load(str(models["t5"]), [])
    found = cut(backbone.net, backbone.layers, backbone.example(), lambda depth: depth >= 4)
    assert found is not None and found.handed and found.blocks == 1
    with torch.inference_mode(), evaluating(backbone.net):
        state = found.prefix(backbone.net, backbone.example())
    assert difference(backbone.net, found, backbone.example(), state) < 1e-6
    assert difference(backbone.net, replace(found, handed=False), backbone.example(), state) > 1e-3


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers for it
def test_an_adapter_in_both_stacks_alone_learns_and_loads_in_peft_alone(
    turned: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    from peft import PeftModel

    plan = ft.Plan.of({**PLAN, "epochs": 1, "adapter": {"type": "lora", "r": 4}})
    run = ft.train(ft.read(turned), plan, model=str(models["t5"]), out=tmp_path / "run", rows=100)
    base = tf.AutoModelForSeq2SeqLM.from_pretrained(models["t5"])
    untouched = {name: p.clone() for name, p in base.named_parameters()}
    net = PeftModel.from_pretrained(base, run.adapter).eval()
    assert {name.split(".")[2] for name, _ in net.named_parameters() if "lora_" in name} == {"encoder", "decoder"}
    merged = tf.AutoModelForSeq2SeqLM.from_pretrained(run.model).eval()
    how = {"input_ids": torch.tensor([[2, 5, 17, 3]]), "decoder_input_ids": torch.tensor([[0, 2, 11]])}
    with torch.inference_mode():
        torch.testing.assert_close(net(**how).logits, merged(**how).logits, rtol=1e-4, atol=1e-4)
    assert torch.equal(merged.shared.weight, untouched["shared.weight"])
    changed = "encoder.block.0.layer.0.SelfAttention.q.weight"
    assert not torch.equal(merged.get_parameter(changed), untouched[changed])


def test_predict_writes_what_the_model_writes(run: ft.Run, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("source\nfilm bright scene\nplot warm\n", encoding="utf-8")
    asked = ["predict", str(run.path), str(tmp_path / "new.csv"), "--out", str(tmp_path / "out.jsonl")]
    assert CliRunner().invoke(app, asked).exit_code == 0
    found = [json.loads(line)["answer"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert found == ["dull story", "cold story"]


def test_it_writes_in_the_precision_that_was_asked_for(
    run: ft.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new.csv").write_text("source\nfilm bright scene\n", encoding="utf-8")
    generate, wrote = tf.GenerationMixin.generate, list[torch.dtype]()

    def noted(self: Any, *args: Any, **how: Any) -> Any:
        wrote.append(self.dtype)
        return generate(self, *args, **how)

    monkeypatch.setattr(tf.GenerationMixin, "generate", noted)
    asked = ["predict", str(run.path), str(tmp_path / "new.csv"), "--out", str(tmp_path / "out.csv"), "--precision"]
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        assert CliRunner().invoke(app, [*asked, precision]).exit_code == 0
        assert set(wrote) == {dtype}
        wrote.clear()
    refused = CliRunner().invoke(app, [*asked, "int8"])
    assert isinstance(refused.exception, UserError) and "writes its own, in fp32 or bf16" in str(refused.exception)
    assert not wrote


def test_data_and_model_together_say_the_task(
    turned: Path, models: dict[str, Path], tmp_path: Path, tiny_bert: Path
) -> None:
    causal = tiny.save_causal(tmp_path / "llama")
    table = ft.read(turned)
    assert fitting(table, str(models["bart"]))[0] == "seq2seq" and fitting(table, str(causal))[0] == "instruction"
    with pytest.raises(ModelError, match="writes from a source that it reads apart: task: seq2seq"):
        of(turned, models["t5"], task="instruction")
    with pytest.raises(ModelError, match="goes on writing where a text ends: task: instruction; or take a network"):
        of(turned, causal, task="seq2seq")
    with pytest.raises(ModelError, match="a bert reads and does not write; take a network with an encoder and"):
        of(turned, tiny_bert, task="seq2seq")


def test_columns_are_known_by_their_names_where_no_label_stands_beside(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id_,document,summary\n1,a b c,a\n2,d e f,d\n")
    table = ft.read(tmp_path / "a.csv")
    assert (table.columns.input, table.columns.label) == (("document",), "summary") and table.columns.talk
    (tmp_path / "b.csv").write_text("text,source,target\na b,web,x\nc d,web,y\n")
    table = ft.read(tmp_path / "b.csv")
    assert (table.columns.input, table.columns.label) == (("text",), "target") and not table.columns.talk


def test_other_columns_take_the_task_by_name(turned: Path, models: dict[str, Path], tmp_path: Path) -> None:
    rows = [json.loads(line)["source"] for line in turned.read_text().splitlines()]
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps({"en": row, "de": row[::-1]}) for row in rows))
    table = ft.read(tmp_path / "pairs.jsonl", input="en", label="de")
    with pytest.raises(DataError, match="set task to text-regression, and if they are texts to be written, to seq2seq"):
        prepare(table, ft.Plan.of({"split": {"seed": 1}}), str(models["t5"]))
    assert prepare(table, ft.Plan.of({**PLAN, "task": "seq2seq"}), str(models["t5"])).task.kind == "texts"


def test_a_column_of_translations_is_read_as_two(turned: Path, models: dict[str, Path], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in turned.read_text().splitlines()]
    told = [json.dumps({"id": i, "translation": {"de": r["source"], "en": r["target"]}}) for i, r in enumerate(rows)]
    (tmp_path / "opus.jsonl").write_text("\n".join(told))
    table = ft.read(tmp_path / "opus.jsonl")
    assert (table.columns.input, table.columns.label) == (("de",), "en") and table.column("en")[0] == rows[0]["target"]
    other_way = ft.read(tmp_path / "opus.jsonl", input="en", label="de")
    job = prepare(other_way, ft.Plan.of({**PLAN, "task": "seq2seq"}), str(models["t5"]))
    assert job.rows.writes is not None and job.rows.writes.counts.min() > 4
    (tmp_path / "odd.jsonl").write_text("\n".join([*told, '{"id": 9, "translation": {"de": "a"}}']))
    with pytest.raises(DataError, match="no column is named text or sentence"):
        ft.read(tmp_path / "odd.jsonl")


def test_what_is_too_long_is_cut_and_told_and_ends_all_the_same(turned: Path, models: dict[str, Path]) -> None:
    job = of(turned, models["t5"], max_length=4)
    assert job.rows.writes is not None and job.rows.writes.counts.max() == 4
    assert (job.rows.whole > 4).all() and set(job.rows.writes.flat[job.rows.writes.offsets[1:] - 1].tolist()) == {3}


def test_what_cannot_be_is_refused_in_words(
    turned: Path, models: dict[str, Path], tmp_path: Path, tiny_bert: Path
) -> None:
    (tmp_path / "hole.jsonl").write_text(turned.read_text().replace("dull story", "", 1))
    with pytest.raises(DataError, match=r"row \d+: the column 'target' is empty or missing"):
        prepare(ft.read(tmp_path / "hole.jsonl"), ft.Plan.of(PLAN), str(models["t5"]))
    told = [
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": str(i)}]} for i in range(30)
    ]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, told)))
    with pytest.raises(DataError, match="conversations are for task: instruction"):
        prepare(ft.read(tmp_path / "m.jsonl"), ft.Plan.of({**PLAN, "task": "seq2seq"}), str(models["t5"]))
    tiny.write_reviews(tmp_path / "reviews.csv", 120)
    classes = ft.train(
        ft.read(tmp_path / "reviews.csv"),
        ft.Plan.of({"max_steps": 2, "precision": "fp32"}),
        model=str(tiny_bert),
        out=tmp_path / "classes",
    )
    with pytest.raises(RunError, match="its task is text-classification, which writes nothing"):
        ft.replies(classes, ft.read(tmp_path / "reviews.csv"), classes.split.validation)


def test_cross_validation_is_against_the_model_as_it_was(turned: Path, models: dict[str, Path], tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 1})
    report = ft.validate(ft.read(turned), plan, model=str(models["t5"]), out=tmp_path / "v", folds=2)
    assert report["kind"] == "texts" and set(report["baselines"]) == {"untuned"}
    page = (tmp_path / "v" / "report.html").read_text(encoding="utf-8")
    assert "The model as it was answered the same others" in page
