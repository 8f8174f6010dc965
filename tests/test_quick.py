"""What is done faster than in torch is the same thing: dropout, attention, the copy in bf16."""

from __future__ import annotations

import pytest
import torch
import transformers as tf
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from finetooth.backbones.attention import NAME, attention, quicken
from finetooth.backbones.dropout import Dropout
from finetooth.backbones.int8 import Int8, int8
from finetooth.twin import Twin
from tests import tiny


def test_dropout_drops_its_share_and_keeps_the_mean() -> None:
    for share in (0.0, 0.1, 0.5, 0.9):
        torch.manual_seed(0)
        values = torch.ones(1_000_003, requires_grad=True)
        found = Dropout(share)(values)
        assert float((found == 0).double().mean()) == pytest.approx(share, abs=0.003)
        assert float(found.double().mean().detach()) == pytest.approx(1.0, abs=0.01)
        found.sum().backward()
        assert torch.equal(values.grad, found.detach()), "the gradient goes where the value went"


def test_dropout_is_a_function_of_torchs_generator_alone() -> None:
    values, layer = torch.ones(7, 11, 13), Dropout(0.3)
    torch.manual_seed(5)
    one, two = layer(values), layer(values)
    torch.manual_seed(5)
    assert torch.equal(one, layer(values)) and not torch.equal(one, two)
    assert torch.equal(layer.eval()(values), values)


def test_what_is_dropped_in_one_place_says_nothing_of_another() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(64, 4096)) > 0).double()
    together = torch.corrcoef(kept)
    assert float((together - torch.eye(64)).abs().max()) < 0.08
    ahead = (kept[:, 1:] * kept[:, :-1]).mean()
    assert float(ahead) == pytest.approx(0.25, abs=0.005)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_is_torchs(masked: bool, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    made = [torch.randn(3, 2, 7, 8, dtype=dtype, requires_grad=True) for _ in range(3)]
    mask = torch.ones(3, 1, 7, 7, dtype=torch.bool)
    mask[1, :, :, 4:] = False
    module = nn.Module()
    module.is_causal = False
    found, gradients = [], []
    for ask in (attention, sdpa_attention_forward):
        output = ask(module, *made, mask if masked else None, scaling=0.3)[0]
        gradients.append(torch.autograd.grad(output.float().square().sum(), made))
        found.append(output)
    close = {"atol": 1e-5, "rtol": 1e-5} if dtype is torch.float32 else {"atol": 0.05, "rtol": 0.05}
    torch.testing.assert_close(found[0], found[1], **close)
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, **close)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_decoder_still_sees_the_past_alone(kind: str) -> None:
    small = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    made = {
        "llama": lambda: tf.LlamaConfig(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            num_key_value_heads=1,
            **small,
        ),
        "gpt2": lambda: tf.GPT2Config(n_embd=16, n_layer=2, n_head=2, **small),
    }
    torch.manual_seed(0)
    net = tf.AutoModelForCausalLM.from_config(made[kind]()).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    before = net(input_ids=ids).logits
    quicken(net)
    assert net.config._attn_implementation == NAME
    torch.testing.assert_close(net(input_ids=ids).logits, before, atol=1e-6, rtol=1e-5)
    other = torch.tensor([[5, 6, 7, 8, 30]])
    torch.testing.assert_close(net(input_ids=other).logits[:, :4], before[:, :4], atol=1e-6, rtol=1e-5)


def test_the_twin_computes_and_the_master_learns() -> None:
    torch.manual_seed(0)
    net = tf.AutoModelForSequenceClassification.from_config(tiny.config("bert"))
    net.bert.embeddings.requires_grad_(False)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    twin = Twin(net, "bf16")
    for each in (net, twin.net):
        each.bert.embeddings.requires_grad_(False)
    twin.learn()
    assert {p.dtype for p in twin.net.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    twin.net(input_ids=torch.tensor([[2, 5, 3]])).logits.float().sum().backward()
    twin.hand_over()
    assert all((p.grad is None) != p.requires_grad or "pooler" in n for n, p in net.named_parameters())
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
    optimizer.step()
    twin.follow()
    for (name, own), copy in zip(net.named_parameters(), twin.net.parameters(), strict=True):
        assert torch.equal(copy, own.bfloat16()), name
        assert copy.grad is None
    moved = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert moved and not any("embeddings" in name for name in moved)


def test_in_fp32_the_twin_is_the_net_itself() -> None:
    net = tf.AutoModelForSequenceClassification.from_config(tiny.config("bert"))
    assert Twin(net, "fp32").net is net


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


def test_a_linear_layer_in_eight_bits_is_the_layer_to_one_part_in_a_hundred() -> None:
    torch.manual_seed(0)
    for bias in (True, False):
        linear, values = nn.Linear(64, 48, bias=bias), torch.randn(5, 7, 64)
        exact, near = linear(values).detach(), Int8(linear)(values)
        assert near.shape == exact.shape
        assert 0 < float((exact - near).norm() / exact.norm()) < 0.02
