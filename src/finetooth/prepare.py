"""Table and Plan -> Job: all that comes before the first step. The test rows end here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from finetooth import adamw, duplicates, labels, machine, rates, schedules, splits
from finetooth.augment import AUGMENTS, MIXES
from finetooth.backbones import Backbone, Layers, at_size, by_batch, keeps_apart, quantize, recompute
from finetooth.batches import Batches
from finetooth.check import examine
from finetooth.checks import Sample
from finetooth.decide import COOLING, UNMOVED, temperature
from finetooth.errors import DataError, ModelError, PlanError, nearest
from finetooth.findings import Finding
from finetooth.likeness import Seen, see
from finetooth.loop import Recipe, State
from finetooth.losses import LOSSES, by_class
from finetooth.metrics import Metric
from finetooth.plan import Data, Facts, Lora, Plan, made, mixing_of, name_of, resolve
from finetooth.predict import predict, preferred
from finetooth.prefix import Ask, Prefix, stores
from finetooth.progress import Progress, Silent
from finetooth.rates import Rate
from finetooth.readers import read
from finetooth.seeds import numbers, row_keys
from finetooth.slices import refuse_unknown
from finetooth.table import Answers, Predictions, Split, Table
from finetooth.tags import flat
from finetooth.tasks import Encoded, Preference, Task, fitting, named, reach, reading
from finetooth.twin import Twin

AT_ONCE = {
    "fp32": 512,
    "bf16": 2048,
}  # padded tokens that processor caches hold; more are no faster there, and take memory
AHEAD = 8  # steps made ready while a GPU computes one
LARGER = 1.5  # times the side that the model wants: up to there images of one size are seen as they are
THAW_WARMUP = 0.1  # epochs over which a layer that was just thawed comes up to its rate


@dataclass(frozen=True)
class Scale:
    """Of numbers: their mean and standard deviation. A network learns, and is measured by its loss, in the latter."""

    mean: float
    deviation: float

    @staticmethod
    def of(values: NDArray[np.float64]) -> Scale:
        """The scale of these values, which are not all the same."""
        return Scale(float(values.mean()), float(values.std()))

    def standard(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """So many deviations from the mean."""
        return (values - self.mean) / self.deviation

    def restored(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """In the user's unit again."""
        return values * self.deviation + self.mean


@dataclass(frozen=True)
class Job:
    """What is to be done: the resolved plan, the rows as the network reads them, the model; of test rows their ids."""

    task: Task
    names: list[str]
    split: Split
    plan: Plan
    reasons: Mapping[str, str]
    backbone: Backbone
    training: Encoded
    validation: Encoded
    metrics: Mapping[str, Metric]
    shares: NDArray[np.float32]  # how much each training row counts, before its class does
    clusters: tuple[NDArray[np.int64], NDArray[np.int64]]  # of equal and of nearly equal rows, over the whole table
    rows: Encoded  # every row that is not sealed
    progress: Progress
    limit: int | None = None  # rows of training and of validation, at most, where it started small
    scale: Scale | None = None  # of numbers: what the network is spared while it learns
    seen: Seen | None = None  # the images of the table, where it is one of images

    @property
    def goal(self) -> Metric:
        """The metric that chooses the best epoch."""
        return self.metrics[self.plan.metric_for_best_model]

    @cached_property
    def batches(self) -> Batches:
        """The training rows, as the loop eats them."""
        plan, pieces = self.plan, machine.device() == "cpu" and not by_batch(self.backbone.net)
        mixing = mixing_of(plan.augment)
        return Batches(
            self.training,
            self.task,
            pad=self.backbone.tokenizer.pad_token_id,
            batch_size=None if plan.batch_size is None else int(plan.batch_size),
            batch_tokens=plan.batch_tokens,
            accumulation=plan.gradient_accumulation_steps,
            seed=plan.seed,
            weights=row_weights(plan, self.task, self.names, self.training.targets) * self.shares,
            oversample=float(plan.oversample),
            at_once=AT_ONCE[plan.precision] if pieces else None,
            augments=[made(part, AUGMENTS) for part in plan.augment if part not in mixing],
            mix=next((made(part, MIXES) for part in mixing), None),
            classes=len(self.names),
            pack=plan.packing,
            # A processor that computes the steps too loses 4 % by it (docs/log.md).
            ahead=0 if machine.device() == "cpu" else AHEAD,
        )

    @property
    def epochs(self) -> float:
        """Passes over the training rows, also where the plan counts in steps."""
        return float(self.plan.epochs or self.recipe.steps / self.batches.steps(0))

    @cached_property
    def recipe(self) -> Recipe:
        """The plan's names become the functions that the loop takes."""
        plan, batches = self.plan, self.batches
        if plan.max_steps is not None:
            steps = plan.max_steps
        else:
            whole, part = divmod(float(plan.epochs or 0), 1.0)
            # 0.1 of 10 steps is 1 step, also when it comes as 1.0000000000000009.
            last = ceil(part * batches.steps(int(whole)) - 1e-9)
            steps = sum(batches.steps(epoch) for epoch in range(int(whole))) + last
        warmup = plan.warmup_steps if plan.warmup_steps < 1 else min(plan.warmup_steps / steps, 1.0)
        loss = plan.loss
        if plan.label_smoothing:
            loss = {"name": "cross-entropy", "label_smoothing": plan.label_smoothing}
        if plan.class_weights is not None and self.task.kind == "any-of":
            weights = label_weights(plan, self.names, self.training.targets)
            loss = {"name": "binary-cross-entropy", "pos_weight": weights}
        learnt = made(loss, LOSSES)
        if plan.class_weights is not None and self.task.kind == "tags":
            tags = flat(self.training.targets)
            learnt = by_class(learnt, class_weights(plan, self.names, tags).tolist())
        return Recipe(
            steps=steps,
            max_seconds=inf if plan.max_seconds is None else plan.max_seconds,
            loss=learnt,
            learning_rate=float(plan.learning_rate),
            rate=rate_of(plan, self.backbone.layers),
            schedule=schedules.warmup(warmup, made(plan.schedule, schedules.SCHEDULES)),
            max_grad_norm=plan.max_grad_norm,
            eval_every=plan.eval_every,
            seed=plan.seed,
            precision=plan.precision,
            device=machine.device(),
            ask=self._ask,
        )

    def _ask(self, net: nn.Module, frozen: Callable[[int], bool], epoch: float) -> Ask:
        """How the net is asked from this epoch on, while these depths are frozen."""
        deepest = self.backbone.layers.deepest
        if self.plan.augment and self.plan.cache != "off" and frozen(deepest):
            self.progress.say("what is frozen is computed again each time: augmented images are others in each epoch")
        depth = rates.storable(self.recipe.rate, deepest, epoch, self.epochs)
        return self._prefix.ask(net, frozen if depth is None else depth.__le__, build=depth is not None)

    @cached_property
    def _prefix(self) -> Prefix:
        """What is computed once of the rows that are not sealed."""
        plan, pad = self.plan, self.backbone.tokenizer.pad_token_id
        # What is kept of a row has no place in a sequence of several.
        limit = None if plan.cache == "off" or plan.augment or plan.packing else int(plan.cache)
        return Prefix(self.backbone.layers, self.task, self.rows, pad, limit, self.progress, stores())

    def state(self) -> State:
        """The model before its first step."""
        net, adapter = self.backbone.net, self.plan.adapter
        if isinstance(adapter, Lora) and adapter.bits is not None:
            quantize(net, adapter.bits, machine.device(), self.backbone.example())
        net = net.to(machine.device())
        return State(net, self.backbone.layers, adamw.optimizer(net, self.backbone.layers, self.plan.weight_decay))

    def as_preferred(self) -> NDArray[np.float32]:
        """By how many nats the model as it is now prefers the first answer of each row to the second, (rows,)."""
        assert isinstance(self.task, Preference)
        net = self.backbone.net.to(machine.device())
        # An adapter's matrices change nothing yet; its tokens in each row do.
        twin = Twin(net.get_base_model() if self.backbone.prompted else net, self.plan.precision).net
        frozen = [self.recipe.rate(depth, 0.0) == 0.0 for depth in range(self.backbone.layers.deepest + 1)]
        ask = None if self.backbone.prompted else self._ask(twin, frozen.__getitem__, 0.0)
        self.progress.say("asking the model as it is which of two answers it prefers, and how much")
        self.progress.stored(0, int(self.rows.lengths.sum()))
        how: dict[str, Any] = {"precision": self.plan.precision, "device": machine.device()}
        pad, told = self.backbone.tokenizer.pad_token_id, self.progress.stored
        return preferred(twin, self.task, self.rows, pad=pad, **how, ask=ask, progress=told)

    def look(self, net: nn.Module, precision: str | None = None, ask: Ask | None = None) -> Answers:
        """What the net, as it now is, says of the validation rows, in the plan's precision or another."""
        p = predict(
            net,
            self.task,
            self.validation,
            self.names,
            pad=self.backbone.tokenizer.pad_token_id,
            precision=precision or self.plan.precision,
            device=machine.device(),
            ask=ask,
        )
        return p if self.scale is None else p.about(p.ids, p.labels, self.scale.restored(p.said))

    def scores(self, net: nn.Module, ask: Ask | None = None) -> dict[str, float]:
        """Every metric on the validation rows, and by what logits are to be divided if this net is saved.

        In fp32 that is asked of the very answers that are kept of what is saved.
        """
        p = self.look(net, ask=ask)
        if not isinstance(p, Predictions) or not self.plan.calibrate or self.plan.precision == "fp32":
            return self.scored(p)
        return self.scored(p) | {COOLING: temperature(p)}

    def scored(self, p: Answers) -> dict[str, float]:
        """Every metric of these answers, and their loss where it is none of the metrics."""
        found = {name: metric.of(p) for name, metric in self.metrics.items()}
        if "loss" not in found and self.scale is not None:
            said, truth = (torch.from_numpy(self.scale.standard(values)) for values in (p.said, p.labels))
            found["loss"] = float(self.recipe.loss(said[:, None], truth.float()).mean())
        return found


@dataclass(frozen=True)
class Material:
    """What any number of runs are made from: a table whose rows were dealt once, each tokenised once, and a model."""

    table: Table
    model: str
    task: Task
    names: list[str]
    metrics: Mapping[str, Metric]
    clusters: tuple[NDArray[np.int64], NDArray[np.int64]]
    split: Split
    limit: int | None
    seen: Seen | None = None
    _encoded: dict[tuple[str, int, str], Encoded] = field(default_factory=dict, repr=False, compare=False)
    _preferred: dict[tuple[Any, ...], NDArray[np.float32]] = field(default_factory=dict, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which encodes by itself: pixels lie in a file that only this one has open."""
        return {**vars(self), "_encoded": {}, "_preferred": {}}

    @staticmethod
    def of(
        table: Table, plan: Plan, model: str, *, rows: int | None = None, metrics: Sequence[Metric] = ()
    ) -> Material:
        """Check the labels and deal the rows as the plan says. Raises DataError.

        `rows` keeps at most so many rows of training and of validation.
        """
        task = named(plan.task if plan.task != "auto" else fitting(table, model)[0])
        names, seen = task.names(table), None
        known = {**task.metrics(names), **{metric.name: metric for metric in metrics}}
        if table.folder is not None:
            seen = see(table)
            _refuse_broken(table, seen)
        clusters, strata = duplicates.of(table, seen), labels.strata(table, task.kind)
        how = plan.split.model_dump() | ({"stratify": False} if task.kind == "texts" else {})
        split = splits.holdout(table, near=clusters[1], strata=strata, **how)
        if rows is not None:
            split = replace(split, train=_fewer(split.train, rows), validation=_fewer(split.validation, rows))
        return Material(table, model, task, names, known, clusters, split, rows, seen)

    def job(
        self, plan: Plan, *, split: Split | None = None, scratch: bool = False, progress: Progress | None = None
    ) -> Job:
        """Load the model and resolve the plan, for the rows of the split or, as in a fold, for others that train.

        From `scratch` the network begins without what it has learnt. Raises UserError for what is wrong.
        """
        table, task, names, split = self.table, reading(self.task, plan.long), self.names, split or self.split
        refuse_senseless(plan, task)
        refuse_unfit(plan, table, task, names, self.metrics)
        adapter = None if plan.adapter is None else plan.adapter.model_dump()
        how: dict[str, Any] = {"dropout": plan.dropout, "scratch": scratch, "adapter": adapter}
        backbone = task.load(self.model, names, seed=plan.seed, image_size=plan.image_size, **how)
        if plan.gradient_checkpointing:
            recompute(backbone.net)
        if plan.packing and not keeps_apart(backbone.net):
            raise PlanError(
                f"packing: to {self.model} rows that share a sequence are not what they are alone; leave it away."
            )
        facts = _facts(table, split, backbone, task, names, plan)
        if plan.image_size is None and self.seen is not None:
            backbone, size = _sized(backbone, self.seen)
            facts = replace(facts, limit=backbone.limit, image_size=size)
        asked, (plan, reasons) = plan.precision, resolve(plan, facts)
        if plan.precision == "bf16" and not backbone.takes_bf16():
            if asked == "bf16":
                raise PlanError(f"precision: {self.model} cannot compute in bf16; set precision to fp32.")
            plan = plan.model_copy(update={"precision": "fp32"})
            reasons = {**reasons, "precision": "this network cannot compute in bf16"}
        plan = plan.model_copy(
            update={"data": Data(**{**table.columns.roles(), "input": ",".join(table.columns.input)})}
        )
        if table.folder is not None and int(plan.max_length) != backbone.limit:
            raise PlanError(
                f"max_length: found {plan.max_length}, but images are not cut; leave it at auto. How large an image "
                f"{self.model} wants stands in its preprocessor_config.json."
            )
        if int(plan.max_length) > backbone.limit:
            raise PlanError(
                f"max_length: found {plan.max_length}, but {self.model} takes at most {backbone.limit} tokens."
            )
        everything = self.encoded(backbone, task, int(plan.max_length), plan.long)
        training, validation = _parts(everything, split)
        if task.kind != "texts" and len(np.unique(flat(training.targets), axis=0)) < 2:
            alike = "are of one class" if task.kind == "one-of" else "have the same label"
            raise DataError(
                f"{table.source}: all {len(training):,} training rows {alike}, so there is nothing to learn. "
                f"Take more rows, or other parts."
            )
        if training.pixels is not None and training.pixels.deep and "randaugment" in map(name_of, plan.augment):
            raise PlanError(
                "augment: randaugment works on eight bits a colour, and some of these images have more; take crop, "
                "flip, colour, mixup or cutmix."
            )
        scale = Scale.of(training.targets) if task.kind == "numbers" else None
        if scale is not None:
            training = replace(training, targets=scale.standard(training.targets).astype(np.float32))
        shares = np.array([table.weights[table.position[i]] for i in split.train], dtype=np.float32)
        if not shares.any():
            raise DataError(f"{table.source}: every training row weighs nothing.")
        job = Job(
            task,
            names,
            split,
            plan,
            reasons,
            backbone,
            training,
            validation,
            self.metrics,
            shares,
            self.clusters,
            everything,
            progress or Silent(),
            limit=self.limit,
            scale=scale,
            seen=self.seen,
        )
        _refuse_idleness(job)
        return job

    def ready(self, job: Job) -> Job:
        """The job as it can begin: where preferences are learnt the targets are what the untuned model prefers.

        That is asked of the job's own network, once for all folds and trials in this process, above a store of what is
        frozen where the job has one. Of other tasks it is the job itself.
        """
        if not isinstance(job.task, Preference):
            return job
        stored = rates.storable(job.recipe.rate, job.backbone.layers.deepest, 0.0, job.epochs)
        key = (job.backbone.tokenizer_digest, int(job.plan.max_length), job.plan.precision, stored, job.plan.cache)
        if key not in self._preferred:
            self._preferred[key] = job.as_preferred()
        rows = replace(job.rows, targets=self._preferred[key])
        training, validation = _parts(rows, job.split)
        return replace(job, rows=rows, training=training, validation=validation)

    def folds(self, plan: Plan, folds: int, repeat: int = 0) -> list[Split]:
        """What is not sealed in folds, each with another part to validate on. Raises DataError."""
        stratify = plan.split.stratify and self.task.kind != "texts"
        how: dict[str, Any] = {"seed": plan.split.seed, "stratify": stratify, "near": self.clusters[1]}
        how["strata"] = labels.strata(self.table, self.task.kind)
        return [*splits.kfold(self.table, self.split, folds, repeat=repeat, **how)]

    def encoded(self, backbone: Backbone, task: Task, max_length: int, long: str) -> Encoded:
        """Every row that is not sealed, as tokens."""
        key = (backbone.tokenizer_digest, max_length, long)
        if key not in self._encoded:
            self._encoded.clear()  # a search over lengths would keep them all
            ids = sorted((*self.split.train, *self.split.validation))
            self._encoded[key] = task.encode(self.table, ids, self.names, backbone.tokenizer, max_length)
        return self._encoded[key]


def _sized(backbone: Backbone, seen: Seen) -> tuple[Backbone, tuple[int, str] | None]:
    """The backbone for images of the size at which they are best seen; that size and why, if it is not the model's."""
    (height, width), side = backbone.tokenizer.shape, seen.side or 0
    if backbone.tokenizer.whole and height == width < side <= LARGER * width:
        try:
            why = f"every image is that wide and high; squeezed to the model's {height}, its finest grain would blur"
            return at_size(backbone, side), (side, why)
        except ModelError:  # what it has learnt of positions is for one size
            pass
    return backbone, None


def _refuse_broken(table: Table, seen: Seen) -> None:
    """Raise DataError, naming the first, for images that cannot be decoded; of sealed ones too, while it is time."""
    if seen.broken:
        i, why = next(iter(seen.broken.items()))
        more = f" (and {len(seen.broken) - 1:,} more)" if len(seen.broken) > 1 else ""
        raise DataError(
            f"{table.file(i)}: {why}{more}; put a whole image there, or take such rows out: `finetooth check "
            f"{table.source} --fix OUT` does."
        )


def prepare(table: Table, plan: Plan, model: str, *, rows: int | None = None, metrics: Sequence[Metric] = ()) -> Job:
    """What one run is made from. Raises UserError for what is wrong."""
    return Material.of(table, plan, model, rows=rows, metrics=metrics).job(plan)


def refuse_unfit(plan: Plan, table: Table, task: Task, names: list[str], known: Mapping[str, Metric]) -> None:
    """Raise UserError for a metric, class, column or file of the plan that is not there; before anything is loaded."""
    if plan.metric_for_best_model not in {"auto", *known}:
        hint = nearest(plan.metric_for_best_model, known)
        raise PlanError(f"metric_for_best_model: there is no metric '{plan.metric_for_best_model}'; {hint}")
    if task.kind == "one-of":
        _refuse_threshold(plan, names, known)
    refuse_unknown(table, plan.slices)
    if plan.long != "cut" and len(table.columns.input) > 1:
        raise PlanError(
            f"long: found {plan.long}, which is for one text a row, and these rows have two; leave it away."
        )
    if plan.augment and table.folder is None:
        raise PlanError("augment: changes images, and these rows are texts; leave it away.")
    if plan.image_size is not None and table.folder is None:
        raise PlanError("image_size: these rows are texts; leave it away.")
    if plan.keep is not None and table.folder is not None:
        raise PlanError(
            "keep: what was forgotten is looked for in texts alone in this version; leave it away for images."
        )
    if plan.keep is not None and task.kind == "texts":
        raise PlanError("keep: a probe of an encoder reads these rows, and this task writes; leave it away.")
    if plan.keep is not None:  # what is wrong with it is told before anything is trained
        kept = read(plan.keep)
        if None in kept.labels or len(set(kept.labels)) < 2:
            raise DataError(f"keep: {plan.keep}: every row needs a label, and at least two labels have to occur.")


def refuse_senseless(plan: Plan, task: Task) -> None:
    """Raise PlanError for settings that mean nothing for this kind of answers."""
    name = plan.loss.get("name") if isinstance(plan.loss, dict) else plan.loss
    if isinstance(name, str) and name not in {"auto", *task.losses}:
        raise PlanError(f"loss: {name} is not for this task; {nearest(name, ['auto', *task.losses])}")
    if plan.packing and (task.kind != "texts" or isinstance(task, Preference)):
        raise PlanError("packing: is for language models, which learn single tokens; leave it away.")
    if task.kind == "one-of":
        return
    off: dict[str, Any] = {"oversample": False, "label_smoothing": 0.0, "class_weights": None, "threshold": "argmax"}
    fits: dict[str, set[str]] = {"any-of": {"class_weights", "threshold"}, "tags": {"class_weights", "label_smoothing"}}
    why = {
        "numbers": "the labels are numbers",
        "any-of": "several labels can be true of a row",
        "tags": "each word of a row has a tag",
        "texts": "there are no classes",
    }[task.kind]
    for key in (key for key in off if key not in fits.get(task.kind, ())):
        if getattr(plan, key) != off[key]:
            raise PlanError(f"{key}: found {getattr(plan, key)}, but {why}; leave it away.")
    if plan.threshold not in ("argmax", "auto"):
        found = "what mistakes cost" if isinstance(plan.threshold, dict) else plan.threshold
        raise PlanError(
            f"threshold: found {found}, expected argmax or auto, since {why}, and each one's threshold is fitted for "
            f"its own F1."
        )


def _refuse_threshold(plan: Plan, names: list[str], known: Mapping[str, Metric]) -> None:
    """Raise PlanError for a metric or a class that is not there, or a metric that no decision moves."""
    if isinstance(plan.threshold, str):
        goal = plan.metric_for_best_model if plan.threshold == "auto" else plan.threshold
        if plan.threshold not in {"argmax", "auto", *known}:
            hint = nearest(plan.threshold, ["argmax", "auto", *known])
            raise PlanError(f"threshold: there is no metric '{plan.threshold}'; {hint}")
        if plan.threshold != "argmax" and goal in UNMOVED:
            raise PlanError(f"threshold: {goal} is a metric of probabilities, which no threshold moves; name another.")
        return
    for name in [*plan.threshold, *(decided for costs in plan.threshold.values() for decided in costs)]:
        if name not in names:
            raise PlanError(f"threshold: there is no class '{name}'; {nearest(name, names)}")


def _refuse_idleness(job: Job) -> None:
    """Raise PlanError when the plan asks for layers that the model lacks, or leaves none to learn at some moment."""
    for moment in np.linspace(0.0, job.epochs, 101)[:-1].tolist():
        if not any(job.recipe.rate(depth, moment) for depth in range(job.backbone.layers.deepest + 1)):
            raise PlanError(f"rate: at epoch {moment:g} every layer is frozen, so there is nothing to learn then.")


def rate_of(plan: Plan, layers: Layers) -> Rate:
    """The rate function that a resolved plan describes."""
    if plan.rate is not None:
        rate: Rate = made(plan.rate, {})
        return rate
    if plan.freeze == "all":
        cut = 1
    elif plan.freeze == "embeddings":
        cut = layers.deepest
    else:
        blocks = layers.deepest - 1
        if int(plan.freeze) > blocks:
            raise PlanError(f"freeze: found {plan.freeze}, but the model has {blocks} blocks; 'all' freezes every one.")
        # The lowest blocks, and with them the embeddings on which they stand.
        cut = layers.deepest - int(plan.freeze) if int(plan.freeze) else layers.deepest + 1
    head = float(plan.head_learning_rate or 0) / float(plan.learning_rate)
    every = plan.unfreeze_every
    return rates.times(
        rates.head(head),
        rates.decay(plan.layer_decay),
        rates.below(cut),
        rates.constant() if every is None else rates.thaw(every, warmup=min(THAW_WARMUP, every / 2)),
    )


def row_weights(plan: Plan, task: Task, names: list[str], targets: NDArray[Any]) -> NDArray[np.float32]:
    """How much each of these rows counts by its label, (rows,)."""
    if task.kind == "one-of":
        by_class: NDArray[np.float32] = class_weights(plan, names, targets)[targets]
        return by_class
    return np.ones(len(targets), dtype=np.float32)


def class_weights(plan: Plan, names: list[str], targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """How much a row of each class counts, in the order of `names`; `auto` is rows / (classes * rows of the class).

    King and Zeng 2001 (Logistic Regression in Rare Events Data), section 4.2, as scikit-learn's "balanced".
    """
    weights = np.ones(len(names), dtype=np.float32)
    if plan.class_weights == "auto":
        counts = np.bincount(targets, minlength=len(names))
        return np.where(counts > 0, len(targets) / (len(names) * np.maximum(counts, 1)), 1.0).astype(np.float32)
    for name, weight in (plan.class_weights or {}).items():
        if name not in names:
            raise PlanError(f"class_weights: there is no class '{name}'; {nearest(name, names)}")
        weights[names.index(name)] = weight
    if not weights[targets].any():
        raise PlanError("class_weights: every class that occurs weighs nothing.")
    return weights


def label_weights(plan: Plan, names: list[str], targets: NDArray[Any]) -> list[float]:
    """How much a row counts for a label that is true of it; `auto` is rows without it / rows with it."""
    if plan.class_weights == "auto":
        true = (targets == 1).sum(axis=0)
        return [float(n) for n in np.where(true > 0, (len(targets) - true) / np.maximum(true, 1), 1.0)]
    given = plan.class_weights or {}
    for name in given:
        if name not in names:
            raise PlanError(f"class_weights: there is no label '{name}'; {nearest(name, names)}")
    return [float(given.get(name, 1.0)) for name in names]


def decisions(job: Job) -> Iterator[str]:
    """What was decided for the user, in sentences."""
    counts = job.split.counts()
    yield (
        f"{counts['train']:,} rows to train, {counts['validation']:,} to validate, {counts['test']:,} sealed "
        f"({job.split.how})"
    )
    if job.rows.windows is not None and job.plan.long == "windows":
        several = int((job.rows.windows.counts > 1).sum())
        yield (
            f"long windows: {several:,} of {len(job.rows):,} rows have more than {job.plan.max_length} tokens, and are "
            f"read in {len(job.rows.windows.flat) - len(job.rows) + several:,} windows, at most "
            f"{job.rows.windows.counts.max()} a row"
        )
    for key, reason in job.reasons.items():
        yield f"{key} {getattr(job.plan, key)}: {reason}"


def findings(table: Table, job: Job) -> tuple[Finding, ...]:
    """What the checks say of the rows; of the sealed ones the inputs alone are looked at, and whether they leak."""
    lengths, found = np.zeros(len(table), dtype=np.int64), list[Finding]()
    for encoded in (job.training, job.validation):
        lengths[[table.position[i] for i in encoded.ids]] = encoded.whole
    if job.task.kind == "tags":
        found = [*_words_cut(job)]
    return examine(
        Sample(
            table,
            job.split,
            *job.clusters,
            lengths,
            reach(int(job.plan.max_length), job.plan.long),
            seen=job.seen,
            sealed=True,
            kind=job.task.kind,
        ),
        tuple(found),
    )


def _words_cut(job: Job) -> Iterator[Finding]:
    """How many words of the rows to train and to validate stand behind the limit, so that nobody reads them."""
    words = np.array([len(own) for own in job.rows.targets])
    lost = words - job.rows.counts
    if lost.any():
        rows = np.flatnonzero(lost).tolist()
        yield Finding(
            "words cut",
            "warning",
            f"{int(lost.sum()):,} of {int(words.sum()):,} words, in {len(rows):,} rows, stand behind the limit of "
            f"{job.plan.max_length} tokens: they are not learnt, and count as wrong in the scores.",
            "A larger max_length keeps more, where the model takes it; or part these rows.",
            int(lost.sum()),
            tuple(job.rows.ids[row] for row in rows),
        )


def _parts(rows: Encoded, split: Split) -> tuple[Encoded, Encoded]:
    """Those to train and those to validate."""
    place = {row_id: i for i, row_id in enumerate(rows.ids)}
    training, validation = (
        rows.take(np.array([place[i] for i in ids], dtype=np.int64)) for ids in (split.train, split.validation)
    )
    return training, validation


def _fewer(ids: tuple[str, ...], rows: int) -> tuple[str, ...]:
    ranked = sorted(zip(numbers(0, "rows", 0, row_keys(ids)).tolist(), ids, strict=True))
    return tuple(sorted(row_id for _, row_id in ranked[:rows]))


def _facts(table: Table, split: Split, backbone: Backbone, task: Task, names: list[str], plan: Plan) -> Facts:
    return Facts(
        task=fitting(table, backbone.source),
        new_head=task.kind != "texts",
        loss=task.loss,
        metric=task.goal(task.targets(table, split.train, names), names, plan.loss),
        rows=len(split.train),
        parameters=sum(p.numel() for p in backbone.net.parameters()),
        limit=backbone.limit,
        fast_bf16=machine.fast_bf16(),
        machine=machine.describe(),
        images=table.folder is not None,
    )
