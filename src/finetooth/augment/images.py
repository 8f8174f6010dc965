"""Augmentations of images: crop, flip, colour, and any of several at random.

Each is a function of numbers that gives an Augment, (height, width, 3) and a generator -> the same shape and as many
bits, eight or, of deep grey, sixteen. What a row
becomes is a function of the seed, the epoch and the row: in another batch, or in a resumed run, it becomes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log, sqrt

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from finetooth.pixels import Pixels, Shades, by_pillow, shades
from finetooth.seeds import Keys, numbers

Augment = Callable[[Shades, np.random.Generator], Shades]

GREY = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of red, green and blue, as people see them
STRONGEST = 30  # the magnitude at which RandAugment's operations are as strong as they get


def crop(scale: float = 0.5) -> Augment:
    """A part of the image, at least this share of its area, its sides stretched by up to a third, at the old size.

    Szegedy et al. 2015 (Going Deeper with Convolutions), section 6. Raises ValueError for a share outside 0 to 1.
    """
    _refuse("scale", scale, 1.0)

    def cropped(image: Shades, rng: np.random.Generator) -> Shades:
        height, width = image.shape[:2]
        area, stretch = rng.uniform(scale, 1.0), exp(rng.uniform(log(3 / 4), log(4 / 3)))
        down, across = min(1.0, sqrt(area / stretch)) * height, min(1.0, sqrt(area * stretch)) * width
        top, left = rng.uniform(0, height - down), rng.uniform(0, width - across)
        box = (left, top, left + across, top + down)
        return by_pillow(image, lambda each: each.resize((width, height), Image.Resampling.BILINEAR, box=box))

    return cropped


def flip(share: float = 0.5, vertical: bool = False) -> Augment:
    """This share of the images mirrored, left and right changed; with `vertical`, and independently, up and down too.

    Raises ValueError for a share outside 0 to 1.
    """
    _refuse("share", share, 1.0)

    def flipped(image: Shades, rng: np.random.Generator) -> Shades:
        across, down = rng.random(2) < share
        image = image[:, ::-1] if across else image
        return image[::-1] if down and vertical else image

    return flipped


def colour(strength: float = 0.3) -> Augment:
    """Brightness, contrast and saturation each multiplied by up to 1 more or less `strength`.

    Howard 2013 (Some Improvements on Deep Convolutional Neural Network Based Image Classification), section 2.2. Raises
    ValueError for a strength outside 0 to 1.
    """
    _refuse("strength", strength, 1.0)

    def coloured(image: Shades, rng: np.random.Generator) -> Shades:
        bright, contrast, saturation = rng.uniform(1 - strength, 1 + strength, size=3)
        # Brightness, then contrast about the mean grey, then saturation about each pixel's, in one pass.
        grey = image @ GREY
        scale = np.float32(bright * contrast)
        moved = (1 - saturation) * scale * grey + (1 - contrast) * bright * grey.mean()
        return shades(np.float32(saturation) * scale * image + moved[..., None], image)

    return coloured


def randaugment(operations: int = 2, magnitude: float = 9) -> Augment:
    """So many operations of OPERATIONS, drawn anew for each image, at a magnitude of at most 30.

    Cubuk et al. 2020 (RandAugment), section 3. Raises ValueError for numbers out of range.
    """
    _refuse("magnitude", magnitude, STRONGEST)
    if operations < 1:
        raise ValueError(f"operations: found {operations}, expected 1 or more")

    def changed(image: Shades, rng: np.random.Generator) -> Shades:
        picture = Image.fromarray(image)
        for number in rng.integers(len(OPERATIONS), size=operations).tolist():
            picture = OPERATIONS[number](picture, magnitude / STRONGEST * rng.choice((-1.0, 1.0)))
        return np.asarray(picture)

    return changed


def _moved(image: Image.Image, across: float, down: float, shear_across: float, shear_down: float) -> Image.Image:
    grid = (1.0, shear_across, across * image.width, shear_down, 1.0, down * image.height)
    return image.transform(image.size, Image.Transform.AFFINE, grid, Image.Resampling.BILINEAR, fillcolor="gray")


# An image and a strength between -1 and 1, of which some take the size alone, and some nothing.
OPERATIONS: tuple[Callable[[Image.Image, float], Image.Image], ...] = (
    lambda image, strength: image,
    lambda image, strength: ImageOps.autocontrast(image),
    lambda image, strength: ImageOps.equalize(image),
    lambda image, strength: image.rotate(30 * strength, Image.Resampling.BILINEAR, fillcolor="gray"),
    lambda image, strength: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
    lambda image, strength: ImageOps.solarize(image, 256 - round(256 * abs(strength))),
    lambda image, strength: ImageEnhance.Color(image).enhance(1 + 0.9 * strength),
    lambda image, strength: ImageEnhance.Contrast(image).enhance(1 + 0.9 * strength),
    lambda image, strength: ImageEnhance.Brightness(image).enhance(1 + 0.9 * strength),
    lambda image, strength: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * strength),
    lambda image, strength: _moved(image, 0, 0, 0.3 * strength, 0),
    lambda image, strength: _moved(image, 0, 0, 0, 0.3 * strength),
    lambda image, strength: _moved(image, 0.45 * strength, 0, 0, 0),
    lambda image, strength: _moved(image, 0, 0.45 * strength, 0, 0),
)


def augmented(pixels: Pixels, keys: Keys, augments: Sequence[Augment], seed: int, epoch: int) -> Pixels:
    """The rows' images under each of the augmentations, one after the other; `keys` are the rows'."""

    def change(image: Shades, key: int) -> Shades:
        rng = np.random.default_rng(key)
        for augment in augments:
            image = augment(image, rng)
        return image

    return pixels.changed(change, numbers(seed, "augment", epoch, keys).tolist())


def _refuse(name: str, found: float, most: float) -> None:
    if not 0 <= found <= most:
        raise ValueError(f"{name}: found {found}, expected a number from 0 to {most:g}")
