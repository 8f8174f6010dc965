"""The copy in bf16 computes, the fp32 weights learn."""

from __future__ import annotations

import torch
import transformers as tf

from finetooth.twin import Twin
from tests import tiny


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


def test_many_small_gradients_are_added_up_in_fp32() -> None:
    net = torch.nn.Linear(1, 1, bias=False)
    twin = Twin(net, "bf16")
    twin.learn()
    for _ in range(1000):
        twin.net(torch.ones(1, 1, dtype=torch.bfloat16)).sum().backward()
        twin.hand_over()
    assert float(net.weight.grad) == 1000.0, "in bf16 it stops at 256"


def test_convolutions_of_each_channel_by_itself_stay_in_fp32_on_a_processor() -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(8, 8, 3, stride=2, groups=8))
    twin = Twin(net, "bf16")
    twin.learn()
    assert [p.dtype for p in twin.net.parameters()] == [torch.bfloat16] * 2 + [torch.float32] * 2
    said = twin.net(torch.rand(2, 3, 9, 9, dtype=torch.bfloat16))
    assert said.dtype == torch.bfloat16
    said.float().square().sum().backward()
    twin.hand_over()
    torch.optim.SGD(net.parameters(), lr=0.1).step()
    twin.follow()
    assert torch.equal(twin.net[1].weight, net[1].weight) and twin.net[1].weight is not net[1].weight
