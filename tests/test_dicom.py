"""DICOM files: by their window or own range, upright in brightness, and refused in words where they are not read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers as tf
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEGLSLossless, RLELossless, generate_uid

import finetooth as ft
from finetooth import pictures
from finetooth.backbones import Preparation
from finetooth.cli import main
from finetooth.errors import DataError
from finetooth.pictures import decode, is_deep
from finetooth.pixels import Pixels
from tests import tiny


def write(path: Path, pixels: NDArray[Any], kind: str = "MONOCHROME2", **tags: Any) -> Path:
    """A DICOM file of these pixels."""
    file, meta = Dataset(), FileMetaDataset()
    meta.MediaStorageSOPClassUID = file.SOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.file_meta = meta
    file.Rows, file.Columns = pixels.shape[:2]
    file.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    if pixels.ndim == 3:
        file.PlanarConfiguration = 0
    file.PhotometricInterpretation = kind
    file.BitsAllocated = file.BitsStored = pixels.dtype.itemsize * 8
    file.HighBit = file.BitsStored - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    file.PixelData = pixels.tobytes()
    compress = tags.pop("compress", None)
    for name, value in tags.items():
        setattr(file, name, value)
    if compress == RLELossless:
        file.compress(RLELossless)
    file.save_as(path, enforce_file_format=True)
    if compress == JPEGLSLossless:  # in name alone
        meta.TransferSyntaxUID = JPEGLSLossless
        from pydicom.encaps import encapsulate

        file.PixelData = encapsulate([pixels.tobytes()])
        file["PixelData"].is_undefined_length = True
        file.save_as(path, enforce_file_format=True)
    return path


RAMP = np.arange(1000, 1064, dtype=np.uint16).reshape(8, 8)


def deep(path: Path) -> NDArray[np.float64]:
    """Grey from 0 to 1, as it is read."""
    found = decode(path).deep
    assert found is not None
    return found / 65535


def test_without_a_window_from_the_darkest_to_the_brightest_in_sixteen_bits(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", RAMP)
    picture = decode(path)
    assert (picture.done, picture.image.mode, picture.image.size) == (("depth",), "RGB", (8, 8)) and is_deep(path)
    np.testing.assert_allclose(deep(path), (RAMP - 1000) / 63, atol=1e-5)
    assert np.asarray(picture.image)[-1, -1].tolist() == [255, 255, 255]


def test_a_window_is_the_scale_in_the_unit_of_the_file(tmp_path: Path) -> None:
    rescaled = {"RescaleSlope": "2", "RescaleIntercept": "-2000"}  # from 0 to 126
    path = write(tmp_path / "a.dcm", RAMP, **rescaled, WindowCenter=["40.5", "7"], WindowWidth=["41", "9"])
    np.testing.assert_allclose(deep(path), ((RAMP * 2.0 - 2000 - 20) / 40).clip(0, 1), atol=1e-5)
    signed = (RAMP.astype(np.int16) - 1040).astype(np.int16)
    path = write(tmp_path / "b.dcm", signed, WindowCenter="0.5", WindowWidth="21")
    np.testing.assert_allclose(deep(path), ((signed + 10.0) / 20).clip(0, 1), atol=1e-5)


def test_monochrome1_is_the_other_way_round_and_padding_does_not_count(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", RAMP, "MONOCHROME1")
    np.testing.assert_allclose(deep(path), 1 - (RAMP - 1000) / 63, atol=1e-5)
    padded = RAMP.copy()
    padded[0] = 0
    path = write(tmp_path / "b.dcm", padded, PixelPaddingValue=0)
    np.testing.assert_allclose(deep(path), ((padded.astype(float) - 1008) / 55).clip(0, 1), atol=1e-5)


def test_run_lengths_and_colours_are_read_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", RAMP, compress=RLELossless)
    np.testing.assert_allclose(deep(path), (RAMP - 1000) / 63, atol=1e-5)
    colours = np.random.default_rng(0).integers(256, size=(8, 6, 3), dtype=np.uint8)
    picture = decode(write(tmp_path / "b.dcm", colours, "RGB"))
    assert picture.deep is None and picture.done == ()
    np.testing.assert_array_equal(np.asarray(picture.image), colours)


def test_the_content_tells_what_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", RAMP)
    assert decode(path).done == ("ending", "depth")
    Image.new("RGB", (4, 4)).save(tmp_path / "b.png")
    (tmp_path / "b.dcm").write_bytes((tmp_path / "b.png").read_bytes())
    with pytest.raises(DataError, match=r"b.dcm: not a whole DICOM file"):
        decode(tmp_path / "b.dcm")


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"NumberOfFrames": "2", "PixelData": RAMP.tobytes() * 2}, "found a DICOM file of 2 frames, expected one"),
        ({"compress": JPEGLSLossless}, "compressed as JPEG-LS Lossless Image Compression, which pydicom cannot decode"),
        ({"kind": "PALETTE COLOR"}, "photometric interpretation PALETTE COLOR, expected MONOCHROME1"),
        ({"PixelData": b"12"}, "the image cannot be decoded"),
        ({"Rows": 0}, "holds no image"),
    ],
    ids=["frames", "compression", "palette", "short", "empty"],
)
def test_what_is_not_read_is_refused_by_name(tags: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", RAMP, **tags)
    with pytest.raises(DataError, match=says) as refused:
        decode(path)
    assert str(refused.value).startswith(f"{path}: ") and "\n" not in str(refused.value)


def test_more_pixels_than_are_opened_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "PIXELS", 50)
    with pytest.raises(DataError, match="8 x 8 = 64 pixels, expected at most 50"):
        decode(write(tmp_path / "a.dcm", RAMP))


def test_without_pydicom_the_way_to_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.dcm", RAMP)
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(DataError, match=r"needs pydicom; install it: pip install 'finetooth\[dicom\]'"):
        decode(path)


def test_scans_are_trained_on_and_answered_like_any_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, data = np.random.default_rng(0), tmp_path / "scans"
    for i in range(40):
        kind = ("bright", "dark")[i % 2]
        (data / kind).mkdir(parents=True, exist_ok=True)
        grey = rng.normal(1200 if kind == "bright" else 800, 50, (32, 32)).astype(np.uint16)
        write(data / kind / f"{i:02d}.dcm", grey, WindowCenter="1000", WindowWidth="1000")
    preparation = Preparation.of(tf.ViTImageProcessorPil(size={"height": 32, "width": 32}), "it")
    pixels = Pixels.of(sorted(data.rglob("*.dcm")), preparation)
    seen = pixels.read(np.array([0]))
    assert pixels.deep and len(np.unique(seen)) > 2 * len(np.unique(seen // 257))
    model, out = tiny.save_image_model(tmp_path / "vit", "vit"), tmp_path / "run"
    plan = ft.Plan.of({"epochs": 4, "batch_size": 8, "precision": "fp32", "learning_rate": 5e-3, "freeze": 0})
    ft.train(ft.read(data), plan, model=str(model), out=out)
    new = tmp_path / "new"
    new.mkdir()
    (new / "scan.dcm").write_bytes((data / "bright" / "00.dcm").read_bytes())
    answers = tmp_path / "answers.csv"
    monkeypatch.setattr(sys, "argv", ["finetooth", "predict", str(out), str(new), "--out", str(answers)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr().err
    assert "bright" in answers.read_text(encoding="utf-8")
    write(data / "dark" / "film.dcm", RAMP, NumberOfFrames="2", PixelData=RAMP.tobytes() * 2)
    monkeypatch.setattr(sys, "argv", ["finetooth", "check", str(data)])
    with pytest.raises(SystemExit):
        main()
    said = "".join(capsys.readouterr())
    assert "film.dcm" in said and "2 frames" in " ".join(said.split())
