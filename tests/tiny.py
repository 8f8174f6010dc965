"""Tiny real models and data, made on the spot: no network, no files in the repository."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as tf
from PIL import Image

GOOD = ["bright", "warm", "clever", "moving", "fresh", "tender"]
BAD = ["dull", "cold", "clumsy", "tedious", "stale", "bitter"]
PLAIN = ["film", "scene", "plot", "actor", "music", "story", "camera", "script", "ending", "crowd"]

_SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


def config(kind: str, vocabulary: int = 40, blocks: int = 2) -> Any:
    """A small random configuration of one of the architectures that people tune."""
    small = {**_SMALL, "vocab_size": vocabulary, "num_hidden_layers": blocks}
    distil = {"dim": 16, "n_layers": blocks, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64}
    deberta = {"relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"]}
    modern = {key: small[key] for key in small if key != "max_position_embeddings"}
    marks = {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
    made = {
        "bert": lambda: tf.BertConfig(**small),
        "roberta": lambda: tf.RobertaConfig(**small, pad_token_id=0),
        "distilbert": lambda: tf.DistilBertConfig(**distil, vocab_size=vocabulary),
        "mpnet": lambda: tf.MPNetConfig(**small, pad_token_id=0),
        "electra": lambda: tf.ElectraConfig(**small, embedding_size=8),
        "deberta-v2": lambda: tf.DebertaV2Config(
            **small, **deberta, norm_rel_ebd="layer_norm", share_att_key=True, conv_kernel_size=3, conv_act="gelu"
        ),
        "modernbert": lambda: tf.ModernBertConfig(**modern, **marks),
        "albert": lambda: tf.AlbertConfig(**small, embedding_size=8),
    }
    return made[kind]()


def tokenizer(types: bool = False) -> Any:
    """A word tokenizer that knows the words of these texts; with `types` it says in which of two a token stands."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *GOOD, *BAD, *PLAIN]
    made = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1" if types else "[CLS] $A [SEP] [SEP] $B [SEP]",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    named = {"model_input_names": ["input_ids", "token_type_ids", "attention_mask"]} if types else {}
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=48,
        **named,
    )


def save_model(folder: Path, configuration: Any, types: bool = False) -> Path:
    """A pre-trained encoder as people publish it: the base model without a head, and its tokenizer."""
    torch.manual_seed(0)
    tf.AutoModel.from_config(configuration).save_pretrained(folder)
    tokenizer(types).save_pretrained(folder)
    return folder


CHAT = (
    "{% for m in messages %}{{ ('[CLS] ' if m['role'] == 'user' else '') + m['content'] + (' story' if m['role'] == "
    "'user' else ' [SEP]') + ' ' }}{% endfor %}"
)


def save_causal(folder: Path) -> Path:
    """A small language model that was made for conversations: a question ends with the word story, an answer with
    [SEP]."""
    torch.manual_seed(0)
    small = {**_SMALL, "hidden_size": 32, "vocab_size": 40, "max_position_embeddings": 64}
    made = tf.LlamaConfig(**small, num_key_value_heads=2, bos_token_id=2, eos_token_id=3, pad_token_id=0)
    tf.LlamaForCausalLM(made).save_pretrained(folder)
    words = tokenizer()
    words.eos_token, words.chat_template = "[SEP]", CHAT
    words.save_pretrained(folder)
    return folder


def save_seq2seq(folder: Path, kind: str = "t5") -> Path:
    """A small encoder with its decoder, as people publish them: t5, bart or marian."""
    torch.manual_seed(0)
    marks = {"pad_token_id": 0, "eos_token_id": 3, "d_model": 32, "vocab_size": 40}
    sides = {"layers": 2, "attention_heads": 2, "ffn_dim": 64}
    both = {f"{side}_{key}": value for side in ("encoder", "decoder") for key, value in sides.items()}
    both |= {**marks, "max_position_embeddings": 64, "forced_eos_token_id": None}
    made = {
        "t5": lambda: tf.T5ForConditionalGeneration(
            tf.T5Config(**marks, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0)
        ),
        "bart": lambda: tf.BartForConditionalGeneration(
            tf.BartConfig(**both, bos_token_id=2, decoder_start_token_id=3)
        ),
        "marian": lambda: tf.MarianMTModel(tf.MarianConfig(**both, decoder_start_token_id=0, decoder_vocab_size=40)),
    }
    made[kind]().save_pretrained(folder)
    words = tokenizer()
    words.eos_token = "[SEP]"
    words.save_pretrained(folder)
    return folder


def write_talks(path: Path, rows: int, seed: int = 0) -> Path:
    """Questions; the answer says whether the words praise or blame."""
    draw, lines = random.Random(seed), []
    for _ in range(rows):
        kind = draw.choice([GOOD, BAD])
        asked = " ".join(draw.sample(PLAIN, draw.randint(2, 6)) + draw.sample(kind, 2))
        lines.append(json.dumps({"prompt": asked, "completion": "bright warm" if kind is GOOD else "cold dull"}))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def write_reviews(path: Path, rows: int, seed: int = 0) -> Path:
    """A csv of `rows` different texts; the label is told by the words of praise or blame in them."""
    rng = random.Random(seed)
    texts: dict[str, str] = {}
    while len(texts) < rows:
        label = rng.choice(["negative", "positive"])
        words = rng.choices(PLAIN, k=rng.randint(2, 16)) + rng.choices(GOOD if label == "positive" else BAD, k=3)
        rng.shuffle(words)
        texts[" ".join(words)] = label
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(texts.items())
    return path


def image_config(kind: str, pixels: int = 32) -> Any:
    """A small random configuration of one of the architectures that see images."""
    transformer = {
        "hidden_size": 16,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": pixels,
        "patch_size": 8,
    }
    stages = {"depths": [1, 1, 2], "hidden_sizes": [8, 12, 16]}
    made = {
        "vit": lambda: tf.ViTConfig(**transformer),
        "dinov2": lambda: tf.Dinov2Config(**transformer),
        "beit": lambda: tf.BeitConfig(**transformer, use_relative_position_bias=True),
        "convnext": lambda: tf.ConvNextConfig(**stages, num_stages=3, patch_size=2, image_size=pixels),
        "resnet": lambda: tf.ResNetConfig(**stages, embedding_size=8, layer_type="basic"),
        "swin": lambda: tf.SwinConfig(
            image_size=pixels, patch_size=2, embed_dim=8, depths=[1, 2], num_heads=[2, 2], window_size=4
        ),
        "efficientnet": lambda: tf.EfficientNetConfig(
            image_size=pixels,
            width_coefficient=0.25,
            depth_coefficient=0.3,
            hidden_dim=320,
            depth_divisor=4,
            initializer_range=0.3,  # else nothing of an image comes through so many layers
        ),
    }
    return made[kind]()


def save_image_model(folder: Path, kind: str, pixels: int = 32) -> Path:
    """A pre-trained network that sees, as people publish it: without a head, its image processor beside it."""
    torch.manual_seed(0)
    tf.AutoModel.from_config(image_config(kind, pixels)).save_pretrained(folder)
    square = {"height": pixels, "width": pixels}
    processors = {
        "convnext": lambda: tf.ConvNextImageProcessorPil(size={"shortest_edge": pixels}, crop_pct=0.875),
        "resnet": lambda: tf.ConvNextImageProcessorPil(size={"shortest_edge": pixels}, crop_pct=0.875),
        "efficientnet": lambda: tf.EfficientNetImageProcessorPil(size=square, resample=0),
    }
    processors.get(kind, lambda: tf.ViTImageProcessorPil(size=square))().save_pretrained(folder)
    return folder


def write_images(folder: Path, images: int, seed: int = 0, size: int = 40) -> Path:
    """A folder of `images` in class folders, disks or stripes on grain, of several formats and shapes."""
    rng = np.random.default_rng(seed)
    for i in range(images):
        kind = ("disk", "stripes")[i % 2]
        width, height = size + int(rng.integers(8)), size + int(rng.integers(8))
        down, across = np.mgrid[0:height, 0:width]
        if kind == "disk":
            x, y = rng.uniform(0.35, 0.65, 2) * (width, height)
            shape = np.hypot(across - x, down - y) < rng.uniform(0.2, 0.3) * size
        else:
            shape = (across + int(rng.integers(10))) % 10 < 5
        ground, figure = rng.uniform(0, 90, 3), rng.uniform(150, 255, 3)
        pixels = np.where(shape[..., None], figure, ground) + rng.normal(0, 8, (height, width, 1))
        (folder / kind).mkdir(parents=True, exist_ok=True)
        path = folder / kind / f"{i:04d}{('.png', '.jpg')[i // 2 % 2]}"
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return folder
