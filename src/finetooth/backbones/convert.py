"""Packaged models that have to be written anew, once, before transformers takes them for what they are."""

from __future__ import annotations

import tempfile
from pathlib import Path

from finetooth.errors import ModelError
from finetooth.packaged import SMOLLM2, cache, fetch


def smollm2() -> Path:
    """SmolLM2-135M-Instruct in bf16, from the 4-bit file that is packaged. Raises ModelError without gguf.

    The weights are what the four bits left of them: a little worse than the original's.
    """
    source = fetch(SMOLLM2)
    target = cache() / f"{source.name}-bf16"
    if target.is_dir():
        return target
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    [file] = source.glob("*.gguf")
    try:
        net = AutoModelForCausalLM.from_pretrained(source, gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file.name)
    except ImportError as error:
        raise ModelError("smollm2: reading its file needs gguf; install finetooth[gguf].") from error
    # Read from such a file a model counts as quantised, although its weights are plain numbers by now.
    net.hf_quantizer, net.is_quantized = None, False
    if hasattr(net.config, "quantization_config"):
        del net.config.quantization_config
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".convert-") as scratch:
        made = Path(scratch) / "made"
        net.bfloat16().save_pretrained(made)
        tokenizer.save_pretrained(made)
        made.rename(target)
    return target
