"""Backbones: a pre-trained model, loaded, with its layers listed by depth, and cut in two at one of them."""

from finetooth.backbones.causal import load_causal, load_tuned_causal, read_at, written
from finetooth.backbones.cut import Cut, cut, difference, ragged
from finetooth.backbones.first import first_alone
from finetooth.backbones.head import cool, movable, unstandardize
from finetooth.backbones.images import at_size, load_image_classifier, load_tuned_images
from finetooth.backbones.int8 import int8
from finetooth.backbones.layers import Layers, evaluating, layers
from finetooth.backbones.load import Backbone, How, load_classifier, load_masked, load_tuned
from finetooth.backbones.norm import by_batch
from finetooth.backbones.preparation import Preparation

__all__ = [
    "Backbone",
    "Cut",
    "How",
    "Layers",
    "Preparation",
    "at_size",
    "by_batch",
    "cool",
    "cut",
    "difference",
    "evaluating",
    "first_alone",
    "int8",
    "layers",
    "load_causal",
    "load_classifier",
    "load_image_classifier",
    "load_masked",
    "load_tuned",
    "load_tuned_causal",
    "load_tuned_images",
    "movable",
    "ragged",
    "read_at",
    "unstandardize",
    "written",
]
