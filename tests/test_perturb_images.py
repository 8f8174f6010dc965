"""Perturbations of images: seen at a glance, harmless to a person, the same for the same row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import transformers as tf

from finetooth.backbones import Preparation
from finetooth.perturb_images import IMAGE_PERTURBATIONS, perturbed_images
from finetooth.pixels import Pixels
from tests.pictured import photographs


@pytest.fixture
def pixels(tmp_path: Path) -> Pixels:
    files = []
    for i, photograph in enumerate(photographs()):
        files.append(tmp_path / f"{i}.png")
        photograph.save(files[-1])

    return Pixels.of(files, Preparation.of(tf.ViTImageProcessorPil(size={"height": 48, "width": 64}), "it"))


@pytest.mark.parametrize("name", IMAGE_PERTURBATIONS)
def test_an_image_is_changed_a_little_whatever_stands_beside_it(name: str, pixels: Pixels) -> None:
    ids, rows = [f"row {i}" for i in range(len(pixels))], np.arange(len(pixels))
    before, after = pixels.read(rows), perturbed_images(pixels, ids, name).read(rows)
    assert after.shape == before.shape and after.dtype == np.uint8
    moved = np.abs(after.astype(float) - before).mean(axis=(1, 2, 3))
    assert (moved > 0.3).all() and (moved < 80).all()
    turned = rows[::-1].copy()
    others = perturbed_images(pixels.take(turned), [ids[i] for i in turned], name)
    np.testing.assert_array_equal(others.read(rows)[::-1], after)
    alone = perturbed_images(pixels.take(rows[2:3]), ids[2:3], name)
    np.testing.assert_array_equal(alone.read(rows[:1])[0], after[2])
