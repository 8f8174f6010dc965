"""Load an encoder with its decoder as they are, and tell it what is to be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

import torch
from torch import nn

from finetooth.backbones.attention import quicken
from finetooth.backbones.causal import readable
from finetooth.backbones.load import (
    CANNOT_LOAD,
    Backbone,
    How,
    assembled,
    example_of,
    first_line,
    reading_tuned,
    tokenizer_of,
    with_own_head,
)
from finetooth.backbones.quiet import quiet
from finetooth.backbones.sources import located
from finetooth.errors import ModelError

WRITES = "writes"  # (rows, tokens) among what a network is given: what it is to write
NOTHING = -100  # in it, where a row has ended; as transformers has it
NEEDED = "take a network with an encoder and a decoder: a directory or Hub id of a T5, BART, Marian or the like."


def load_seq2seq(model: str, **how: Unpack[How]) -> Backbone:
    """The model with the head that it was pre-trained with, all weights in fp32. Raises ModelError.

    With an adapter nothing else learns.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

    source = located(model)
    with quiet():
        try:
            config = AutoConfig.from_pretrained(source)
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: cannot be loaded: {first_line(error)}") from error
    if type(config) not in AutoModelForSeq2SeqLM._model_mapping:
        reads = type(config) in AutoModelForMaskedLM._model_mapping  # encoders can be made to write, poorly
        writes = type(config) in AutoModelForCausalLM._model_mapping and not reads
        what = "goes on writing where a text ends: task: instruction; or" if writes else "reads and does not write;"
        raise ModelError(f"{model}: a {config.model_type} {what} {NEEDED}")
    what = "an encoder with its decoder"
    net = with_own_head(AutoModelForSeq2SeqLM, source, model, config, how, what=what, needed=NEEDED)
    _told(net)
    tokenizer, known = tokenizer_of(source, model), not how.get("scratch")
    return assembled(net, tokenizer, model, how, answers=known, task_type="SEQ_2_SEQ_LM")


def load_tuned_seq2seq(folder: Path) -> tuple[Any, Any]:
    """The network and tokenizer of a model directory as it stands, in evaluation mode, fp32."""
    from transformers import AutoModelForSeq2SeqLM

    with reading_tuned(folder):
        net = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
    _told(net)
    tokenizer = tokenizer_of(str(folder), str(folder))
    quicken(net, example_of(net, tokenizer))
    return net.eval(), tokenizer


def writes_from_a_source(model: str) -> bool:
    """Whether a model has an encoder that reads and a decoder that writes; False where that cannot be told."""
    from transformers import AutoConfig

    with quiet():
        try:
            return bool(AutoConfig.from_pretrained(located(model)).is_encoder_decoder)
        except CANNOT_LOAD:
            return False


def _told(net: Any) -> None:
    """Have the decoder read what stands in WRITES, one token late, and the head look where `read_at` says."""

    def shifted(module: Any, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        if WRITES not in named:
            return None
        rest = {name: each for name, each in named.items() if name != WRITES}
        before = module.prepare_decoder_input_ids_from_labels(labels=named[WRITES])
        return args, {**rest, "decoder_input_ids": before, "use_cache": False}

    assert isinstance(net, nn.Module), "what was loaded is a network"
    net.register_forward_pre_hook(shifted, with_kwargs=True)
    readable(net)
