"""Locks on files, which the system takes away from whoever ends, in whatever way."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

from finetooth.errors import RunError

GLANCE = 0.2  # seconds between two looks whether another process has finished


@contextmanager
def alone(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """With this file to oneself; `waiting` is called while another process has it."""
    with open(path, "a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                sleep(GLANCE)
        yield


def taken(path: Path) -> bool:
    """Whether another process has the file to itself just now."""
    with open(path, "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """One command at a time works in a folder; its further processes have `joined` it.

    Raises RunError while another command works there, or a process that it left has not ended yet.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{folder}: another command works here just now; wait until it has ended.") from None
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
