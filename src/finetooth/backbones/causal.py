"""Load a causal language model as it is, its own head included, and read it at chosen tokens alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from finetooth.backbones.adapt import prompted, with_prompt
from finetooth.backbones.attention import quicken
from finetooth.backbones.layers import evaluating
from finetooth.backbones.load import (
    CANNOT_LOAD,
    Backbone,
    How,
    assembled,
    example_of,
    first_line,
    reading_tuned,
    with_own_head,
)
from finetooth.backbones.quiet import quiet
from finetooth.backbones.sources import located
from finetooth.errors import ModelError

AT_ONCE = 4096  # tokens that are held at once: prompts, their padding, and what is written
_AT: ContextVar[Tensor | None] = ContextVar("the tokens that are read", default=None)


@contextmanager
def read_at(places: Tensor) -> Iterator[None]:
    """In here a causal model gives the logits of these tokens alone, (places, vocabulary).

    `places`, (rows, tokens), is true at each of them. The head is the largest matrix of a small model, and most tokens
    are asked about by nobody.
    """
    before = _AT.set(places)
    try:
        yield
    finally:
        _AT.reset(before)


def load_causal(model: str, **how: Unpack[How]) -> Backbone:
    """The model with the head that it was pre-trained with, all weights in fp32. Raises ModelError.

    With an adapter nothing else learns.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    source = located(model)
    with quiet():
        try:
            config, tokenizer = AutoConfig.from_pretrained(source), _tokenizer(source)
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: cannot be loaded as a causal language model: {first_line(error)}") from error
    if config.is_encoder_decoder:
        raise ModelError(f"{model}: a {config.model_type} writes from a source that it reads apart: task: seq2seq.")
    needed = "take a model that writes text, such as smollm2."
    net = with_own_head(AutoModelForCausalLM, source, model, config, how, what="a causal language model", needed=needed)
    readable(net)
    return assembled(net, tokenizer, model, how, answers=not how.get("scratch"), task_type="CAUSAL_LM")


@torch.inference_mode()
def keeps_apart(net: Any) -> bool:
    """Whether rows that share a sequence, their positions begun anew, are to this network what they are alone."""
    rows = torch.tensor([[5, 6, 7, 8]]), torch.tensor([[9, 5, 8]])
    ids = torch.cat(rows, dim=1)
    positions = torch.cat([torch.arange(row.shape[1]) for row in rows])[None]
    try:
        with evaluating(net):
            together = net(input_ids=ids, position_ids=positions, use_cache=False).logits
            alone = torch.cat([net(input_ids=row).logits for row in rows], dim=1)
    except (TypeError, ValueError):  # it takes no positions
        return False
    return together.shape == alone.shape and torch.allclose(together, alone, rtol=1e-4, atol=1e-4)


def load_tuned_causal(folder: Path) -> tuple[Any, Any]:
    """The network and tokenizer of a model directory as it stands, in evaluation mode, fp32.

    Where the run's adapter is tokens before each text, it is put before them.
    """
    from transformers import AutoModelForCausalLM

    with reading_tuned(folder):
        net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        tokenizer = _tokenizer(folder)
        readable(net)
        net = with_prompt(net, folder.parent / "adapter")
    quicken(net, example_of(net, tokenizer))
    return net.eval(), tokenizer


def _tokenizer(source: str | Path) -> Any:
    """With the end of a text for padding, where there is none: what pads is never looked at."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def readable(net: Any) -> None:
    """Have the head look where `read_at` says."""

    def chosen(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        places = _AT.get()
        # Tokens of an adapter's own may stand before those of the text.
        return None if places is None else (args[0][:, -places.shape[1] :][places], *args[1:])

    net.get_output_embeddings().register_forward_pre_hook(chosen)


@torch.inference_mode()
def written(net: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], tokens: int) -> list[str]:
    """What the model writes after each prompt, the likeliest token each time, at most so many of them.

    Prompts of like length go together, padded where the model does not go on: before a prompt or, where an encoder
    reads it, behind; of equal length, where an adapter's tokens stand before the padding and would be further from a
    shorter one.
    """
    said = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    device = next(net.parameters()).device
    ends = {tokenizer.eos_token_id, *_list(net.generation_config.eos_token_id)} - {None}
    for some in _together(order, [len(each) for each in prompts], tokens, alike=prompted(net)):
        longest, pad, apart = max(len(prompts[i]) for i in some), tokenizer.pad_token_id, net.config.is_encoder_decoder
        ids = torch.full((len(some), longest), pad)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(some):
            place = slice(len(prompts[i])) if apart else slice(longest - len(prompts[i]), longest)
            ids[row, place], mask[row, place] = torch.tensor(prompts[i]), 1
        told: dict[str, Any] = {"max_new_tokens": tokens, "do_sample": False, "pad_token_id": pad}
        told |= {"attention_mask": mask.to(device), "eos_token_id": sorted(ends)}
        with warnings.catch_warnings():
            # PEFT counts positions by itself, and says so each time; where no prompt is padded, as is right.
            warnings.filterwarnings("ignore", "Position ids are not supported")
            out = net.generate(input_ids=ids.to(device), **told)
        for i, row in zip(some, out[:, 1 if apart else longest :].tolist(), strict=True):
            end = next((place for place, token in enumerate(row) if token in ends), len(row))
            said[i] = tokenizer.decode(row[:end], skip_special_tokens=True).strip()
    return said


def _together(order: Sequence[int], lengths: Sequence[int], room: int, *, alike: bool) -> Iterator[list[int]]:
    """Prompts, the longest first, in runs of at most AT_ONCE tokens, `room` behind each and padding among them.

    `alike`: each run is of prompts of one length.
    """
    runs = [list(run) for _, run in groupby(order, lambda i: lengths[i])] if alike else [list(order)]
    for run in runs:
        while run:
            rows = max(1, AT_ONCE // (lengths[run[0]] + room))
            yield run[:rows]
            del run[:rows]


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
