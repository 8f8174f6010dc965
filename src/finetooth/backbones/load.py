"""Load a pre-trained encoder of texts or of images with a new head: a directory, a Hub id or a packaged name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from logging import ERROR
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from finetooth.backbones import efficientnet_lite
from finetooth.backbones.adapt import adapt, merge, save_adapter, unlearning
from finetooth.backbones.attention import quicken
from finetooth.backbones.convert import smollm2
from finetooth.backbones.first import shorten
from finetooth.backbones.layers import Layers, layers
from finetooth.backbones.norm import settle
from finetooth.backbones.preparation import Preparation
from finetooth.errors import ModelError, nearest
from finetooth.packaged import MODELS, fetch
from finetooth.seeds import number
from finetooth.twin import Twin

TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
)
PREPROCESSOR = "preprocessor_config.json"
SEEING = {efficientnet_lite.NAME: efficientnet_lite.checkpoint}  # packaged models that see images
CANNOT_LOAD = (OSError, ValueError, KeyError, ImportError, SafetensorError)
IMAGES_NEED = (
    "a folder of images needs a model that sees: a directory or Hub id of a ViT, ConvNeXt, ResNet, Swin "
    "or the like, or efficientnet-lite0."
)
TEXTS_NEED = "texts need a model that reads: a directory or Hub id of a BERT or the like, or minilm or mpnet."


@dataclass(frozen=True)
class Backbone:
    """A network with its tokenizer, its layers by depth, and the most tokens that it takes.

    A network that sees images has a Preparation for a tokenizer. `answers` says that its head is not new: it was made
    for these very classes.
    """

    net: Any
    tokenizer: Any
    layers: Layers
    limit: int
    source: str
    weights_digest: str
    tokenizer_digest: str
    answers: bool = False

    def takes_bf16(self) -> bool:
        """Whether the network computes at all when its weights are in bf16."""
        try:
            with torch.inference_mode():
                Twin(self.net, "bf16").net(**_example(self.tokenizer))
        except RuntimeError:
            return False
        return True

    def example(self) -> dict[str, torch.Tensor]:
        """Two short rows to try the network on."""
        return _example(self.tokenizer)

    def save(self, folder: Path) -> None:
        """A model directory that transformers loads alone; adapters have to be merged before."""
        with quiet():
            self.net.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    @property
    def adapted(self) -> bool:
        """Whether adapters stand beside its matrices."""
        return hasattr(self.net, "peft_config")

    def save_adapter(self, folder: Path) -> None:
        """What learnt, as PEFT reads it."""
        save_adapter(self.net, self.layers, str(located(self.source)), folder)

    def merge(self) -> float:
        """Add the adapters to the matrices beside which they stand; the largest difference of a logit."""
        return merge(self.net, _example(self.tokenizer))


def load_classifier(
    model: str,
    names: list[str],
    *,
    seed: int = 0,
    dropout: float | None = None,
    scratch: bool = False,
    problem: str = "single_label_classification",
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """The model with a new head that has an output for each of `names`, all weights in fp32.

    `dropout`, where given, replaces every dropout share of the model's configuration. From `scratch` it is the same
    network with none of its weights. With an `adapter`, the plan's, that and the head are all that learns. `problem` is
    what transformers calls the kind of answers. Raises ModelError when the model or its tokenizer is missing, or the
    weights do not fit the architecture.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    source = located(model)
    how: dict[str, Any] = {"seed": seed, "dropout": dropout, "scratch": scratch, "problem": problem}
    net, answers = _with_head(AutoModelForSequenceClassification, source, model, names, **how)
    with quiet():
        try:
            tokenizer = AutoTokenizer.from_pretrained(source)
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: its tokenizer cannot be loaded: {first_line(error)}") from error
    return assembled(net, tokenizer, model, seed=seed, adapter=adapter, answers=answers, task_type="SEQ_CLS")


def assembled(
    net: Any,
    tokenizer: Any,
    model: str,
    *,
    seed: int,
    adapter: Mapping[str, Any] | None,
    answers: bool,
    task_type: str,
) -> Backbone:
    """A loaded network with its tokenizer, adapted where that is asked for, and its layers told apart.

    `task_type` is PEFT's name for what the network does. Raises ModelError where the two do not belong together.
    """
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{model}: its tokenizer has no padding token, which rows of different lengths need.")
    if len(tokenizer) > net.get_input_embeddings().weight.shape[0]:
        raise ModelError(
            f"{model}: the tokenizer knows {len(tokenizer)} tokens, the model only "
            f"{net.get_input_embeddings().weight.shape[0]}; they do not belong together."
        )
    digest = _weights_digest(net)
    _adapt(net, adapter, seed, task_type)
    by_depth = _quickened(net, tokenizer)
    if adapter is not None:
        by_depth = replace(by_depth, still=unlearning(net, by_depth, head=task_type == "SEQ_CLS"))
    return Backbone(
        net,
        tokenizer,
        by_depth,
        _limit(net.config, tokenizer),
        model,
        weights_digest=digest,
        tokenizer_digest=sha256(_tokenizer_content(tokenizer).encode("utf-8", "surrogatepass")).hexdigest(),
        answers=answers,
    )


def _adapt(net: Any, adapter: Mapping[str, Any] | None, seed: int, task_type: str) -> None:
    if adapter is not None:
        with torch.random.fork_rng():
            torch.manual_seed(number(seed, "adapter"))
            # PEFT has no name of its own for images; what it asks the name for is how to wrap, and nothing is wrapped.
            adapt(net, adapter, "FEATURE_EXTRACTION" if task_type == "IMAGE_CLS" else task_type)


def load_image_classifier(
    model: str,
    names: list[str],
    *,
    seed: int = 0,
    dropout: float | None = None,
    scratch: bool = False,
    adapter: Mapping[str, Any] | None = None,
) -> Backbone:
    """As `load_classifier`, for a network that sees images; it has a Preparation where others have a tokenizer."""
    from transformers import AutoModelForImageClassification

    source = located(model, images=True)
    preparation = _preparation(source, model)
    how: dict[str, Any] = {"seed": seed, "dropout": dropout, "scratch": scratch}
    net, answers = _with_head(AutoModelForImageClassification, source, model, names, **how)
    if not scratch:  # from scratch there are no statistics to keep
        settle(net)
    if (colours := getattr(net.config, "num_channels", 3)) != 3:
        raise ModelError(f"{model}: it takes images of {colours} channels; expected 3: red, green and blue.")
    digest = _weights_digest(net)
    _adapt(net, adapter, seed, "IMAGE_CLS")
    by_depth = _quickened_for_images(net, preparation, model)
    return Backbone(
        net,
        preparation,
        by_depth if adapter is None else replace(by_depth, still=unlearning(net, by_depth, head=True)),
        preparation.patches,
        model,
        weights_digest=digest,
        tokenizer_digest=sha256(preparation.content.encode()).hexdigest(),
        answers=answers,
    )


def _with_head(
    auto: Any,
    source: str,
    model: str,
    names: list[str],
    *,
    seed: int,
    dropout: float | None,
    scratch: bool,
    problem: str = "single_label_classification",
) -> tuple[Any, bool]:
    """The network of one of transformers' auto classes, a head for these names on it, and whether that was there."""
    from transformers import AutoConfig

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(number(seed, "head"))
        try:
            config = AutoConfig.from_pretrained(source)
            _refuse_other_kind(auto, model, config)
            # A head for numbers speaks in the unit of the rows that it was tuned on: it is renewed as any other.
            before = dict(config.id2label or {}) if problem != "regression" else {}
            config.num_labels = len(names)
            config.id2label = dict(enumerate(names))
            config.label2id = {name: i for i, name in enumerate(names)}
            config.problem_type = problem
            if dropout is not None:
                set_dropout(config, dropout)
            # safetensors only: a pickled file could run code.
            net, facts = auto.from_pretrained(
                source,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
            if scratch:
                net = auto.from_config(config, dtype=torch.float32)
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: cannot be loaded for classification: {first_line(error)}") from error
        _refuse_strangers(model, net, facts)
        answers = before == config.id2label and not facts["missing_keys"] and not scratch
        if before != config.id2label:
            _renew_head(net)
    return net, answers


def _refuse_other_kind(auto: Any, model: str, config: Any) -> None:
    """Raise ModelError where the network sees images and texts are to be classified, or the other way round."""
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    sees = type(config) in AutoModelForImageClassification._model_mapping
    reads = type(config) in AutoModelForSequenceClassification._model_mapping
    if auto is AutoModelForImageClassification and reads and not sees:
        raise ModelError(f"{model}: a {config.model_type} reads texts; {IMAGES_NEED}")
    if auto is AutoModelForSequenceClassification and sees and not reads:
        raise ModelError(f"{model}: a {config.model_type} sees images; {TEXTS_NEED}")


def _preparation(source: str, model: str) -> Preparation:
    """What the model wants done to its images. Raises ModelError where its processor is missing, or does more."""
    from transformers import AutoImageProcessor

    with quiet():
        try:
            # By Pillow, whatever else is installed.
            processor = AutoImageProcessor.from_pretrained(source, backend="pil")
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: its image processor cannot be loaded: {first_line(error)}") from error
        return Preparation.of(processor, model)


def load_masked(model: str) -> Any | None:
    """The network with the head that it was pre-trained with, which guesses masked tokens; None where it has none."""
    from transformers import AutoModelForMaskedLM

    with quiet():
        try:
            net, facts = AutoModelForMaskedLM.from_pretrained(
                located(model), dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, SafetensorError):
            return None
    return None if facts["missing_keys"] or facts["mismatched_keys"] else net.eval()


def load_tuned(folder: Path) -> tuple[Any, Any]:
    """The network and tokenizer of a model directory as it stands, in evaluation mode, fp32."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    if (folder / PREPROCESSOR).exists():
        return _load_tuned_for_images(folder)
    with quiet():
        try:
            net = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise ModelError(f"{folder}: the tuned model cannot be loaded: {first_line(error)}") from error
    _quickened(net, tokenizer)
    return net.eval(), tokenizer


def _load_tuned_for_images(folder: Path) -> tuple[Any, Preparation]:
    from transformers import AutoModelForImageClassification

    with quiet():
        try:
            net = AutoModelForImageClassification.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        except CANNOT_LOAD as error:
            raise ModelError(f"{folder}: the tuned model cannot be loaded: {first_line(error)}") from error
    preparation = _preparation(str(folder), str(folder))
    _quickened_for_images(net, preparation, str(folder))
    return net.eval(), preparation


def _quickened_for_images(net: Any, preparation: Preparation, model: str) -> Layers:
    """As `_quickened`, asked in the precision of the weights. Raises ModelError where images have a wrong size."""
    net.base_model.register_forward_pre_hook(_in_own_precision, with_kwargs=True)
    try:
        return _quickened(net, preparation)
    except (ValueError, RuntimeError) as error:
        height, width = preparation.shape
        raise ModelError(
            f"{model}: the network cannot see images of {height} x {width} pixels, as its {PREPROCESSOR} makes them: "
            f"{first_line(error)}"
        ) from error


def _in_own_precision(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
    """A forward pre-hook: pixels in the precision of the weights, and in the order in which convolutions are quick."""
    own = next(module.parameters()).dtype

    def cast(value: Any) -> Any:
        if not (isinstance(value, torch.Tensor) and value.is_floating_point()):
            return value
        order = torch.channels_last if value.ndim == 4 else torch.preserve_format
        return value.to(own, memory_format=order)

    return tuple(map(cast, args)), {name: cast(value) for name, value in named.items()}


def _quickened(net: Any, tokenizer: Any) -> Layers:
    """The layers of a network that says what it said, and has less to compute for it."""
    example = _example(tokenizer)
    quicken(net, example)
    by_depth = layers(net, example)
    shorten(net, by_depth, example)
    return by_depth


def _example(tokenizer: Any) -> dict[str, torch.Tensor]:
    """Two short rows, one of them padded; or two images."""
    if isinstance(tokenizer, Preparation):
        return tokenizer.example()
    return dict(tokenizer(["a", "a b"], padding=True, return_tensors="pt"))


def located(model: str, images: bool = False) -> str:
    """A directory that was looked at, or a Hub id; of a network that sees images, or else of one that reads texts."""
    if model == "smollm2":
        return str(smollm2())
    if model in MODELS:
        if images != (model in SEEING):
            does = "sees images" if model in SEEING else "reads texts"
            raise ModelError(f"{model}: this model {does}; {IMAGES_NEED if images else TEXTS_NEED}")
        with quiet():
            return str(SEEING[model]() if model in SEEING else fetch(MODELS[model]))
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


def set_dropout(config: Any, share: float) -> None:
    """Every dropout share of a configuration."""
    names = [k for k, v in config.to_dict().items() if "drop" in k and "layer" not in k and isinstance(v, int | float)]
    for name in names:
        setattr(config, name, share)


def _refuse_strangers(model: str, net: nn.Module, facts: dict[str, Any]) -> None:
    """Weights that are new outside the head mean that the file belongs to another architecture."""
    new = {*facts["missing_keys"], *(name for name, *_ in facts["mismatched_keys"])}
    base = f"{net.base_model_prefix}."
    strange = sorted(name for name in new if name.startswith(base) and "pooler" not in name)
    if strange:
        raise ModelError(
            f"{model}: {len(strange)} weights of {type(net).__name__} are not in its file (the first is {strange[0]}); "
            f"config.json and the weights do not belong together."
        )


def _renew_head(net: Any) -> None:
    """Initialise what stands outside the base model afresh: a head made for other classes is of no use."""
    for name, module in net.named_modules():
        if name and not name.startswith(net.base_model_prefix):
            for parameter in module.parameters(recurse=False):
                parameter._is_hf_initialized = False
            net._init_weights(module)


def _limit(config: Any, tokenizer: Any) -> int:
    """The most tokens a row can have: the tokenizer's limit, and what the position table holds."""
    limit = min(int(tokenizer.model_max_length), 1 << 20)
    positions = getattr(config, "max_position_embeddings", None)
    if positions and positions > 0:  # XLNet says -1 for none
        # RoBERTa and its kin start counting positions after the padding id.
        offset = config.pad_token_id + 1 if config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet") else 0
        limit = min(limit, positions - offset)
    return limit


def _weights_digest(net: nn.Module) -> str:
    total = sha256()
    for name, parameter in net.named_parameters():
        total.update(name.encode())
        total.update(parameter.detach().contiguous().view(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def _tokenizer_content(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return str(backend.to_str()) if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))


def first_line(error: Exception) -> str:
    """What an error says, without its details."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' own loading report and bar, which speak of a new head as if it were a fault."""
    from huggingface_hub.utils import logging as hub
    from transformers.utils import logging

    level, bar, hub_level = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub.set_verbosity(ERROR)  # it tells of every attempt to reach a hub that is not there
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub.set_verbosity(hub_level)
        if bar:
            logging.enable_progress_bar()
