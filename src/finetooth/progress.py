"""Who is told how a run goes: the command line's bars, a notebook, nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from finetooth.errors import Interrupted
from finetooth.history import Step


class Progress(Protocol):
    """Told in sentences, of each step, and of what is computed before there are any."""

    def say(self, text: str) -> None:
        """Something was decided or done."""

    def step(self, step: Step) -> None:
        """A step was made."""

    def stored(self, done: int, rows: int) -> None:
        """What stays the same (is frozen, or said by the untuned model) is there for so many rows; 0 at the start."""


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """Nothing."""

    def step(self, step: Step) -> None:
        """Nothing."""

    def stored(self, done: int, rows: int) -> None:
        """Nothing."""


class Heeding:
    """Passes on what it is told, a sentence that comes again once; ends what is in hand when a signal was received."""

    def __init__(self, progress: Progress, received: list[int], stop: Callable[[int], Interrupted]) -> None:
        self.progress, self.received, self.stop = progress, received, stop
        self._said: set[str] = set()

    def say(self, text: str) -> None:
        """Of folds and trials, many of which have the same to say."""
        if text not in self._said:
            self._said.add(text)
            self.progress.say(text)

    def step(self, step: Step) -> None:
        """Raises Interrupted."""
        self.progress.step(step)
        self.heed()

    def stored(self, done: int, rows: int) -> None:
        """Raises Interrupted."""
        self.progress.stored(done, rows)
        self.heed()

    def heed(self) -> None:
        """Raises Interrupted."""
        if self.received:
            raise self.stop(self.received[0])
