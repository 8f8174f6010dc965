"""One command at a time searches in a folder; its processes share the claim."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from finetooth.errors import RunError


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Lock the folder; the system takes the lock away from whoever ends, in whatever way.

    Raises RunError while another command searches here, or a process that it left has not ended yet.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{folder}: another command searches here just now; wait until it has ended.") from None
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


@contextmanager
def joined(folder: Path) -> Iterator[None]:
    """A process of the command that has the claim."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)
