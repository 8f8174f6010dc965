"""Does the model hold when images are taken a little differently: with grain, unsharp, darker, compressed, turned?

After Hendrycks and Dietterich 2019 (Benchmarking Neural Network Robustness to Common Corruptions), section 3, each at a
strength at which people hardly hesitate. What an image becomes depends on its pixels and the row's key alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from finetooth.pixels import Pixels
from finetooth.seeds import numbers, row_keys

Bytes = NDArray[np.uint8]
Perturbation = Callable[[Bytes, np.random.Generator], Bytes]  # (height, width, 3) -> the same shape

GRAIN = 12.0  # standard deviation, in shades of 255
RADIUS = 1 / 200  # of the blur, in shorter sides of the image
SHADES = (0.6, 0.8, 1.25, 1.5)  # by which brightness is multiplied
QUALITY = 20  # of the JPEG, of 95
DEGREES = (5.0, 15.0)  # of turning, either way


def noise(image: Bytes, rng: np.random.Generator) -> Bytes:
    """With grain, as in poor light."""
    return _shades(image + rng.normal(0.0, GRAIN, image.shape))


def blur(image: Bytes, rng: np.random.Generator) -> Bytes:
    """A little out of focus."""
    radius = max(1.0, RADIUS * min(image.shape[:2]))
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def brightness(image: Bytes, rng: np.random.Generator) -> Bytes:
    """Darker or brighter by a fifth or a half."""
    return _shades(image * rng.choice(SHADES))


def jpeg(image: Bytes, rng: np.random.Generator) -> Bytes:
    """Saved as a small JPEG."""
    file = BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=QUALITY)
    with Image.open(file) as saved:
        return np.asarray(saved.convert("RGB"))


def rotation(image: Bytes, rng: np.random.Generator) -> Bytes:
    """Turned by 5 to 15 degrees; the corners are filled by the image mirrored at its edges."""
    degrees = rng.uniform(*DEGREES) * rng.choice((-1.0, 1.0))
    height, width = image.shape[:2]
    edge = [(side // 4, side // 4) for side in (height, width)]
    wide = Image.fromarray(np.pad(image, [*edge, (0, 0)], mode="symmetric"))
    turned = np.asarray(wide.rotate(degrees, Image.Resampling.BILINEAR))
    return turned[edge[0][0] : edge[0][0] + height, edge[1][0] : edge[1][0] + width]


IMAGE_PERTURBATIONS: dict[str, Perturbation] = {
    "noise": noise,
    "blur": blur,
    "brightness": brightness,
    "jpeg": jpeg,
    "rotation": rotation,
}


def perturbed_images(pixels: Pixels, ids: Sequence[str], name: str, seed: int = 0) -> Pixels:
    """Each image under the perturbation of IMAGE_PERTURBATIONS with this name.

    The same id, image and seed give the same again, in whatever order the rows stand.
    """
    perturb = IMAGE_PERTURBATIONS[name]
    keys = numbers(seed, f"perturbation {name}", 0, row_keys(ids)).tolist()
    return pixels.changed(lambda image, key: perturb(image, np.random.default_rng(key)), keys)


def _shades(values: NDArray[np.float64]) -> Bytes:
    return np.rint(values).clip(0, 255).astype(np.uint8)
