"""Load a pre-trained encoder with a new head, and what every loader ends with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, TypedDict, Unpack

import torch
from safetensors import SafetensorError
from torch import nn

from finetooth.backbones.adapt import BESIDE, adapt, merge, prompted, save_adapter, unlearning, unwrapped, with_prompt
from finetooth.backbones.attention import quicken
from finetooth.backbones.first import shorten
from finetooth.backbones.layers import Layers, layers
from finetooth.backbones.preparation import Preparation
from finetooth.backbones.quiet import quiet
from finetooth.backbones.sources import IMAGES_NEED, TEXTS_NEED, located
from finetooth.errors import ModelError
from finetooth.seeds import number
from finetooth.twin import Twin

CANNOT_LOAD = (OSError, ValueError, KeyError, ImportError, SafetensorError)


class How(TypedDict, total=False):
    """How a model is loaded, whatever its task.

    `seed`, 0 if not given, is that of what is new. `dropout` replaces every dropout share of the model's configuration.
    From `scratch` it is the same network with none of its weights. With an `adapter`, the plan's, that and the head are
    all that learns. Images are seen `image_size` pixels wide and high; without a number, as the model wants them.
    """

    seed: int
    dropout: float | None
    scratch: bool
    adapter: Mapping[str, Any] | None
    image_size: int | None


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
                Twin(self.net, "bf16").net(**self.example())
        except RuntimeError:
            return False
        return True

    def example(self) -> dict[str, torch.Tensor]:
        """Two short rows to try the network on."""
        device = next(self.net.parameters()).device
        return {name: each.to(device) for name, each in example_of(self.net, self.tokenizer).items()}

    def save(self, folder: Path) -> None:
        """A model directory that transformers loads alone; adapters have to be merged before.

        Tokens in each row are not in it: they cannot be merged into any matrix.
        """
        with quiet():
            if self.prompted:
                base = self.net.get_base_model()
                # Whoever reads these weights is to know that they are not all of it.
                setattr(base.config, BESIDE, self.net.active_peft_config.num_virtual_tokens)
                try:
                    base.save_pretrained(folder, state_dict=unwrapped(self.net))
                finally:
                    delattr(base.config, BESIDE)
            else:
                self.net.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)

    @property
    def adapted(self) -> bool:
        """Whether adapters stand beside its matrices."""
        return hasattr(self.net, "peft_config")

    @property
    def prompted(self) -> bool:
        """Whether the adapter is tokens in each row."""
        return prompted(self.net)

    def save_adapter(self, folder: Path) -> None:
        """What learnt, as PEFT reads it."""
        source = located(self.source, images=isinstance(self.tokenizer, Preparation))
        save_adapter(self.net, self.layers, str(source), folder)

    def merge(self) -> float:
        """Add the adapters to the matrices beside which they stand; the largest difference of a logit."""
        return merge(self.net, self.example())


def load_classifier(
    model: str, names: list[str], *, problem: str = "single_label_classification", **how: Unpack[How]
) -> Backbone:
    """The model with a new head that has an output for each of `names`, all weights in fp32.

    `problem` is what transformers calls the kind of answers. Raises ModelError when the model or its tokenizer is
    missing, or the weights do not fit the architecture.
    """
    from transformers import AutoModelForSequenceClassification

    source = located(model)
    net, answers = with_head(AutoModelForSequenceClassification, source, model, names, problem, how)
    return assembled(net, tokenizer_of(source, model), model, how, answers=answers, task_type="SEQ_CLS")


def tokenizer_of(source: str, model: str, **how: Any) -> Any:
    """The tokenizer that lies beside a model, `how` is its own business. Raises ModelError where it cannot be read."""
    from transformers import AutoTokenizer

    with quiet():
        try:
            return AutoTokenizer.from_pretrained(source, **how)
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: its tokenizer cannot be loaded: {first_line(error)}") from error


def assembled(net: Any, tokenizer: Any, model: str, how: How, *, answers: bool, task_type: str) -> Backbone:
    """A loaded network of texts with its tokenizer, as `backbone` gives it.

    `task_type` is PEFT's name for what the network does. Raises ModelError where the two do not belong together.
    """
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{model}: its tokenizer has no padding token, which rows of different lengths need.")
    if len(tokenizer) > net.get_input_embeddings().weight.shape[0]:
        raise ModelError(
            f"{model}: the tokenizer knows {len(tokenizer)} tokens, the model only "
            f"{net.get_input_embeddings().weight.shape[0]}; they do not belong together."
        )
    virtual = (how.get("adapter") or {}).get("num_virtual_tokens") or 0
    return backbone(
        net,
        tokenizer,
        model,
        how,
        found=lambda net: quickened(net, tokenizer),
        limit=_limit(net.config, tokenizer) - virtual,
        content=_tokenizer_content(tokenizer),
        answers=answers,
        task_type=task_type,
    )


def backbone(
    net: Any,
    tokenizer: Any,
    model: str,
    how: How,
    *,
    found: Callable[[Any], Layers],
    limit: int,
    content: str,
    answers: bool,
    task_type: str | None,
) -> Backbone:
    """A loaded network, adapted where that is asked for, and its layers told apart by `found`.

    `content` is all that decides what the tokenizer makes of a row; of images there is no `task_type`.
    """
    vars(net.config).pop(BESIDE, None)
    digest, adapter = _weights_digest(net), how.get("adapter")
    if adapter is not None:
        with torch.random.fork_rng():
            torch.manual_seed(number(how.get("seed", 0), "adapter"))
            net = adapt(net, adapter, task_type, example_of(net, tokenizer))
    by_depth = found(net)
    if adapter is not None:
        by_depth = replace(by_depth, still=unlearning(net, by_depth, head=not (task_type or "").endswith("LM")))
    return Backbone(
        net,
        tokenizer,
        by_depth,
        limit,
        model,
        weights_digest=digest,
        tokenizer_digest=sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
        answers=answers,
    )


def with_head(auto: Any, source: str, model: str, names: list[str], problem: str, how: How) -> tuple[Any, bool]:
    """The network of one of transformers' auto classes, a head for these names on it, and whether that was there."""
    from transformers import AutoConfig

    with quiet(), torch.random.fork_rng():
        torch.manual_seed(number(how.get("seed", 0), "head"))
        try:
            config = AutoConfig.from_pretrained(source)
            _refuse_other_kind(auto, model, config)
            # A head for numbers speaks in the unit of the rows that it was tuned on: it is renewed as any other. One
            # that learnt with tokens in each row says nothing without them.
            fit = problem != "regression" and not hasattr(config, BESIDE)
            before = dict(config.id2label or {}) if fit else {}
            config.num_labels = len(names)
            config.id2label = dict(enumerate(names))
            config.label2id = {name: i for i, name in enumerate(names)}
            config.problem_type = problem
            set_dropout(config, how.get("dropout"))
            # safetensors only: a pickled file could run code.
            net, facts = auto.from_pretrained(
                source,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
            if how.get("scratch"):
                net = auto.from_config(config, dtype=torch.float32)
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: cannot be loaded for classification: {first_line(error)}") from error
        _refuse_strangers(model, net, facts)
        answers = before == config.id2label and not facts["missing_keys"] and not how.get("scratch")
        if before != config.id2label:
            _renew_head(net)
    return net, answers


def with_own_head(auto: Any, source: str, model: str, config: Any, how: How, *, what: str, needed: str) -> Any:
    """The network of one of transformers' auto classes with the head that it was pre-trained with.

    Raises ModelError where the file has no such head: `what` it was to be, and what is `needed`.
    """
    with quiet(), torch.random.fork_rng():
        torch.manual_seed(how.get("seed", 0))
        set_dropout(config, how.get("dropout"))
        try:
            net, facts = auto.from_pretrained(
                source, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
            )
            if how.get("scratch"):
                net = auto.from_config(config, dtype=torch.float32)
        except CANNOT_LOAD as error:
            raise ModelError(f"{model}: cannot be loaded as {what}: {first_line(error)}") from error
    if facts["missing_keys"]:
        raise ModelError(
            f"{model}: {len(facts['missing_keys'])} weights of {what} are not in its file (the first is "
            f"{sorted(facts['missing_keys'])[0]}); {needed}"
        )
    return net


def _refuse_other_kind(auto: Any, model: str, config: Any) -> None:
    """Raise ModelError where the network sees images and texts are to be classified, or the other way round."""
    from transformers import AutoModelForImageClassification, AutoModelForSequenceClassification

    sees = type(config) in AutoModelForImageClassification._model_mapping
    reads = type(config) in AutoModelForSequenceClassification._model_mapping
    if auto is AutoModelForImageClassification and reads and not sees:
        raise ModelError(f"{model}: a {config.model_type} reads texts; {IMAGES_NEED}")
    if auto is not AutoModelForImageClassification and sees and not reads:
        raise ModelError(f"{model}: a {config.model_type} sees images; {TEXTS_NEED}")


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


def load_tuned(folder: Path, auto: Any = None) -> tuple[Any, Any]:
    """The network and tokenizer of a model directory as it stands, in evaluation mode, fp32.

    It is one of transformers' `auto` class, of those that classify a text if not given. Where the run's adapter is
    tokens before each text, it is put before them.
    """
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    with reading_tuned(folder):
        auto = auto or AutoModelForSequenceClassification
        net = auto.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        net = with_prompt(net, folder.parent / "adapter")
    quickened(net, tokenizer)
    return net.eval(), tokenizer


@contextmanager
def reading_tuned(folder: Path) -> Iterator[None]:
    """In here a tuned model's directory is read: without transformers' words, and what goes wrong is a ModelError."""
    with quiet():
        try:
            yield
        except CANNOT_LOAD as error:
            raise ModelError(f"{folder}: the tuned model cannot be loaded: {first_line(error)}") from error


def quickened(net: Any, tokenizer: Any) -> Layers:
    """The layers of a network that says what it said, and has less to compute for it."""
    example = example_of(net, tokenizer)
    quicken(net, example)
    by_depth = layers(net, example)
    shorten(net, by_depth, example)
    return by_depth


def example_of(net: Any, tokenizer: Any) -> dict[str, torch.Tensor]:
    """Two short rows, one of them padded; or two images."""
    if isinstance(tokenizer, Preparation):
        return tokenizer.example()
    example = dict(tokenizer(["a", "a b"], padding=True, return_tensors="pt"))
    if hasattr(net, "prepare_decoder_input_ids_from_labels"):  # it reads what it has written too
        written = net.prepare_decoder_input_ids_from_labels(labels=example["input_ids"])
        example["decoder_input_ids"] = written
    return example


def set_dropout(config: Any, share: float | None) -> None:
    """Every dropout share of a configuration; without one they stay as they are."""
    if share is None:
        return
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
