"""Matrices of 4 and 8 bits under an adapter: they learn, resume, are stored, and what is saved says the same."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf
from torch import nn

import finetooth as ft
from finetooth.backbones import bits as bits_module
from finetooth.backbones import load_classifier, quantize
from finetooth.errors import Interrupted, ModelError, PlanError, UserError
from finetooth.prepare import Material, prepare
from tests import tiny
from tests.test_prefix import Listener
from tests.test_train import StopAt

BITS = (4, 8)
PLAN: dict[str, Any] = {"epochs": 3, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-2, "freeze": 1}


def plan(bits: int | None, **further: Any) -> ft.Plan:
    return ft.Plan.of({**PLAN, **further, "adapter": {"r": 4, "bits": bits}})


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_reviews(tmp_path_factory.mktemp("reviews") / "reviews.csv", 200)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT as wide as the numbers that share a scale."""
    config = tiny.config("bert", blocks=3)
    config.hidden_size, config.intermediate_size = 64, 128
    return str(tiny.save_model(tmp_path_factory.mktemp("wide"), config))


@pytest.mark.parametrize("bits", BITS)
def test_the_matrices_of_the_blocks_take_so_many_bits_and_nothing_else_does(bits: int, wide: str) -> None:
    backbones = [load_classifier(wide, ["a", "b"], adapter=plan(None).values()["adapter"]) for _ in range(2)]
    whole, small = (backbone.net for backbone in backbones)
    quantize(small, bits, "cpu", backbones[1].example())
    sizes = [
        sum(p.numel() * p.element_size() for name, p in net.named_parameters() if "base_layer.weight" in name)
        for net in (whole, small)
    ]
    assert sizes[1] * 32 == sizes[0] * bits
    changed = {name for name, p in small.named_parameters() if not p.is_floating_point()}
    assert changed == {name for name, _ in small.named_parameters() if "base_layer.weight" in name}
    example = backbones[0].example()
    with torch.inference_mode():
        one, other = whole.eval()(**example).logits, small.eval()(**example).logits
    gap = float((one - other).norm() / one.norm())
    assert 0 < gap < {4: 0.2, 8: 0.03}[bits], gap


@pytest.fixture(scope="module")
def whole(reviews: Path, wide: str, tmp_path_factory: pytest.TempPathFactory) -> ft.Run:
    """A run whose matrices are whole."""
    return ft.train(ft.read(reviews), plan(None), model=wide, out=tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize(("bits", "precision"), [(4, "fp32"), (4, "bf16"), (8, "bf16")])
def test_it_learns_nearly_as_without_and_transformers_alone_says_what_it_says(
    bits: int, precision: str, whole: ft.Run, reviews: Path, wide: str, tmp_path: Path
) -> None:
    table, model = ft.read(reviews), wide
    run = ft.train(table, plan(bits, precision=precision), model=model, out=tmp_path / "run")
    before, after = ([look.scores["loss"] for look in each.epochs] for each in (whole, run))
    assert after[-1] < after[0] - 0.05
    assert after[-1] == pytest.approx(before[-1], abs=0.1)
    p = run.predictions("validation")
    pipe = tf.pipeline("text-classification", model=str(run.model), top_k=None)
    texts = [table.inputs[table.position[row_id]][0] for row_id in p.ids]
    said = [{each["label"]: each["score"] for each in row} for row in pipe(texts)]
    np.testing.assert_allclose([[row[name] for name in p.names] for row in said], p.probabilities, atol=1e-4)
    saved = tf.AutoModelForSequenceClassification.from_pretrained(run.model)
    untuned = tf.AutoModelForSequenceClassification.from_pretrained(model)
    matrices = [name for name, module in saved.named_modules() if isinstance(module, nn.Linear) and "layer.0" in name]
    for name in matrices:  # of the frozen block: the numbers that the bits stand for, and no others
        moved = saved.get_submodule(name).weight - untuned.get_submodule(name).weight
        moved = moved.detach()
        assert 0 < float(moved.norm() / untuned.get_submodule(name).weight.detach().norm()) < {4: 0.2, 8: 0.02}[bits]


@pytest.mark.parametrize("bits", BITS)
def test_a_stopped_run_ends_in_the_same_bits(bits: int, reviews: Path, wide: str, tmp_path: Path) -> None:
    table = ft.read(reviews)
    whole = ft.train(table, plan(bits, precision="bf16"), model=wide, out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        ft.train(table, plan(bits, precision="bf16"), model=wide, out=tmp_path / "run", progress=StopAt(20))
    again = ft.train(table, plan(bits, precision="bf16"), model=wide, out=tmp_path / "run", resume=True)
    one, other = (tf.AutoModelForSequenceClassification.from_pretrained(run.model) for run in (whole, again))
    for name, tensor in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


@pytest.mark.parametrize("bits", BITS)
def test_the_store_makes_no_difference(bits: int, reviews: Path, wide: str) -> None:
    from finetooth.loop import fit

    found = []
    for cache in ("off", "auto"):
        table, told, chosen = ft.read(reviews), Listener(), plan(bits, cache=cache, freeze=2)
        job = Material.of(table, chosen, wide).job(chosen, progress=told)
        state = job.state()
        for step in fit(state, job.batches, job.recipe, job.scores):
            if step.step == 12:
                break
        assert ("computing once" in " ".join(told.said)) == (cache == "auto")
        found.append({name: p.detach().clone() for name, p in state.net.named_parameters() if p.requires_grad})
    for name, tensor in found[0].items():
        torch.testing.assert_close(found[1][name], tensor, atol=1e-4, rtol=1e-2, msg=name)


def test_without_the_library_it_says_what_to_install(reviews: Path, wide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes.nn", None)
    with pytest.raises(UserError, match=r"pip install 'finetooth\[bits\]'"):
        prepare(ft.read(reviews), plan(4), wide).state()


@pytest.mark.parametrize("bits", BITS)
def test_a_network_that_looks_at_its_matrices_keeps_those_whole(bits: int, tmp_path: Path) -> None:
    """T5 brings a state to the type of one of its matrices, which whole numbers of a byte would make nothing of."""
    model = tiny.save_seq2seq(tmp_path / "t5")
    config = tf.AutoConfig.from_pretrained(model)
    config.d_model, config.d_ff, config.d_kv = 64, 128, 32
    tf.T5ForConditionalGeneration(config).save_pretrained(model)
    rows = tiny.write_talks(tmp_path / "talks.jsonl", 80)
    how = {"task": "seq2seq", "epochs": 1, "freeze": 0, "adapter": {"r": 2, "bits": bits}}
    job = prepare(ft.read(rows), ft.Plan.of(how), str(model))
    net = job.state().net
    assert all(p.is_floating_point() == (".wo." in name) for name, p in net.named_parameters() if "base_layer" in name)
    assert job.backbone.merge() < 0.5


def test_lengths_of_weights_learn_beside_4_bits_and_not_beside_8(reviews: Path, wide: str, tmp_path: Path) -> None:
    dora = {"r": 4, "use_dora": True}
    four = ft.Plan.of({**PLAN, "epochs": 1, "adapter": {**dora, "bits": 4}})
    run = ft.train(ft.read(reviews), four, model=wide, out=tmp_path / "run")
    assert run.predictions("validation").ids
    with pytest.raises(PlanError, match=r"adapter\.use_dora and adapter\.bits contradict"):
        ft.Plan.of({"adapter": {**dora, "bits": 8}})


def test_a_net_that_says_something_else_in_few_bits_is_refused(wide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_classifier(wide, ["a", "b"], adapter=plan(None).values()["adapter"])
    monkeypatch.setattr(bits_module, "MOST", 1e-9)
    with pytest.raises(ModelError, match="with its matrices in 4 bits a bert says something else"):
        quantize(backbone.net, 4, "cpu", backbone.example())
