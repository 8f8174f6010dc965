"""Products with packed weights, and a GELU at their end, say the same to a rounding."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as tf
from torch import Tensor, nn

from finetooth.backbones import packed as packing
from finetooth.backbones.packed import _PAIRS
from tests import tiny

EXAMPLE = {
    "input_ids": torch.arange(6, 22).view(2, 8),
    "attention_mask": torch.tensor([[1] * 8, [1] * 5 + [0] * 3]),
}
PAIRS = {"bert": 2, "roberta": 2, "distilbert": 2, "mpnet": 2, "electra": 2, "deberta-v2": 2, "modernbert": 0}


def made(kind: str) -> Any:
    """A network with weights of a size at which a wrong product shows."""
    torch.manual_seed(0)
    net = tf.AutoModelForSequenceClassification.from_config(tiny.config(kind)).eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(0, 0.2)
    return net


def hidden(net: Any, **inputs: Tensor) -> Tensor:
    with torch.inference_mode():
        return net.base_model(**inputs).last_hidden_state.float()


@pytest.mark.parametrize("kind", PAIRS)
def test_packed_products_say_the_same_to_a_rounding(kind: str) -> None:
    net = made(kind)
    truth = hidden(net, **EXAMPLE)
    net = net.bfloat16()
    _PAIRS.clear()
    before = hidden(net, **EXAMPLE)
    with packing(net, lambda: EXAMPLE):
        during = hidden(net, **EXAMPLE)
        assert sum("forward" in vars(module) for module in net.modules()) > 4, "the products are others meanwhile"
    assert [len(pairs) for pairs in _PAIRS.values()] == [PAIRS[kind]]
    assert torch.equal(hidden(net, **EXAMPLE), before), "afterwards it is what it was"
    assert not any("forward" in vars(module) for module in net.modules())
    assert not PAIRS[kind] or not torch.equal(during, before)
    seen = EXAMPLE["attention_mask"].bool()
    errors = [float((each - truth)[seen].norm() / truth[seen].norm()) for each in (before, during)]
    assert errors[1] < 1.2 * errors[0] + 1e-3, errors


def test_an_image_network_is_packed_too() -> None:
    torch.manual_seed(0)
    net = tf.AutoModelForImageClassification.from_config(tiny.image_config("vit")).eval().bfloat16()
    example = {"pixel_values": torch.randn(2, 3, 32, 32).bfloat16()}
    _PAIRS.clear()
    before = hidden(net, **example)
    with packing(net, lambda: example):
        during = hidden(net, **example)
    assert [len(pairs) for pairs in _PAIRS.values()] == [net.config.num_hidden_layers]
    assert 0 < float((during - before).norm() / before.norm()) < 0.02


def test_weights_that_changed_are_packed_as_they_now_are() -> None:
    net = made("bert").bfloat16()
    with packing(net, lambda: EXAMPLE):
        before = hidden(net, **EXAMPLE)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(1.5)
    plain = hidden(net, **EXAMPLE)
    with packing(net, lambda: EXAMPLE):
        after = hidden(net, **EXAMPLE)
    assert float((after - plain).norm() / plain.norm()) < 0.05
    assert float((after - before).norm() / before.norm()) > 0.1


def test_what_was_asked_before_makes_no_difference() -> None:
    """An adapted net of the same configuration has no plain layers; what was found of it is not the other's."""
    from peft import LoraConfig, inject_adapter_in_model

    _PAIRS.clear()
    adapted: Any = inject_adapter_in_model(LoraConfig(target_modules=["dense"]), made("bert").bfloat16())
    for net in (adapted, made("bert").bfloat16()):
        with packing(net, lambda: EXAMPLE):
            hidden(net, **EXAMPLE)
    assert sorted(map(len, _PAIRS.values())) == [0, 2]


def test_other_precisions_stay_as_they_are() -> None:
    net = made("bert")
    with packing(net, lambda: EXAMPLE):
        assert not any("forward" in vars(module) for module in net.modules())


class Read(nn.Module):
    """A block in which something else, too, reads what stands before the GELU."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.up, self.act, self.down, self.twice = nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16), twice

    def forward(self, state: Tensor) -> Tensor:
        up = self.up(state)
        found = self.act(up)
        return self.down(found + up if self.twice else found)


class Net(nn.Module):
    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.blocks, self.head = nn.ModuleList([Read(twice) for _ in range(2)]), nn.Linear(16, 2)
        self.config = tf.BertConfig(num_labels=3 if twice else 2)  # another key for what is kept of an architecture

    def forward(self, states: Tensor) -> SimpleNamespace:
        for block in self.blocks:
            states = block(states)
        return SimpleNamespace(logits=self.head(states[:, 0]))


@pytest.mark.parametrize("twice", [False, True])
def test_a_gelu_stays_where_it_is_when_something_else_reads_what_is_before_it(twice: bool) -> None:
    torch.manual_seed(0)
    net, states = Net(twice).bfloat16().eval(), {"states": torch.randn(2, 5, 16).bfloat16()}
    _PAIRS.clear()
    with torch.inference_mode():
        before = net(**states).logits
        with packing(net, lambda: states):
            during = net(**states).logits
    assert [len(pairs) for pairs in _PAIRS.values()] == [0 if twice else 2]
    torch.testing.assert_close(during, before, rtol=0.02, atol=0.02)
