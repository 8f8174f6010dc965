"""Load a network that sees images with a new head, and what its images have to look like."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import nn

from finetooth.backbones.adapt import with_prompt
from finetooth.backbones.efficientnet_lite import spare_open_gates
from finetooth.backbones.layers import Layers, evaluating
from finetooth.backbones.load import (
    CANNOT_LOAD,
    Backbone,
    How,
    backbone,
    first_line,
    quickened,
    reading_tuned,
    with_head,
)
from finetooth.backbones.norm import settle
from finetooth.backbones.preparation import Preparation
from finetooth.backbones.quiet import quiet
from finetooth.backbones.sources import PREPROCESSOR, located
from finetooth.errors import ModelError, UserError


def load_image_classifier(model: str, names: list[str], **how: Unpack[How]) -> Backbone:
    """As `load_classifier`, for a network that sees images; it has a Preparation where others have a tokenizer."""
    from transformers import AutoModelForImageClassification

    source = located(model, images=True)
    preparation = _preparation(source, model)
    net, answers = with_head(AutoModelForImageClassification, source, model, names, "single_label_classification", how)
    if not how.get("scratch"):  # from scratch there are no statistics to keep
        settle(net)
    if (colours := getattr(net.config, "num_channels", 3)) != 3:
        raise ModelError(f"{model}: it takes images of {colours} channels; expected 3: red, green and blue.")
    with _at_its_size(preparation, model):
        made = backbone(
            net,
            preparation,
            model,
            how,
            found=lambda net: _quickened_for_images(net, preparation),
            limit=preparation.patches,
            content=preparation.content,
            answers=answers,
            task_type=None,
        )
    side = how.get("image_size")
    return made if side is None else at_size(made, side)


def at_size(made: Backbone, side: int) -> Backbone:
    """The same network for images of `side` pixels by `side`. Raises ModelError where it cannot see such."""
    preparation = made.tokenizer.at_size(side)
    try:
        with torch.inference_mode(), evaluating(made.net):
            made.net(**preparation.example())
    except (ValueError, RuntimeError) as error:
        height, width = made.tokenizer.shape
        raise ModelError(
            f"{made.source}: the network cannot see images of {side} x {side} pixels ({first_line(error)}); leave "
            f"image_size away for its own {height} x {width}."
        ) from error
    digest = sha256(preparation.content.encode()).hexdigest()
    return replace(made, tokenizer=preparation, limit=preparation.patches, tokenizer_digest=digest)


def load_tuned_images(folder: Path) -> tuple[Any, Preparation]:
    """The network and preparation of a model directory as it stands, in evaluation mode, fp32."""
    from transformers import AutoModelForImageClassification

    with reading_tuned(folder):
        net = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        net = with_prompt(net, folder.parent / "adapter")
    preparation = _preparation(str(folder), str(folder))
    with _at_its_size(preparation, str(folder)):
        _quickened_for_images(net, preparation)
    return net.eval(), preparation


@contextmanager
def _at_its_size(preparation: Preparation, model: str) -> Iterator[None]:
    """In here a network sees an image for the first time. Raises ModelError where its own preparation does not fit."""
    try:
        yield
    except UserError:
        raise
    except (ValueError, RuntimeError) as error:
        height, width = preparation.shape
        raise ModelError(
            f"{model}: the network cannot see images of {height} x {width} pixels, as its {PREPROCESSOR} makes them: "
            f"{first_line(error)}"
        ) from error


def _quickened_for_images(net: Any, preparation: Preparation) -> Layers:
    """As `quickened`, asked in the precision of the weights."""
    net.base_model.register_forward_pre_hook(_in_own_precision, with_kwargs=True)
    spare_open_gates(net)
    return quickened(net, preparation)


def _in_own_precision(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
    """A forward pre-hook: pixels in the precision of the weights, and in the order in which convolutions are quick."""
    own = next(module.parameters()).dtype

    def cast(value: Any) -> Any:
        if not (isinstance(value, torch.Tensor) and value.is_floating_point()):
            return value
        order = torch.channels_last if value.ndim == 4 else torch.preserve_format
        return value.to(own, memory_format=order)

    return tuple(map(cast, args)), {name: cast(value) for name, value in named.items()}


def _preparation(source: str, model: str) -> Preparation:
    """What the model wants done to its images. Raises ModelError where its processor is missing, or does more."""
    from transformers import AutoImageProcessor

    with quiet():
        try:
            # By Pillow, whatever else is installed.
            processor = AutoImageProcessor.from_pretrained(source, backend="pil")
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: its image processor cannot be loaded: {first_line(error)}") from error
        return Preparation.of(processor, model)
