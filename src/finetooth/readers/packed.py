"""The bytes of a file, unpacked where it is gzip or zstd, whatever its name says."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from finetooth.errors import DataError

BLOCK = 1 << 20  # bytes at a time
PACKINGS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}


def packing(path: Path) -> str | None:
    """How the file is packed, told by its first bytes; None where it is plain."""
    try:
        with path.open("rb") as raw:
            start = raw.read(4)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}.") from error
    return next((name for magic, name in PACKINGS.items() if start.startswith(magic)), None)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The unpacked bytes, as a stream. Raises DataError for what cannot be read or unpacked while it is used."""
    try:
        name = packing(path)
        if name is None:
            with path.open("rb", BLOCK) as plain:
                yield plain
        else:
            with path.open("rb", BLOCK) as raw, pa.CompressedInputStream(raw, name) as stream:
                yield io.BufferedReader(stream, BLOCK)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror or error}. If it should be whole, copy or download it again."
        ) from error
