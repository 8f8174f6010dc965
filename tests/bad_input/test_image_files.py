"""Image files and folders as people have them: each is read and told, or refused in one sentence. One test a case."""

from __future__ import annotations

import json
import os
import resource
import struct
import unicodedata
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from finetooth import Table, read
from finetooth.checks.images import tell
from finetooth.errors import DataError
from finetooth.findings import Finding
from finetooth.likeness import see
from finetooth.pictures import Picture, decode
from tests.pictured import scene

Refused = Callable[..., str]


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Refused:
    """The one sentence with which something is refused; nothing else may be printed."""

    def refused(function: Callable[..., Any], path: Path, **options: Any) -> str:
        with pytest.raises(DataError) as caught:
            function(path, **options)
        message = str(caught.value)
        assert message.startswith(str(path)) and "\n" not in message and message[-1] in ".?"
        assert capfd.readouterr() == ("", "")
        return message.replace(str(path), "", 1)

    return refused


def save(path: Path, image: Image.Image | None = None, **options: Any) -> Path:
    """An image file, by default a small scene of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = image or scene(sum(path.name.encode()), size=(40, 30))
    image.save(path, **options)
    return path


def put(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def animals(folder: Path, *names: str) -> Path:
    """Class folders with small images."""
    for name in names or ("cat/1.png", "cat/2.jpg", "dog/1.png", "dog/2.webp"):
        save(folder / name)
    return folder


def told(table: Table) -> dict[str, Finding]:
    return {finding.check: finding for finding in table.found}


def pixel(picture: Picture, x: int = 0, y: int = 0) -> tuple[int, ...]:
    assert picture.image.mode == "RGB"
    found = picture.image.getpixel((x, y))
    assert isinstance(found, tuple)
    return tuple(int(value) for value in found)


# One file


@pytest.mark.parametrize("ending", ["jpg", "png", "gif", "bmp", "tif", "webp"])
def test_truncated(tmp_path: Path, ending: str, refused: Refused) -> None:
    path = save(tmp_path / f"a.{ending}", scene(1, size=(200, 160)))
    put(path, path.read_bytes()[: path.stat().st_size // 2])
    assert "cannot be decoded" in (says := refused(decode, path)) or "damaged header" in says
    assert "put a whole copy" in says or "expected JPEG" in says


def test_cut_within_the_header(tmp_path: Path, refused: Refused) -> None:
    path = save(tmp_path / "a.png")
    put(path, path.read_bytes()[:20])
    assert "the file ends before the image does" in refused(decode, path)


def test_damaged_header(tmp_path: Path, refused: Refused) -> None:
    for beginning, kind in ((b"\xff\xd8\xff\xd9", "JPEG"), (b"\x89PNG, it says", "PNG"), (b"II*\0\xff\xff", "TIFF")):
        assert f"a {kind} with a damaged header" in refused(decode, put(tmp_path / "a.png", beginning + bytes(40)))


def test_zero_bytes(tmp_path: Path, refused: Refused) -> None:
    assert "empty (0 bytes)" in refused(decode, put(tmp_path / "a.jpg", b""))


def test_wrong_extension(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", Image.new("RGB", (8, 8), "red"), format="JPEG")
    picture = decode(path)
    assert picture.done == ("ending",) and pixel(picture)[0] > 240


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"hello, this is a text", "a text, b'hello"),
        (b"<html><body>not found</body></html>", "a web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='1e9' height='1e9'/>", "SVG"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b"\0\0\0\x18ftypheic....", "HEIC"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\0\1\2\3\x80\x81\x82\x83", "the bytes 00 01 02 03"),
        (b"P6 1 1 255 abc", "expected JPEG, PNG"),  # a format that Pillow knows and we do not read
    ],
    ids=["text", "web page", "svg", "pdf", "heic", "git lfs", "bytes", "ppm"],
)
def test_not_an_image(tmp_path: Path, content: bytes, says: str, refused: Refused) -> None:
    assert says in refused(decode, put(tmp_path / "a.jpg", content))


def test_missing_file(tmp_path: Path, refused: Refused) -> None:
    assert "No such file" in refused(decode, tmp_path / "a.jpg")


def test_cmyk(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.tif"):
        picture = decode(save(tmp_path / name, Image.new("CMYK", (16, 16), (0, 255, 255, 0))))
        assert picture.done == ("colours",)
        assert pixel(picture)[0] > 240 and max(pixel(picture)[1:]) < 15


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bit_grey(tmp_path: Path, ending: str) -> None:
    values = np.linspace(1000, 3000, 64, dtype=np.uint16).reshape(8, 8)
    picture = decode(save(tmp_path / f"a.{ending}", Image.fromarray(values)))
    assert picture.done == ("depth",)
    grey = np.asarray(picture.image)[..., 0]
    assert grey[0, 0] == 0 and grey[-1, -1] == 255 and abs(int(grey[4, 0]) - 129) < 3


def test_16_bit_colour(tmp_path: Path) -> None:
    assert decode(put(tmp_path / "a.png", png(2, 2, depth=16, rows=b"\0" + b"\xff\x80" * 6))).done == ("depth",)


def test_32_bit_integers(tmp_path: Path) -> None:
    values = np.array([[-(2**31), 0], [0, 2**31 - 1]], dtype=np.int32)
    picture = decode(save(tmp_path / "a.tif", Image.fromarray(values)))
    assert picture.done == ("depth",)
    assert np.asarray(picture.image)[..., 0].tolist() == [[0, 128], [128, 255]]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3e38, 3e38), (5.0, 5.0)])
def test_float(tmp_path: Path, low: float, high: float) -> None:
    values = np.array([[low, high], [np.nan, np.inf]], dtype=np.float32)
    picture = decode(save(tmp_path / "a.tif", Image.fromarray(values)))
    assert picture.done == ("depth",)
    assert np.asarray(picture.image)[..., 0].tolist() == [[0, 255 if high > low else 0], [0, 0]]


def test_float_without_a_number(tmp_path: Path, refused: Refused) -> None:
    path = save(tmp_path / "a.tif", Image.fromarray(np.full((2, 2), np.nan, dtype=np.float32)))
    assert "not a number" in refused(decode, path)


def test_palette_with_alpha(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 200, 0, 0])
    image.putpixel((0, 0), 1)
    for transparency in (0, b"\0\xff"):
        picture = decode(save(tmp_path / "a.png", image, transparency=transparency))
        assert picture.done == ("transparency",)
        assert (pixel(picture), pixel(picture, 1, 1)) == ((200, 0, 0), (255, 255, 255))


def test_alpha_and_grey_with_alpha(tmp_path: Path) -> None:
    half = decode(save(tmp_path / "a.png", Image.new("RGBA", (4, 4), (0, 0, 0, 128))))
    assert half.done == ("transparency",) and 120 < pixel(half)[0] < 135
    assert decode(save(tmp_path / "b.png", Image.new("LA", (4, 4), (0, 0)))).done == ("transparency",)


def test_alpha_that_hides_nothing_is_not_told(tmp_path: Path) -> None:
    assert decode(save(tmp_path / "a.png", Image.new("RGBA", (4, 4), (9, 9, 9, 255)))).done == ()


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_animated(tmp_path: Path, ending: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    picture = decode(save(tmp_path / f"a.{ending}", frames[0], save_all=True, append_images=frames[1:]))
    assert picture.done == ("frames",)
    assert pixel(picture)[0] > 240 and max(pixel(picture)[1:]) < 15


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
def test_exif_rotated(tmp_path: Path, orientation: int, ending: str) -> None:
    upright = Image.new("RGB", (24, 16), "white")
    upright.paste("red", (0, 0, 8, 8))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(back[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(save(tmp_path / f"a.{ending}", stored, exif=exif))
    assert picture.done == (() if orientation == 1 else ("orientation",))
    assert picture.image.size == (24, 16)
    assert pixel(picture, 3, 3)[1] < 60 and pixel(picture, 20, 12)[1] > 200


def test_damaged_exif(tmp_path: Path) -> None:
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0nonsense"):
        picture = decode(save(tmp_path / "a.jpg", Image.new("RGB", (8, 8), "red"), exif=exif))
        assert pixel(picture)[0] > 240 and set(picture.done) <= {"metadata"}


def png(width: int, height: int, depth: int = 8, rows: bytes = b"") -> bytes:
    """A PNG in colour whose header says what it likes; in `rows` each row begins with a byte 0."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows * height)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + content


def tiff(width: int, height: int) -> bytes:
    """A TIFF of one strip whose header says what it likes."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0"


BOMBS = {
    "PNG above Pillow's limit": png(60_000, 60_000),
    "PNG that Pillow warns of": png(10_000, 10_000),
    "PNG that Pillow lets through": png(8_000, 8_000),
    "GIF": b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0) + b",\0\0\0\0\xff\xff\xff\xff\0\x02\0;",
    "BMP": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0),
    "TIFF": tiff(100_000, 100_000),
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_bomb_sized(tmp_path: Path, content: bytes, refused: Refused) -> None:
    path = put(tmp_path / "a.png", content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "expected at most 50,000,000" in refused(decode, path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kilobytes
    assert Image.MAX_IMAGE_PIXELS is not None


def test_large_text_inside_a_png(tmp_path: Path, refused: Refused) -> None:
    """Metadata that unpack to 100 MB: Pillow's guard stays on."""
    bomb = zlib.compress(b"a" * 100_000_000)
    data = b"Comment\0\0" + bomb
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    plain = png(2, 2, rows=b"\0" + b"abc" * 2)
    assert "cannot be decoded" in refused(decode, put(tmp_path / "a.png", plain[:33] + chunk + plain[33:]))


# A folder


def test_class_folders(tmp_path: Path) -> None:
    table = read(animals(tmp_path))
    assert table.column("image") == ["cat/1.png", "cat/2.jpg", "dog/1.png", "dog/2.webp"]
    assert table.labels == ["cat", "cat", "dog", "dog"]
    assert (table.columns.input, table.columns.label, table.found) == (("image",), "label", ())
    assert table.file(1) == tmp_path / "cat" / "2.jpg" and table.place(1) == "cat/2.jpg"
    assert len(set(table.ids)) == 4 and table.parts == [None] * 4


def test_folders_below_a_class_folder(tmp_path: Path) -> None:
    table = read(animals(tmp_path, "cat/black/a/1.png", "cat/1.png", "dog/x/1.png"))
    assert table.labels == ["cat", "cat", "dog"]


def test_parts(tmp_path: Path) -> None:
    table = read(animals(tmp_path, "train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "test/dog/1.png"))
    assert table.column("image") == ["train/cat/1.png", "train/dog/1.png", "val/cat/1.png", "test/dog/1.png"]
    assert table.labels == ["cat", "dog", "cat", "dog"]
    assert table.parts == ["train", "train", "validation", "test"]


def test_a_class_that_is_called_train(tmp_path: Path) -> None:
    table = read(animals(tmp_path, "bus/1.png", "car/1.png", "train/1.png"))
    assert (table.labels, table.parts) == (["bus", "car", "train"], [None] * 3)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["train/cat/1.png", "cat/2.png"], "train looks like a part of the data, and cat beside it like a class"),
        (["train/cat/1.png", "val/cat/1.png", "valid/cat/1.png"], "val and valid both claim to be the validation part"),
        (["test/cat/1.png", "val/cat/1.png"], "expected a folder train"),
    ],
    ids=["class beside part", "two for one part", "no train"],
)
def test_parts_that_are_unclear(tmp_path: Path, names: list[str], says: str, refused: Refused) -> None:
    assert says in refused(read, animals(tmp_path, *names))


def test_an_image_beside_the_parts(tmp_path: Path, refused: Refused) -> None:
    animals(tmp_path, "train/cat/1.png", "train/dog/1.png", "stray.png")
    assert "in no part" in refused(read, tmp_path)


def test_images_without_a_class(tmp_path: Path, refused: Refused) -> None:
    animals(tmp_path, "1.png", "2.png")
    assert "lie in no folder of a class" in refused(read, tmp_path)
    table = read(tmp_path, labelled=False)
    assert table.labels == [None, None] and table.columns.label is None


def test_an_image_beside_the_classes(tmp_path: Path) -> None:
    table = read(animals(tmp_path, "1.png", "cat/1.png", "dog/1.png"))
    assert table.labels == [None, "cat", "dog"]
    assert told(table)["loose image"].says == "In no folder of a class, so without a label: 1 image (1.png)."


def test_unknown_endings(tmp_path: Path) -> None:
    animals(tmp_path)
    for name in ("README.md", "cat/a.heic", "cat/b"):
        put(tmp_path / name, "x")
    finding = told(read(tmp_path))["unknown ending"]
    assert (finding.severity, finding.count) == ("warning", 3)
    assert "3 files (README.md, cat/a.heic, cat/b)" in finding.says and ".jpg" in finding.remedy


def test_only_unknown_formats(tmp_path: Path, refused: Refused) -> None:
    put(tmp_path / "cat" / "a.heic", "x")
    assert "no image of a format that is read; found cat/a.heic" in refused(read, tmp_path)


def test_endings_in_capitals(tmp_path: Path) -> None:
    table = read(animals(tmp_path, "cat/1.PNG", "cat/2.JPeG", "dog/1.png"))
    assert len(table) == 3 and table.found == ()


def test_class_folders_differing_in_case(tmp_path: Path) -> None:
    table = read(animals(tmp_path, "Cat/1.png", "cat/2.png", "dog/1.png"))
    finding = told(table)["class spelling"]
    assert (finding.severity, finding.count) == ("warning", 2) and "Cat, cat" in finding.says
    assert table.labels == ["Cat", "cat", "dog"]


def test_empty_class_folder(tmp_path: Path) -> None:
    animals(tmp_path)
    put(tmp_path / "bird" / "notes.txt", "none yet")
    (tmp_path / "fish").mkdir()
    assert told(read(tmp_path))["empty folder"].says == "No image in 2 folders (bird, fish)."


def test_empty_class_folder_of_one_part(tmp_path: Path) -> None:
    animals(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/cat/1.png")
    (tmp_path / "test" / "dog").mkdir()
    assert "(test/dog)" in told(read(tmp_path))["empty folder"].says


def test_hidden_files_and_what_systems_leave_behind(tmp_path: Path) -> None:
    animals(tmp_path)
    for name in (".DS_Store", "cat/Thumbs.db", "dog/._1.png", ".git/a.png", "__MACOSX/cat/1.png"):
        put(tmp_path / name, "x")
    table = read(tmp_path)
    finding = told(table)["hidden file"]
    assert (finding.severity, finding.count, len(table)) == ("info", 5, 4)
    assert "5 hidden files and folders" in finding.says


def test_symlink_loop(tmp_path: Path) -> None:
    animals(tmp_path)
    (tmp_path / "cat" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "cat" / "x.png").symlink_to("y.png")
    (tmp_path / "cat" / "y.png").symlink_to("x.png")
    table = read(tmp_path)
    assert len(table) == 4
    assert told(table)["link"].count == 3


def test_dead_links_and_devices(tmp_path: Path) -> None:
    animals(tmp_path)
    (tmp_path / "cat" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    assert "2 links (cat/gone.png, cat/pipe.png)" in told(read(tmp_path))["link"].says


def test_a_link_within_the_folder(tmp_path: Path) -> None:
    animals(tmp_path)
    (tmp_path / "cat" / "3.png").symlink_to(tmp_path / "dog" / "1.png")
    assert len(read(tmp_path)) == 5


def test_a_link_out_of_the_folder(tmp_path: Path, refused: Refused) -> None:
    outside = save(tmp_path / "outside.png")
    animals(tmp_path / "data")
    (tmp_path / "data" / "cat" / "3.png").symlink_to(outside)
    assert "leads out of the folder" in refused(read, tmp_path / "data")


def test_metadata_that_is_a_link_out_of_the_folder(tmp_path: Path, refused: Refused) -> None:
    put(tmp_path / "labels.csv", "file_name,label\ncat/1.png,x\n")
    animals(tmp_path / "data")
    (tmp_path / "data" / "metadata.csv").symlink_to(tmp_path / "labels.csv")
    assert "leads out of the folder" in refused(read, tmp_path / "data")


def test_other_links_out_of_the_folder_are_told(tmp_path: Path) -> None:
    animals(tmp_path / "data")
    (tmp_path / "data" / "notes.txt").symlink_to(put(tmp_path / "notes.txt", "a"))
    assert told(read(tmp_path / "data"))["link"].count == 1


def test_a_name_that_is_not_utf8(tmp_path: Path, refused: Refused) -> None:
    animals(tmp_path)
    with open(os.fsencode(tmp_path) + b"/cat/\xff.png", "wb") as file:
        file.write(b"x")
    assert r"\udcff" in refused(read, tmp_path)


def test_the_order_on_the_disk_plays_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, scandir = read(animals(tmp_path)), os.scandir

    def backwards(path: str) -> nullcontext[list[os.DirEntry[str]]]:
        with scandir(path) as listed:
            return nullcontext(list(listed)[::-1])

    monkeypatch.setattr(os, "scandir", backwards)
    again = read(tmp_path)
    assert (again.data, again.ids, again.found) == (table.data, table.ids, table.found)


def test_deep_folders(tmp_path: Path) -> None:
    """Deeper than Python may recurse. They are taken away level by level, since others cannot do it either."""
    animals(tmp_path)
    here, depth = os.getcwd(), 1200
    os.chdir(tmp_path / "cat")
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        assert len(read(tmp_path)) == 4
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")
    finally:
        os.chdir(here)


# A metadata file


def described(folder: Path, rows: list[dict[str, Any]] | None = None, name: str = "metadata.jsonl") -> Path:
    """Two images and a file that names them, or something else."""
    animals(folder, "pictures/1.png", "pictures/2.png")
    rows = rows or [
        {"file_name": "pictures/2.png", "label": "cat", "camera": "A"},
        {"file_name": "pictures/1.png", "label": "dog", "camera": "007"},
    ]
    if name.endswith(".csv"):
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        put(folder / name, "\n".join(lines) + "\n")
    else:
        put(folder / name, "".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_metadata(tmp_path: Path, name: str) -> None:
    table = read(described(tmp_path, name=name), group="camera")
    assert table.data.column_names == ["image", "label", "camera"]
    assert table.column("image") == ["pictures/2.png", "pictures/1.png"]
    assert (table.labels, table.groups) == (["cat", "dog"], ["A", "007"])
    assert (table.places, table.found) == ([(name, 1), (name, 2)], ())
    assert table.file(0).is_file()


def test_metadata_that_names_parts(tmp_path: Path) -> None:
    for part, labels in {"train": "ab", "test": "b"}.items():
        rows = [{"file_name": f"./pictures/{i}.png", "target": label} for i, label in enumerate(labels, start=1)]
        described(tmp_path / part, rows)
    table = read(tmp_path)
    assert table.column("image") == ["train/pictures/1.png", "train/pictures/2.png", "test/pictures/1.png"]
    assert (table.labels, table.parts) == (["a", "b", "b"], ["train", "train", "test"])
    assert table.place(2) == "test/metadata.jsonl, row 1"
    assert "test/pictures/2.png" in told(table)["unlisted image"].says


def test_one_metadata_file_for_all_parts(tmp_path: Path) -> None:
    animals(tmp_path, "train/1.png", "test/1.png")
    put(tmp_path / "metadata.csv", "file_name,label\ntest/1.png,a\ntrain/1.png,b\n")
    assert read(tmp_path).parts == ["test", "train"]


def test_metadata_for_one_part_alone(tmp_path: Path, refused: Refused) -> None:
    described(tmp_path / "train")
    animals(tmp_path / "test")
    with pytest.raises(DataError, match=r"test: there is no metadata\.csv in it, as train/metadata\.jsonl is"):
        read(tmp_path)


def test_metadata_twice(tmp_path: Path, refused: Refused) -> None:
    described(tmp_path)
    described(tmp_path, name="metadata.csv")
    assert "metadata.csv and metadata.jsonl both describe" in refused(read, tmp_path)


def test_images_that_metadata_does_not_name(tmp_path: Path) -> None:
    animals(described(tmp_path), "pictures/3.png", "cover.jpg")
    finding = told(read(tmp_path))["unlisted image"]
    assert (finding.severity, finding.count) == ("warning", 2)
    assert "cover.jpg, pictures/3.png" in finding.says


def test_metadata_names_a_missing_file(tmp_path: Path) -> None:
    rows = [{"file_name": f"{name}.png", "label": "a"} for name in ("pictures/1", "picture/1", "3", "4")]
    with pytest.raises(DataError) as caught:
        read(described(tmp_path, rows))
    assert "metadata.jsonl, row 2: there is no file 'picture/1.png' in" in str(caught.value)
    assert "(and 2 further rows name such); did you mean 'pictures/1.png'?" in str(caught.value)


@pytest.mark.parametrize("name", ["../outside.png", "pictures/../../outside.png", "{absolute}"])
def test_metadata_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    outside = save(tmp_path / "outside.png")
    name = name.format(absolute=outside)
    with pytest.raises(DataError, match=r"row 1: '.*outside\.png' leads out of the folder; give the path within"):
        read(described(tmp_path / "data", [{"file_name": name, "label": "a"}]))


def test_metadata_names_a_link_out_of_the_folder(tmp_path: Path) -> None:
    outside = save(tmp_path / "outside.png")
    described(tmp_path / "data", [{"file_name": "link.png", "label": "a"}])
    (tmp_path / "data" / "link.png").symlink_to(outside)
    with pytest.raises(DataError, match=r"link\.png: the link leads out of the folder"):
        read(tmp_path / "data")


def test_metadata_names_a_file_behind_a_linked_folder(tmp_path: Path) -> None:
    animals(tmp_path / "other")
    described(tmp_path / "data", [{"file_name": "linked/cat/1.png", "label": "a"}])
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "other", target_is_directory=True)
    with pytest.raises(DataError, match="lies behind a link that is not followed"):
        read(tmp_path / "data")


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 5000, "pictures", "C:\\1.png", "~/1.png"])
def test_metadata_names_nonsense(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="row 1: there is no file"):
        read(described(tmp_path, [{"file_name": name, "label": "a"}]))


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"file": "pictures/1.png", "label": "a"}], "no column 'file_name'"),
        ([{"file_name": "", "label": "a"}], "row 1: the file_name is empty"),
        ([{"file_name": None, "label": "a"}], "row 1: the file_name is empty"),
        ([{"file_name": "pictures/1.png", "image": "a"}], "'image' is kept"),
        ([{"file_name": "pictures/1.png", "kind": "a"}], "columns are image, kind"),
    ],
    ids=["no file_name", "empty", "null", "image taken", "no label"],
)
def test_metadata_that_cannot_be_used(tmp_path: Path, rows: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(described(tmp_path, rows))


def test_metadata_without_rows(tmp_path: Path) -> None:
    put(animals(tmp_path) / "metadata.csv", "file_name,label\n")
    with pytest.raises(DataError, match="no rows in it below the header"):
        read(tmp_path)


def test_metadata_names_a_file_in_another_form_of_unicode(tmp_path: Path) -> None:
    save(tmp_path / unicodedata.normalize("NFD", "café.png"))
    t = read(described(tmp_path, [{"file_name": unicodedata.normalize("NFC", "café.png"), "label": "a"}]))
    assert t.file(0).is_file()


def test_metadata_names_a_file_without_an_ending(tmp_path: Path) -> None:
    save(tmp_path / "0001", format="PNG")
    assert len(read(described(tmp_path, [{"file_name": "0001", "label": "a"}]))) == 1


# What is no image folder, and what cannot be done with one


def test_a_folder_of_text_files_stays_one(tmp_path: Path) -> None:
    put(tmp_path / "train.csv", "text,label\na,b\n")
    save(tmp_path / "plots" / "loss.png")
    assert read(tmp_path).folder is None


def test_pictures_beside_folders_of_rows_do_not_make_them_images(tmp_path: Path) -> None:
    put(tmp_path / "train" / "a.csv", "text,label\na,b\n")
    put(tmp_path / "test" / "a.csv", "text,label\nc,b\n")
    save(tmp_path / "plots" / "loss.png")
    assert read(tmp_path).folder is None


def test_a_script_beside_images_does_not_make_them_rows(tmp_path: Path) -> None:
    put(animals(tmp_path) / "train.py", "print()")
    assert len(read(tmp_path)) == 4


def test_another_input_is_refused(tmp_path: Path, refused: Refused) -> None:
    assert "the input is the column 'image', not 'text'" in refused(read, animals(tmp_path), input="text")


def test_a_file_that_vanished_after_reading(tmp_path: Path) -> None:
    table = read(animals(tmp_path))
    table.file(2).unlink()
    with pytest.raises(DataError, match=r"1\.png: the file cannot be read"):
        _ = table.ids


# The check


def test_broken_and_converted_images_are_told(tmp_path: Path) -> None:
    animals(tmp_path)
    put(tmp_path / "cat" / "3.png", b"")
    put(tmp_path / "dog" / "3.jpg", (tmp_path / "cat" / "2.jpg").read_bytes()[:300])
    save(tmp_path / "dog" / "4.jpg", Image.new("CMYK", (9, 9)))
    save(tmp_path / "dog" / "5.jpg", Image.new("RGBA", (9, 9)), format="PNG")
    table = read(tmp_path)
    found = {finding.check: finding for finding in tell(table, see(table))}
    assert {check: (f.severity, f.count) for check, f in found.items()} == {
        "broken image": ("error", 2),
        "image ending": ("info", 1),
        "image colours": ("info", 1),
        "image transparency": ("info", 1),
    }
    broken = found["broken image"]
    assert list(broken.rows) == [table.ids[2], table.ids[5]]
    assert broken.says.startswith("Cannot be decoded: 2 of 8 images: cat/3.png (the file is empty (0 bytes)")
    assert "dog/3.jpg (the image cannot be decoded" in broken.says
    assert "1 of 8 images: dog/5.jpg." in found["image ending"].says


def test_nothing_is_told_of_sound_images(tmp_path: Path) -> None:
    table = read(animals(tmp_path))
    assert tell(table, see(table)) == []
