"""Adapters of networks that see images: LoRA merges; virtual tokens stay PEFT's, or are refused for what has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

import finetooth as ft
from finetooth.backbones import load_image_classifier, load_tuned_images
from finetooth.errors import Interrupted, ModelError, PlanError
from tests import tiny
from tests.test_train import StopAt

PLAN: dict[str, Any] = {"epochs": 2, "batch_size": 16, "precision": "fp32", "learning_rate": 3e-2}

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks for it


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_images(tmp_path_factory.mktemp("images") / "shapes", 160)


def plan(kind: str = "prompt", **named: Any) -> ft.Plan:
    return ft.Plan.of({**PLAN, "adapter": {"type": kind, "num_virtual_tokens": 3}, **named})


@pytest.mark.parametrize("kind", ["vit", "convnext", "resnet", "efficientnet"])
def test_lora_is_in_the_saved_model_and_loads_in_peft_alone(kind: str, folder: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    table, model = ft.read(folder), tiny.save_image_model(tmp_path / "model", kind)
    asked = ft.Plan.of({**PLAN, "adapter": {"r": 2}})
    run = ft.train(table, asked, model=str(model), out=tmp_path / "run")
    p = run.predictions("validation")
    np.testing.assert_allclose(ft.answers(run, table, p.ids).probabilities, p.probabilities, atol=1e-5)
    pipe = tf.pipeline("image-classification", model=str(run.model))
    classes = {"label2id": {name: i for i, name in enumerate(p.names)}, "id2label": dict(enumerate(p.names))}
    pipe.model = PeftModel.from_pretrained(
        tf.AutoModelForImageClassification.from_pretrained(model, **classes), run.adapter
    ).eval()
    for row_id, each in zip(p.ids, p.probabilities, strict=True):
        scores = {told["label"]: told["score"] for told in pipe(str(table.file(table.position[row_id])), top_k=None)}
        assert [scores[name] for name in p.names] == pytest.approx(each.tolist(), abs=1e-5)


@pytest.mark.parametrize(("network", "kind"), [("vit", "prompt"), ("vit", "p-tuning"), ("dinov2", "prompt")])
def test_virtual_tokens_learn_beside_the_head_and_the_cards_code_says_the_same(
    network: str, kind: str, folder: Path, tmp_path: Path
) -> None:
    table, model = ft.read(folder), str(tiny.save_image_model(tmp_path / "model", network))
    run = ft.train(table, plan(kind), model=model, out=tmp_path / "run")
    before = load_image_classifier(model, ["a", "b"], adapter=plan(kind).values()["adapter"])
    after = load_tuned_images(run.model)[0]
    first, tuned = (dict(net.named_parameters()) for net in (before.net, after))
    moved = {name for name, each in tuned.items() if name not in first or not torch.equal(each, first[name])}
    # The saved model's own head, which PEFT keeps aside, is the one that learnt.
    marks = {
        mark for mark in ("prompt_encoder", "modules_to_save", "original_module") for name in moved if mark in name
    }
    assert {"prompt_encoder", "modules_to_save"} <= marks
    assert all(any(mark in name for mark in marks) for name in moved)

    p = run.predictions("validation")
    again = ft.answers(run, table, p.ids)
    np.testing.assert_allclose(again.probabilities, p.probabilities, atol=1e-6)
    card = (run.model / "README.md").read_text(encoding="utf-8")
    assert "These weights are not all of it" in card
    code = card.partition("```python\n")[2].partition("```")[0].rpartition("classify(")[0]
    code = code.replace("path/to/this/directory", str(run.model)).replace("path/to/adapter", str(run.adapter))
    names: dict[str, Any] = {}
    exec(code, names)
    alone = tf.pipeline("image-classification", model=str(run.model))
    gaps = []
    for row_id, each in zip(p.ids, p.probabilities, strict=True):
        file = str(table.file(table.position[row_id]))
        scores = {told["label"]: told["score"] for told in names["classify"](file, top_k=None)}
        assert [scores[name] for name in p.names] == pytest.approx(each.tolist(), abs=1e-5)
        scores = {told["label"]: told["score"] for told in alone(file, top_k=None)}
        gaps.append(max(abs(scores[name] - own) for name, own in zip(p.names, each.tolist(), strict=True)))
    assert max(gaps) > 1e-4  # without the tokens it is another model
    report = ft.evaluate(run)
    t = run.predictions("test")
    assert report["test"]["accuracy"]["value"] == pytest.approx((t.decided == t.labels).mean())
    run.adapter.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="3 tokens that learnt stood in each row"):
        load_tuned_images(run.model)


def test_a_stopped_run_ends_in_the_same_bits_in_bf16_and_folds_run(folder: Path, vit: Path, tmp_path: Path) -> None:
    table, asked = ft.read(folder), plan(precision="bf16")
    whole = ft.train(table, asked, model=str(vit), out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        ft.train(table, asked, model=str(vit), out=tmp_path / "run", progress=StopAt(9))
    again = ft.train(table, asked, model=str(vit), out=tmp_path / "run", resume=True)
    first, second = (run.predictions("validation").probabilities for run in (whole, again))
    np.testing.assert_array_equal(first, second)
    ft.validate(table, asked, model=str(vit), out=tmp_path / "folds", folds=2)
    said = [ft.Run(tmp_path / "folds").predictions(f"1-{fold}") for fold in (1, 2)]
    assert sorted([*said[0].ids, *said[1].ids]) == sorted([*whole.split.train, *whole.split.validation])


@pytest.mark.parametrize("kind", ["convnext", "resnet", "swin", "efficientnet", "beit"])
def test_where_an_image_is_no_sequence_they_are_refused(kind: str, tmp_path: Path) -> None:
    model = tiny.save_image_model(tmp_path / kind, kind)
    with pytest.raises(PlanError, match=f"there is no prompt for a {kind}.*as ViT and DeiT.*type: lora"):
        load_image_classifier(str(model), ["a", "b"], adapter=plan().values()["adapter"])


def test_images_of_another_size_than_the_network_sees_are_refused(tmp_path: Path) -> None:
    model = tiny.save_image_model(tmp_path / "vit", "vit")
    tf.ViTImageProcessorPil(size={"height": 40, "width": 40}).save_pretrained(model)
    with pytest.raises(ModelError, match="cannot see images of 40 x 40 pixels"):
        load_image_classifier(str(model), ["a", "b"], adapter=plan().values()["adapter"])


def test_prefixes_are_for_texts(vit: Path) -> None:
    with pytest.raises(PlanError, match="there is no prefix for a vit"):
        load_image_classifier(str(vit), ["a", "b"], adapter=plan("prefix").values()["adapter"])
