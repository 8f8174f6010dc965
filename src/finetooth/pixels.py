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
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finetooth.packaged import cache
from finetooth.pictures import decode

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

SHARE = 0.5  # of the free disk, at most
AT_ONCE = 64  # images that are decoded before they are written


@dataclass(frozen=True)
class Pixels:
    """Of each row (height, width, 3), eight bits of red, green and blue.

    `images` gives those at some places, (places, height, width, 3), `places` is where the rows lie. `values`, (3, 256),
    is what the network takes for the bits of each colour; `digests` tell one image from another, by place.
    """

    images: Callable[[Numbers], Bytes]
    places: Numbers
    digests: NDArray[np.uint64]
    values: NDArray[np.float32]

    @staticmethod
    def of(
        files: Sequence[Path],
        fitted: Callable[[Image.Image], Bytes],
        shape: tuple[int, int],
        values: NDArray[np.float32],
    ) -> Pixels:
        """The images in these files, each `fitted` to the shape (height, width).

        Where the disk has too little room for them, they are decoded anew each time. Raises DataError, naming the file,
        for what cannot be decoded.
        """

        def one(place: int) -> Bytes:
            return fitted(decode(files[place]).image)

        def decoded(places: Numbers) -> Bytes:
            with _threads() as pool:
                return np.stack(list(pool.map(one, places.tolist())))

        digests = np.zeros(len(files), dtype=np.uint64)
        room = _Kept.where_there_is_room(len(files), (*shape, 3))
        for start in range(0, len(files), AT_ONCE):
            places = np.arange(start, min(start + AT_ONCE, len(files)))
            images = decoded(places)
            digests[places] = [
                int.from_bytes(blake2b(image.data, digest_size=8).digest(), "little") for image in images
            ]
            if room is not None:
                room.write(start, images)
        return Pixels(decoded if room is None else room.read, np.arange(len(files)), digests, values)

    def __len__(self) -> int:
        return len(self.places)

    def take(self, rows: Numbers) -> Pixels:
        """Some of the rows, in this order."""
        return replace(self, places=self.places[rows])

    def read(self, rows: Numbers) -> Bytes:
        """These rows' pixels, (rows, height, width, 3)."""
        return self.images(self.places[rows])

    def numbers(self, pixels: Bytes) -> NDArray[np.float32]:
        """What the network takes for such pixels, (rows, 3, height, width)."""
        found = np.empty((len(pixels), 3, *pixels.shape[1:3]), dtype=np.float32)
        for colour in range(3):
            np.take(self.values[colour], pixels[..., colour], out=found[:, colour])
        return found

    def changed(self, change: Callable[[Bytes, int], Bytes], keys: Sequence[int]) -> Pixels:
        """The same rows with each image changed; `change` is given its pixels and the row's key."""
        own = dict(zip(self.places.tolist(), keys, strict=True))

        def images(places: Numbers) -> Bytes:
            found = zip(self.images(places), places.tolist(), strict=True)
            return np.stack([change(image, own[place]) for image, place in found])

        return replace(self, images=images)

    @property
    def content(self) -> bytes:
        """By which the rows' pixels, and what the network takes for them, are known again."""
        return self.digests[self.places].tobytes() + self.values.tobytes()


@dataclass(frozen=True)
class _Kept:
    """Images one after the other in a file without a name."""

    file: int
    shape: tuple[int, int, int]

    @staticmethod
    def where_there_is_room(count: int, shape: tuple[int, int, int]) -> _Kept | None:
        folder = cache()
        folder.mkdir(parents=True, exist_ok=True)
        if count * int(np.prod(shape)) > SHARE * shutil.disk_usage(folder).free:
            return None
        with tempfile.TemporaryFile(dir=folder) as file:
            kept = _Kept(os.dup(file.fileno()), shape)
        weakref.finalize(kept, os.close, kept.file)
        return kept

    def write(self, place: int, images: Bytes) -> None:
        left, at = images.reshape(-1).data, place * int(np.prod(self.shape))
        while left:
            written = os.pwrite(self.file, left, at)
            left, at = left[written:], at + written

    def read(self, places: Numbers) -> Bytes:
        found = np.empty((len(places), *self.shape), dtype=np.uint8)
        for image, place in zip(found, places.tolist(), strict=True):
            read = os.preadv(self.file, [image.reshape(-1).data], place * image.nbytes)
            assert read == image.nbytes, "it was written whole"
        return found


@contextmanager
def _threads() -> Iterator[Any]:
    """Several threads that decode. Filters of warnings are shared between them, so they are put back once for all."""
    with warnings.catch_warnings(record=True), ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        warnings.simplefilter("always")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield pool
