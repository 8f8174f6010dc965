"""File: what the first look at a file shows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from finetooth.readers.encoding import Text
from finetooth.readers.packed import opened


@dataclass(frozen=True)
class File:
    """A file and what it is to be called in findings; the encoding of its text and how that begins (no encoding, and
    no beginning, where it is not text)."""

    path: Path
    name: str
    codec: str | None = None
    head: str = ""

    @contextmanager
    def text(self) -> Iterator[Text]:
        """Its text from the beginning, unpacked and mended."""
        assert self.codec is not None, f"{self.path} is not text"
        with opened(self.path) as raw:
            yield Text(raw, self.codec)
