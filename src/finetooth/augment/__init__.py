"""Augmentations: what training rows become in each epoch, so that a network does not learn them by heart."""

from finetooth.augment.images import AUGMENTS, Augment, augmented

__all__ = ["AUGMENTS", "Augment", "augmented"]
