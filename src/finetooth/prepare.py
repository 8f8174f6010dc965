"""Table and Plan -> Job: all that comes before the first step. The test rows end here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray
from torch import nn

from finetooth import machine, rates, schedules, splits
from finetooth.backbones import Backbone, Layers
from finetooth.batches import Batches
from finetooth.errors import DataError, PlanError, nearest
from finetooth.findings import Finding
from finetooth.loop import Recipe, State, optimizer
from finetooth.losses import LOSSES
from finetooth.metrics import Metric
from finetooth.plan import Data, Facts, Plan, made, resolve
from finetooth.predict import predict
from finetooth.rates import Rate
from finetooth.seeds import numbers, row_keys
from finetooth.table import PARTS, Predictions, Split, Table
from finetooth.tasks import TASKS, Encoded, Task

FEW = 10  # training rows of a class below which nothing much can be learnt of it
AT_ONCE = 512  # padded tokens that processor caches hold; larger batches are no faster there, and take more memory
THAW_WARMUP = 0.1  # epochs over which a layer that was just thawed comes up to its rate


@dataclass(frozen=True)
class Job:
    """What is to be done: the resolved plan, the rows as tokens, the model. The test rows are known by id alone."""

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
    limit: int | None = None  # rows of training and of validation, at most, where it started small

    @property
    def goal(self) -> Metric:
        """The metric that chooses the best epoch."""
        return self.metrics[self.plan.metric_for_best_model]

    @cached_property
    def batches(self) -> Batches:
        """The training rows, as the loop eats them."""
        plan = self.plan
        return Batches(
            self.training,
            self.task,
            pad=self.backbone.tokenizer.pad_token_id,
            batch_size=None if plan.batch_size is None else int(plan.batch_size),
            batch_tokens=plan.batch_tokens,
            accumulation=plan.gradient_accumulation_steps,
            seed=plan.seed,
            weights=class_weights(plan, self.names, self.training.targets)[self.training.targets] * self.shares,
            oversample=float(plan.oversample),
            at_once=AT_ONCE if machine.device() == "cpu" else None,
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
        return Recipe(
            steps=steps,
            max_seconds=inf if plan.max_seconds is None else plan.max_seconds,
            loss=made(loss, LOSSES),
            learning_rate=float(plan.learning_rate),
            rate=rate_of(plan, self.backbone.layers),
            schedule=schedules.warmup(warmup, made(plan.schedule, schedules.SCHEDULES)),
            max_grad_norm=plan.max_grad_norm,
            eval_every=plan.eval_every,
            seed=plan.seed,
            precision=plan.precision,
            device=machine.device(),
        )

    def state(self) -> State:
        """The model before its first step."""
        net = self.backbone.net.to(machine.device())
        return State(net, self.backbone.layers, optimizer(net, self.backbone.layers, self.plan.weight_decay))

    def look(self, net: nn.Module, precision: str | None = None) -> Predictions:
        """What the net, as it now is, says of the validation rows, in the plan's precision or another."""
        return predict(
            net,
            self.task,
            self.validation,
            self.names,
            pad=self.backbone.tokenizer.pad_token_id,
            precision=precision or self.plan.precision,
            device=machine.device(),
        )

    def scores(self, net: nn.Module) -> dict[str, float]:
        """Every metric on the validation rows."""
        p = self.look(net)
        return {name: metric.of(p) for name, metric in self.metrics.items()}


def prepare(table: Table, plan: Plan, model: str, *, rows: int | None = None, metrics: Sequence[Metric] = ()) -> Job:
    """Check the labels, split, load the model, resolve the plan, encode.

    `rows` keeps at most so many rows of training and of validation. Raises UserError for what is wrong.
    """
    task = TASKS["text-classification"]
    known = {**task.metrics, **{metric.name: metric for metric in metrics}}
    if plan.metric_for_best_model not in {"auto", *known}:
        hint = nearest(plan.metric_for_best_model, known)
        raise PlanError(f"metric_for_best_model: there is no metric '{plan.metric_for_best_model}'; {hint}")
    names = task.names(table)
    split = splits.holdout(table, near=_same(table), **plan.split.model_dump())
    if rows is not None:
        split = replace(split, train=_fewer(split.train, rows), validation=_fewer(split.validation, rows))
    backbone = task.load(model, names, seed=plan.seed, dropout=plan.dropout)
    plan, reasons = resolve(plan, _facts(table, split, backbone))
    plan = plan.model_copy(update={"data": Data(**{**table.columns.roles(), "input": ",".join(table.columns.input)})})
    if int(plan.max_length) > backbone.limit:
        raise PlanError(f"max_length: found {plan.max_length}, but {model} takes at most {backbone.limit} tokens.")
    training, validation = (
        task.encode(table, ids, names, backbone.tokenizer, int(plan.max_length))
        for ids in (split.train, split.validation)
    )
    shares = np.array([table.weights[table.position[i]] for i in split.train], dtype=np.float32)
    if not shares.any():
        raise DataError(f"{table.source}: every training row weighs nothing.")
    job = Job(task, names, split, plan, reasons, backbone, training, validation, known, shares, limit=rows)
    _refuse_idleness(job)
    return job


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


def decisions(job: Job) -> Iterator[str]:
    """What was decided for the user, in sentences."""
    counts = job.split.counts()
    yield (
        f"{counts['train']:,} rows to train, {counts['validation']:,} to validate, {counts['test']:,} sealed "
        f"({job.split.how})"
    )
    for key, reason in job.reasons.items():
        yield f"{key} {getattr(job.plan, key)}: {reason}"


def findings(table: Table, job: Job) -> list[Finding]:
    """What reading and preparing the rows has brought to light."""
    found = [*table.found]
    found += [
        Finding(
            "rare class",
            "warning",
            f"{note}.",
            "Collect more rows of this class, or merge it with another.",
            1,
        )
        for note in job.split.notes
    ]
    whole = np.concatenate([job.training.whole, job.validation.whole])
    cut = int((whole > int(job.plan.max_length)).sum())
    if cut:
        longest = int(whole.max())
        rows = f"{cut:,} rows are longer than {job.plan.max_length} tokens (the longest has {longest:,})"
        found.append(
            Finding("truncation", "warning", f"{rows} and lose their end.", "A larger max_length keeps more.", cut)
        )
    for one, other in combinations(PARTS, 2):
        for what, cells in (("input", table.contents), ("group", table.groups)):
            known = {cells[table.position[i]] for i in getattr(job.split, one)} - {None}
            both = [i for i in getattr(job.split, other) if cells[table.position[i]] in known]
            if both:
                says = f"{len(both):,} {other} rows have the same {what} as a {one} row; scores on them flatter."
                remedy = f"Take them out of the {one} or the {other} part."
                found.append(Finding("leak", "warning", says, remedy, len(both), both))
    empty = [i for i in job.split.train if not "".join(table.inputs[table.position[i]]).strip()]
    if empty:
        first = table.position[empty[0]]
        says = f"Empty text in {len(empty):,} training row{'s' if len(empty) > 1 else ''}: {table.place(first)}."
        found.append(Finding("empty", "warning", says, "Take them out.", len(empty), empty[:20]))
    counts = Counter(str(table.labels[table.position[i]]) for i in job.split.train)
    rare = [name for name in job.names if counts[name] < FEW]
    if rare:
        says = f"Fewer than {FEW} training rows of {', '.join(f'{name!r} ({counts[name]})' for name in rare[:8])}."
        remedy = "Collect more rows of these classes, or merge them with others."
        found.append(Finding("few rows", "warning", says, remedy, len(rare)))
    folded = Counter(name.strip().casefold() for name in job.names)
    alike = [name for name in job.names if folded[name.strip().casefold()] > 1]
    if alike:
        says = f"Labels that differ in case or spaces alone count as different: {', '.join(map(repr, alike[:8]))}."
        found.append(Finding("label spelling", "warning", says, "Give each class one spelling.", len(alike)))
    return found


def _same(table: Table) -> NDArray[np.int64]:
    """Per row the first row with the same inputs."""
    first: dict[str, int] = {}
    return np.array([first.setdefault(content, i) for i, content in enumerate(table.contents)], dtype=np.int64)


def _fewer(ids: tuple[str, ...], rows: int) -> tuple[str, ...]:
    ranked = sorted(zip(numbers(0, "rows", 0, row_keys(ids)).tolist(), ids, strict=True))
    return tuple(sorted(row_id for _, row_id in ranked[:rows]))


def _facts(table: Table, split: Split, backbone: Backbone) -> Facts:
    counts = Counter(table.labels[table.position[i]] for i in split.train)
    return Facts(
        rows=len(split.train),
        largest_class=max(counts.values()),
        smallest_class=min(counts.values()),
        parameters=sum(p.numel() for p in backbone.net.parameters()),
        limit=backbone.limit,
        fast_bf16=machine.fast_bf16(),
        machine=machine.describe(),
    )
