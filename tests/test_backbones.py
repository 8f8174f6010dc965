"""Layers by depth for the architectures that people tune, and the loading of models."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import transformers as tf
from torch import nn

from finetooth.backbones import layers, load_classifier
from finetooth.errors import ModelError
from tests import tiny

KINDS = ["bert", "roberta", "distilbert", "mpnet", "electra", "deberta-v2", "modernbert", "albert"]
EXAMPLE = {
    "input_ids": torch.tensor([[2, 5, 6, 3, 0], [2, 5, 6, 7, 3]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]),
}


def classifier(kind: str, blocks: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return tf.AutoModelForSequenceClassification.from_config(tiny.config(kind, blocks=blocks))


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_and_module_has_one_depth(kind: str) -> None:
    net = classifier(kind)
    found = layers(net, EXAMPLE)
    assert set(found.parameters) == {name for name, _ in net.named_parameters()}
    assert set(found.modules) == {name for name, _ in net.named_modules()}
    blocks = 1 if kind == "albert" else 3
    assert found.deepest == blocks + 1
    assert set(found.parameters.values()) == set(range(blocks + 2))
    assert found.names[0] == "head" and found.names[-1] == "embeddings"


def entering(net: nn.Module, block: nn.Module) -> torch.Tensor:
    """What enters `block` when it is first called."""
    seen: list[torch.Tensor] = []

    def watch(module: nn.Module, args: tuple, kwargs: dict) -> None:
        seen.append((args or tuple(kwargs.values()))[0].detach().clone())

    hook = block.register_forward_pre_hook(watch, with_kwargs=True)
    net(**EXAMPLE)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("kind", KINDS)
def test_depth_says_what_a_change_can_reach(kind: str) -> None:
    """The definition itself: what enters a block depends on what is deeper than it, and on nothing else."""
    found = layers(classifier(kind), EXAMPLE)
    for depth in range(1, found.deepest):
        net = classifier(kind).eval()
        block = net.get_submodule(found.names[depth])
        before = entering(net, block)
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if found.parameters[name] <= depth:
                    parameter.add_(torch.randn_like(parameter))
        assert torch.equal(before, entering(net, block)), f"something at depth {depth} or above reached it"
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if found.parameters[name] == depth + 1:
                    parameter.add_(torch.randn_like(parameter))
        assert not torch.equal(before, entering(net, block)), f"nothing at depth {depth + 1} reached it"


@pytest.mark.parametrize(
    ("kind", "name", "depth"),
    [
        ("mpnet", "mpnet.encoder.relative_attention_bias.weight", 4),
        ("deberta-v2", "deberta.encoder.rel_embeddings.weight", 4),
        ("deberta-v2", "deberta.encoder.LayerNorm.weight", 4),
        ("deberta-v2", "deberta.encoder.conv.conv.weight", 3),  # runs after the lowest block
        ("electra", "electra.embeddings_project.weight", 4),
        ("bert", "bert.pooler.dense.weight", 0),
        ("modernbert", "model.final_norm.weight", 0),
        ("distilbert", "pre_classifier.weight", 0),
    ],
)
def test_parameters_outside_the_stack_stand_where_they_first_act(kind: str, name: str, depth: int) -> None:
    assert layers(classifier(kind), EXAMPLE).parameters[name] == depth


def test_listing_the_layers_leaves_the_network_as_it_was() -> None:
    net = classifier("bert").train()
    net.bert.embeddings.eval()
    net.classifier.weight.requires_grad_(False)
    modes = {name: module.training for name, module in net.named_modules()}
    layers(net, EXAMPLE)
    assert modes == {name: module.training for name, module in net.named_modules()}
    assert [n for n, p in net.named_parameters() if not p.requires_grad] == ["classifier.weight"]
    assert all(p.grad is None for p in net.parameters())


def test_weights_tied_between_blocks_belong_to_the_deepest() -> None:
    net = classifier("bert")
    stack = net.bert.encoder.layer
    stack[2].output.dense.weight = stack[0].output.dense.weight
    assert layers(net, EXAMPLE).parameters["bert.encoder.layer.0.output.dense.weight"] == 3


def test_a_network_without_a_stack_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="no stack of blocks"):
        layers(nn.Linear(2, 2), {})


@pytest.mark.parametrize("kind", KINDS)
def test_frozen_layers_run_in_evaluation_mode_without_gradients(kind: str) -> None:
    net = classifier(kind)
    found = layers(net, EXAMPLE)
    cut = found.deepest - 1
    found.freeze(net, lambda depth: depth >= cut)
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (found.parameters[name] < cut)
    for name, module in net.named_modules():
        if isinstance(module, nn.Dropout):
            assert module.training == (found.modules[name] < cut), name
    # A frozen block draws nothing: what enters the lowest block that learns is the same in every pass.
    lowest = net.get_submodule(found.names[cut - 1]) if cut > 1 else net.get_submodule(found.names[1])
    assert torch.equal(entering(net, lowest), entering(net, lowest))


@pytest.mark.parametrize("kind", KINDS)
def test_a_published_encoder_gets_a_new_head_with_the_label_names(kind: str, tmp_path: Path) -> None:
    folder = tiny.save_model(tmp_path / kind, tiny.config(kind))
    backbone = load_classifier(str(folder), ["no", "yes", "perhaps"], seed=3)
    assert backbone.net.config.id2label == {0: "no", 1: "yes", 2: "perhaps"}
    assert backbone.net(**EXAMPLE).logits.shape == (2, 3)
    base = tf.AutoModel.from_pretrained(folder).state_dict()
    ours = backbone.net.base_model.state_dict()
    assert all(torch.equal(base[name], ours[name]) for name in base if name in ours)
    backbone.save(tmp_path / "saved")
    again = tf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    saved, own = again.state_dict(), backbone.net.state_dict()
    assert saved.keys() == own.keys() and all(torch.equal(saved[name], own[name]) for name in own)
    # transformers asks torch's attention, which adds up in another order.
    torch.testing.assert_close(again(**EXAMPLE).logits, backbone.net.eval()(**EXAMPLE).logits, atol=1e-7, rtol=1e-5)
    assert "finetooth" not in (tmp_path / "saved" / "config.json").read_text()


def test_the_new_head_is_a_function_of_the_seed_alone(tiny_bert: Path) -> None:
    heads = []
    for seed, noise in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(noise)
        heads.append(load_classifier(str(tiny_bert), ["a", "b"], seed=seed).net.classifier.weight)
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_a_head_made_for_other_classes_is_not_kept(tiny_bert: Path, tmp_path: Path) -> None:
    load_classifier(str(tiny_bert), ["cat", "dog"], seed=1).save(tmp_path / "tuned")
    head = tf.AutoModelForSequenceClassification.from_pretrained(tmp_path / "tuned").classifier.weight
    same = load_classifier(str(tmp_path / "tuned"), ["cat", "dog"], seed=2).net.classifier.weight
    other = load_classifier(str(tmp_path / "tuned"), ["ham", "spam"], seed=2).net.classifier.weight
    wider = load_classifier(str(tmp_path / "tuned"), ["a", "b", "c"], seed=2).net.classifier.weight
    assert torch.equal(head, same)
    assert not torch.equal(head, other)
    assert wider.shape == (3, 16)


def test_dropout_can_be_set_for_the_whole_model(tiny_bert: Path) -> None:
    net = load_classifier(str(tiny_bert), ["a", "b"], dropout=0.0).net.train()
    assert {m.p for m in net.modules() if isinstance(m, nn.Dropout)} == {0.0}
    assert torch.equal(net(**EXAMPLE).logits, net(**EXAMPLE).logits)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer beside the model"),
        (lambda f: (f / "config.json").unlink(), "no config.json"),
        (lambda f: (f / "model.safetensors").unlink(), "cannot be loaded"),
        (lambda f: (f / "model.safetensors").write_bytes(b"not a model"), "cannot be loaded"),
        (lambda f: shutil.rmtree(f), "no such model directory"),
    ],
)
def test_a_spoilt_model_directory_is_refused_in_words(tiny_bert: Path, tmp_path: Path, spoil, words) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    spoil(folder)
    with pytest.raises(ModelError, match=words):
        load_classifier(str(folder), ["a", "b"])


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    folder = tiny.save_model(tmp_path / "model", tiny.config("bert"))
    tiny.config("distilbert").save_pretrained(folder)
    with pytest.raises(ModelError, match="do not belong together"):
        load_classifier(str(folder), ["a", "b"])


def test_a_misspelt_packaged_name_is_told_the_right_one() -> None:
    with pytest.raises(ModelError, match="did you mean 'minilm'"):
        load_classifier("minillm", ["a", "b"])


def test_a_tokenizer_that_knows_more_tokens_than_the_model_is_refused(tmp_path: Path) -> None:
    folder = tiny.save_model(tmp_path / "model", tiny.config("bert", vocabulary=10))
    with pytest.raises(ModelError, match="do not belong together"):
        load_classifier(str(folder), ["a", "b"])
