"""The pixels of many images: decoded once by several threads, as large as the network wants them, and kept in a file.

The file has no name and goes with the process. What the system keeps of it in memory is its own: a whole folder takes
no more of ours than a batch does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetooth.packaged import cache
from finetooth.pictures import DEEP, decode, is_deep

Shades = NDArray[np.uint8 | np.uint16]
Numbers = NDArray[np.int64]

SHARE = 0.5  # of the free disk, at most
AT_ONCE = 64  # images that are decoded before they are written


class Fitting(Protocol):
    """What a network wants done to its images."""

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of all of them."""

    @property
    def values(self) -> NDArray[np.float32]:
        """What the network takes for eight bits of each colour, (3, 256)."""

    @property
    def deep_values(self) -> NDArray[np.float32]:
        """The same for sixteen bits, (3, 65536)."""

    def fitted(self, image: Image.Image) -> Shades:
        """An image of mode RGB, or of mode F for sixteen bits of grey, in this shape, (height, width, 3)."""


@dataclass(frozen=True)
class Pixels:
    """Of each row (height, width, 3), eight bits of red, green and blue, or sixteen of each, all of them equally many.

    `images` gives those at some places, (places, height, width, 3), `places` is where the rows lie. `values`, (3, 256)
    or (3, 65536), is what the network takes for the bits of each colour; `digests` tell one image from another, by
    place.
    """

    images: Callable[[Numbers], Shades]
    places: Numbers
    digests: NDArray[np.uint64]
    values: NDArray[np.float32]

    @staticmethod
    def of(files: Sequence[Path], fitting: Fitting) -> Pixels:
        """The images in these files as a network wants them; in sixteen bits where one of them has grey of more than 8.

        Where the disk has too little room for them, they are decoded anew each time. Raises DataError, naming the file,
        for what cannot be decoded.
        """
        with _threads() as pool:
            deep = any(pool.map(is_deep, files))

        def one(place: int) -> Shades:
            picture = decode(files[place])
            if deep and picture.deep is not None:
                return fitting.fitted(Image.fromarray(picture.deep.astype(np.float32)))
            # White is 255 or 65,535, 257 times as much.
            return fitting.fitted(picture.image).astype(np.uint16) * 257 if deep else fitting.fitted(picture.image)

        def decoded(places: Numbers) -> Shades:
            with _threads() as pool:
                return np.stack(list(pool.map(one, places.tolist())))

        digests = np.zeros(len(files), dtype=np.uint64)
        room = _Kept.where_there_is_room(len(files), (*fitting.shape, 3), np.uint16 if deep else np.uint8)
        for start in range(0, len(files), AT_ONCE):
            places = np.arange(start, min(start + AT_ONCE, len(files)))
            images = decoded(places)
            digests[places] = [
                int.from_bytes(blake2b(image.data, digest_size=8).digest(), "little") for image in images
            ]
            if room is not None:
                room.write(start, images)
        values = fitting.deep_values if deep else fitting.values
        return Pixels(decoded if room is None else room.read, np.arange(len(files)), digests, values)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def deep(self) -> bool:
        """Whether they are of sixteen bits."""
        return len(self.values[0]) > 256

    def take(self, rows: Numbers) -> Pixels:
        """Some of the rows, in this order."""
        return replace(self, places=self.places[rows])

    def read(self, rows: Numbers) -> Shades:
        """These rows' pixels, (rows, height, width, 3)."""
        return self.images(self.places[rows])

    def numbers(self, pixels: Shades) -> NDArray[np.float32]:
        """What the network takes for such pixels, (rows, 3, height, width)."""
        found = np.empty((len(pixels), 3, *pixels.shape[1:3]), dtype=np.float32)
        for colour in range(3):
            np.take(self.values[colour], pixels[..., colour], out=found[:, colour])
        return found

    def changed(self, change: Callable[[Shades, int], Shades], keys: Sequence[int]) -> Pixels:
        """The same rows with each image changed; `change` is given its pixels and the row's key."""
        own = dict(zip(self.places.tolist(), keys, strict=True))

        def images(places: Numbers) -> Shades:
            found = zip(self.images(places), places.tolist(), strict=True)
            return np.stack([change(image, own[place]) for image, place in found])

        return replace(self, images=images)

    @property
    def content(self) -> bytes:
        """By which the rows' pixels, and what the network takes for them, are known again."""
        return self.digests[self.places].tobytes() + self.values.tobytes()


def by_pillow(image: Shades, change: Callable[[Image.Image], Image.Image]) -> Shades:
    """What Pillow makes of an image, (height, width, 3); of sixteen bits, which it has no colours of, one by one."""
    if image.dtype == np.uint8:
        return np.asarray(change(Image.fromarray(image)))
    colours = [np.asarray(change(Image.fromarray(each.astype(np.float32)))) for each in np.moveaxis(image, 2, 0)]
    return shades(np.stack(colours, axis=2), image)


def shades(values: NDArray[Any], image: Shades) -> Shades:
    """Real numbers as whole shades, of as many bits as the image has."""
    found: Shades = np.rint(values).clip(0, white(image)).astype(image.dtype)
    return found


def white(image: Shades) -> int:
    """The brightest shade."""
    return 255 if image.dtype == np.uint8 else DEEP


@dataclass(frozen=True)
class _Kept:
    """Images one after the other in a file without a name."""

    file: int
    shape: tuple[int, int, int]
    dtype: type[np.uint8 | np.uint16]

    @staticmethod
    def where_there_is_room(count: int, shape: tuple[int, int, int], dtype: type[np.uint8 | np.uint16]) -> _Kept | None:
        folder = cache()
        folder.mkdir(parents=True, exist_ok=True)
        if count * int(np.prod(shape)) * np.dtype(dtype).itemsize > SHARE * shutil.disk_usage(folder).free:
            return None
        with tempfile.TemporaryFile(dir=folder) as file:
            kept = _Kept(os.dup(file.fileno()), shape, dtype)
        weakref.finalize(kept, os.close, kept.file)
        return kept

    def write(self, place: int, images: Shades) -> None:
        left, at = images.reshape(-1).view(np.uint8).data, place * images[0].nbytes
        while left:
            written = os.pwrite(self.file, left, at)
            left, at = left[written:], at + written

    def read(self, places: Numbers) -> Shades:
        found = np.empty((len(places), *self.shape), dtype=self.dtype)
        for image, place in zip(found, places.tolist(), strict=True):
            read = os.preadv(self.file, [image.reshape(-1).view(np.uint8).data], place * image.nbytes)
            assert read == image.nbytes, "it was written whole"
        return found


@contextmanager
def _threads() -> Iterator[Any]:
    """Several threads that decode. Filters of warnings are shared between them, so they are put back once for all."""
    with warnings.catch_warnings(record=True), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield pool
