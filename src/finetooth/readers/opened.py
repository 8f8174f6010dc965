"""Open a text file, plain or gzipped, and say in a sentence what is wrong with its bytes."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from finetooth.errors import DataError


@contextmanager
def opened(path: Path) -> Iterator[TextIO]:
    """The file's text, line ends as they are. Raises DataError for what cannot be read while it is used."""
    try:
        if zipped(path):
            with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as text:
                yield text
        else:
            with path.open(encoding="utf-8-sig", newline="") as text:
                yield text
    except UnicodeDecodeError as error:
        with path.open("rb") as raw:
            wide = raw.read(2) in (b"\xff\xfe", b"\xfe\xff")
        guess = "it looks like UTF-16" if wide else "it may be Windows-1252 or Latin-1"
        raise DataError(
            f"{path}: the text is not UTF-8 ({guess}); save it as UTF-8 (in a spreadsheet: CSV UTF-8)."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def zipped(path: Path) -> bool:
    """Whether the name says that the file is gzipped."""
    return path.suffix.lower() == ".gz"
