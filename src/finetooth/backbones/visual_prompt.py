"""Virtual tokens of a network that sees images: they stand behind an image's own when these enter the first block.

Jia et al. 2022 (Visual Prompt Tuning), section 3.2, shallow. PEFT makes the tokens and names their files; it puts them
before words alone, so that here a hook does it, as in whatever reads such a model later.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import ref

import torch
from torch import Tensor, nn

from finetooth.backbones.cut import with_first
from finetooth.backbones.layers import evaluating, stack_of
from finetooth.errors import PlanError


class Behind:
    """A hook of the first block, which knows the net around it without keeping it; that of a copy knows the copy."""

    def __init__(self, net: Any) -> None:
        self.net = ref(net)

    def __deepcopy__(self, memo: dict[int, Any]) -> Behind:
        return Behind(memo[id(self.net())])

    def __call__(self, block: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        net: Any = self.net()
        return with_first(args, named, lambda state: torch.cat([state, net.get_prompt(len(state))], dim=1))


def put_behind(net: Any) -> None:
    """Have the tokens that PEFT keeps beside the net stand in every image's sequence."""
    stack_of(net)[1][0].register_forward_pre_hook(Behind(net), with_kwargs=True)


def with_tokens(net: Any, adapter: Mapping[str, Any], heads: list[str], example: Mapping[str, Tensor]) -> Any:
    """The net with tokens that learn, and these heads beside them; `adapter` is the plan's.

    Raises PlanError where the net makes no sequence of an image, or none that may be longer.
    """
    from peft import PeftModel, PromptEncoderConfig, PromptTuningConfig

    kind, how = adapter["type"], {key: value for key, value in adapter.items() if key != "type"}
    config = {"prompt": PromptTuningConfig, "p-tuning": PromptEncoderConfig}.get(kind)
    unfit = PlanError(
        f"adapter: there is no {kind} for a {net.config.model_type}; prompt and p-tuning are for networks that see an "
        f"image as one sequence, whatever its length, and whose configuration has one hidden_size, as ViT and DeiT. "
        f"Take {{type: lora}} for this one."
    )
    if config is None:
        raise unfit
    if not hasattr(net.config, "vocab_size"):
        net.config.vocab_size = 0  # PEFT asks for it, to find the words that there are not
    try:
        whole = PeftModel(net, config(**how, modules_to_save=heads))
        put_behind(whole)
        with torch.inference_mode(), evaluating(whole):
            whole(**example)
    except (RuntimeError, ValueError) as error:  # no hidden_size, windows, positions of pairs, maps
        raise unfit from error
    if kind == "prompt":
        nn.init.xavier_uniform_(whole.prompt_encoder["default"].embedding.weight)
    return whole
