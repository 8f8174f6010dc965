"""Who is told how a run goes: the command line's bars, a notebook, nobody."""

from __future__ import annotations

from typing import Protocol

from finetooth.history import Step


class Progress(Protocol):
    """Told in sentences, and of each step."""

    def say(self, text: str) -> None:
        """Something was decided or done."""

    def step(self, step: Step) -> None:
        """A step was made."""


class Silent:
    """Tells nobody."""

    def say(self, text: str) -> None:
        """Nothing."""

    def step(self, step: Step) -> None:
        """Nothing."""
