"""What an image model wants done to an image before it sees it: resized, cropped, and made numbers around zero.

The model's own preprocessor_config.json says what. It is done here, by Pillow and a table of 256 numbers per colour, so
that pixels can be kept as eight bits and changed on the way; whether that is the same as what transformers' own
processor makes of an image is looked at, bit for bit, when a model is loaded.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from finetooth.errors import ModelError
from finetooth.pictures import DEEP
from finetooth.pixels import Shades

PATCH = 16  # pixels of a side: what counts as one token when work is measured out
UNCROPPED = 384  # pixels from which on ConvNeXt's processor squeezes an image instead of cropping it
TRIED = ((96, 64), (61, 97))  # widths and heights of the images on which both ways are compared


@dataclass(frozen=True)
class Preparation:
    """Resize to `size`, or the shorter side to `shortest`, crop the middle to `shape` (height, width), take `values`.

    `values`, (3, 256), is what the network takes for the eight bits of each colour. `processor` is transformers' own,
    which is saved beside the model.
    """

    processor: Any
    size: tuple[int, int] | None
    shortest: int | None
    shape: tuple[int, int]
    resample: int
    values: NDArray[np.float32]

    # Where text models have a tokenizer, image models have this: nothing is padded, and nothing masked.
    pad_token_id: ClassVar[int] = 0
    mask_token: ClassVar[None] = None

    @staticmethod
    def of(processor: Any, model: str) -> Preparation:
        """As a transformers image processor has it. Raises ModelError where it does something that is not done here."""
        told = processor.to_dict()
        said = {key: dict(told.get(key) or {}) for key in ("size", "crop_size")}
        if not told.get("do_resize", False):
            raise ModelError(
                f"{model}: its image processor does not resize, so that its images cannot be put together."
            )
        size, shortest = _sides(said["size"]), said["size"].get("shortest_edge")
        shape = _sides(said["crop_size"]) if told.get("do_center_crop") else size
        if shortest and "crop_pct" in told:  # as ConvNeXt and ResNet have it
            shape = (shortest, shortest)
            size = shape if shortest >= UNCROPPED else None
            shortest = int(shortest / told["crop_pct"])
        smallest = min(size) if size else shortest
        if shape is None or smallest is None or (size is None and smallest < max(shape)):
            raise ModelError(
                f"{model}: its image processor makes images of different sizes (size {said['size']}, crop "
                f"{said['crop_size'] or 'none'}); expected height and width, or a crop that fits into the shorter side."
            )
        made = Preparation(processor, size, shortest, shape, int(told["resample"]), _values(told))
        made._refuse_difference(model)
        return made

    def fitted(self, image: Image.Image) -> Shades:
        """The image as large as the network wants it, (height, width, 3).

        It has to be of mode RGB, or of mode F with grey between 0 and 65,535, which comes out in sixteen bits.
        """
        if self.size is not None:
            height, width = self.size
        else:
            assert self.shortest is not None, "the one or the other"
            short, long = sorted(image.size)
            other = int(self.shortest * long / short)
            width, height = (self.shortest, other) if image.width <= image.height else (other, self.shortest)
        pixels = np.asarray(image.resize((width, height), resample=Image.Resampling(self.resample)))
        top, left = (height - self.shape[0]) // 2, (width - self.shape[1]) // 2
        pixels = pixels[top : top + self.shape[0], left : left + self.shape[1]]
        if pixels.ndim == 2:
            return np.repeat(np.rint(pixels).clip(0, DEEP).astype(np.uint16)[..., None], 3, axis=2)
        return pixels

    @property
    def whole(self) -> bool:
        """Whether all of an image is seen, squeezed to the shape."""
        return self.size == self.shape

    def at_size(self, side: int) -> Preparation:
        """The same for images that are seen `side` pixels wide and high."""
        told, square = self.processor.to_dict(), {"height": side, "width": side}
        size, scale = dict(told["size"]), side / self.shape[0]
        if "crop_pct" in told:
            size = {"shortest_edge": side}
        else:
            size = {name: round(pixels * scale) for name, pixels in size.items() if pixels}
        if self.whole:
            size = square
        processor = type(self.processor).from_dict({**told, "size": size, "crop_size": square})
        return Preparation.of(processor, f"image_size {side}")

    @property
    def deep_values(self) -> NDArray[np.float32]:
        """What the network takes for sixteen bits of each colour, (3, 65536): `values`, 256 times as fine."""
        return _values(self.processor.to_dict(), DEEP + 1)

    @property
    def patches(self) -> int:
        """The tokens that an image counts for, when work is measured out; 4 at least, as for a text."""
        height, width = self.shape
        return max(4, -(-height // PATCH) * -(-width // PATCH))

    @property
    def content(self) -> str:
        """All that decides what becomes of an image."""
        return json.dumps([self.size, self.shortest, self.shape, self.resample, self.values.tolist()])

    def example(self) -> dict[str, Tensor]:
        """Two images of grain, as the network takes them."""
        grain = torch.Generator().manual_seed(0)
        return {"pixel_values": torch.randn((2, 3, *self.shape), generator=grain)}

    def save_pretrained(self, folder: Path) -> None:
        """preprocessor_config.json, as transformers writes it."""
        self.processor.save_pretrained(folder)

    def _refuse_difference(self, model: str) -> None:
        rng = np.random.default_rng(0)
        for width, height in TRIED:
            image = Image.fromarray(rng.integers(256, size=(height, width, 3), dtype=np.uint8))
            theirs = np.asarray(self.processor(images=image, return_tensors="np")["pixel_values"][0])
            fitted = self.fitted(image)
            ours = np.stack([self.values[c][fitted[..., c]] for c in range(3)])
            if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-5, atol=1e-6):
                raise ModelError(
                    f"{model}: its image processor, {type(self.processor).__name__}, does something that this version "
                    f"of finetooth does not do; expected resizing, cropping the middle, rescaling and normalising."
                )


def _sides(size: dict[str, int]) -> tuple[int, int] | None:
    return (int(size["height"]), int(size["width"])) if size.get("height") and size.get("width") else None


def _values(told: dict[str, Any], count: int = 256) -> NDArray[np.float32]:
    """What becomes of each of so many shades, per colour, in the order and the precision of transformers."""
    # The brightest is 255, however many there are.
    shades: NDArray[Any] = np.tile(np.arange(count) / ((count - 1) // 255), (3, 1))
    if told.get("do_rescale", True):
        shades = (shades * told["rescale_factor"]).astype(np.float32)
        if told.get("rescale_offset"):  # EfficientNet: from -1 on instead of 0
            shades -= 1
    values = shades.astype(np.float32)
    std = np.array(told.get("image_std") or 1.0, dtype=np.float32).reshape(-1, 1)
    if told.get("do_normalize", True):
        values = (values - np.array(told["image_mean"], dtype=np.float32).reshape(-1, 1)) / std
    if told.get("include_top"):  # EfficientNet's again
        values = values / std
    return np.ascontiguousarray(np.broadcast_to(values, (3, count)), dtype=np.float32)
