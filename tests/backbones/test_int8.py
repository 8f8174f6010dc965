"""Products in eight bits say nearly the same."""

from __future__ import annotations

import pytest
import torch
import transformers as tf
from torch import nn

from finetooth.backbones.int8 import Int8, int8
from tests import tiny


@pytest.mark.parametrize("kind", ["bert", "mpnet", "distilbert"])
def test_eight_bits_say_nearly_the_same(kind: str) -> None:
    torch.manual_seed(0)
    net = tf.AutoModelForSequenceClassification.from_config(tiny.config(kind, blocks=3)).eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(0, 0.2)
    whole = {name: p.detach().clone() for name, p in net.named_parameters()}
    small = int8(net)
    products = [module for module in small.modules() if isinstance(module, Int8)]
    assert len(products) == 18, "six in each of three blocks"
    ids = torch.randint(4, 26, (16, 12))
    with torch.inference_mode():
        one, other = net(input_ids=ids).logits, small(input_ids=ids).logits
    gap = float((one - other).norm() / (one - one.mean(dim=0)).norm())
    assert 0 < gap < 0.1, gap
    assert all(torch.equal(p, whole[name]) for name, p in net.named_parameters()), "the net itself stays as it was"


def test_a_network_that_looks_at_its_layers_weights_can_be_asked() -> None:
    torch.manual_seed(0)
    config = tf.T5Config(
        d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, vocab_size=40, num_labels=2, decoder_start_token_id=0
    )
    net = tf.AutoModelForSequenceClassification.from_config(config).eval()
    small = int8(net)
    assert any(isinstance(module, Int8) for module in small.modules())
    ids = torch.randint(4, 26, (4, 12))
    ids[:, -1] = net.config.eos_token_id
    with torch.inference_mode():
        one, other = net(input_ids=ids).logits, small(input_ids=ids).logits
    assert torch.isfinite(other).all() and float((one - other).abs().max()) < 0.1


def test_a_linear_layer_in_eight_bits_is_the_layer_to_one_part_in_a_hundred() -> None:
    torch.manual_seed(0)
    for bias in (True, False):
        linear, values = nn.Linear(64, 48, bias=bias), torch.randn(5, 7, 64)
        exact, near = linear(values).detach(), Int8(linear)(values)
        assert near.shape == exact.shape
        assert 0 < float((exact - near).norm() / exact.norm()) < 0.02
