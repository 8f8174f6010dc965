"""Pictures to test with: real photographs that come with the packages we need, and scenes made of numbers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image


def photographs() -> list[Image.Image]:
    """Nine different parts of the three photographs that scikit-learn and matplotlib bring, 200 pixels wide."""
    sklearn, matplotlib = (Path(str(find_spec(name).origin)).parent for name in ("sklearn", "matplotlib"))  # type: ignore[union-attr]
    files = [
        sklearn / "datasets" / "images" / "china.jpg",
        sklearn / "datasets" / "images" / "flower.jpg",
        matplotlib / "mpl-data" / "sample_data" / "grace_hopper.jpg",
    ]
    tiles = []
    for file in files:
        with Image.open(file) as image:
            side = min(image.size) // 2
            tiles += [image.crop((x, y, x + side, y + side)) for x, y in ((0, 0), (side, 0), (0, side))]
    return [tile.convert("RGB").resize((200, 200)) for tile in tiles]


def scene(number: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture of its own for each number: a gradient, some shapes, some grain."""
    rng = np.random.default_rng(number)
    down, across = np.mgrid[0 : size[1], 0 : size[0]] / np.array(size[::-1])[:, None, None]
    slope = rng.uniform(-1, 1, (2, 3))
    pixels = 128 + 60 * (down[..., None] * slope[0] + across[..., None] * slope[1])
    for _ in range(8):
        x, y, r = rng.uniform(0, 1, 3)
        shape = np.hypot(across - x, down - y) < 0.05 + 0.2 * r
        if rng.random() < 0.5:
            shape = (abs(across - x) < 0.3 * r) & (abs(down - y) < 0.1)
        pixels[shape] = rng.uniform(0, 255, 3)
    pixels += rng.normal(0, 6, (size[1], size[0], 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
