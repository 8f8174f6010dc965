"""Copies are found, however they were made; different pictures are not, however alike; the order plays no part."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from finetooth.clusters import joined
from finetooth.likeness import KEPT, Alike, _candidates, _hashes, fingerprint, fingerprints, near
from tests.pictured import photographs, scene

ORIGINALS = [*photographs(), *(scene(i) for i in range(40))]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def resized(image: Image.Image, factor: float) -> Image.Image:
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def cropped(image: Image.Image, left: float, top: float) -> Image.Image:
    """What a crop leaves that takes 5 % of each side, so much of it from the left and from the top."""
    (w, h), (x, y) = image.size, (left * image.width, top * image.height)
    return image.crop((round(x), round(y), round(x + 0.95 * w), round(y + 0.95 * h)))


EDITS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "nothing": lambda image: image.copy(),
    "jpeg 95": lambda image: jpeg(image, 95),
    "jpeg 50": lambda image: jpeg(image, 50),
    "half": lambda image: resized(image, 0.5),
    "double": lambda image: resized(image, 2.0),
    "squeezed": lambda image: image.resize((128, 128)),
    "cropped in the middle": lambda image: cropped(image, 0.025, 0.025),
    "cropped in a corner": lambda image: cropped(image, 0.05, 0.0),
    "cropped at one side": lambda image: image.crop((0, 0, round(0.95 * image.width), image.height)),
    "all of it": lambda image: jpeg(resized(cropped(image, 0.01, 0.04), 0.8), 60),
    "mirrored": ImageOps.mirror,
    "mirrored and all of it": lambda image: jpeg(resized(cropped(ImageOps.mirror(image), 0.05, 0.02), 0.8), 60),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_planted_copies_are_found_and_nothing_else(edit: Callable[[Image.Image], Image.Image]) -> None:
    copies = [edit(image) for image in ORIGINALS]
    pairs = near(fingerprints([*ORIGINALS, *copies]))
    assert [(pair.one, pair.other) for pair in sorted(pairs, key=lambda p: p.one)] == [
        (i, len(ORIGINALS) + i) for i in range(len(ORIGINALS))
    ]
    assert all(0.8 < pair.similarity <= 1.0 for pair in pairs)
    mirrored = edit is EDITS["mirrored"] or edit is EDITS["mirrored and all of it"]
    assert all(pair.mirrored == mirrored for pair in pairs)


def test_a_copy_between_the_views_is_found_from_either_side() -> None:
    """Two crops of one picture resemble each other as each resembles the whole."""
    one = [cropped(image, 0.0, 0.05) for image in ORIGINALS]
    other = [cropped(image, 0.03, 0.01) for image in ORIGINALS]
    found = {(pair.one, pair.other) for pair in near(fingerprints([*one, *other]))}
    assert len(found & {(i, len(one) + i) for i in range(len(one))}) >= 0.9 * len(one)
    assert all(b - a == len(one) for a, b in found)


def test_many_copies_of_one_picture_are_all_found() -> None:
    """As when pictures were augmented before they were split."""
    rng = np.random.default_rng(0)
    images = [cropped(original, *rng.uniform(0, 0.05, 2)) for original in ORIGINALS[:12] for _ in range(12)]
    kept = fingerprints(jpeg(resized(image, rng.uniform(0.7, 1.4)), 70) for image in images)
    together = joined(len(images), ((pair.one, pair.other) for pair in near(kept)))
    assert together.tolist() == [12 * (i // 12) for i in range(144)]


def texture(number: int) -> Image.Image:
    """Cloth of one kind: the same weave, another grain."""
    rng = np.random.default_rng(number)
    grain = rng.normal(0, 1, (64, 64)).cumsum(axis=0).cumsum(axis=1) / 20 + rng.normal(0, 1, (64, 64))
    weave = np.sin(np.arange(256) / 3)
    pixels = 128 + 25 * np.kron(grain - grain.mean(), np.ones((4, 4))) / grain.std() + 15 * np.outer(weave, weave)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def form(number: int) -> Image.Image:
    """One printed form, filled in differently: the pictures are the same but for a few strokes."""
    rng = np.random.default_rng(number)
    image = Image.new("L", (400, 560), 255)
    draw = ImageDraw.Draw(image)
    for y in range(40, 540, 40):
        draw.rectangle((30, y, 370, y + 28), outline=0, width=3)
        draw.rectangle((30, y, 130, y + 28), fill=60)
        start = 140
        for width in rng.integers(8, 40, rng.integers(1, 6)):
            draw.rectangle((start, y + 8, start + width, y + 20), fill=0)
            start += width + 6
    return image


@pytest.mark.parametrize("kind", [texture, form])
def test_different_pictures_of_one_kind_are_no_copies(kind: Callable[[int], Image.Image]) -> None:
    assert near(fingerprints(kind(i) for i in range(100))) == []


@pytest.mark.parametrize("kind", [texture, form])
def test_a_copy_stands_out_from_pictures_of_its_kind(kind: Callable[[int], Image.Image]) -> None:
    images = [kind(i) for i in range(60)]
    pairs = near(fingerprints([*images, *(jpeg(image.convert("RGB"), 60) for image in images)]))
    assert {(pair.one, pair.other) for pair in pairs} == {(i, 60 + i) for i in range(60)}


def test_the_same_drawing_in_another_colour_is_no_copy() -> None:
    def drawing(colour: str) -> Image.Image:
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).ellipse((20, 16, 50, 40), fill=colour)
        return image

    colours = ("red", "green", "blue", "orange", "black")
    assert near(fingerprints(drawing(colour) for colour in colours)) == []


def test_a_picture_is_its_own_copy() -> None:
    assert near(fingerprints([scene(1), scene(2), scene(1), scene(1)])) == [
        Alike(0, 2, 1.0, False),
        Alike(0, 3, 1.0, False),
    ]


def test_blank_pictures_of_one_colour_are_copies_and_of_two_are_not() -> None:
    blanks = [Image.new("RGB", size, colour) for colour in ("white", "black") for size in ((9, 9), (300, 20))]
    assert [(pair.one, pair.other) for pair in near(fingerprints(blanks))] == [(0, 1), (2, 3)]


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_to_compare(count: int) -> None:
    assert near(fingerprints(ORIGINALS[:count])) == []


def test_the_order_of_the_pictures_plays_no_part() -> None:
    some = ORIGINALS[:20]
    images = [*some, *(EDITS["all of it"](image) for image in some), *(form(i) for i in range(15))]
    kept = fingerprints(images)
    found = {(pair.one, pair.other): pair.similarity for pair in near(kept)}
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(kept))
        again = {
            (min(order[p.one], order[p.other]), max(order[p.one], order[p.other])): p.similarity
            for p in near(kept[order])
        }
        assert again == found


def test_fingerprints_are_small_and_made_one_at_a_time() -> None:
    made: list[int] = []

    def images() -> object:
        for i in range(3):
            made.append(i)
            yield scene(i)

    kept = fingerprints(images())  # type: ignore[arg-type]
    assert kept.nbytes == 3 * 3072 and kept.dtype == np.uint8
    assert np.array_equal(kept[1], fingerprint(scene(1)))


def blurred_noise(count: int, alike: float) -> NDArray[np.uint8]:
    """Fingerprints of pictures that have this share in common."""
    rng = np.random.default_rng(0)
    coarse = alike * rng.normal(0, 1, (1, 8, 8, 3)) + (1 - alike) * rng.normal(0, 1, (count, 8, 8, 3))
    return (128 + 40 * coarse.repeat(4, axis=1).repeat(4, axis=2)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("alike", [0.0, 0.8, 0.99])
def test_the_work_grows_with_the_pictures_however_alike_they_are(alike: float) -> None:
    kept = blurred_noise(150, alike)
    pairs = _candidates(_hashes(kept, np.arange(len(kept))))
    assert len(pairs.one) <= KEPT * len(kept)
    assert (pairs.one < pairs.other).all()
