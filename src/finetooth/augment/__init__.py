"""Augmentations: what training rows become in each epoch, so that a network does not learn them by heart."""

from collections.abc import Callable

from finetooth.augment.images import Augment, augmented, colour, crop, flip, randaugment
from finetooth.augment.mix import Mix, cutmix, mixed, mixup, partners

__all__ = ["AUGMENTS", "MIXES", "Augment", "Mix", "augmented", "mixed", "partners"]

AUGMENTS: dict[str, Callable[..., Augment]] = {
    "crop": crop,
    "flip": flip,
    "colour": colour,
    "randaugment": randaugment,
}
MIXES: dict[str, Callable[..., Mix]] = {"mixup": mixup, "cutmix": cutmix}
