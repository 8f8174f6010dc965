"""Attention on a processor is torch's own in other words."""

from __future__ import annotations

import pytest
import torch
import transformers as tf
from torch import nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from finetooth.backbones.attention import NAME, attention, quicken


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


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("asked", [1, 7])
def test_heads_that_share_keys_and_see_the_past_alone(masked: bool, asked: int) -> None:
    """As decoders ask: four heads on two keys, positions handed down, no mask where no row is padded."""
    torch.manual_seed(0)
    query = torch.randn(3, 4, asked, 8, requires_grad=True)
    made = [query, *[torch.randn(3, 2, 7, 8, requires_grad=True) for _ in range(2)]]
    mask = torch.ones(3, 1, asked, 7, dtype=torch.bool).tril(7 - asked)
    mask[1, :, :, 5:] = False
    module = nn.Module()
    module.is_causal, module.num_key_value_groups = True, 2
    found = []
    for ask in (attention, sdpa_attention_forward):
        output = ask(module, *made, mask if masked else None, position_ids=torch.arange(7)[None], use_cache=True)[0]
        found.append([output, *torch.autograd.grad(output.square().sum(), made)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


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
    quicken(net, {"input_ids": ids})
    assert net.config._attn_implementation == NAME
    torch.testing.assert_close(net(input_ids=ids).logits, before, atol=1e-6, rtol=1e-5)
    other = torch.tensor([[5, 6, 7, 8, 30]])
    torch.testing.assert_close(net(input_ids=other).logits[:, :4], before[:, :4], atol=1e-6, rtol=1e-5)


def test_a_net_that_needs_torchs_name_keeps_it() -> None:
    """Falcon masks by itself where it does not find the name that it knows."""
    marks = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
    small = tf.FalconConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, alibi=False, **marks
    )
    torch.manual_seed(0)
    net = tf.AutoModelForCausalLM.from_config(small).eval()
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    before = net(input_ids=ids).logits
    quicken(net, {"input_ids": ids})
    torch.testing.assert_close(net(input_ids=ids).logits, before, atol=1e-6, rtol=1e-5)
