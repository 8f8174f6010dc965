"""Files that are there after the power failed: written aside, synced, renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sync(path: Path) -> None:
    """Have the disk keep a file's content, or a folder's entries."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_all(folder: Path) -> None:
    """Sync a folder's files, the folder, and its entry in the folder above."""
    for path in [*folder.iterdir(), folder, folder.parent]:
        sync(path)


def aside(name: str) -> str:
    """How a file is called while it is written; a crash can leave it behind."""
    return f".{name}.making"


@contextmanager
def in_one_stroke(path: Path) -> Iterator[Path]:
    """Where to write what becomes `path`: a reader, also one after a crash, sees the old file or the whole new one."""
    making = path.with_name(aside(path.name))
    try:
        yield making
        sync(making)
        os.replace(making, path)
        sync(path.parent)
    finally:
        making.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write in one stroke."""
    with in_one_stroke(path) as making:
        making.write_text(text, encoding="utf-8")
