"""Several processes that share work. The one that was asked does its part too, and passes on what the others say."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from threading import Thread
from typing import Any, Protocol

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
        """Ends the work of this process after a signal, when another one failed, or when its parent is gone."""


@dataclass(frozen=True)
class Share:
    """Which of so many processes this is, from 0."""

    number: int = 0
    jobs: int = 1


def side_by_side(jobs: int, work: Callable[..., None], told: tuple[Any, ...], progress: Heeding) -> None:
    """Have `jobs` processes, this one among them, do `work(*told, share, progress)`.

    The threads of the processor are dealt out among them. A signal, or what one of them raises, ends them all. Raises
    Interrupted and what was raised; PlanError where something of one's own, as a metric, cannot go to another process.
    """
    if jobs <= 1:
        work(*told, Share(), progress)
        return
    try:
        content = bytes(ForkingPickler.dumps(told))
    except Exception as error:  # whatever an object of one's own raises when it is taken apart
        says = f"--jobs {jobs}: not all can be handed to another process: {error}; leave it away, and add --resume."
        raise PlanError(says) from error
    context = multiprocessing.get_context("spawn")  # torch does not survive a fork in the middle of its work
    threads, relaying = torch.get_num_threads(), _Relaying(progress)
    each = max(1, threads // jobs)
    # Ctrl-C reaches every process of a terminal; ours are born deaf to it, since this one ends them. What Python starts
    # beside the first of them comes before, since it would put an end to the deafness.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for number in range(1, jobs):
            from_child, to_parent = context.Pipe(duplex=False)
            from_parent, to_child = context.Pipe(duplex=False)
            given = (work, Share(number, jobs), each, from_parent, to_parent)
            process = context.Process(target=_worker, args=given, daemon=True)
            process.start()
            relaying.running[from_child] = process
            to_parent.close()
            from_parent.close()
            # It takes seconds until it has come so far as to read.
            Thread(target=_send, args=(to_child, content), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        torch.set_num_threads(each)
        work(*told, Share(0, jobs), relaying)
        while relaying.running:
            relaying.heed(GLANCE)
    except _AnotherFailedError as failed:
        raise failed.error from None
    finally:
        for process in relaying.running.values():
            process.terminate()
        for process in relaying.running.values():
            process.join()
        torch.set_num_threads(threads)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def refuse_own_code(jobs: int, plan: Plan, metrics: Sequence[Metric], *parts: Any) -> None:
    """Functions cannot be handed to another process. Raises PlanError naming the first."""
    own = [key for key in ("rate", "schedule", "loss") if callable(getattr(plan, key))]
    own += ["augment"] if any(map(callable, plan.augment)) else []
    own += [metric.name for metric in metrics] + [part.__name__ for part in parts if not isinstance(part, str)]
    if own and jobs > 1:
        raise PlanError(f"{own[0]}: functions of one's own stay in one process; leave --jobs away.")


class _AnotherFailedError(BaseException):
    """Another process failed: no matter of the fold or trial in hand, which could catch it for its own failure."""

    def __init__(self, error: FinetoothError) -> None:
        self.error = error


class _Relaying(Heeding):
    """Of the process that was asked: what the others say is passed on whenever this one makes a step."""

    def __init__(self, progress: Heeding) -> None:
        super().__init__(progress, progress.received, progress.stop)
        self.running: dict[Connection, Any] = {}

    def heed(self, patience: float = 0.0) -> None:
        """Wait so many seconds for another process to say something."""
        for connection in wait([*self.running], timeout=patience):
            assert isinstance(connection, Connection), "nothing else is waited for"
            try:
                told = connection.recv()
            except (EOFError, OSError):
                super().heed()  # a signal may have reached all of them
                told = _failure(self.running.pop(connection))
            if isinstance(told, FinetoothError):
                raise _AnotherFailedError(told)
            if told is not None:
                self.say(told)
        super().heed()


def _failure(process: Any) -> FinetoothError | None:
    """What is wrong where a process has ended without a word; None where it had nothing left to do."""
    process.join()
    if not process.exitcode:
        return None
    return FinetoothError(
        f"one of the processes ended with exit status {process.exitcode}; is there memory for so many? Go on with "
        f"--resume and fewer --jobs."
    )


def _send(to_child: Connection, content: bytes) -> None:
    with suppress(OSError), to_child:  # of one that has ended the parent hears otherwise
        to_child.send_bytes(content)


def _worker(
    work: Callable[..., None], share: Share, threads: int, from_parent: Connection, to_parent: Connection
) -> None:
    torch.set_num_threads(threads)
    try:
        told = from_parent.recv()
        work(*told, share, _ToParent(to_parent))
    except FinetoothError as error:
        to_parent.send(error)
    except Exception as error:
        says = f"one of the processes broke off: {type(error).__name__}: {error}."
        to_parent.send(FinetoothError(f"{says} Go on with --resume, and without --jobs to see where it happens."))


class _ToParent(Silent):
    """Of the others: they tell the parent; without one there is nobody to work for."""

    def __init__(self, to_parent: Connection) -> None:
        self.to_parent = to_parent

    def say(self, text: str) -> None:
        self.heed()
        self.to_parent.send(text)

    def step(self, step: Step) -> None:
        self.heed()

    def stored(self, done: int, rows: int) -> None:
        self.heed()

    def heed(self) -> None:
        parent = multiprocessing.parent_process()
        if parent is None or not parent.is_alive():
            raise SystemExit(1)
