"""Load a pre-trained encoder with a new head that tags every token."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

import torch

from finetooth.backbones.layers import evaluating
from finetooth.backbones.load import Backbone, How, assembled, load_tuned, tokenizer_of, with_head
from finetooth.backbones.sources import located
from finetooth.errors import ModelError

NEED = "tags need an encoder, which reads both ways, with a fast tokenizer: a BERT or the like, or minilm or mpnet."


def load_tagger(model: str, names: list[str], **how: Unpack[How]) -> Backbone:
    """The model with a new head that has an output for each of `names` at every token, all weights in fp32.

    Raises ModelError as `load_classifier` does, and for a network that reads one way, or a tokenizer that does not tell
    words.
    """
    from transformers import AutoModelForTokenClassification

    source = located(model)
    net, answers = with_head(AutoModelForTokenClassification, source, model, names, "single_label_classification", how)
    tokenizer = tokenizer_of(source, model, add_prefix_space=True)
    if not tokenizer.is_fast:
        raise ModelError(f"{model}: its tokenizer does not tell which word a token is of; {NEED}")
    if not _both_ways(net, tokenizer):
        raise ModelError(f"{model}: a {net.config.model_type} reads a word without those behind it; {NEED}")
    tokenizer.truncation_side = "right"  # what is cut of a row are its last words
    return assembled(net, tokenizer, model, how, answers=answers, task_type="TOKEN_CLS")


def load_tuned_tagger(folder: Path) -> tuple[Any, Any]:
    """The network and tokenizer of a tuned model's directory, in evaluation mode, fp32."""
    from transformers import AutoModelForTokenClassification

    return load_tuned(folder, AutoModelForTokenClassification)


def _both_ways(net: Any, tokenizer: Any) -> bool:
    """Whether what the network makes of the first token hangs on the last."""
    row = dict(tokenizer("a b", return_tensors="pt"))
    other = {**row, "input_ids": row["input_ids"].clone()}
    other["input_ids"][0, -1] = 1 - (row["input_ids"][0, -1] == 1).long()  # another token, whichever
    with torch.inference_mode(), evaluating(net):
        first, second = (net.base_model(**inputs)[0][0, 0] for inputs in (row, other))
    return not torch.allclose(first, second, rtol=1e-5, atol=1e-7)
