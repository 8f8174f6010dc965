"""The last block computed for the first token alone says what it said, and only where nobody reads the others."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from torch.utils.flop_counter import FlopCounterMode

import finetooth as ft
from finetooth.backbones import first_alone, layers, load_classifier
from finetooth.backbones.first import shorten
from tests import tiny

SHORTENED = ["bert", "roberta", "distilbert", "mpnet", "electra", "deberta-v2", "modernbert"]


def asked(net: Any, alone: bool, inputs: dict[str, Any]) -> tuple[torch.Tensor, int]:
    with FlopCounterMode(display=False) as counter:
        if alone:
            with first_alone():
                logits = net(**inputs).logits
        else:
            logits = net(**inputs).logits
    return logits, counter.get_total_flops()


def some() -> dict[str, torch.Tensor]:
    ids = torch.randint(4, 26, (6, 12))
    ids[:, 0] = 2
    mask = torch.ones_like(ids)
    mask[3:, 7:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("kind", SHORTENED)
def test_the_logits_and_their_gradients_stay_and_the_products_become_fewer(kind: str, tmp_path: Path) -> None:
    net = load_classifier(str(tiny.save_model(tmp_path / kind, tiny.config(kind, blocks=3))), ["a", "b", "c"]).net
    net.eval()
    inputs, found = some(), {}
    for alone in (False, True):
        net.zero_grad()
        logits, operations = asked(net, alone, inputs)
        torch.nn.functional.cross_entropy(logits, torch.arange(6) % 3).backward()
        found[alone] = logits.detach(), {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
        found[alone] += (operations,)
    torch.testing.assert_close(found[True][0], found[False][0], rtol=1e-5, atol=1e-6)
    assert found[True][1].keys() == found[False][1].keys()
    for name, gradient in found[False][1].items():
        torch.testing.assert_close(found[True][1][name], gradient, rtol=1e-4, atol=1e-7, msg=name)
    assert found[True][2] < 0.95 * found[False][2]


def test_of_other_tokens_the_last_block_computes_next_to_nothing(tmp_path: Path) -> None:
    net = load_classifier(str(tiny.save_model(tmp_path / "bert", tiny.config("bert"))), ["a", "b"]).net.eval()
    inputs, config = some(), net.config
    rows, tokens = inputs["input_ids"].shape
    width, inner, heads = config.hidden_size, config.intermediate_size, config.num_attention_heads
    fewer = asked(net, False, inputs)[1] - asked(net, True, inputs)[1]
    # A block by itself: four products with its weights, scores, what they weigh, two more; and what is left of it.
    whole = tokens * (4 * width**2 + 2 * tokens * width + 2 * width * inner)
    # Key and value stand for one token of all, which keeps their layers in their places.
    left = 4 * width**2 + 2 * tokens * heads * width + 2 * width * inner
    assert fewer == 2 * (rows * (whole - left) - 2 * width**2)


def test_an_adapter_on_queries_and_values_is_not_left_out(tmp_path: Path) -> None:
    where = str(tiny.save_model(tmp_path / "bert", tiny.config("bert", blocks=3)))
    lora = {"type": "lora", "r": 2, "target_modules": ["query", "value"]}
    adapter = ft.Plan.of({"adapter": lora}).values()["adapter"]
    net = load_classifier(where, ["a", "b"], adapter=adapter).net.eval()
    for name, parameter in net.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    inputs = some()
    whole, alone = asked(net, False, inputs), asked(net, True, inputs)
    torch.testing.assert_close(alone[0], whole[0], rtol=1e-5, atol=1e-6)
    assert alone[1] < 0.95 * whole[1]
    # And one without, loaded after it, is not kept from what the adapter forbids.
    plain, again = (load_classifier(where, ["a", "b"], adapter=each).net.eval() for each in (None, adapter))
    assert asked(plain, True, inputs)[1] / asked(plain, False, inputs)[1] < 0.75 < alone[1] / whole[1]
    assert asked(again, True, inputs)[1] == alone[1]


def test_an_attention_that_does_not_know_of_keys_left_away_is_not_believed(tmp_path: Path) -> None:
    net = load_classifier(str(tiny.save_model(tmp_path / "bert", tiny.config("bert"))), ["a", "b"]).net.eval()
    inputs = some()
    net.config._attn_implementation = "eager"
    with first_alone(), pytest.raises(RuntimeError, match="left away"):
        net(**inputs)
    net.config._attn_implementation = "finetooth"
    torch.testing.assert_close(asked(net, True, inputs)[0], asked(net, False, inputs)[0])


def test_a_net_that_kept_another_attention_keeps_its_keys(tmp_path: Path) -> None:
    """Also where one of the same kind, asked before, had ours."""
    ours = load_classifier(str(tiny.save_model(tmp_path / "bert", tiny.config("bert", blocks=3))), ["a", "b"]).net
    net = tf.BertForSequenceClassification(deepcopy(ours.config)).eval()
    net.config._attn_implementation = "sdpa"
    shorten(net, layers(net, some()), some())
    inputs = some()
    torch.testing.assert_close(asked(net, True, inputs)[0], asked(net, False, inputs)[0], rtol=1e-5, atol=1e-6)


def test_outside_of_it_every_token_has_its_state(tmp_path: Path) -> None:
    net = load_classifier(str(tiny.save_model(tmp_path / "bert", tiny.config("bert"))), ["a", "b"]).net.eval()
    inputs = some()
    assert net.base_model(**inputs)[0].shape[1] == 12
    with first_alone():
        assert net.base_model(**inputs)[0].shape[1] == 1
    assert net.base_model(**inputs)[0].shape[1] == 12


@pytest.mark.parametrize("zeros", ["nothing", "the head", "what the last block adds"])
def test_a_network_whose_head_reads_every_token_is_left_alone(zeros: str) -> None:
    """Also where the weights that are there happen to make no difference."""
    torch.manual_seed(0)
    net = tf.ModernBertForSequenceClassification(tiny.config("modernbert", blocks=2))
    net.config.classifier_pooling = "mean"
    parts = {"nothing": [], "the head": [net.classifier], "what the last block adds": [net.model.layers[-1].mlp.Wo]}
    with torch.no_grad():
        for part in parts[zeros]:
            part.weight.zero_()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    shorten(net, layers(net, some()), some())
    assert not any(part._forward_hooks for part in net.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_a_head_of_zeros_that_reads_first_tokens_is_no_hindrance(tmp_path: Path) -> None:
    net = tf.BertForSequenceClassification(tiny.config("bert", blocks=2))
    torch.nn.init.zeros_(net.classifier.weight)
    shorten(net, layers(net, some()), some())
    cut = [name.removeprefix("bert.encoder.layer.1.") for name, part in net.named_modules() if part._forward_hooks]
    assert cut == ["attention", "attention.self.query", "attention.output.dense"]


def test_a_network_made_otherwise_is_loaded_all_the_same(tmp_path: Path) -> None:
    """SqueezeBERT hands its states on as a dictionary."""
    small = {"hidden_size": 16, "embedding_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    groups = {f"{name}_groups": 1 for name in ("q", "k", "v", "post_attention", "intermediate", "output")}
    config = tf.SqueezeBertConfig(vocab_size=40, num_hidden_layers=2, **small, **groups)
    net = load_classifier(str(tiny.save_model(tmp_path / "squeeze", config)), ["a", "b"]).net.eval()
    inputs = some()
    torch.testing.assert_close(asked(net, True, inputs)[0], asked(net, False, inputs)[0])
