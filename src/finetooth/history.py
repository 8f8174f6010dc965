"""Step and Epoch: what the loop reports as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import floor, isfinite, nan
from typing import Any


@dataclass(frozen=True)
class Epoch:
    """One look at the validation rows: the line that epochs.jsonl holds.

    `epoch` is a real number (1.5 is the middle of the second), `loss` the mean training loss per row (weighted as the
    plan has it) since the last look, with dropout on; `scores` are the validation rows' loss and metrics, and what
    logits would be divided by; `rates` are the multipliers by depth, head first, 0.0 for frozen; `seconds` are training
    alone, without the look.
    """

    step: int
    epoch: float
    loss: float
    scores: Mapping[str, float]
    learning_rate: float
    grad_norm: float
    rates: tuple[float, ...]
    seconds: float
    rows_per_second: float

    def line(self) -> dict[str, Any]:
        """As a flat dictionary fit for JSON: scores prefixed with `eval_`, null for what is not a number."""
        flat = asdict(self)
        scores = flat.pop("scores")
        line = {**flat, "rates": list(self.rates), **{f"eval_{name}": value for name, value in scores.items()}}
        return {k: None if isinstance(v, float) and not isfinite(v) else v for k, v in line.items()}

    @staticmethod
    def of(line: Mapping[str, Any]) -> Epoch:
        """The Epoch that `line()` wrote."""
        line = {k: nan if v is None else v for k, v in line.items()}
        scores = {k.removeprefix("eval_"): v for k, v in line.items() if k.startswith("eval_")}
        rest = {k: v for k, v in line.items() if not k.startswith("eval_")}
        return Epoch(**{**rest, "rates": tuple(rest["rates"]), "scores": scores})


def passed(before: float, now: float, every: float) -> bool:
    """Whether a multiple of `every` lies behind `now` that lay ahead of `before`."""
    return floor(now / every + 1e-9) > floor(before / every + 1e-9)


@dataclass(frozen=True)
class Step:
    """One optimizer step, from `since` to `epoch`: its mean loss, the norm of its gradient before clipping."""

    step: int
    steps: int
    since: float
    epoch: float
    loss: float
    grad_norm: float
    learning_rate: float
    rows: int
    ended: Epoch | None = None


@dataclass
class Sums:
    """Over the steps since the last look at the validation rows; part of the State, so that a resumed run has them."""

    loss: float = 0.0
    weight: float = 0.0
    rows: int = 0
    grad_norm: float = 0.0
    steps: int = 0
    seconds: float = 0.0

    def add(self, loss: float, weight: float, rows: int, grad_norm: float, seconds: float) -> None:
        """One more step; `loss` and `weight` are summed over its rows."""
        self.loss += loss
        self.weight += weight
        self.rows += rows
        self.grad_norm += grad_norm
        self.steps += 1
        self.seconds += seconds

    def epoch(
        self,
        step: int,
        position: float,
        scores: Mapping[str, float],
        learning_rate: float,
        rates: Sequence[float],
    ) -> Epoch:
        """The Epoch that ends here."""
        return Epoch(
            step=step,
            epoch=round(position, 6),
            loss=self.loss / self.weight,
            scores=scores,
            learning_rate=learning_rate,
            grad_norm=self.grad_norm / self.steps,
            rates=tuple(rates),
            seconds=self.seconds,
            rows_per_second=self.rows / self.seconds,
        )
