"""Adapters: they alone learn beside the head, what is saved loads in PEFT alone, and merged it is an ordinary model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth.backbones import Backbone, load_classifier, load_tuned
from finetooth.errors import Interrupted, ModelError, PlanError
from finetooth.loop import fit
from finetooth.prepare import prepare
from tests import tiny
from tests.test_train import StopAt

PLAN: dict[str, Any] = {"epochs": 6, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-2}
LORA: dict[str, Any] = {"type": "lora", "r": 4}
KINDS = ("bert", "roberta", "distilbert", "mpnet", "deberta-v2", "modernbert")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_reviews(tmp_path_factory.mktemp("reviews") / "reviews.csv", 400)


@pytest.fixture(scope="module")
def run(reviews: Path, tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    plan = ft.Plan.of({**PLAN, "adapter": LORA})
    return ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path_factory.mktemp("lora") / "run")


def settings(**named: Any) -> dict[str, Any]:
    return ft.Plan.of({"adapter": {**LORA, **named}}).values()["adapter"]


def validated(run: ft.Run, reviews: Path) -> tuple[Any, list[str]]:
    """What the run says of its validation rows, and their texts."""
    table, p = ft.read(reviews), run.predictions("validation")
    return p, [table.inputs[table.position[row_id]][0] for row_id in p.ids]


def said_by(net: Any, model: Path, texts: list[str]) -> Any:
    """The probabilities that a net gives by itself, read with the tokenizer of the untuned model."""
    tokenizer = tf.AutoTokenizer.from_pretrained(model)
    with torch.inference_mode():
        return net.eval()(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1).numpy()


def says_something(backbone: Backbone) -> None:
    """From here on its adapter does, which changes nothing at first."""
    with torch.no_grad():
        for name, parameter in backbone.net.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0.0, 0.3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("named", [{}, {"use_dora": True}, {"use_rslora": True}])
def test_an_adapter_changes_nothing_at_first_and_merges_without_a_trace(
    kind: str, named: dict[str, Any], tmp_path: Path
) -> None:
    model = str(tiny.save_model(tmp_path, tiny.config(kind)))
    plain = load_classifier(model, ["a", "b"])
    backbone = load_classifier(model, ["a", "b"], adapter=settings(**named))
    example = dict(backbone.tokenizer(["film scene", "bright plot actor"], padding=True, return_tensors="pt"))
    with torch.inference_mode():
        before = plain.net.eval()(**example).logits
        assert torch.allclose(backbone.net.eval()(**example).logits, before, atol=1e-5)
    assert backbone.weights_digest == plain.weights_digest
    says_something(backbone)
    with torch.inference_mode():
        moved = backbone.net(**example).logits
    assert not torch.allclose(moved, before, rtol=0, atol=1e-5)
    assert backbone.merge() < 1e-4
    assert not any("lora" in name for name, _ in backbone.net.named_parameters())
    with torch.inference_mode():
        assert torch.allclose(backbone.net(**example).logits, moved, atol=1e-4)


def learnt(folder: Path) -> Backbone:
    """A small network with an adapter that says something, always the same."""
    torch.manual_seed(0)
    backbone = load_classifier(str(tiny.save_model(folder, tiny.config("bert"))), ["a", "b"], adapter=settings())
    says_something(backbone)
    return backbone


def test_large_logits_are_merged_too_where_one_of_them_is_near_zero(tmp_path: Path) -> None:
    backbone = learnt(tmp_path)
    with torch.no_grad():
        for own in backbone.net.classifier.parameters():
            own.mul_(1e5)
        backbone.net.eval()
        [*_, bias] = backbone.net.classifier.parameters()
        bias[1] -= backbone.net(**backbone.example()).logits[0, 1]
    assert 1e-4 < backbone.merge() < 10


def test_a_merged_network_that_says_something_else_is_refused(tmp_path: Path) -> None:
    backbone = learnt(tmp_path)
    [*_, beside] = [each for name, each in backbone.net.named_modules() if name.endswith("lora_B.default")]
    beside.register_forward_hook(lambda module, into, said: said * 2)  # as an adapter may that is no matrix
    with pytest.raises(ModelError, match="merged with its adapters it says something else, by"):
        backbone.merge()


def test_only_the_adapter_and_the_head_learn(reviews: Path, tiny_bert: Path) -> None:
    job = prepare(ft.read(reviews), ft.Plan.of({**PLAN, "adapter": LORA}), str(tiny_bert))
    before = {name: p.detach().clone() for name, p in job.backbone.net.named_parameters()}
    for _ in fit(job.state(), job.batches, job.recipe, job.scores):
        pass
    moved = {name for name, p in job.backbone.net.named_parameters() if not torch.equal(p, before[name])}
    layers = job.backbone.layers
    assert moved and all("lora_" in name or layers.parameters[name] == 0 for name in moved)
    assert {name for name in before if "lora_" in name and "embeddings" not in name} <= moved


def test_a_lora_run_learns_and_transformers_alone_says_the_same(run: ft.Run, reviews: Path) -> None:
    report = ft.evaluate(run)
    assert report["test"]["accuracy"]["value"] > 0.75 and report["verdict"]["says"]
    table = ft.read(reviews)
    p = run.predictions("validation")
    pipe = tf.pipeline("text-classification", model=str(run.model), top_k=None)
    for row_id, probabilities in zip(p.ids[:10], p.probabilities, strict=False):
        [answer] = pipe([table.inputs[table.position[row_id]][0]])
        said = {each["label"]: each["score"] for each in answer}
        assert [said[name] for name in p.names] == pytest.approx(probabilities.tolist(), abs=1e-5)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers for it
def test_the_adapter_loads_in_peft_alone_and_says_the_same(run: ft.Run, tiny_bert: Path, reviews: Path) -> None:
    from peft import PeftModel

    base = tf.AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=2)
    p, texts = validated(run, reviews)
    net = PeftModel.from_pretrained(base, run.adapter)
    np.testing.assert_allclose(said_by(net, tiny_bert, texts), p.probabilities, atol=1e-5)


def test_a_stopped_lora_run_ends_in_the_same_bits(run: ft.Run, reviews: Path, tiny_bert: Path, tmp_path: Path) -> None:
    plan = ft.Plan.of({**PLAN, "adapter": LORA})
    with pytest.raises(Interrupted):
        ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run", progress=StopAt(25))
    again = ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / "run", resume=True)
    np.testing.assert_array_equal(
        again.predictions("validation").probabilities, run.predictions("validation").probabilities
    )


def test_with_and_without_the_store_the_same(
    reviews: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINETOOTH_CACHE", str(tmp_path / "cache"))
    said = []
    for cache in ("off", "auto"):
        plan = ft.Plan.of({**PLAN, "epochs": 2, "freeze": 1, "cache": cache, "adapter": LORA})
        run = ft.train(ft.read(reviews), plan, model=str(tiny_bert), out=tmp_path / cache)
        said.append(run.predictions("validation").probabilities)
    assert any((tmp_path / "cache" / "prefix").iterdir())
    np.testing.assert_allclose(said[0], said[1], atol=1e-4)


def test_a_layer_that_is_not_there_is_refused_with_the_nearest(tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match="there is no 'querry'; did you mean 'query'"):
        load_classifier(str(tiny_bert), ["a", "b"], adapter=settings(target_modules=["querry"]))


def test_target_modules_choose_the_layers(tiny_bert: Path) -> None:
    net = load_classifier(str(tiny_bert), ["a", "b"], adapter=settings(target_modules=["query", "value"])).net
    beside = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in net.named_parameters() if ".lora_" in name}
    assert beside == {"query", "value"}


SOFT = [(kind, {"type": "prompt"}) for kind in (*KINDS, "albert")]
SOFT += [("bert", {"type": "prefix", "prefix_projection": True}), ("electra", {"type": "p-tuning"})]


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers for it
@pytest.mark.parametrize(("kind", "how"), SOFT)
def test_tokens_before_a_text_learn_beside_the_head_and_load_in_peft_alone(
    kind: str, how: dict[str, Any], reviews: Path, tmp_path: Path
) -> None:
    from peft import PeftModel

    table, model = ft.read(reviews), tiny.save_model(tmp_path / "model", tiny.config(kind))
    plan = ft.Plan.of({**PLAN, "epochs": 1, "adapter": {"num_virtual_tokens": 3, **how}})
    run = ft.train(table, plan, model=str(model), out=tmp_path / "run")
    base = tf.AutoModelForSequenceClassification.from_pretrained(model, num_labels=2)
    above = ("pooler", "final_norm")
    named = base.base_model.named_parameters()
    before = {name: each.clone() for name, each in named if name.partition(".")[0] not in above}
    p, texts = validated(run, reviews)
    net = PeftModel.from_pretrained(base, run.adapter)
    np.testing.assert_allclose(said_by(net, model, texts), p.probabilities, atol=1e-5)
    saved = tf.AutoModelForSequenceClassification.from_pretrained(run.model)
    after = dict(saved.base_model.named_parameters())
    assert all(torch.equal(after[name], each) for name, each in before.items())
    assert torch.equal(saved.classifier.state_dict().popitem()[1], base.classifier.state_dict().popitem()[1])
    # The tokens are not in the model, and count.
    assert not np.allclose(said_by(saved, model, texts), p.probabilities, atol=1e-5)
    report = ft.evaluate(run)
    assert report["forgetting"] and report["verdict"]["says"]
    again = ft.answers(run, table, p.ids)
    np.testing.assert_allclose(again.probabilities, p.probabilities, atol=1e-6)
    # What the card tells people to do gives the same answers.
    card = (run.model / "README.md").read_text(encoding="utf-8")
    code = card.partition("```python\n")[2].partition("```")[0].rpartition("classify(")[0]
    code = code.replace("path/to/this/directory", str(run.model)).replace("path/to/adapter", str(run.adapter))
    names: dict[str, Any] = {}
    exec(code, names)
    for text, each in zip(texts[:3], p.probabilities, strict=False):
        scores = {told["label"]: told["score"] for told in names["classify"](text, top_k=None)}
        assert [scores[name] for name in p.names] == pytest.approx(each.tolist(), abs=1e-5)
    # Its head is none to begin with, and without the tokens nobody takes the weights for the tuned model.
    assert not load_classifier(str(run.model), p.names).answers
    run.adapter.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="3 tokens that learnt stood in each row"):
        load_tuned(run.model)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_tokens_before_a_text_go_on_after_a_stop_and_through_folds_in_bf16(
    reviews: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    soft = {"adapter": {"type": "prompt", "num_virtual_tokens": 3}}
    plan = ft.Plan.of({**PLAN, **soft, "epochs": 2, "precision": "bf16", "long": "windows", "max_length": 8})
    table = ft.read(reviews)
    whole = ft.train(table, plan, model=str(tiny_bert), out=tmp_path / "whole", seeds=2)
    with pytest.raises(Interrupted):
        ft.train(table, plan, model=str(tiny_bert), out=tmp_path / "run", progress=StopAt(25))
    again = ft.train(table, plan, model=str(tiny_bert), out=tmp_path / "run", resume=True)
    first, second = (run.predictions("validation").probabilities for run in (whole, again))
    np.testing.assert_array_equal(first, second)
    folds = ft.validate(table, plan, model=str(tiny_bert), out=tmp_path / "folds", folds=2)
    assert folds is not None


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_tokens_before_a_text_move(reviews: Path, tiny_bert: Path) -> None:
    plan = ft.Plan.of({**PLAN, "epochs": 1, "adapter": {"type": "prompt", "num_virtual_tokens": 3}})
    job = prepare(ft.read(reviews), plan, str(tiny_bert))
    before = {name: each.detach().clone() for name, each in job.backbone.net.named_parameters()}
    for _ in fit(job.state(), job.batches, job.recipe, job.scores):
        pass
    after = dict(job.backbone.net.named_parameters())
    moved = {name for name, each in before.items() if not torch.equal(each, after[name])}
    outside = {name for name in moved if "prompt_encoder" not in name}
    assert moved - outside
    assert outside and all("modules_to_save" in name for name in outside)


def test_where_tokens_before_a_text_do_not_go(tmp_path: Path) -> None:
    def asked(kind: str) -> dict[str, Any]:
        return ft.Plan.of({"adapter": {"type": kind}}).values()["adapter"]  # type: ignore[no-any-return]

    mpnet = tiny.save_model(tmp_path / "mpnet", tiny.config("mpnet"))
    with pytest.raises(PlanError, match="a mpnet cannot have a prefix put before its texts"):
        load_classifier(str(mpnet), ["a", "b"], adapter=asked("prefix"))
    bart = tiny.save_seq2seq(tmp_path / "bart", "bart")
    with pytest.raises(PlanError, match="prompt puts tokens before a text that one network reads"):
        load_classifier(str(bart), ["a", "b"], adapter=asked("prompt"))
    llama = tiny.save_causal(tmp_path / "llama")
    with pytest.raises(PlanError, match="behind a prompt a llama reads the padding of shorter texts"):
        load_classifier(str(llama), ["a", "b"], adapter=asked("prompt"))
