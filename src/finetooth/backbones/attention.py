"""Attention on a processor, for the short rows that fine-tuning mostly sees.

torch's fused kernel is made for long rows: on a processor its backward pass takes ten times as long as the two products
that it replaces, and with dropout it is not used at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from finetooth.backbones.dropout import dropped, replace
from finetooth.backbones.first import spared
from finetooth.backbones.layers import evaluating

NAME = "finetooth"
UNREAD = ("position_ids", "use_cache")  # what decoders hand down, and torch's attention does not look at either
MOST_PAIRS = 512**2  # of tokens; beyond, the weights of all pairs take more memory than they save time


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """Vaswani et al. 2017 (Attention Is All You Need), section 3.2.1, as transformers asks for it.

    Query, key, value (rows, heads, tokens, width), fewer heads of the latter two if need be; a mask that is true where
    a token is seen; (rows, tokens, heads, width). What is not so plain is left to torch.
    """
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    plain = all(each is None or each is False for name, each in rest.items() if name not in UNREAD)
    queries = query.shape[2]
    if query.stride(2) == 0 and plain and not causal:  # each token asks the same (first.py): once is enough
        query = query[:, :, :1]
        attention_mask = None if attention_mask is None else attention_mask[:, :, :1]
        if (layers := spared()) is not None:
            seen = _of_states(query, key, layers, attention_mask, dropout, scaling)
            return seen.expand(-1, queries, -1, -1), None
    plain = plain and query.shape[1] % key.shape[1] == 0
    plain = plain and (attention_mask is None or attention_mask.dtype == torch.bool)  # Swin adds numbers instead
    if causal and attention_mask is None and query.shape[2] > 1:
        plain = plain and query.shape[2] == key.shape[2]
    if query.device.type != "cpu" or not plain or query.shape[2] * key.shape[2] > MOST_PAIRS:
        how = {"dropout": dropout, "scaling": scaling, "is_causal": is_causal}
        seen, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **how, **rest)
        return seen.expand(-1, queries, -1, -1), None
    if causal and attention_mask is None and query.shape[2] > 1:
        attention_mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    scaled = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    # Heads that share a key and a value (Ainslie et al. 2023, GQA) are rows of one product.
    shared = (*key.shape[:2], -1, key.shape[3])
    scores = torch.matmul(scaled.reshape(shared), key.transpose(2, 3)).view(*query.shape[:3], key.shape[2])
    weights = _weights(scores, attention_mask, dropout, value.dtype)
    seen = torch.matmul(weights.view(*key.shape[:2], -1, key.shape[2]), value).view(*query.shape[:3], value.shape[3])
    return seen.transpose(1, 2).contiguous().expand(-1, queries, -1, -1), None


def _weights(scores: Tensor, attention_mask: Tensor | None, dropout: float, dtype: torch.dtype) -> Tensor:
    """How much of each token is taken, (..., tokens); the scores are written over."""
    if attention_mask is not None:
        scores = scores.masked_fill_(~attention_mask, torch.finfo(scores.dtype).min)
    # In fp32: on short rows torch takes up to twelve times as long for it in bf16.
    return dropped(torch.softmax(scores, dim=-1, dtype=torch.float32).to(dtype), dropout)


def _of_states(
    query: Tensor,
    states: Tensor,
    layers: tuple[nn.Linear, nn.Linear],
    attention_mask: Tensor | None,
    dropout: float,
    scaling: float | None,
) -> Tensor:
    """The attention of one query a row, (rows, heads, 1, width), above states of which no keys and values were made.

    `states` come in the keys' shape, (rows, heads, tokens, width), all heads together one state. Of a head
    query . (K state + k) = (query K) . state + query . k, and what it finds is V (sum of weighed states) + v: a product
    with K and one with V for each row instead of each token. Gives (rows, 1, heads, width).
    """
    key, value = layers
    (rows, heads, _, width), (_, _, tokens, _) = query.shape, states.shape
    states = states.transpose(1, 2).reshape(rows, tokens, heads * width)
    scaled = (query[:, :, 0] * (width**-0.5 if scaling is None else scaling)).transpose(0, 1)
    asked = torch.bmm(scaled, key.weight.view(heads, width, -1)).transpose(0, 1)
    scores = torch.bmm(asked, states.transpose(1, 2))
    if key.bias is not None:  # the same for each token, so it makes no difference; its gradient is zero as it always is
        scores = scores + (scaled * key.bias.view(heads, 1, width)).sum(-1).t().unsqueeze(-1)
    weights = _weights(scores, None if attention_mask is None else attention_mask[:, :, 0], dropout, states.dtype)
    found = torch.bmm(weights, states).transpose(0, 1)
    seen = torch.bmm(found, value.weight.view(heads, width, -1).transpose(1, 2)).transpose(0, 1)
    return (seen if value.bias is None else seen + value.bias.view(heads, width)).unsqueeze(1)


def quicken(net: Any, example: Mapping[str, Tensor]) -> None:
    """Have a net that asks torch for its attention ask here, and for its dropout there.

    A net may do something else besides when it does not find torch's name (Falcon leaves its masks away), so what it
    says of the `example` is looked at before and after.
    """
    replace(net)
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    if net.config._attn_implementation != "sdpa":
        return
    with torch.inference_mode(), evaluating(net):
        before = net(**example).logits
        net.config._attn_implementation = NAME
        if not torch.allclose(net(**example).logits, before, rtol=1e-4, atol=1e-5):
            net.config._attn_implementation = "sdpa"
