"""Mixup and cutmix: by seed, epoch and row alone, the labels by as much as shows of each image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

import finetooth as ft
from finetooth.augment import MIXES
from finetooth.errors import Interrupted
from finetooth.prepare import Job, prepare
from tests.test_train import StopAt

PLAN = {"epochs": 2, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3, "freeze": 0}


def job_of(folder: Path, vit: Path, augment: list[Any], **plan: Any) -> Job:
    return prepare(ft.read(folder), ft.Plan.of({**PLAN, "augment": augment, **plan}), str(vit))


@pytest.mark.parametrize("name", MIXES)
def test_the_shares_follow_the_papers(name: str) -> None:
    mix = MIXES[name](alpha=1.0)
    shows = [mix.own(48, 32, np.random.default_rng(seed)) for seed in range(2000)]
    assert all(each.shape == (48, 32) and each.min() >= 0 and each.max() <= 1 for each in shows)
    shares = np.array([each.mean() for each in shows])
    if name == "mixup":  # Beta(1, 1) is even
        assert all(np.ptp(each) == 0 for each in shows)
        assert abs(shares.mean() - 1 / 2) < 0.03 and abs(shares.var() - 1 / 12) < 0.01
    else:  # a box, of which what lies beyond the edge is not counted
        assert all(set(np.unique(each)) <= {0.0, 1.0} for each in shows)
        rows, columns = (np.array([(each.min(axis=axis) == 0).sum() for each in shows]) for axis in (1, 0))
        np.testing.assert_array_equal(rows * columns, [(each == 0).sum() for each in shows])
        assert 0.6 < shares.mean() < 0.8 and len(np.unique(shares)) > 100


@pytest.mark.parametrize("name", MIXES)
def test_what_a_row_is_mixed_with_hangs_on_seed_epoch_and_row_alone(name: str, folder: Path, vit: Path) -> None:
    batches, rows = job_of(folder, vit, ["flip", name]).batches, np.arange(12)
    together = batches.batch(rows, 1)
    for row in rows.tolist():
        alone = batches.batch(np.array([row]), 1)
        np.testing.assert_array_equal(alone.inputs["pixel_values"][0], together.inputs["pixel_values"][row])
        np.testing.assert_array_equal(alone.targets[0], together.targets[row])
    assert not torch.equal(batches.batch(rows, 0).targets, together.targets)


def test_the_image_and_the_label_are_mixed_by_the_same_share(folder: Path, vit: Path) -> None:
    job = job_of(folder, vit, [{"name": "mixup", "alpha": 1.0}])
    rows = np.arange(len(job.training))
    batch, classes = job.batches.batch(rows, 0), job.training.targets
    torch.testing.assert_close(batch.targets.sum(dim=1), torch.ones(len(rows)))
    plain = job.task.collate(job.training, rows, 0)[0]["pixel_values"].flatten(1)
    for row in range(10):
        mixed = batch.inputs["pixel_values"][row].flatten()
        # The least-squares share of the row's own image, under every possible partner; the best fits to rounding.
        apart = plain[row] - plain
        shares = ((mixed - plain) * apart).sum(1) / (apart**2).sum(1).clamp(min=1e-9)
        errors = ((mixed - plain) - shares[:, None] * apart).abs().amax(1)
        partner = int(errors.argmin())
        assert float(errors[partner]) < 3 / 255 * 2
        expected = np.zeros(2)
        expected[classes[row]] += float(shares[partner])
        expected[classes[partner]] += 1 - float(shares[partner])
        np.testing.assert_allclose(batch.targets[row], expected, atol=0.02)


def test_the_loss_is_that_of_both_labels_by_their_shares(folder: Path, vit: Path) -> None:
    for smoothing in (0.0, 0.1):
        job = job_of(folder, vit, ["cutmix"], label_smoothing=smoothing)
        batch = job.batches.batch(np.arange(8), 0)
        logits = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
        each = [
            cross_entropy(logits, torch.full((8,), kind), reduction="none", label_smoothing=smoothing)
            for kind in range(2)
        ]
        expected = batch.targets[:, 0] * each[0] + batch.targets[:, 1] * each[1]
        torch.testing.assert_close(job.recipe.loss(logits, batch.targets), expected)


def test_a_row_counts_by_the_classes_that_it_shows(folder: Path, vit: Path) -> None:
    job = job_of(folder, vit, ["cutmix"], class_weights={"disk": 3.0})
    batch = job.batches.batch(np.arange(20), 0)
    torch.testing.assert_close(batch.weights, batch.targets @ torch.tensor([3.0, 1.0]))


def test_a_resumed_run_ends_in_the_same_bits(folder: Path, vit: Path, tmp_path: Path) -> None:
    plan, table = ft.Plan.of({**PLAN, "augment": ["flip", "cutmix"]}), ft.read(folder)
    ft.train(table, plan, model=str(vit), out=tmp_path / "whole")
    with pytest.raises(Interrupted):
        ft.train(table, plan, model=str(vit), out=tmp_path / "parts", progress=StopAt(3))
    ft.train(table, plan, model=str(vit), out=tmp_path / "parts", resume=True)
    whole, parts = ((tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert whole == parts
