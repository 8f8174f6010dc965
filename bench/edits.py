"""Copies of pictures as people make them without meaning to. Each edit is a function of the picture and a generator."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

Edit = Callable[[Image.Image, np.random.Generator], Image.Image]


def encoded(image: Image.Image, quality: int, kind: str = "JPEG") -> Image.Image:
    """Written with losses and read again."""
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return Image.open(buffer).convert("RGB")


def resized(image: Image.Image, factor: float, rng: np.random.Generator) -> Image.Image:
    """By one of the usual filters."""
    ways = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, ways[rng.integers(len(ways))])


def cropped(image: Image.Image, share: float, rng: np.random.Generator) -> Image.Image:
    """This share of the width and of the height is taken, so much of it from one side and the rest from the other."""
    w, h = round(share * image.width), round(share * image.height)
    x, y = int(rng.integers(w + 1)), int(rng.integers(h + 1))
    return image.crop((x, y, x + image.width - w, y + image.height - h))


def everything(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Cropped by 5 %, resized and encoded anew."""
    return encoded(resized(cropped(image, 0.05, rng), rng.uniform(0.6, 1.5), rng), int(rng.integers(60, 96)))


EDITS: dict[str, Edit] = {
    "jpeg, quality 50 to 95": lambda image, rng: encoded(image, int(rng.integers(50, 96))),
    "jpeg, quality 50": lambda image, rng: encoded(image, 50),
    "webp, quality 80": lambda image, rng: encoded(image, 80, "WEBP"),
    "resized, x0.5 to x2": lambda image, rng: resized(image, float(np.exp2(rng.uniform(-1, 1))), rng),
    "resized, x0.5": lambda image, rng: resized(image, 0.5, rng),
    "cropped by 5 %": lambda image, rng: cropped(image, 0.05, rng),
    "cropped by 2 %": lambda image, rng: cropped(image, 0.02, rng),
    "cropped by 5 %, resized x0.6 to x1.5, jpeg 60 to 95": everything,
    "mirrored": lambda image, rng: ImageOps.mirror(image),
    "mirrored, jpeg, quality 75": lambda image, rng: encoded(ImageOps.mirror(image), 75),
}
