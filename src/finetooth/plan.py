"""The Plan: every setting of a run, read from YAML and checked as a whole before a row is read.

Names are the ecosystem's. `auto` is resolved by `resolve`, from facts about the rows, the model and the machine, and
each choice comes with its reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo

from finetooth.augment import AUGMENTS, MIXES
from finetooth.errors import PlanError, nearest
from finetooth.schedules import SCHEDULES

Auto = Literal["auto"]
# The losses' names and options stand here a second time, since losses.py imports torch; a test holds the two together.
LOSSES: dict[str, tuple[str, ...]] = {
    "cross-entropy": (),
    "focal": ("gamma",),
    "mse": (),
    "huber": ("delta",),
    "binary-cross-entropy": ("pos_weight",),
    "dpo": ("beta",),
}
PRESETS = {"80-10-10": (0.8, 0.1, 0.1), "70-15-15": (0.7, 0.15, 0.15), "60-20-20": (0.6, 0.2, 0.2)}

# Hugging Face's names for the same thing; the retired ones are accepted with a warning.
SYNONYMS = {
    "num_train_epochs": "epochs",
    "per_device_train_batch_size": "batch_size",
    "lr_scheduler_type": "schedule",
    "eval_strategy": "eval_every",
    "save_strategy": "save_every",
    "label_smoothing_factor": "label_smoothing",
}
RETIRED = {"evaluation_strategy": "eval_every", "warmup_ratio": "warmup_steps"}

# Keys of the outside contract that are still to be built, each with the value that asks for nothing.
LATER: dict[str, Any] = {
    "average": None,
    "retain": None,
    "report_to": None,
}
LARGEST = 20 << 30  # bytes
ADAPTER_RATE = 1e-3
PREFERENCE_RATE = 0.2  # times what the model would take to learn answers
PROMPT_RATE = 1e-2


def _no_switch(value: Any) -> Any:
    """Python takes true for 1; nobody who writes `epochs: true` means one epoch."""
    if isinstance(value, bool):
        raise ValueError(f"found {str(value).lower()}, expected a number")
    return value


Number = Annotated[float, BeforeValidator(_no_switch), Field(allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_no_switch)]
Share = Annotated[Number, Field(ge=0.0, lt=1.0)]


def _plain(part: Any) -> Any:
    """A part as YAML has it; a function is told by the name it was defined under."""
    if isinstance(part, Use):
        return {"use": part.use}
    return {"use": f"{part.__module__}:{part.__qualname__}"} if callable(part) else part


class Section(BaseModel):
    """A part of the plan; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, use_attribute_docstrings=True)


class Use(Section):
    """A function of one's own, `module:name`; run only where the command line allows the module."""

    use: Annotated[str, Field(pattern=r"^[\w.]+:[\w.<>]+$")]


# A member of a family by its name, by name and options, a function of one's own by module:name or, in Python, itself.
Part = Annotated[
    str | dict[str, Any] | Use | Callable[..., Any],
    BeforeValidator(lambda part: Use(**part) if isinstance(part, dict) and "use" in part else part),
    PlainSerializer(_plain),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]


class Data(Section):
    """Which columns to use; a flag of the command line goes before."""

    input: str = "auto"
    """The column with the text; `auto` takes the one named text or sentence, or the lists named tokens or words."""
    label: str | None = "auto"
    """The column with the label; `auto` takes the one named label or target, beside lists of words the one named tags,
    ner_tags or labels. Several columns of 0 and 1, with commas between their names, are the labels of which any may be
    true."""
    group: str | None = None
    """Rows with the same cell in this column stay in one part (one patient, one document)."""
    weights: str | None = None
    """The column that says how much a row counts in training; 1 is an ordinary row."""
    time: str | None = None
    """The column with a date or a number; the latest rows become the test part, those before them validation."""
    id: str | None = None
    """The column with a unique id; otherwise ids are made from the rows' contents."""

    def columns(self, **flags: str | None) -> dict[str, Any]:
        """What `read` is told of each role: the flag's column, else the plan's, else None, by convention."""
        planned = {role: None if name == "auto" else name for role, name in self.model_dump().items()}
        return {role: flags.get(role) or name for role, name in planned.items()}


class Lora(Section):
    """Small matrices beside those of the blocks learn in their place; PEFT's names."""

    type: Literal["lora"] = "lora"
    """The kind of adapter: lora; of texts prompt, prefix or p-tuning as well, of images prompt or p-tuning."""
    r: Annotated[Whole, Field(ge=1)] = 8
    """The rank of the small matrices."""
    lora_alpha: Annotated[Number, Field(gt=0)] | None = None
    """What they add is scaled by lora_alpha / r; null is twice r."""
    lora_dropout: Share = 0.0
    """Dropout before them."""
    use_dora: bool = False
    """Length and direction of each weight learn apart (DoRA)."""
    use_rslora: bool = False
    """Scale by lora_alpha / sqrt(r) instead, for large ranks (rsLoRA)."""
    target_modules: list[str] | Auto = "auto"
    """Which linear layers of a block (of a network of convolutions those), by the last part of their names; `auto` is
    every one."""
    bits: Literal[4, 8] | None = None
    """In how many bits the matrices of the blocks are kept meanwhile (QLoRA; the extra `bits`): an eighth or a quarter
    of the memory. What is saved has the numbers that these bits stand for, with what was learnt added."""


class Soft(Section):
    """Virtual tokens that learn before each text or behind each image's own, while the network stays as it is."""

    num_virtual_tokens: Annotated[Whole, Field(ge=1)] = 20
    """Of prompt, prefix and p-tuning: how many tokens that are no words stand in each row."""


class Prompt(Soft):
    """Their embeddings learn, beginning with those of words drawn at random; of images, with small random numbers."""

    type: Literal["prompt"] = "prompt"
    """The kind of adapter."""


class Prefix(Soft):
    """Their keys and values learn, in every block."""

    type: Literal["prefix"] = "prefix"
    """The kind of adapter."""
    prefix_projection: bool = False
    """Of prefix: a small network makes the keys and values while they learn; many parameters, of which few are kept."""


class PTuning(Soft):
    """A small network makes their embeddings while they learn."""

    type: Literal["p-tuning"] = "p-tuning"
    """The kind of adapter."""
    encoder_hidden_size: Annotated[Whole, Field(ge=1)] | None = None
    """Of p-tuning: the width of the small network; null is the model's."""


ADAPTERS: dict[str, type[Section]] = {"lora": Lora, "prompt": Prompt, "prefix": Prefix, "p-tuning": PTuning}


def _spelt_out(adapter: Any) -> Any:
    """Without a type it is lora, and `tokens` is short for num_virtual_tokens."""
    if not isinstance(adapter, dict):
        return adapter
    found = {"type": "lora", **adapter}
    if found["type"] != "lora" and "num_virtual_tokens" not in found and "tokens" in found:
        found["num_virtual_tokens"] = found.pop("tokens")
    return found


Adapter = Annotated[Lora | Prompt | Prefix | PTuning, Field(discriminator="type")]


class SplitPlan(Section):
    """How the rows are parted; `preset` (70-15-15) sets the three shares."""

    seed: Whole = 0
    """The seed of the split alone."""
    train: Annotated[Number, Field(gt=0.0, le=1.0)] = 0.8
    """Share of the rows that train."""
    validation: Annotated[Number, Field(gt=0.0, lt=1.0)] = 0.1
    """Share of the rows that choose the epoch."""
    test: Share = 0.1
    """Share of the rows that are sealed."""
    stratify: bool = True
    """Keep each class's share the same in every part."""
    synthetic: bool = False
    """Let made-up rows of a mix into validation and test too."""

    @model_validator(mode="before")
    @classmethod
    def _preset(cls, values: Any) -> Any:
        preset = values.get("preset") if isinstance(values, dict) else values
        if preset is None or isinstance(preset, dict | SplitPlan):
            return values
        if preset not in PRESETS:
            raise ValueError(f"the preset {preset!r} is not known; {nearest(str(preset), PRESETS)}")
        rest = {k: v for k, v in values.items() if k != "preset"} if isinstance(values, dict) else {}
        if clash := rest.keys() & {"train", "validation", "test"}:
            raise ValueError(f"a preset sets the shares already; leave {' and '.join(sorted(clash))} away")
        return {**rest, **dict(zip(("train", "validation", "test"), PRESETS[preset], strict=True))}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        total = self.train + self.validation + self.test
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the shares train, validation and test add up to {total:g}, expected 1")
        return self


class Plan(Section):
    """Every setting of a run. Units: rates are absolute, `epochs`, `eval_every`, `save_every` in epochs."""

    task: str = "auto"
    """What is to be learnt: text-classification, text-pair, text-regression, multi-label, token-classification,
    image-classification, instruction, preference or seq2seq; `auto` sees it by the columns, and where two are possible
    by the model. In Python also the name of a task of your own, once it is in TASKS."""
    data: Data = Data()
    """The columns."""
    split: SplitPlan = SplitPlan()
    """The parts."""
    seed: Whole = 0
    """Of training: the new head, the order, the dropout. It never moves the split."""
    epochs: Annotated[Number, Field(gt=0)] | Auto | None = "auto"
    """Passes over the training rows; 1.5 is allowed."""
    max_steps: Annotated[Whole, Field(ge=1)] | None = None
    """Updates, instead of epochs."""
    max_seconds: Annotated[Number, Field(gt=0)] | None = None
    """Seconds of training after which the run ends, the schedule with it; such a run cannot be repeated bit for bit."""
    batch_size: Annotated[Whole, Field(ge=1)] | Auto | None = "auto"
    """Rows that go through the network at once."""
    batch_tokens: Annotated[Whole, Field(ge=1)] | None = None
    """Instead of batch_size: tokens that go through the network at once, padding included."""
    gradient_accumulation_steps: Annotated[Whole, Field(ge=1)] = 1
    """Batches per update: the same gradient as one batch so many times as large, in less memory."""
    max_length: Annotated[Whole, Field(ge=4)] | Auto = "auto"
    """Tokens; what is longer is cut, and how many rows that concerns is told."""
    long: Literal["cut", "head_tail", "windows"] = "cut"
    """What is read of a text of more than max_length tokens: its beginning; a quarter of them from its beginning and
    the rest from its end; or all of it in windows that overlap, the mean of what is said of each being the answer."""
    image_size: Annotated[Whole, Field(ge=16)] | None = None
    """Pixels, width and height in which images are seen; null is as the model's own preparation has it, or a little
    larger where every image is a square of that larger size. Smaller is quicker and sees less."""
    max_grad_norm: Annotated[Number, Field(gt=0)] = 1.0
    """Gradients with a larger norm are scaled down to it, so that one odd batch cannot throw the weights."""
    learning_rate: Annotated[Number, Field(gt=0)] | Auto = "auto"
    """Of the pre-trained layers, at its highest."""
    head_learning_rate: Annotated[Number, Field(gt=0)] | Auto | None = "auto"
    """Of the head (whatever runs after the last block), which is new and has further to go."""
    layer_decay: Annotated[Number, Field(gt=0, le=1)] = 1.0
    """Each block learns this many times as fast as the one above it; 0.9 spares what the lowest blocks know."""
    freeze: Annotated[Whole, Field(ge=0)] | Literal["auto", "embeddings", "all"] = "auto"
    """What stays as it is: `embeddings`, or so many of the lowest blocks with them; 0 is nothing, `all` is all but the
    head. `auto` is `embeddings`, but 0 where layers thaw, where `rate` says it, or where virtual tokens learn."""
    unfreeze_every: Annotated[Number, Field(gt=0)] | None = None
    """Gradual unfreezing: one layer more, from the top, each so many epochs (0.5 is allowed), with a short warm-up."""
    rate: Part | None = None
    """In Python a function of one's own, (depth, epoch) -> multiplier; replaces the four keys above."""
    warmup_steps: Annotated[Number, Field(ge=0)] = 0.1
    """Steps over which the learning rate rises; below 1, a share of the run."""
    schedule: Part = "linear"
    """After the warm-up: constant, linear, cosine, cosine_with_restarts, polynomial, inverse_sqrt, one_cycle, a mapping
    with options ({name: polynomial, power: 3}), or in Python a function from progress to multiplier."""
    weight_decay: Annotated[Number, Field(ge=0)] = 0.01
    """AdamW's, on matrices only: norms and biases do not decay, nor does what is frozen."""
    dropout: Share | None = None
    """Replaces every dropout share of the model; null leaves them as the model has them."""
    label_smoothing: Share = 0.0
    """This share of each target goes to all classes alike: against overconfidence, and for noisy labels."""
    loss: Part = "auto"
    """Of classes cross-entropy, focal ({name: focal, gamma: 2}: easy rows count less); of numbers mse, huber ({name:
    huber, delta: 1}: beyond so many standard deviations rows pull less); of several labels binary-cross-entropy; of
    preferences dpo ({name: dpo, beta: 0.1}: more holds the model closer to what it was); in Python (logits, targets) ->
    (rows,)."""
    class_weights: Literal["auto"] | dict[str, Annotated[Number, Field(ge=0)]] | None = None
    """How much a row of each class counts in the loss; `auto`: as much more as the class is rarer. Of several
    labels: how much a row counts for a label that is true of it."""
    oversample: bool | Share = False
    """true: rows of every class equally often in an epoch of unchanged length; 0.5 goes half the way there."""
    packing: bool = False
    """Of language models: rows of a step share sequences and do not see each other, instead of rows of like length
    padded to the longest."""
    gradient_checkpointing: bool = False
    """Blocks that learn keep what goes into them and compute the rest again on the way back: less memory, the same
    gradient, a third more time."""
    augment: list[Part] = []
    """What training images become, anew in each epoch: crop, flip, colour, randaugment, and last mixup or cutmix, by
    name or with options ([{name: crop, scale: 0.5}, flip]); in Python a function, (image, generator) -> image."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the matrix products; weights and updates are fp32 either way."""
    eval_every: Annotated[Number, Field(gt=0)] = 1.0
    """Epochs between two looks at the validation rows; 0.25 looks four times an epoch."""
    save_every: Annotated[Number, Field(gt=0)] = 1.0
    """Epochs between two checkpoints; the best evaluation and Ctrl-C save besides."""
    early_stopping_patience: Annotated[Whole, Field(ge=1)] | None = None
    """Stop after so many looks in a row without a better one."""
    metric_for_best_model: str = "auto"
    """Chooses the epoch that is kept. A metric of your own is module:name, with --allow-code module."""
    adapter: Annotated[Adapter | None, BeforeValidator(_spelt_out)] = None
    """Leave the pre-trained weights as they are and learn small matrices beside them, {type: lora, r: 8}, which are
    merged into the saved model; or tokens in each row, {type: prompt, num_virtual_tokens: 20}, which cannot be.
    Both are kept as PEFT has them."""
    threshold: str | dict[str, dict[str, Number]] = "argmax"
    """How probabilities become answers: argmax (the likeliest; of several labels those from a half on), auto or a
    metric (fitted on validation rows), or what mistakes cost, {true class: {answered class: cost}}. It moves labels,
    never probabilities."""
    calibrate: bool = True
    """Divide a temperature, fitted on validation rows, into the last layer, so that probabilities can be believed."""
    keep: str | None = None
    """Labelled rows of something that the model should not forget; what a probe reads off them is told."""
    slices: list[str] = []
    """Columns whose values the test scores are told by, besides length and source."""
    cache: Literal["auto", "off"] | Annotated[Whole, Field(ge=0)] = "auto"
    """What is frozen is computed once for each row and kept in the user's cache, of which all stores together take at
    most so many bytes; `off` computes it again in each epoch."""
    cost_per_hour: Annotated[Number, Field(ge=0)] | None = None
    """What an hour of this machine costs; then reports speak of money too."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _known("schedule", self.schedule, {name: tuple(signature(f).parameters) for name, f in SCHEDULES.items()})
        _known("loss", self.loss, {"auto": (), **LOSSES})
        for part in self.augment:
            _known("augment", part, {name: tuple(signature(f).parameters) for name, f in (AUGMENTS | MIXES).items()})
        if mixing := mixing_of(self.augment[:-1]):
            raise ValueError(f"augment: {mixing[0]} has to come last, and once: it mixes what the others have made")
        if isinstance(self.rate, str | dict):
            raise ValueError("rate: expected a function in Python, or {use: module:name}")
        for key, other in (("epochs", "max_steps"), ("batch_size", "batch_tokens"), ("head_learning_rate", "rate")):
            if getattr(self, key) is None and getattr(self, other) is None:
                raise ValueError(f"{key}: found None, expected a number or auto (null goes with {other} alone)")
        for one, other, why in self._contradictions():
            raise ValueError(f"{one} and {other} contradict each other: {why}")
        return self

    def _contradictions(self) -> Iterator[tuple[str, str, str]]:
        """Pairs of keys that cannot both be meant, and why."""
        if self.freeze == "all":
            if self.layer_decay != 1.0:
                yield "freeze: all", "layer_decay", "only the head learns, so there is nothing to decay"
            if self.unfreeze_every is not None:
                yield "freeze: all", "unfreeze_every", "what is frozen for good is not thawed"
            if self.learning_rate not in ("auto", self.head_learning_rate):
                yield "freeze: all", "learning_rate", "only the head learns; set head_learning_rate"
        if self.rate is not None:
            unset = {"head_learning_rate": ("auto", None), "layer_decay": (1.0,), "unfreeze_every": (None,)}
            for key, defaults in unset.items():
                if getattr(self, key) not in defaults:
                    yield "rate", key, "rate replaces it"
            if self.freeze not in ("auto", 0):
                yield "rate", "freeze", "rate replaces it"
        if self.max_steps is not None and self.epochs not in ("auto", None):
            yield "max_steps", "epochs", "each says when the run ends"
        if self.batch_tokens is not None and self.batch_size not in ("auto", None):
            yield "batch_tokens", "batch_size", "each says how large a batch is"
        if self.label_smoothing and self.loss not in ("auto", "cross-entropy"):
            yield "label_smoothing", "loss", "it is the cross-entropy's targets that are smoothed"
        if mixing_of(self.augment) and self.loss not in ("auto", "cross-entropy"):
            yield "augment: mixup or cutmix", "loss", "it is the cross-entropy that takes shares of classes for targets"
        if self.packing and isinstance(self.adapter, Soft):
            yield "packing", "adapter", "its tokens would stand before the first row of a sequence alone"
        if self.gradient_checkpointing and isinstance(self.adapter, Prefix):
            yield "gradient_checkpointing", "adapter", "what stands before a text as keys cannot be gone through twice"
        if isinstance(self.adapter, Lora) and self.adapter.use_dora and self.adapter.bits == 8:
            yield "adapter.use_dora", "adapter.bits", "lengths are measured on 4 bits or on whole numbers only"
        if self.adapter is not None and self.freeze == "all":
            yield "freeze: all", "adapter", "only the head learns, so an adapter would not"
        elif isinstance(self.adapter, Soft) and self.freeze not in ("auto", 0):
            yield (
                f"freeze: {self.freeze}",
                "adapter",
                "its tokens stand below the lowest block, so no state is the same",
            )
        elif isinstance(self.adapter, Soft) and (self.layer_decay != 1.0 or self.unfreeze_every is not None):
            key = "layer_decay" if self.layer_decay != 1.0 else "unfreeze_every"
            yield key, "adapter", "of the layers none learns; leave it away"
        if self.class_weights is not None and self.oversample:
            yield "class_weights", "oversample", "rare classes would be favoured twice"

    def __init__(self, **values: Any) -> None:
        """Any of the keys below. Raises PlanError naming the key, what was found, and the nearest known one."""
        try:
            super().__init__(**_translated(values))
        except ValidationError as error:
            # The arms of a union each have their say; one sentence per key is enough.
            sentences = {tuple(_place(e)): _sentence(e) for e in reversed(error.errors())}
            raise PlanError("; ".join(reversed(sentences.values()))) from None

    @staticmethod
    def of(values: Mapping[str, Any]) -> Plan:
        """A Plan from a mapping, as YAML gives it. Raises PlanError."""
        if strange := [key for key in values if not isinstance(key, str)]:
            raise PlanError(f"unknown key {strange[0]!r}: keys are names like 'epochs'")
        return Plan(**values)

    @staticmethod
    def read(path: str | Path | None, settings: Sequence[str] = ()) -> Plan:
        """A Plan from a YAML file, if any, changed by settings of the form key=value or part.key=value."""
        values: dict[str, Any] = {}
        if path is not None:
            try:
                text = Path(path).read_text(encoding="utf-8")
                values = yaml.safe_load(text) or {}
            except FileNotFoundError:
                raise PlanError(f"{path}: no such plan file.") from None
            except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
                raise PlanError(f"{path}: not readable as YAML: {error}") from None
            if not isinstance(values, dict):
                raise PlanError(f"{path}: found a {type(values).__name__}, expected keys and values like 'epochs: 3'.")
        for setting in settings:
            _set(values, setting)
        return Plan.of(values)

    def values(self) -> dict[str, Any]:
        """As plain values, ready for YAML or JSON."""
        return self.model_dump(mode="json")

    def text(self, reasons: Mapping[str, str]) -> str:
        """As `read` takes it, a line for each key, with the reason where there is one."""
        lines = []
        for key, value in self.values().items():
            flow = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=1000)
            # YAML ends a lone scalar with a document end, which has no place after a key.
            text = f"{key}: {flow.removesuffix('...' + chr(10)).rstrip()}"
            lines.append(text + (f"  # {reasons[key]}" if key in reasons else ""))
        return "\n".join(lines) + "\n"


def _known(key: str, part: Any, family: Mapping[str, Sequence[str]]) -> None:
    """Refuse a part whose name or options the family does not have; functions of one's own pass."""
    if not isinstance(part, str | dict):
        return
    name = part if isinstance(part, str) else str(part.get("name"))
    options = set() if isinstance(part, str) else part.keys() - {"name"}
    if name not in family:
        raise ValueError(f"{key}: '{name}' is not known; {nearest(name, family)}")
    for option in sorted(options - set(family[name])):
        raise ValueError(f"{key}: {name} has no option '{option}'; {nearest(option, family[name])}")


def name_of(part: Any) -> Any:
    """The name that a part of the plan gives of a family's member, or the function that it is."""
    return part.get("name") if isinstance(part, dict) else part


def mixing_of(augment: Sequence[Any]) -> list[Any]:
    """Those parts of `augment` that mix two images."""
    return [part for part in augment if name_of(part) in MIXES]


def made(part: Any, family: Mapping[str, Callable[..., Any]]) -> Any:
    """The member of a family that a checked part of the plan names, or the function that it is."""
    if isinstance(part, Use):
        raise PlanError(f"{part.use} is code of yours; add --allow-code {part.use.partition(':')[0]} to have it run.")
    if callable(part):
        return part
    name, options = (part, {}) if isinstance(part, str) else (part["name"], {k: part[k] for k in part if k != "name"})
    try:
        return family[name](**options)
    except (TypeError, ValueError) as error:
        raise PlanError(f"{name}: {error}") from None


def _set(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise PlanError(f"--set {setting}: expected KEY=VALUE, for example --set epochs=3.")
    *parents, last = key.strip().split(".")
    for parent in parents:
        if parent == "split" and isinstance(values.get(parent), str):
            values[parent] = {"preset": values[parent]}
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise PlanError(f"--set {setting}: '{parent}' has no keys below it.")
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise PlanError(f"--set {setting}: the value is not readable as YAML.") from None


def _translated(values: Mapping[str, Any]) -> dict[str, Any]:
    """Hugging Face's names become ours; keys that are still to be built are refused unless they ask for nothing."""
    plan: dict[str, Any] = {}
    came_from: dict[str, str] = {}
    for key, given in values.items():
        name = SYNONYMS.get(key) or RETIRED.get(key) or key
        if key in RETIRED:
            warnings.warn(f"'{key}' is a retired name; use '{name}'", FutureWarning, stacklevel=4)
        if key in ("eval_strategy", "evaluation_strategy", "save_strategy"):
            if given != "epoch":
                raise PlanError(
                    f"{key}: found {given!r}; say {name} in epochs (1.0 is once an epoch, 0.25 four times)."
                )
            given = 1.0
        if key in ("bf16", "fp16", "fp32"):
            if key == "fp16" and not given:
                continue
            other = {"bf16": "fp32", "fp32": "bf16"}.get(key, key)
            name, given = "precision", key if given else other
        if (name, given) == ("precision", "fp16"):
            raise PlanError(f"{name} {given} is not in this version of finetooth.")
        if name in ("data", "split") and given is None:
            continue
        if name == "cache" and isinstance(given, bool):  # YAML takes a bare off for a no
            given = "auto" if given else "off"
        if name == "data" and isinstance(given, Mapping):
            given = {k: v for k, v in given.items() if not _later(f"data.{k}", v, f"data.{k}")}
        if _later(name, given, key):
            continue
        if name in came_from:
            raise PlanError(f"'{came_from[name]}' and '{key}' say the same thing; keep one of them.")
        came_from[name] = key
        plan[name] = given
    return plan


def _later(name: str, given: Any, key: str) -> bool:
    """Whether this key is still to be built; refused when it asks for something."""
    if name in LATER and given != LATER[name]:
        raise PlanError(f"'{key}' is not in this version of finetooth; leave it away.")
    return name in LATER


def sections_of(field: FieldInfo) -> list[type[Section]]:
    """The parts of the plan of which a key opens one, where it opens any."""
    arms: list[Any] = [field.annotation]
    for arm in arms:
        arms += get_args(arm)
    sections = [arm for arm in arms if isinstance(arm, type) and issubclass(arm, Section)]
    return [section for section in sections if section is not Use]  # a function of one's own is no part of the plan


def _place(error: Any) -> list[str]:
    """The key that an error of pydantic speaks of, without its names for the arms of a union."""
    arms = ("constrained", "literal", "function", "float", "int")
    return [str(part) for part in error["loc"] if not str(part).startswith(arms) and part not in ADAPTERS]


def _sentence(error: Any) -> str:
    place = _place(error)
    key, section = place[-1] if place else "", Plan
    for parent in place[:-1]:
        inner = sections_of(section.model_fields[parent]) if parent in section.model_fields else []
        if not inner:
            break
        told = (ADAPTERS[part] for part in error["loc"] if part in ADAPTERS)
        section = inner[0] if len(inner) == 1 else next(told)  # type: ignore[assignment]
    if error["type"] == "union_tag_invalid":
        return f"{'.'.join(place)}.type: '{error['ctx']['tag']}' is not known; {nearest(error['ctx']['tag'], ADAPTERS)}"
    if error["type"] == "extra_forbidden":
        known = [*section.model_fields, *(LATER if section is Plan else ())]
        known += ["preset"] if section is SplitPlan else []  # type: ignore[comparison-overlap]
        blank = f"; YAML wants a blank after a colon, '{key.replace(':', ': ')}'" if ":" in key else ""
        return f"unknown key '{'.'.join(place)}': {nearest(key, known)}{blank}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if not place or error["type"] == "value_error":
        return f"{'.'.join(place)}: {message}" if place else message
    return f"{'.'.join(place)}: found {error['input']!r}; {message[0].lower()}{message[1:]}"


@dataclass(frozen=True)
class Facts:
    """What `resolve` needs to know of the rows to train on, the model and the machine; choices with the reason."""

    task: tuple[str, str]
    new_head: bool
    loss: tuple[str, str]
    metric: tuple[str, str]
    rows: int
    parameters: int
    limit: int
    fast_bf16: bool
    machine: str
    images: bool = False
    image_size: tuple[int, str] | None = None


def resolve(plan: Plan, facts: Facts) -> tuple[Plan, dict[str, str]]:
    """The plan with every `auto` replaced, and the reason for each."""
    chosen: dict[str, Any] = {}
    reasons: dict[str, str] = {}

    def decide(key: str, value: Any, reason: str) -> None:
        if getattr(plan, key) == "auto" and key not in chosen:
            chosen[key], reasons[key] = value, reason

    decide("task", *facts.task)
    if plan.image_size is None and facts.image_size is not None:
        chosen["image_size"], reasons["image_size"] = facts.image_size
    small = facts.parameters < 50e6
    size = f"{facts.parameters / 1e6:.0f} M parameters"
    if plan.rate is not None:
        decide("head_learning_rate", None, "rate replaces it")
    if facts.new_head:
        decide("head_learning_rate", 1e-3, "the head is new and starts from nothing")
    if plan.freeze == "all" and facts.new_head:
        decide("learning_rate", chosen.get("head_learning_rate", plan.head_learning_rate), "only the head learns")
    if isinstance(plan.adapter, Soft):
        decide("learning_rate", PROMPT_RATE, "virtual tokens have far to go, and nothing else moves")
        decide("freeze", 0, "they stand below the lowest block, so no state of it is the same for long")
    slower, why = 1.0, ""
    if facts.loss[0] == "dpo" and not isinstance(plan.adapter, Soft):
        slower, why = PREFERENCE_RATE, "; preferences take small steps, at large ones a model forgets how to write"
    if plan.adapter is not None:
        found = "an adapter starts from nothing, and there is little of it"
        decide("learning_rate", ADAPTER_RATE * slower, found + why)
    decide(
        "learning_rate", (1e-4 if small else 5e-5) * slower, f"{'a small' if small else 'a large'} model, {size}{why}"
    )
    rate = chosen.get("learning_rate", plan.learning_rate)
    decide("head_learning_rate", rate, "the head is the one that was pre-trained, and learns as the rest does")
    epochs = 2 if facts.rows >= 5000 else 3 if facts.rows >= 2000 else 5 if facts.rows >= 500 else 10
    if plan.max_steps is not None:
        decide("epochs", None, "max_steps says when the run ends")
    elif plan.max_seconds is not None:
        decide("epochs", 100.0, "max_seconds says when the run ends")
    decide("epochs", float(epochs), f"{facts.rows:,} rows to train on; fewer rows take more passes")
    if plan.batch_tokens is not None:
        decide("batch_size", None, "batch_tokens says how large a batch is")
    decide("batch_size", 32, "large enough to keep the processor busy, small enough for many updates")
    why = f"the model's limit is {facts.limit} tokens; shorter rows are not padded to it"
    if facts.images:
        why = f"an image counts as {facts.limit} tokens, squares of 16 x 16 pixels; nothing of it is cut"
    decide("max_length", facts.limit, why)
    if plan.rate is not None:
        decide("freeze", 0, "rate replaces it")
    if plan.unfreeze_every is not None:
        decide("freeze", 0, "every layer learns in the end")
    decide("freeze", "embeddings", "tuned, they measured no better on four data sets, and they cost time and memory")
    decide("cache", LARGEST, "bytes that all stores of what is frozen may take in the user's cache")
    decide("loss", *facts.loss)
    fast = "fast at bf16" if facts.fast_bf16 else "not faster at bf16"
    decide("precision", "bf16" if facts.fast_bf16 else "fp32", f"this machine ({facts.machine}) is {fast}")
    decide("metric_for_best_model", *facts.metric)
    return plan.model_copy(update=chosen), reasons
