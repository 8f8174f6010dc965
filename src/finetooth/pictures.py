"""Open an image file safely: a few formats, at most so many pixels, always eight bits of red, green and blue.

Grey of more bits is there in sixteen besides.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from finetooth import dicom
from finetooth.errors import DataError

PIXELS = 50_000_000  # of one image: more than most cameras take, and 200 MB as Pillow holds it
DEEP = (1 << 16) - 1  # white, in sixteen bits
STRIP = 256  # rows of pixels that are converted at a time
ENDINGS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "TIFF": (".tif", ".tiff"),
}
IMAGES = (*(ending for endings in ENDINGS.values() for ending in endings), *dicom.ENDINGS)
EXPECTED = "JPEG, PNG, WebP, GIF, BMP, TIFF or DICOM"

Conversion = Literal["ending", "frames", "orientation", "colours", "depth", "transparency", "metadata"]

BEGINNING = 132  # bytes of a file that tell what it is

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BEGINNINGS = {
    b"\xff\xd8\xff": "a JPEG with a damaged header",
    b"\x89PNG": "a PNG with a damaged header",
    b"RIFF": "a WebP with a damaged header, or a sound or film",
    b"GIF8": "a GIF with a damaged header",
    b"BM": "a BMP with a damaged header",
    b"II*\0": "a TIFF with a damaged header",
    b"MM\0*": "a TIFF with a damaged header",
    b"%PDF": "a PDF",
    b"PK\x03\x04": "a zip archive",
    b"8BPS": "a Photoshop file",
    b"<": "a web page, an SVG or other XML",
    b"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` fetches the image",
}


@dataclass(frozen=True)
class Picture:
    """An image of mode RGB, upright, and what had to be done to the file's content to have it so.

    `done` may hold: `ending` (the content is of another format than the file's ending says), `frames` (the first of
    several was taken), `orientation` (turned as its EXIF data say), `colours` (CMYK or the like became RGB), `depth`
    (of more than eight bits: colours were cut to eight, grey goes by its own range), `transparency` (laid on white) and
    `metadata` (passed over, being damaged). `deep` has grey of more than eight bits in sixteen, (height, width).
    """

    image: Image.Image
    done: tuple[Conversion, ...]
    deep: NDArray[np.uint16] | None = None


def decode(path: Path) -> Picture:
    """The image in this file. Raises DataError, in one sentence, for what cannot or should not be decoded."""
    try:
        with path.open("rb") as file:
            beginning = file.read(BEGINNING)
            if not beginning:
                raise DataError(f"{path}: the file is empty (0 bytes), expected an image; put the image back.")
            if dicom.is_dicom(path, beginning):
                return _of_dicom(path)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                # Pillow's own guard, which comes before ours can; ours holds as well where threads share the filters.
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                return _upright(path, Image.open(file, formats=list(ENDINGS)), said)
    except DataError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise _too_large(path, f"more than {PIXELS:,}") from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path}: not an image of a kind that is read; it begins like {_guess(beginning)}, expected {EXPECTED}."
        ) from error
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to: OSError, struct.error
        reason = str(error) or type(error).__name__
        if "truncated" in reason.lower():
            reason = f"the file ends before the image does: {reason}"
        raise DataError(f"{path}: the image cannot be decoded ({reason}); put a whole copy of it there.") from error


def _upright(path: Path, image: Any, said: list[warnings.WarningMessage]) -> Picture:
    """An image that was opened and not yet decoded, decoded and converted; `said` collects Pillow's warnings."""
    pixels = image.width * image.height
    if pixels > PIXELS:
        raise _too_large(path, f"{image.width:,} x {image.height:,} = {pixels:,}")
    done: list[Conversion] = []
    kind = "JPEG" if image.format == "MPO" else image.format
    if path.suffix.lower() not in ENDINGS[kind]:
        done.append("ending")
    if getattr(image, "is_animated", False):
        done.append("frames")
    cut = ";16" in str(image.tile)  # Pillow's names for pixels of 16 bits in the file
    try:
        turn, damaged = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation)), False
    except Exception:  # damaged EXIF data raise as many kinds of errors as damaged pixels, which these need not have
        turn, damaged = None, True
    image.load()
    if turn is not None:
        done.append("orientation")
        # Pillow turns a TIFF itself when it loads it.
        image = image if kind == "TIFF" else image.transpose(turn)
    deep = None
    if image.mode[0] in "IF":
        deep = _scaled(path, image)
        image, cut = _grey(deep), True
    if cut:
        done.append("depth")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if image.getextrema()[3][0] < 255:
            done.append("transparency")
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image)
        image = white
    elif image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        done.append("colours")
    if damaged or said:
        done.append("metadata")
    return Picture(image.convert("RGB"), tuple(done), deep)


def is_deep(path: Path) -> bool:
    """Whether the file holds grey of more than eight bits, or may, as far as its header tells."""
    try:
        with path.open("rb") as file:
            return dicom.is_dicom(path, file.read(BEGINNING)) or Image.open(file, formats=list(ENDINGS)).mode[0] in "IF"
    except Exception:  # what is wrong with it is told when it is decoded
        return False


def _of_dicom(path: Path) -> Picture:
    pixels = dicom.read_dicom(path, PIXELS)
    done: list[Conversion] = [] if path.suffix.lower() in dicom.ENDINGS else ["ending"]
    if pixels.ndim == 3:
        return Picture(Image.fromarray(pixels), tuple(done))
    deep = np.rint(pixels * DEEP).astype(np.uint16)
    return Picture(_grey(deep).convert("RGB"), (*done, "depth"), deep)


def _grey(deep: NDArray[np.uint16]) -> Image.Image:
    """Sixteen bits of grey as eight."""
    return Image.fromarray(np.rint(deep / 257).astype(np.uint8))


def _scaled(path: Path, image: Image.Image) -> NDArray[np.uint16]:
    """Grey of 16 or 32 bits or real numbers as sixteen bits: the darkest pixel becomes 0, the brightest 65,535."""
    values = np.asarray(image)
    strips = [
        values[i : i + STRIP] for i in range(0, len(values), STRIP)
    ]  # as real numbers they take eight times the room
    known = [strip[np.isfinite(strip)] for strip in strips if np.isfinite(strip).any()]
    if not known:
        raise DataError(f"{path}: every pixel is infinite or not a number, expected grey values; export it anew.")
    low, high = float(min(strip.min() for strip in known)), float(max(strip.max() for strip in known))
    # Halved, since the largest real numbers lie further apart than any of them is large.
    width = max(high / 2 - low / 2, np.finfo(np.float64).tiny)
    grey = np.empty(values.shape, dtype=np.uint16)
    for i, strip in enumerate(strips):
        real = np.where(np.isfinite(strip), strip, low).astype(np.float64)
        grey[i * STRIP : (i + 1) * STRIP] = np.rint(DEEP * ((real / 2 - low / 2) / width))
    return grey


def _too_large(path: Path, pixels: str) -> DataError:
    return DataError(
        f"{path}: its header says {pixels} pixels, expected at most {PIXELS:,}; scale it down if it is a picture at "
        f"all, for a small file that claims so much is made to fill the memory."
    )


def _guess(beginning: bytes) -> str:
    if beginning[4:8] == b"ftyp":
        return "a HEIC or AVIF picture, or a film"
    found = next((kind for start, kind in _BEGINNINGS.items() if beginning.lstrip().startswith(start)), None)
    return found or (f"a text, {beginning[:16]!r}" if beginning.isascii() else f"the bytes {beginning[:8].hex(' ')}")
