"""Every picture comes out as upright RGB of eight bits, and what was done to it is said."""

from __future__ import annotations

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from finetooth.pictures import ENDINGS, PIXELS, decode
from tests.pictured import photographs, scene


@pytest.mark.parametrize("ending", [ending for endings in ENDINGS.values() for ending in endings])
def test_each_format_is_read_and_nothing_is_said(tmp_path: Path, ending: str) -> None:
    kind = next(kind for kind, endings in ENDINGS.items() if ending in endings)
    path = tmp_path / f"a{ending}"
    image = scene(1)
    image.save(path, format=kind)
    picture = decode(path)
    assert (picture.done, picture.image.mode, picture.image.size) == ((), "RGB", image.size)
    far = np.abs(np.asarray(picture.image, dtype=float) - np.asarray(image, dtype=float)).mean()
    assert far < (0.001 if kind in ("PNG", "BMP", "TIFF") else 12)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_what_loses_nothing_is_not_told(tmp_path: Path, mode: str) -> None:
    image = scene(2).convert(mode)
    image.save(tmp_path / "a.png")
    picture = decode(tmp_path / "a.png")
    assert picture.done == ()
    assert np.array_equal(np.asarray(picture.image), np.asarray(image.convert("RGB")))


def test_several_conversions_of_one_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(3).convert("CMYK").save(tmp_path / "a.png", format="JPEG", exif=exif)
    picture = decode(tmp_path / "a.png")
    assert picture.done == ("ending", "orientation", "colours")
    assert picture.image.size == (120, 160)


def test_the_settings_of_the_process_stay_as_they_are(tmp_path: Path) -> None:
    scene(4).save(tmp_path / "a.jpg")
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    decode(tmp_path / "a.jpg")
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before
    assert Image.MAX_IMAGE_PIXELS is not None and Image.MAX_IMAGE_PIXELS > PIXELS


def test_files_are_closed(tmp_path: Path) -> None:
    """Warnings are errors here, and a file left open warns."""
    for name in ("a.jpg", "a.gif", "a.tif"):
        scene(5).save(tmp_path / name)
        decode(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:200])
        with pytest.raises(ValueError):
            decode(tmp_path / name)


def test_threads_do_not_disturb_each_other(tmp_path: Path) -> None:
    for i, image in enumerate(photographs()):
        image.save(tmp_path / f"{i}.jpg")
    sizes: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda i=i: sizes.append(decode(tmp_path / f"{i}.jpg").image.size)) for i in range(9)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sizes == [(200, 200)] * 9
