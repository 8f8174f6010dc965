"""The loop: what it promises of rates, frozen layers, randomness, accumulation and broken numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from finetooth import adamw, checkpoint
from finetooth.errors import NonFiniteLoss, PlanError
from finetooth.history import Step
from finetooth.loop import State, fit
from finetooth.plan import Plan
from finetooth.prepare import Job, prepare
from finetooth.readers import read
from tests import tiny


@pytest.fixture
def job_of(reviews: Path, tiny_bert: Path) -> Callable[..., Job]:
    """A Job on the small reviews with the tiny model; keywords are keys of the plan."""

    def make(**plan: object) -> Job:
        small = {"epochs": 2, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3, "freeze": 0, **plan}
        return prepare(read(reviews), Plan.of(small), str(tiny_bert))

    return make


def run(job: Job, steps: int | None = None) -> tuple[State, list[Step]]:
    state, done = job.state(), []
    for step in fit(state, job.batches, job.recipe, job.scores):
        done.append(step)
        if steps is not None and step.step == steps:
            break
    return state, done


def weights(state: State) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in state.net.named_parameters()}


def test_the_loop_ends_after_the_steps_of_the_plan_and_learns(job_of) -> None:
    state, steps = run(job_of(epochs=8))
    assert [s.step for s in steps] == list(range(1, 8 * 12 + 1))
    assert [e.epoch for e in state.history] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert state.history[-1].scores["accuracy"] > 0.8
    assert state.history[-1].loss < state.history[0].loss


def test_two_runs_are_equal_whatever_the_generator_of_the_process(job_of) -> None:
    torch.manual_seed(1)
    first, _ = run(job_of())
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, _ = run(job_of())
    assert all(torch.equal(a, b) for a, b in zip(weights(first).values(), weights(second).values(), strict=True))
    assert torch.equal(before, torch.get_rng_state()), "the loop drew from the process's own generator"


def test_the_seed_changes_order_and_dropout(job_of) -> None:
    one, other = job_of(seed=0), job_of(seed=1)
    assert [r.tolist() for r in one.batches.order(0)] != [r.tolist() for r in other.batches.order(0)]
    assert [r.tolist() for r in one.batches.order(0)] != [r.tolist() for r in one.batches.order(1)]
    assert one.split == other.split, "the training seed moved the split"


@pytest.mark.parametrize("freeze", ["embeddings", 1, 2, "all"])
def test_frozen_layers_stay_bit_identical_whatever_the_weight_decay(job_of, freeze) -> None:
    job = job_of(freeze=freeze, weight_decay=0.5, **({} if freeze != "all" else {"learning_rate": "auto"}))
    before = {name: t.detach().clone() for name, t in job.backbone.net.named_parameters()}
    state, _ = run(job)
    depths = state.layers.parameters
    cut = {"embeddings": 3, 1: 2, 2: 1, "all": 1}[freeze]
    for name, tensor in weights(state).items():
        assert torch.equal(tensor, before[name]) == (depths[name] >= cut), name
    assert not any(p in state.optimizer.state for n, p in state.net.named_parameters() if depths[n] >= cut)


def test_frozen_layers_draw_no_dropout(job_of) -> None:
    """What reaches the head of a frozen encoder is what evaluation gives, in the midst of training."""
    job = job_of(freeze="all", learning_rate="auto")
    state = job.state()
    batch = next(job.batches(0))[0]
    state.net.eval()
    expected = state.net.bert(**batch.inputs).last_hidden_state
    stream = fit(state, job.batches, job.recipe, job.scores)
    next(stream)
    assert torch.equal(expected, state.net.bert(**batch.inputs).last_hidden_state)
    assert state.net.dropout.training, "the head itself is in training mode"


def test_learning_rates_follow_depth_schedule_and_head(job_of) -> None:
    job = job_of(layer_decay=0.5, head_learning_rate=1e-2, warmup_steps=0.25, epochs=1)
    state = job.state()
    for step in fit(state, job.batches, job.recipe, job.scores):
        progress = step.step / 13  # 12 steps
        shape = progress / 0.25 if progress < 0.25 else 1 - (progress - 0.25) / 0.75
        for group in state.optimizer.param_groups:
            expected = {0: 1e-2, 1: 1e-3, 2: 5e-4, 3: 2.5e-4}[group["depth"]] * shape
            assert group["lr"] == pytest.approx(expected, rel=1e-9)


def test_norms_and_biases_do_not_decay(job_of) -> None:
    state = job_of(weight_decay=0.1).state()
    decays = {id(p): g["weight_decay"] for g in state.optimizer.param_groups for p in g["params"]}
    for name, parameter in state.net.named_parameters():
        assert decays[id(parameter)] == (0.0 if "bias" in name or "LayerNorm" in name else 0.1), name
    assert len(decays) == len(list(state.net.parameters()))


def test_accumulation_gives_the_gradient_of_the_one_large_batch(job_of) -> None:
    whole, _ = run(job_of(batch_size=24, dropout=0.0), steps=3)
    parts, steps = run(job_of(batch_size=8, gradient_accumulation_steps=3, dropout=0.0), steps=3)
    assert [s.rows for s in steps] == [24, 24, 24]
    for (name, a), b in zip(weights(whole).items(), weights(parts).values(), strict=True):
        # The true gradient of a key's bias is zero; Adam turns what rounding leaves of it into whole steps.
        if "key.bias" not in name:
            assert torch.allclose(a, b, atol=1e-6), name


def test_every_row_comes_once_an_epoch_and_little_is_padding(job_of) -> None:
    batches = job_of().batches
    for epoch in (0, 1):
        assert sorted(np.concatenate(batches.order(epoch)).tolist()) == list(range(len(batches.encoded)))
    padded = sum(len(rows) * batches.encoded.lengths[rows].max() for rows in batches.order(0))
    assert padded / batches.encoded.lengths.sum() < 1.1


def test_the_order_does_not_depend_on_how_a_step_is_cut(job_of) -> None:
    whole, cut = job_of(batch_size=24).batches, job_of(batch_size=8, gradient_accumulation_steps=3).batches
    assert [r.tolist() for r in whole.order(1)] == [r.tolist() for r in cut.order(1)]


def test_evaluations_come_as_often_as_asked_and_at_the_end(job_of) -> None:
    state, steps = run(job_of(epochs=1.5, eval_every=0.5))
    assert [e.step for e in state.history] == [6, 12, 18]
    assert [s.step for s in steps if s.ended] == [6, 12, 18]
    odd, _ = run(job_of(epochs=1, eval_every=0.7))
    assert [e.step for e in odd.history] == [9, 12]


def test_a_loss_that_is_not_finite_stops_before_the_update_and_names_the_rows(job_of) -> None:
    job = job_of()
    poisoned = job.training.ids[5]
    state = job.state()
    at = next(i for i, rows in enumerate(job.batches.order(0)) if 5 in rows)

    plain = job.recipe.loss
    place = job.batches.order(0)[at].tolist().index(5)

    def poison(logits: Tensor, targets: Tensor) -> Tensor:
        losses = plain(logits, targets)
        return losses + torch.where(torch.arange(len(losses)) == place, torch.inf, 0.0) if state.step == at else losses

    before = weights(state)
    with pytest.raises(NonFiniteLoss) as stopped:
        for _ in fit(state, job.batches, replace(job.recipe, loss=poison), job.scores):
            before = weights(state)
    assert stopped.value.rows == [poisoned] and stopped.value.step == at + 1
    assert all(torch.equal(a, b) for a, b in zip(before.values(), weights(state).values(), strict=True))


@pytest.mark.parametrize("stop", [1, 7, 12, 13, 20])
def test_a_state_saved_at_any_step_goes_on_as_if_never_stopped(job_of, tmp_path: Path, stop: int) -> None:
    plan = {"gradient_accumulation_steps": 2, "batch_size": 8, "eval_every": 0.5}
    unbroken, _ = run(job_of(**plan))
    stopped, _ = run(job_of(**plan), steps=stop)
    job = job_of(**plan)
    state = job.state()
    checkpoint.load(checkpoint.save(stopped, tmp_path), state)
    for _ in fit(state, job.batches, job.recipe, job.scores):
        pass
    assert all(torch.equal(a, b) for a, b in zip(weights(unbroken).values(), weights(state).values(), strict=True))
    timeless = [replace(e, seconds=0, rows_per_second=0) for e in unbroken.history]
    assert timeless == [replace(e, seconds=0, rows_per_second=0) for e in state.history]
    for one, other in zip(unbroken.net.parameters(), state.net.parameters(), strict=True):
        a, b = unbroken.optimizer.state[one], state.optimizer.state[other]
        assert a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_weighted_loss_over_uneven_batches_equals_the_one_batch(job_of, monkeypatch) -> None:
    """23 rows a step, cut into 5 + 5 + 5 + 5 + 3, class weights 1 and 7: loss and gradient as of the whole."""
    plan = {"dropout": 0.0, "class_weights": {"positive": 7.0, "negative": 1.0}, "max_grad_norm": 1e9}
    job = job_of(batch_size=23, **plan)
    whole = next(job.batches(0))
    assert len(whole) == 1
    rows = whole[0].rows
    cut = [job.batches.batch(rows[i : i + 5]) for i in range(0, 23, 5)]

    def one_step(batches: list) -> tuple[float, dict[str, Tensor]]:
        fresh = job_of(batch_size=23, **plan)
        state = fresh.state()
        gradients: dict[str, Tensor] = {}

        def keep(*_: object, **__: object) -> None:
            gradients.update({n: p.grad.clone() for n, p in state.net.named_parameters() if p.grad is not None})

        monkeypatch.setattr(adamw, "update", keep)

        class Once:
            task, encoded = fresh.task, fresh.training

            def steps(self, epoch: int) -> int:
                return 1

            def locate(self, step: int) -> tuple[int, int]:
                return step, 0

            def __call__(self, epoch: int, skip: int) -> list:
                return [batches]

        recipe = replace(fresh.recipe, steps=1)
        return next(fit(state, Once(), recipe, lambda net, ask: {})).loss, gradients

    loss, gradient = one_step(whole)
    loss_in_parts, in_parts = one_step(cut)
    assert loss_in_parts == pytest.approx(loss, abs=1e-6)
    assert gradient.keys() == in_parts.keys() and len(gradient) > 20
    assert all(torch.allclose(gradient[name], in_parts[name], atol=1e-6) for name in gradient)
    with torch.no_grad():
        net = job_of(batch_size=23, **plan).backbone.net.eval()
        losses = torch.nn.functional.cross_entropy(
            net(**whole[0].inputs).logits, whole[0].targets, weight=torch.tensor([1.0, 7.0])
        )
    assert loss == pytest.approx(float(losses), abs=1e-6), "the definition is torch's weighted mean"


@pytest.mark.parametrize("every", [1.0, 0.5])
def test_thawing_opens_layer_by_layer_in_the_network_itself(job_of, every: float) -> None:
    job = job_of(unfreeze_every=every, epochs=4)
    state = job.state()
    for step in fit(state, job.batches, job.recipe, job.scores):
        open_depths = {state.layers.parameters[n] for n, p in state.net.named_parameters() if p.requires_grad}
        assert open_depths == {depth for depth in range(4) if depth * every <= step.since + 1e-9}
        for name, module in state.net.named_modules():
            if isinstance(module, torch.nn.Dropout):
                assert module.training == (state.layers.modules[name] in open_depths)


KINDS = ("bert", "roberta", "distilbert", "mpnet", "deberta-v2", "modernbert", "albert")


def _kept(job: Job, steps: int) -> tuple[dict[str, Tensor], int]:
    """The weights after some steps, and the bytes that the ways forward kept for the ways back."""
    total = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal total
        total += tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        state, _ = run(job, steps)
    return weights(state), total


def _again(job: Callable[[bool], Job], steps: int) -> tuple[dict[str, Tensor], dict[str, Tensor], float]:
    """The weights after some steps without and with `gradient_checkpointing`, and the share that the latter keeps."""
    (before, much), (after, little) = (_kept(job(on), steps) for on in (False, True))
    return before, after, little / much


def _same_bits(before: dict[str, Tensor], after: dict[str, Tensor]) -> bool:
    return all(torch.equal(after[name], each) for name, each in before.items())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("plan", [{}, {"precision": "bf16"}, {"adapter": {"type": "lora", "r": 2}}])
def test_blocks_that_are_computed_again_change_no_bit_and_keep_less(
    kind: str, plan: dict[str, Any], reviews: Path, tmp_path: Path
) -> None:
    model = str(tiny.save_model(tmp_path / "model", tiny.config(kind)))
    small = {"epochs": 1, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3, "freeze": 0, "cache": "off"}
    before, after, share = _again(
        lambda on: prepare(read(reviews), Plan.of({**small, **plan, "gradient_checkpointing": on}), model), 4
    )
    assert _same_bits(before, after) and share < 0.75


def test_what_is_computed_again_stands_on_the_store(job_of: Callable[..., Job]) -> None:
    before, after, share = _again(lambda on: job_of(freeze=1, gradient_checkpointing=on), 4)
    assert _same_bits(before, after) and share < 0.75


def test_blocks_that_thaw_above_the_store_are_computed_again_too(job_of: Callable[..., Job]) -> None:
    how = {"unfreeze_every": 0.2, "epochs": 1}
    before, after, share = _again(lambda on: job_of(**how, gradient_checkpointing=on), 12)
    _, little = _kept(job_of(**how, gradient_checkpointing=True), 12)
    _, without = _kept(job_of(**how, gradient_checkpointing=True, cache="off"), 12)
    assert _same_bits(before, after) and share < 0.75
    assert little <= 1.05 * without


@pytest.mark.parametrize("adapter", [None, {"type": "lora", "r": 2}, {"type": "prompt", "num_virtual_tokens": 3}])
def test_decoders_are_computed_again(adapter: Any, tmp_path: Path) -> None:
    talks, model = tiny.write_talks(tmp_path / "talks.jsonl", 80), str(tiny.save_causal(tmp_path / "llama"))
    small = {"epochs": 1, "batch_size": 16, "precision": "fp32", "freeze": 0, "adapter": adapter}
    before, after, share = _again(
        lambda on: prepare(read(talks), Plan.of({**small, "gradient_checkpointing": on}), model), 3
    )
    for name, each in before.items():
        torch.testing.assert_close(after[name], each, rtol=1e-5, atol=1e-7)
    assert share < 0.9


@pytest.mark.parametrize("kind", ["vit", "swin", "resnet"])
def test_networks_that_see_are_computed_again(kind: str, tmp_path: Path) -> None:
    images, model = tiny.write_images(tmp_path / "images", 40), str(tiny.save_image_model(tmp_path / kind, kind))
    small = {"epochs": 1, "batch_size": 8, "precision": "fp32", "freeze": 0}
    before, after, share = _again(
        lambda on: prepare(read(images), Plan.of({**small, "gradient_checkpointing": on}), model), 3
    )
    assert _same_bits(before, after) and share < 0.9


def test_keys_that_stand_before_a_text_cannot_be_computed_again() -> None:
    with pytest.raises(PlanError, match="gradient_checkpointing and adapter contradict each other"):
        Plan.of({"gradient_checkpointing": True, "adapter": {"type": "prefix"}})
