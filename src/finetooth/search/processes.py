"""Several processes that search together: each takes trials from the same study until there are enough."""

from __future__ import annotations

import multiprocessing
import signal
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from finetooth.errors import FinetoothError
from finetooth.history import Step
from finetooth.prepare import Material
from finetooth.progress import Heeding, Silent
from finetooth.search.claim import joined
from finetooth.search.worker import Setup, work

GLANCE = 0.5  # seconds between two looks for a signal


def work_together(setup: Setup, progress: Heeding) -> None:
    """Have `setup.jobs` processes work, and pass on what they say. A signal ends them all at once.

    Raises what one of them raised, and Interrupted.
    """
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork in the middle of its work
    alone, threads = context.Lock(), max(1, torch.get_num_threads() // setup.jobs)
    running: dict[Connection, Any] = {}
    # Ctrl-C reaches every process of a terminal; ours are born deaf to it, since this one ends them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for _ in range(setup.jobs):
            ours, theirs = context.Pipe(duplex=False)
            running[ours] = context.Process(target=_worker, args=(setup, alone, threads, theirs), daemon=True)
            running[ours].start()
            theirs.close()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        while running:
            for connection in wait([*running], timeout=GLANCE):
                assert isinstance(connection, Connection), "nothing else is waited for"
                try:
                    told = connection.recv()
                except EOFError:
                    _refuse_failure(running.pop(connection))
                    continue
                if isinstance(told, FinetoothError):
                    raise told
                progress.say(told)
            progress.heed()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()


def _refuse_failure(process: Any) -> None:
    process.join()
    if process.exitcode:
        raise FinetoothError(
            f"one of the processes ended with exit status {process.exitcode}; is there memory for so many? Go on with "
            f"--resume and fewer --jobs."
        )


def _worker(setup: Setup, alone: AbstractContextManager[object], threads: int, to_parent: Connection) -> None:
    """One process: it prepares the rows once, then takes trials."""
    torch.set_num_threads(threads)
    try:
        with joined(setup.out):
            material = Material.of(setup.table, setup.plan, setup.model, rows=setup.rows, metrics=setup.metrics)
            work(setup, material, alone, _ToParent(to_parent))
    except FinetoothError as error:
        to_parent.send(error)


class _ToParent(Silent):
    """Tells the parent; without one there is nobody to work for."""

    def __init__(self, to_parent: Connection) -> None:
        self.to_parent = to_parent

    def say(self, text: str) -> None:
        self.to_parent.send(text)

    def step(self, step: Step) -> None:
        self._heed()

    def stored(self, done: int, rows: int) -> None:
        self._heed()

    def _heed(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is None or not parent.is_alive():
            raise SystemExit
