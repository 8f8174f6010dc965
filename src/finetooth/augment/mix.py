"""Two images become one, and so do their labels: mixup and cutmix.

The other image is drawn for each row among all training rows, not among its batch-mates: what a row becomes is, as
under every augmentation, a function of the seed, the epoch and the row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from finetooth.pixels import Pixels, shades
from finetooth.seeds import Keys, numbers

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Mix:
    """How much of the row's own image shows at each pixel, (height, width), from 0 to 1; the rest is the other's."""

    own: Callable[[int, int, np.random.Generator], Floats]


def mixup(alpha: float = 0.2) -> Mix:
    """Both images shine through each other, the row's own by a share drawn from Beta(alpha, alpha).

    Zhang et al. 2018 (mixup: Beyond Empirical Risk Minimization), section 2. Raises ValueError for an alpha of 0 or
    less.
    """
    _refuse(alpha)
    return Mix(lambda height, width, rng: np.full((height, width), rng.beta(alpha, alpha), dtype=np.float32))


def cutmix(alpha: float = 1.0) -> Mix:
    """A part of the other image, whose area is a share drawn from Beta(alpha, alpha), at its place in the row's own.

    Yun et al. 2019 (CutMix), section 3.1; what lies beyond the edge is not counted. Raises ValueError for an alpha of 0
    or less.
    """
    _refuse(alpha)

    def own(height: int, width: int, rng: np.random.Generator) -> Floats:
        side = sqrt(rng.beta(alpha, alpha))
        down, across = side * height / 2, side * width / 2
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        shows = np.ones((height, width), dtype=np.float32)
        shows[round(max(0.0, y - down)) : round(y + down), round(max(0.0, x - across)) : round(x + across)] = 0.0
        return shows

    return Mix(own)


def partners(keys: Keys, rows: NDArray[np.int64], seed: int, epoch: int) -> NDArray[np.int64]:
    """With which row each of these is mixed in this epoch; `keys` are those of all rows that train."""
    return (numbers(seed, "partner", epoch, keys[rows]) % np.uint64(len(keys))).astype(np.int64)


def mixed(own: Pixels, other: Pixels, keys: Keys, mix: Mix, seed: int, epoch: int) -> tuple[Pixels, Floats]:
    """Each image with the one of its partner, and how much of the label is the row's own, (rows,)."""
    every = np.arange(len(own))
    images, others = own.read(every), other.read(every)
    shares = np.empty(len(own), dtype=np.float32)
    for i, key in enumerate(numbers(seed, "mix", epoch, keys).tolist()):
        shows = mix.own(images.shape[1], images.shape[2], np.random.default_rng(key))[..., None]
        images[i] = shades(shows * images[i] + (1 - shows) * others[i], images)
        shares[i] = shows.mean()
    return replace(own, images=lambda places: images[places], places=every), shares


def _refuse(alpha: float) -> None:
    if not alpha > 0:
        raise ValueError(f"alpha: found {alpha}, expected a number above 0")
