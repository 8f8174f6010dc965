"""Backbones: a pre-trained model, loaded, with its layers listed by depth."""

from finetooth.backbones.head import cool
from finetooth.backbones.layers import Layers, layers
from finetooth.backbones.load import Backbone, load_classifier, load_masked, load_tuned

__all__ = ["Backbone", "Layers", "cool", "layers", "load_classifier", "load_masked", "load_tuned"]
