"""Ctrl-C and SIGTERM, collected, so that what is in hand can come to an end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def collected() -> Iterator[list[int]]:
    """Collect the first Ctrl-C or SIGTERM, so that the step in hand can end; a second one acts at once."""
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def put_back() -> None:
        for each, handler in before.items():
            signal.signal(each, handler)

    def handle(number: int, frame: Any) -> None:
        received.append(number)
        put_back()

    for each in before:
        signal.signal(each, handle)
    try:
        yield received
    finally:
        put_back()
