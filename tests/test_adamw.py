"""AdamW some weights at a time is torch's own AdamW, clipping and a copy that follows, one after the other."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import transformers as tf
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from finetooth import adamw
from finetooth.backbones.layers import layers
from finetooth.twin import Twin
from tests import tiny

INPUTS = {"input_ids": torch.tensor([[2, 5, 3], [2, 9, 3]]), "attention_mask": torch.ones(2, 3, dtype=torch.int64)}
MOST = 0.05  # of the gradient's norm


def tuned(net: nn.Module, precision: str, own: bool, parts: int = 1) -> tuple[list[float], dict[str, Tensor]]:
    """The norms of some steps' gradients, and the weights after them: by `adamw`, or by torch's functions in turn."""
    torch.manual_seed(1)  # for dropout
    of = layers(net, INPUTS)
    optimizer, twin, norms = adamw.optimizer(net, of, weight_decay=0.1), Twin(net, precision), list[float]()
    for each in (net, twin.net):
        of.freeze(each, lambda depth: depth == of.deepest)
    twin.learn()
    for group in optimizer.param_groups:
        group["lr"] = 1e-2 * (1 + group["depth"])
    for _ in range(5):
        for _ in range(parts):
            twin.net(**INPUTS).logits.float().square().sum().backward()
            if not own or parts > 1:
                twin.hand_over()
        if own:
            norms.append(adamw.norm(twin.learning))
            adamw.update(optimizer, twin.learning, MOST / (norms[-1] + 1e-6))
        else:
            norms.append(float(clip_grad_norm_(net.parameters(), MOST)))
            optimizer.step()
            optimizer.zero_grad()
            twin.follow()
        assert all(p.grad is None for each in (net, twin.net) for p in each.parameters())
        for one, copy in zip(net.parameters(), twin.net.parameters(), strict=True):
            assert torch.equal(one.to(copy.dtype), copy)
    moments = {f"{i} {kind}": t for i, own in enumerate(net.parameters()) for kind, t in optimizer.state[own].items()}
    return norms, {**dict(net.named_parameters()), **moments}


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_is_torchs_own_step_whatever_is_taken_together(
    precision: str, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net = tf.AutoModelForSequenceClassification.from_config(tiny.config("bert")).eval()
    expected_norms, expected = tuned(deepcopy(net), precision, own=False, parts=parts)
    norms, found = tuned(deepcopy(net), precision, own=True, parts=parts)
    assert max(norms) > MOST, "something is clipped"
    assert norms == pytest.approx(expected_norms, rel=1e-4)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        if "key.bias" not in name:  # its true gradient is zero
            torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    monkeypatch.setattr(adamw, "ROOM", 1)
    alone_norms, alone = tuned(deepcopy(net), precision, own=True, parts=parts)
    assert alone_norms == norms
    assert all(torch.equal(alone[name], found[name]) for name in found)


def test_small_gradients_are_left_as_they_are_and_a_weight_without_one_stays() -> None:
    net = nn.ModuleList([nn.Linear(2, 1), nn.Linear(2, 1)])
    before = deepcopy(net)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.1, weight_decay=0.5, fused=True)
    learning = {own: own for own in net.parameters()}
    net[0](torch.ones(1, 2)).sum().backward()
    adamw.update(optimizer, learning, share=7.0)
    assert torch.equal(net[1].weight, before[1].weight) and net[1].weight not in optimizer.state
    assert torch.equal(optimizer.state[net[0].weight]["exp_avg"], torch.full((1, 2), 0.1)), "not 7 times as much"
    assert adamw.norm(learning) == 0.0
