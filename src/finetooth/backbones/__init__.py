"""Backbones: a pre-trained model, loaded, with its layers listed by depth, and cut in two at one of them."""

from finetooth.backbones.adapt import body
from finetooth.backbones.bits import in_bits, quantize
from finetooth.backbones.causal import keeps_apart, load_causal, load_tuned_causal, read_at, written
from finetooth.backbones.cut import Cut, cut, difference, ragged
from finetooth.backbones.first import first_alone
from finetooth.backbones.head import cool, movable, unstandardize
from finetooth.backbones.images import at_size, load_image_classifier, load_tuned_images
from finetooth.backbones.int8 import int8
from finetooth.backbones.layers import Layers, evaluating, layers
from finetooth.backbones.load import Backbone, How, load_classifier, load_masked, load_tuned
from finetooth.backbones.norm import by_batch
from finetooth.backbones.packed import packed
from finetooth.backbones.preparation import Preparation
from finetooth.backbones.recompute import recompute
from finetooth.backbones.seq2seq import NOTHING, WRITES, load_seq2seq, load_tuned_seq2seq, writes_from_a_source
from finetooth.backbones.tagger import load_tagger, load_tuned_tagger

__all__ = [
    "NOTHING",
    "WRITES",
    "Backbone",
    "Cut",
    "How",
    "Layers",
    "Preparation",
    "at_size",
    "body",
    "by_batch",
    "cool",
    "cut",
    "difference",
    "evaluating",
    "first_alone",
    "in_bits",
    "int8",
    "keeps_apart",
    "layers",
    "load_causal",
    "load_classifier",
    "load_image_classifier",
    "load_masked",
    "load_seq2seq",
    "load_tagger",
    "load_tuned",
    "load_tuned_causal",
    "load_tuned_images",
    "load_tuned_seq2seq",
    "load_tuned_tagger",
    "movable",
    "packed",
    "quantize",
    "ragged",
    "read_at",
    "recompute",
    "unstandardize",
    "writes_from_a_source",
    "written",
]
