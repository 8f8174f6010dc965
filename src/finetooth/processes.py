"""Several processes that share work. The one that was asked does its part too, and passes on what the others say."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import IO, Any, Protocol

import torch

from finetooth.errors import FinetoothError, PlanError
from finetooth.history import Step
from finetooth.metrics import Metric
from finetooth.plan import Plan
from finetooth.progress import Heeding, Progress, Silent

GLANCE = 0.5  # seconds between two looks for a signal, once only the others work


class Heedful(Progress, Protocol):
    """Who is told how the work goes, and knows when it has to end for all."""

    def heed(self) -> None:
        """Raises Interrupted after a signal and what another process raised; ends a process whose parent has ended."""


@dataclass(frozen=True)
class Share:
    """Which of so many processes this is, from 0, and what only one of them can be in at a time."""

    number: int
    jobs: int
    alone: AbstractContextManager[object]


def side_by_side(jobs: int, work: Callable[..., None], told: tuple[Any, ...], progress: Heeding) -> None:
    """Have `jobs` processes, this one among them, do `work(*told, share, progress)`.

    The threads of the processor are dealt out among them. A signal, or what one of them raises, ends them all. Raises
    Interrupted and what was raised.
    """
    if jobs == 1:
        work(*told, Share(0, 1, nullcontext()), progress)
        return
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork in the middle of its work
    alone, threads = context.Lock(), torch.get_num_threads()
    each, relaying = max(1, threads // jobs), _Relaying(progress)
    # Ctrl-C reaches every process of a terminal; ours are born deaf to it, since this one ends them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        # It is told in a file: writing to a pipe, this one would wait until the others have come so far as to read.
        with tempfile.NamedTemporaryFile(prefix="finetooth-") as file:
            _hand_over(told, jobs, file)
            for number in range(1, jobs):
                ours, to_parent = context.Pipe(duplex=False)
                given = (work, file.name, Share(number, jobs, alone), each, to_parent)
                relaying.running[ours] = context.Process(target=_worker, args=given, daemon=True)
                relaying.running[ours].start()
                to_parent.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            torch.set_num_threads(each)
            work(*told, Share(0, jobs, alone), relaying)
            while relaying.running:
                relaying.heed(GLANCE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        torch.set_num_threads(threads)
        for process in relaying.running.values():
            process.terminate()
        for process in relaying.running.values():
            process.join()


def refuse_own_code(jobs: int, plan: Plan, metrics: Sequence[Metric], *parts: Any) -> None:
    """Functions cannot be handed to another process. Raises PlanError naming the first."""
    own = [key for key in ("rate", "schedule", "loss") if callable(getattr(plan, key))]
    own += [metric.name for metric in metrics] + [part.__name__ for part in parts if not isinstance(part, str)]
    if own and jobs > 1:
        raise PlanError(f"{own[0]}: functions of one's own stay in one process; leave --jobs away.")


def _hand_over(told: tuple[Any, ...], jobs: int, file: IO[bytes]) -> None:
    """Raises PlanError where something of one's own, as a task's metric, cannot go to another process."""
    try:
        pickle.dump(told, file)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise PlanError(f"--jobs {jobs}: not all can be handed to another process: {error}; leave it away.") from error
    file.flush()


class _Relaying:
    """Of the process that was asked: what the others say is passed on whenever it is told something itself."""

    def __init__(self, progress: Heeding) -> None:
        self.progress = progress
        self.running: dict[Connection, Any] = {}

    def say(self, text: str) -> None:
        self.progress.say(text)

    def step(self, step: Step) -> None:
        self.progress.step(step)
        self.heed()

    def stored(self, done: int, rows: int) -> None:
        self.progress.stored(done, rows)
        self.heed()

    def heed(self, patience: float = 0.0) -> None:
        """Wait so many seconds for another process to say something."""
        for connection in wait([*self.running], timeout=patience):
            assert isinstance(connection, Connection), "nothing else is waited for"
            try:
                told = connection.recv()
            except EOFError:
                _refuse_failure(self.running.pop(connection))
                continue
            if isinstance(told, FinetoothError):
                raise told
            self.progress.say(told)
        self.progress.heed()


def _refuse_failure(process: Any) -> None:
    process.join()
    if process.exitcode:
        raise FinetoothError(
            f"one of the processes ended with exit status {process.exitcode}; is there memory for so many? Go on with "
            f"--resume and fewer --jobs."
        )


def _worker(work: Callable[..., None], told: str, share: Share, threads: int, to_parent: Connection) -> None:
    torch.set_num_threads(threads)
    with open(told, "rb") as file:
        given = pickle.load(file)  # written a moment ago by the parent, for nobody else to read or write
    try:
        work(*given, share, _ToParent(to_parent))
    except FinetoothError as error:
        to_parent.send(error)


class _ToParent(Silent):
    """Of the others: they tell the parent; without one there is nobody to work for."""

    def __init__(self, to_parent: Connection) -> None:
        self.to_parent = to_parent

    def say(self, text: str) -> None:
        self.to_parent.send(text)

    def step(self, step: Step) -> None:
        self.heed()

    def stored(self, done: int, rows: int) -> None:
        self.heed()

    def heed(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is None or not parent.is_alive():
            raise SystemExit(1)
