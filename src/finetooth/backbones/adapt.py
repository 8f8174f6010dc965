"""Adapters: small matrices beside the pre-trained ones, or virtual tokens in each row, learn in place of the network.

PEFT makes them and names their files. Hu et al. 2022 (LoRA), section 4.1; with `use_dora` Liu et al. 2024 (DoRA),
section 4.1; with `use_rslora` Kalajdzievski 2023 (A Rank Stabilization Scaling Factor), section 3.2. Of tokens: Lester
et al. 2021 (Prompt Tuning), section 2; Li and Liang 2021 (Prefix-Tuning), section 4; Liu et al. 2021 (P-tuning),
section 3.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from finetooth.backbones import visual_prompt
from finetooth.backbones.bits import hush, restore
from finetooth.backbones.layers import Layers, evaluating, layers, stacks_of
from finetooth.errors import ModelError, PlanError, nearest

MARKS = ("lora_", "prompt_encoder.")  # in the names of the parameters that PEFT brings
READ_TOKENS = ("CAUSAL_LM", "SEQ_CLS", "TOKEN_CLS")  # the tasks of PEFT whose texts can have tokens put before them
BESIDE = "num_virtual_tokens"  # in the configuration of what was saved without the tokens that stand in its rows
LEARNT, UNLEARNT = ".modules_to_save.default", ".original_module"  # what PEFT puts around a head, and keeps of it
MERGED = 1e-4  # share of the largest logit (or of 1) by which the merged network may say something else: rounding


def adapt(net: Any, adapter: Mapping[str, Any], task_type: str | None, example: Mapping[str, Tensor]) -> Any:
    """The net with an adapter: beside the matrices of every block, in place, or as tokens in each row, around it.

    `adapter` is the plan's, with PEFT's names, as is `task_type`, None for what sees images; `example` is what the net
    takes. Raises PlanError where it does not fit the net.
    """
    hush()
    if adapter["type"] != "lora":
        return _prompted(net, adapter, task_type, example)
    _put_beside(net, adapter, task_type)
    return net


def prompted(net: Any) -> bool:
    """Whether what learns are tokens in each row."""
    return any(config.is_prompt_learning for config in getattr(net, "peft_config", {}).values())


def body(net: Any, inputs: Mapping[str, Tensor]) -> Tensor:
    """What the network makes of each token or place below its head; tokens before a text have no place in it."""
    if not prompted(net):
        found: Tensor = net.base_model(**inputs)[0]
        return found
    left: list[Tensor] = []
    handle = net.get_base_model().base_model.register_forward_hook(lambda module, args, out: left.append(out[0]))
    try:
        net(**inputs)
    finally:
        handle.remove()
    return left[0][:, -inputs["input_ids"].shape[1] :]


def with_prompt(net: Any, folder: Path) -> Any:
    """The net with the tokens that `save_adapter` kept in this folder, where it did; else the net itself.

    Raises ModelError where the net was saved beside such tokens and they are gone.
    """
    if not (folder / "adapter_config.json").is_file():
        if hasattr(net.config, BESIDE):
            raise ModelError(
                f"{folder}: not there; {getattr(net.config, BESIDE)} tokens that learnt stood in each row, and what "
                f"the model says without them means nothing. Put the run's folder `adapter` back beside `model`."
            )
        return net
    hush()
    from peft import PeftConfig, PeftModel

    if not PeftConfig.from_pretrained(folder).is_prompt_learning:
        return net
    with _without_warning():
        found = PeftModel.from_pretrained(net, folder)
    if found.peft_config["default"].task_type is None:
        visual_prompt.put_behind(found)
    return found


def _prompted(net: Any, adapter: Mapping[str, Any], task_type: str | None, example: Mapping[str, Tensor]) -> Any:
    from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig, get_peft_model

    if task_type is None:
        with _without_warning():
            return visual_prompt.with_tokens(net, adapter, _heads(net, example), example)
    kind, how = adapter["type"], {key: value for key, value in adapter.items() if key != "type"}
    if task_type not in READ_TOKENS or net.config.is_encoder_decoder:
        raise PlanError(
            f"adapter: {kind} puts tokens before a text that one network reads; take {{type: lora}} for this one."
        )
    how |= {"task_type": task_type, "num_attention_heads": net.config.num_attention_heads}
    width = net.get_input_embeddings().weight.shape[1]  # ALBERT and ELECTRA read narrower tokens than their states
    if kind == "prompt":
        config = PromptTuningConfig(**how, token_dim=width, prompt_tuning_init="SAMPLE_VOCAB")
    elif kind == "prefix":
        config = PrefixTuningConfig(**how, token_dim=net.config.hidden_size)
    else:
        config = PromptEncoderConfig(**how, token_dim=width)
    if task_type != "CAUSAL_LM":
        config.modules_to_save = _heads(net, example)
    try:
        with _without_warning():
            with_tokens = get_peft_model(net, config)
        apart = task_type == "CAUSAL_LM" or _read_apart(with_tokens, example)
    except ValueError as error:  # PEFT's word for a network that takes no keys from outside
        raise PlanError(
            f"adapter: a {net.config.model_type} cannot have a {kind} put before its texts ({error}); take another "
            f"type, {{type: lora}} if no other."
        ) from error
    if not apart:
        raise PlanError(
            f"adapter: behind a {kind} a {net.config.model_type} reads the padding of shorter texts; take "
            f"{{type: lora}}."
        )
    return with_tokens


@torch.inference_mode()
def _read_apart(net: Any, example: Mapping[str, Tensor]) -> bool:
    """Whether what is said of a row that is padded is what is said of it alone."""
    tokens = int(example["attention_mask"][0].sum())
    with evaluating(net):
        together = net(**example).logits
        alone = net(**{name: each[:1, :tokens] for name, each in example.items()}).logits
    # Of tags there are some for each token, and those of padding stand last.
    return torch.allclose(together[:1, : alone.shape[1]], alone, rtol=1e-4, atol=1e-5)


def _heads(net: Any, example: Mapping[str, Tensor]) -> list[str]:
    """The modules above the uppermost block, as PEFT is told them: whole where they stand outside the network."""
    above = {name.rpartition(".")[0] for name, depth in layers(net, example).parameters.items() if depth == 0}
    inside = f"{net.base_model_prefix}."
    return sorted({name if name.startswith(inside) else name.partition(".")[0] for name in above})


@contextmanager
def _without_warning() -> Iterator[None]:
    """PEFT asks transformers for a name that is retired, which no user can help."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _put_beside(net: Any, adapter: Mapping[str, Any], task_type: str | None) -> None:
    """An adapter beside the matrices of every block; at first it changes nothing.

    Without `target_modules` every linear layer of a block has one (Dettmers et al. 2023, QLoRA, section 4); where no
    block has any, every convolution that mixes channels. Raises PlanError for target_modules that no block has.
    """
    from peft import LoraConfig, inject_adapter_in_model

    parts = {f"{name}.{place}": part for name, stack in stacks_of(net) for place, part in stack.named_modules()}
    linear = {place for place, part in parts.items() if isinstance(part, nn.Linear)}
    if not linear:
        linear = {place for place, part in parts.items() if isinstance(part, nn.Conv2d) and part.groups == 1}
    targets = linear
    if adapter["target_modules"] != "auto":
        kinds = {place.rpartition(".")[2] for place in linear}
        for wanted in adapter["target_modules"]:
            if wanted not in kinds:
                raise PlanError(f"adapter.target_modules: there is no '{wanted}'; {nearest(wanted, sorted(kinds))}")
        targets = {place for place in linear if place.rpartition(".")[2] in adapter["target_modules"]}
    how = {key: value for key, value in adapter.items() if key not in ("type", "target_modules", "bits")}
    how["lora_alpha"] = 2 * how["r"] if how["lora_alpha"] is None else how["lora_alpha"]
    inject_adapter_in_model(LoraConfig(**how, target_modules=sorted(targets), task_type=task_type), net)


def unwrapped(net: Any) -> dict[str, Tensor]:
    """The weights of the network that has tokens in its rows, the head that learnt in the place of the one before.

    By the names that they have without the adapter.
    """
    whole = net.get_base_model().state_dict()
    return {name.replace(LEARNT, ""): each for name, each in whole.items() if UNLEARNT not in name}


def unlearning(net: nn.Module, layers: Layers, *, head: bool) -> frozenset[str]:
    """The parameters that an adapted network keeps as they are: all but the adapters' and a new `head`'s."""
    named = layers.parameters.items()
    own = [name for name in layers.parameters if any(mark in name for mark in MARKS)]
    return frozenset(name for name, depth in named if name not in own and (depth > 0 or not head))


def save_adapter(net: Any, layers: Layers, source: str, folder: Path) -> None:
    """adapter_config.json and adapter_model.safetensors as PEFT reads them, the head among `modules_to_save`."""
    from peft import get_peft_model_state_dict

    if prompted(net):
        folder.mkdir(exist_ok=True)
        config, whole = net.peft_config["default"], get_peft_model_state_dict(net)
        config.base_model_name_or_path, config.inference_mode = source, True
        config.save_pretrained(folder)
        config.inference_mode = False
        save_file({name: each.contiguous() for name, each in whole.items()}, folder / "adapter_model.safetensors")
        return
    learnt = {name for name, depth in layers.parameters.items() if depth == 0} - layers.still
    heads = sorted({name.rpartition(".")[0] for name in learnt})
    kept = dict(get_peft_model_state_dict(net))
    kept |= {name: tensor for name, tensor in net.state_dict().items() if name.rpartition(".")[0] in heads}
    config = net.peft_config["default"]
    config.modules_to_save, config.base_model_name_or_path, config.inference_mode = heads or None, source, True
    folder.mkdir(exist_ok=True)
    config.save_pretrained(folder)
    tensors = {f"base_model.model.{name}": tensor.detach().contiguous() for name, tensor in kept.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def merge(net: Any, example: Mapping[str, Tensor]) -> float:
    """Add the adapters to the matrices beside which they stand, in place; the largest difference of a logit.

    Matrices of few bits become those of the numbers that they stand for; with 8 bits what goes into a product was
    rounded as well, and is no longer. Raises ModelError where the merged network says something else than the adapted
    one.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    with torch.inference_mode(), evaluating(net):
        first = before = net(**example).logits
    if restore(net):
        with torch.inference_mode(), evaluating(net):
            before = net(**example).logits
    for name, module in list(net.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            above, _, own = name.rpartition(".")
            setattr(net.get_submodule(above), own, module.get_base_layer())
    del net.peft_config
    with torch.inference_mode(), evaluating(net):
        after = net(**example).logits
    gap = float((after - first).abs().max())
    # Sums are rounded by what goes into them: a logit near zero among others of thirty is as inexact as those.
    if not float((after - before).abs().max()) <= MERGED * max(1.0, float(before.abs().max())):
        raise ModelError(
            f"{type(net).__name__}: merged with its adapters it says something else, by {gap:.2g} a logit."
        )
    return gap
