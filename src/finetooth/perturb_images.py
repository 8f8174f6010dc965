"""Does the model hold when images are taken a little differently: with grain, unsharp, darker, compressed, turned?

After Hendrycks and Dietterich 2019 (Benchmarking Neural Network Robustness to Common Corruptions), section 3, each at a
strength at which people hardly hesitate. What an image becomes depends on its pixels and the row's key alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from finetooth.pixels import Pixels, Shades, by_pillow, shades, white
from finetooth.seeds import numbers, row_keys

Perturbation = Callable[[Shades, np.random.Generator], Shades]  # (height, width, 3) -> the same shape

GRAIN = 12.0  # standard deviation, in shades of 255
RADIUS = 1 / 200  # of the blur, in shorter sides of the image
SHADES = (0.6, 0.8, 1.25, 1.5)  # by which brightness is multiplied
QUALITY = 20  # of the JPEG, of 95
DEGREES = (5.0, 15.0)  # of turning, either way


def noise(image: Shades, rng: np.random.Generator) -> Shades:
    """With grain, as in poor light."""
    return shades(image + rng.normal(0.0, GRAIN / 255 * white(image), image.shape), image)


def blur(image: Shades, rng: np.random.Generator) -> Shades:
    """A little out of focus."""
    radius = max(1.0, RADIUS * min(image.shape[:2]))
    return shades(gaussian_filter(image.astype(np.float32), (radius, radius, 0.0)), image)


def brightness(image: Shades, rng: np.random.Generator) -> Shades:
    """Darker or brighter by a fifth or a half."""
    return shades(image * rng.choice(SHADES), image)


def jpeg(image: Shades, rng: np.random.Generator) -> Shades:
    """Saved as a small JPEG, which has eight bits."""
    file, scale = BytesIO(), white(image) / 255
    Image.fromarray(np.rint(image / scale).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    with Image.open(file) as saved:
        return shades(np.asarray(saved.convert("RGB")) * scale, image)


def rotation(image: Shades, rng: np.random.Generator) -> Shades:
    """Turned by 5 to 15 degrees; the corners are filled by the image mirrored at its edges."""
    degrees = rng.uniform(*DEGREES) * rng.choice((-1.0, 1.0))
    height, width = image.shape[:2]
    edge = [(side // 4, side // 4) for side in (height, width)]
    wide = np.pad(image, [*edge, (0, 0)], mode="symmetric")
    turned = by_pillow(wide, lambda each: each.rotate(degrees, Image.Resampling.BILINEAR))
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
