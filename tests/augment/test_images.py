"""Augmentations: the same shape, a function of seed, epoch and row, and no more than they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import finetooth as ft
from finetooth.augment import AUGMENTS, Augment
from finetooth.augment.images import OPERATIONS, crop, flip, randaugment
from finetooth.errors import PlanError
from finetooth.prepare import prepare
from finetooth.progress import Silent
from tests.pictured import photographs

PLAN = {"epochs": 2, "batch_size": 16, "precision": "fp32", "learning_rate": 1e-3, "freeze": 0}


@pytest.mark.parametrize("name", AUGMENTS)
def test_an_augmentation_keeps_the_shape_and_follows_its_generator(name: str) -> None:
    augment: Augment = AUGMENTS[name]()
    image = np.asarray(photographs()[1])[:120]
    seen = [augment(image, np.random.default_rng(seed)) for seed in range(30)]
    assert all(each.shape == image.shape and each.dtype == np.uint8 for each in seen)
    assert len({each.tobytes() for each in seen}) > 1
    for seed, each in enumerate(seen):
        np.testing.assert_array_equal(augment(image, np.random.default_rng(seed)), each)


@pytest.mark.parametrize("number", range(len(OPERATIONS)))
@pytest.mark.parametrize("strength", [-1.0, 0.0, 0.3, 1.0])
def test_every_operation_of_randaugment_takes_every_strength(number: int, strength: float) -> None:
    changed = OPERATIONS[number](photographs()[0], strength)
    assert changed.mode == "RGB" and changed.size == (200, 200)


def test_a_flip_is_one_and_a_crop_of_everything_leaves_it(folder: Path) -> None:
    image = np.asarray(photographs()[0])
    seen = [flip()(image, np.random.default_rng(seed)) for seed in range(200)]
    mirrored = sum(np.array_equal(each, image[:, ::-1]) for each in seen)
    assert 70 < mirrored < 130 and mirrored + sum(np.array_equal(each, image) for each in seen) == 200
    assert any(
        np.array_equal(flip(1.0, vertical=True)(image, np.random.default_rng(0)), x) for x in [image[::-1, ::-1]]
    )
    np.testing.assert_array_equal(randaugment(1, 0)(image, np.random.default_rng(1)).shape, image.shape)


def test_what_a_row_becomes_hangs_on_seed_epoch_and_row_alone(folder: Path, vit: Path) -> None:
    job = prepare(ft.read(folder), ft.Plan.of({**PLAN, "augment": ["flip", {"name": "crop", "scale": 0.4}]}), str(vit))
    batches, rows = job.batches, np.arange(10)
    together = batches.batch(rows, 1).inputs["pixel_values"]
    for row in rows.tolist():
        np.testing.assert_array_equal(batches.batch(np.array([row]), 1).inputs["pixel_values"][0], together[row])
    assert not np.array_equal(batches.batch(rows, 0).inputs["pixel_values"], together)
    plain, _ = job.task.collate(job.training, rows, 0)
    assert not np.array_equal(plain["pixel_values"], together)


def test_images_augmented_ahead_are_the_same(folder: Path, vit: Path) -> None:
    augment = ["flip", "colour", {"name": "randaugment"}, "mixup"]
    plain = prepare(ft.read(folder), ft.Plan.of({**PLAN, "augment": augment}), str(vit)).batches
    early = [batch for step in replace(plain, ahead=4)(1) for batch in step]
    for one, other in zip(early, [batch for step in plain(1) for batch in step], strict=True):
        assert torch.equal(one.inputs["pixel_values"], other.inputs["pixel_values"])
        assert torch.equal(one.targets, other.targets)


class Notes(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        """Keep it."""
        self.said.append(sentence)


def test_with_augmentation_nothing_is_stored_and_the_run_says_so(folder: Path, vit: Path, tmp_path: Path) -> None:
    notes = Notes()
    plan = ft.Plan.of({**PLAN, "freeze": 1, "augment": [{"name": "randaugment", "magnitude": 5}, "colour"]})
    run = ft.train(ft.read(folder), plan, model=str(vit), out=tmp_path / "run", progress=notes)
    assert any("augmented images are others in each epoch" in sentence for sentence in notes.said)
    assert run.plan.augment == [{"name": "randaugment", "magnitude": 5}, "colour"]


def negative(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An augmentation of one's own."""
    return 255 - image


def test_a_function_of_ones_own_is_as_good(folder: Path, vit: Path) -> None:
    job = prepare(ft.read(folder), ft.Plan(**PLAN, augment=[negative]), str(vit))
    own = job.batches.batch(np.arange(4), 0).inputs["pixel_values"]
    plain, _ = job.task.collate(job.training, np.arange(4), 0)
    np.testing.assert_allclose(own, -plain["pixel_values"], atol=1e-6)  # mean .5, deviation .5


def test_what_is_not_known_or_out_of_range_is_refused(folder: Path, vit: Path, reviews: Path, tiny_bert: Path) -> None:
    with pytest.raises(PlanError, match="augment: 'flop' is not known; did you mean 'flip'"):
        ft.Plan.of({"augment": ["flop"]})
    with pytest.raises(PlanError, match="augment: crop has no option 'size'"):
        ft.Plan.of({"augment": [{"name": "crop", "size": 3}]})
    with pytest.raises(PlanError, match="crop: scale: found 3, expected a number from 0 to 1"):
        prepare(ft.read(folder), ft.Plan.of({**PLAN, "augment": [{"name": "crop", "scale": 3}]}), str(vit))
    with pytest.raises(PlanError, match="augment: mixup has to come last, and once"):
        ft.Plan.of({"augment": ["mixup", "flip"]})
    with pytest.raises(PlanError, match="augment: cutmix has to come last, and once"):
        ft.Plan.of({"augment": ["cutmix", "mixup"]})
    with pytest.raises(PlanError, match="mixup or cutmix and loss contradict each other"):
        ft.Plan.of({"augment": ["mixup"], "loss": "focal"})
    with pytest.raises(PlanError, match="mixup: alpha: found 0, expected a number above 0"):
        prepare(ft.read(folder), ft.Plan.of({**PLAN, "augment": [{"name": "mixup", "alpha": 0}]}), str(vit))
    with pytest.raises(PlanError, match="augment: changes images, and these rows are texts"):
        prepare(ft.read(reviews), ft.Plan.of({**PLAN, "augment": ["flip"]}), str(tiny_bert))


def test_a_whole_crop_changes_little(folder: Path) -> None:
    image = np.asarray(photographs()[2].resize((64, 64)))
    whole = [crop(1.0)(image, np.random.default_rng(seed)) for seed in range(5)]
    assert all(each.shape == image.shape for each in whole)
