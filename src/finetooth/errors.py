"""What can go wrong, and in which words.

    FinetoothError
    ├── UserError (also ValueError)    the input or the command is at fault     exit status 2
    │   ├── DataError                  a file, a row, a column, a label
    │   ├── PlanError                  a key or value of the plan, or two that contradict each other
    │   ├── ModelError                 a model or tokenizer that is missing or does not fit
    │   └── RunError                   a run directory that is missing, foreign, changed or damaged
    ├── NonFiniteLoss                  training ran into NaN or infinity        exit status 3
    └── Interrupted                    stopped by a signal, after saving        exit status 130 or 143

A message says what was found, what was expected and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any


class FinetoothError(Exception):
    """The root: everything that finetooth raises on purpose."""


class UserError(FinetoothError, ValueError):
    """The input or the command is at fault."""


class DataError(UserError):
    """A file, a row, a column or a label is not as it has to be."""


class PlanError(UserError):
    """A key or a value of the plan is unknown, out of range, or contradicts another."""


class ModelError(UserError):
    """A model or its tokenizer is missing, or does not fit the task."""


class RunError(UserError):
    """A run directory is missing, foreign, changed or damaged."""


class NonFiniteLoss(FinetoothError):
    """The loss or its gradient became NaN or infinite; the weights were left as they were before that step."""

    def __init__(self, step: int, rows: list[str]) -> None:
        self.step, self.rows = step, rows
        shown = ", ".join(rows[:8]) + (f" and {len(rows) - 8} more" if len(rows) > 8 else "")
        super().__init__(
            f"step {step}: the loss or its gradient is not a finite number; the weights are as they were before it. "
            f"Rows in question: {shown}. A lower learning_rate, fp32 precision or a look at these rows may help."
        )

    def __reduce__(self) -> tuple[Any, ...]:
        """It goes from one process to another."""
        return NonFiniteLoss, (self.step, self.rows)


class Interrupted(FinetoothError):
    """Stopped by a signal between two steps; `where` says at which moment, `kept` where what was done is saved."""

    def __init__(self, signal: int, where: str, kept: str) -> None:
        self.signal = signal
        super().__init__(f"stopped {where}; saved in {kept}. To go on, give the same command with --resume added.")


def nearest(name: str, known: Iterable[str]) -> str:
    """A clause naming the known name most like `name`, or listing what there is."""
    options = sorted(known)
    close = get_close_matches(name.lower(), [o.lower() for o in options], n=1, cutoff=0.6)
    if close:
        return f"did you mean '{next(o for o in options if o.lower() == close[0])}'?"
    return "there is " + (", ".join(options) if options else "nothing to choose from")


def shown(text: str) -> str:
    """A text of the user's as a message shows it: on one line, its beginning if it is long."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text[:200].split()))
    return line if len(line) <= 40 else f"{line[:39]}…"


def listed(names: Sequence[str]) -> str:
    """Names of the user's as a message lists them."""
    return ", ".join(map(shown, names[:20])) + (", ..." if len(names) > 20 else "")
